"""The durable engine: opens and closes DBOS, and the few words of it that the product speaks. No rules.

DBOS keeps workflows, their steps and their queues in tables of the same database the calls are in (a file
beside it on SQLite). It is one a process, a global of its library; an engine that is closed gives it back.

Self-hosted, DBOS begins a dead process's workflows again only when told whose they are. Every process has a
name of its own and holds a lock for as long as it lives (presence.py); each looks every few seconds for workflows
of names that are absent, twice in a row, and hands them back to their queues. That is idempotent:
of several processes which do it at once, one changes the row.
"""

import asyncio
import contextvars
import functools
import logging
import math
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, SetWorkflowID
from loguru import logger

from bot.errors import SettingsError
from bot.store.address import PostgresAddress, SqliteAddress
from bot.store.connections import DATABASE_ERRORS
from bot.store.durable.dbos_internals import DbosInternals, UnknownWorkflowError, WorkflowIdTakenError, system_url
from bot.store.durable.presence import presence_at
from bot.telemetry.metrics import Depth

NAME = "phone-agent"
VERSION = "1"
"""Of the workflows' steps: a process only runs what was begun under the same. Raised when steps change so
that a half-done workflow could not go on."""
CALM = 5.0
"""An ordinary queue is looked at so many times more seldom than an urgent one."""
POLL_SECONDS = 0.1
"""How often a process asks an urgent queue that has work; what it enqueues itself it looks for at once, what
another process does within thirty of these (wake_up.py)."""
LISTEN_FACTOR = 5.0
"""How many such intervals until what another process of one SQLite file wrote for a waiting workflow is seen;
PostgreSQL tells, and what this process writes wakes the workflow at once."""
LOOK_SECONDS = 4.0
"""How often dead processes' workflows are looked for; after two looks they are begun again."""
STEP_ATTEMPTS = 30
STEP_BACKOFF = 1.3
"""Of a step whose database is away, from half a second on: an hour in all."""
POLLS_SECONDS = 10.0
_MOMENT = 0.001
_NEARLY = 0.9
"""Of the time between two looks: they are not exactly that far apart."""
_THREADS = 32
"""Of DBOS; while its database is away, each may wait for ever."""
_OWN_THREADS = 4
"""Of this engine, for its own statements."""
_POOL = 10
"""Connections of the engine to the database. Every queue's thread, the listener and each step take one for a
moment; who finds none waits for half a minute at a time."""
_T = TypeVar("_T")
Run = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class _Queue:
    concurrency: int | None
    per_process: int | None
    per_partition: int | None
    per_second: float | None
    poll_seconds: float
    load: Callable[[], int] | None = None


class DurableEngine:
    """Workflows and queues are named before `open`. Arguments and results are JSON values."""

    def __init__(
        self,
        address: SqliteAddress | PostgresAddress,
        *,
        poll_seconds: float = POLL_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.name = f"process_{secrets.token_hex(6)}"
        """This process among those of the database."""
        self._address = address
        self._poll_seconds, self._look_seconds = poll_seconds, look_seconds
        self._workflows: dict[str, Run] = {}
        self._queues: dict[str, _Queue] = {}
        self._schedules: dict[str, tuple[str, Callable[[], Awaitable[None]]]] = {}
        self._presence = presence_at(address)
        self._dbos: DbosInternals | None = None
        self._threads = ThreadPoolExecutor(_OWN_THREADS, thread_name_prefix="durable")
        self._looking: asyncio.Task[None] | None = None
        self._absent_since: dict[str, float] = {}
        self._left: set[str] = set()
        """Queues of which nothing is begun here any more."""

    # -- before open ----------------------------------------------------------------------------------

    def workflow(self, name: str, run: Run) -> None:
        """`run` is begun again from its start after a crash: what it does outside of steps is repeated."""
        self._workflows[name] = run

    def queue(
        self,
        name: str,
        *,
        concurrency: int | None = None,
        per_process: int | None = None,
        per_partition: int | None = None,
        per_second: float | None = None,
        urgent: bool = False,
        poll_seconds: float | None = None,
        load: Callable[[], int] | None = None,
    ) -> None:
        """A queue with its limits: workflows at once over all processes, in one process, of one partition;
        and beginnings per second over all processes. How often each process looks at it,
        three statements each time: `poll_seconds`, or the engine's own for an urgent one.

        `load`: what else takes the places of this process, so that nothing is begun here which would find none;
        it counts where it is more than the queue's own workflows. Called from a thread.
        """
        poll_seconds = poll_seconds or self._poll_seconds * (1.0 if urgent else CALM)
        self._queues[name] = _Queue(concurrency, per_process, per_partition, per_second, poll_seconds, load)

    def schedule(self, name: str, cron: str, run: Callable[[], Awaitable[None]]) -> None:
        """`run` as a workflow by a six-field cron line (seconds first, UTC), once over all processes."""
        self._schedules[name] = (cron, run)

    # -- life -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Queues are worked on when this returns. SettingsError when the database or the process cannot."""
        await self._presence.enter(self.name)
        try:
            await asyncio.to_thread(self._prepare)
            dbos = DBOS(config=self._config())
            self._dbos = DbosInternals(dbos, shared=isinstance(self._address, PostgresAddress))
            self._stop_events = dbos.background_thread_stop_events
            self._dbos.keep_threads_apart()
            self._dbos.wait_for_bells()
            self._dbos.count_running(self._count)
            for name, run in self._workflows.items():
                DBOS.workflow(name=name, max_recovery_attempts=None)(_coroutine(name, run))
            scheduled = {name: self._scheduled(name, run) for name, (_, run) in self._schedules.items()}
            self._dbos.run_workflows_on(asyncio.get_running_loop())
            # Migrations and the first connections: off the loop.
            await asyncio.to_thread(DBOS.launch)
            if scheduled:
                await asyncio.to_thread(
                    DBOS.apply_schedules,
                    [
                        {"schedule_name": name, "workflow_fn": run, "schedule": self._schedules[name][0]}
                        for name, run in scheduled.items()
                    ],
                )
        except BaseException as e:
            await self.close()
            if isinstance(e, Exception):
                raise SettingsError(
                    f"The durable engine cannot use the database: {e}", field="DATABASE_URL"
                ) from e
            raise
        self._looking = asyncio.create_task(self._look(), name="durable look")

    def _prepare(self) -> None:
        """Tables and queues, before anything looks for them: one added later is found a second late."""
        _quiet()
        url, schema = system_url(self._address)
        DBOS.migrate(system_database_url=url, schema=schema)
        client = DBOSClient(
            system_database_url=url,
            dbos_system_schema=schema,
            application_name=NAME,
            retry_connection_errors=False,
        )
        try:
            for name, limits in self._queues.items():
                client.register_queue(
                    name,
                    global_concurrency=limits.concurrency,
                    worker_concurrency=limits.per_process,
                    partition_concurrency=limits.per_partition,
                    limiter=None if limits.per_second is None else _rate(limits.per_second),
                    polling_interval_sec=limits.poll_seconds,
                )
        finally:
            client.destroy()

    async def stop_taking(self, *queues: str) -> None:
        """Nothing of these queues (none named: of any) is begun here any more; what is under way goes on.

        Those named have a limit per process: they count as full.
        """
        self._left.update(queues)
        if self._dbos is not None and not queues:
            for event in self._stop_events:
                event.set()
            self._dbos.ring_all()

    def _count(self, queue_name: str, running: int) -> int:
        """How many workflows of a queue with a limit per process count as running here."""
        if queue_name in self._left:
            return sys.maxsize
        if (queue := self._queues.get(queue_name)) is None:
            return running
        count = running if queue.load is None else max(running, queue.load())
        if queue.per_process is not None and count >= queue.per_process:
            # What frees a place may ring no bell.
            self._internals.wake(queue_name).found(True)
        return count

    async def close(self) -> None:
        """Leave what is under way to the next process that opens the database. Harmless when not open."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None
        if self._dbos is not None:
            await self.stop_taking()
            # A queue's thread may be about to begin a workflow: past this it begins none.
            polls = [asyncio.to_thread(thread.join, POLLS_SECONDS) for thread in self._dbos.queue_threads]
            await asyncio.gather(*polls)
            logging.getLogger("dbos").setLevel(logging.CRITICAL)  # it warns of each cancelled task
            # A cancelled workflow keeps its row as it is: pending, to be begun again.
            while tasks := self._dbos.tasks:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await self._hand_back(frozenset({self.name}))
            await asyncio.to_thread(functools.partial(DBOS.destroy, destroy_registry=True))
            self._dbos.give_back()
            self._dbos = None
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._presence.leave()

    def _config(self) -> DBOSConfig:
        url, schema = system_url(self._address)
        return DBOSConfig(
            name=NAME,
            system_database_url=url,
            dbos_system_schema=schema,
            sys_db_pool_size=_POOL,
            application_version=VERSION,
            executor_id=self.name,
            log_level="WARNING",
            max_executor_threads=_THREADS,
            notification_listener_polling_interval_sec=self._poll_seconds * LISTEN_FACTOR,
            scheduler_polling_interval_sec=5.0,
        )

    def _scheduled(self, name: str, run: Callable[[], Awaitable[None]]) -> Any:
        async def fire(_at: datetime, _context: Any) -> None:
            await run()

        return DBOS.workflow(name=f"schedule_{name}")(fire)

    # -- from anywhere: within a workflow none of these is one of its steps, each may be repeated -------

    async def enqueue(
        self,
        workflow: str,
        *args: Any,
        id: str,  # noqa: A002  # the engine's word
        queue: str,
        partition: str | None = None,
        delay_seconds: float = 0.0,
        priority: int | None = None,
    ) -> bool:
        """Kept when this returns, and begun once, by some process. False: that id exists, nothing happens.

        `priority`: 1 is first; none counts as before all.
        """
        options = EnqueueOptions(
            workflow_name=workflow,
            queue_name=queue,
            workflow_id=id,
            app_version=VERSION,
            workflow_id_reuse_policy="reject",
        )
        if partition is not None:
            options["queue_partition_key"] = partition
        if delay_seconds > 0:
            options["delay_seconds"] = delay_seconds
        if priority is not None:
            options["priority"] = priority
        try:
            await _apart(DBOS.enqueue_workflow_with_options_async(options, *args))
        except WorkflowIdTakenError:
            return False
        return True

    async def start(self, workflow: str, *args: Any, id: str) -> None:  # noqa: A002
        """At once and here, without a queue; nothing happens when that id exists."""
        await _apart(self._start(workflow, *args, id=id))

    async def _start(self, workflow: str, *args: Any, id: str) -> None:  # noqa: A002
        with SetWorkflowID(id):
            await DBOS.start_workflow_async(self._internals.registered(workflow), *args)

    async def arguments(self, id: str) -> tuple[Any, ...] | None:  # noqa: A002
        """What the workflow was enqueued with; None: there is none."""
        status = await _apart(DBOS.get_workflow_status_async(id))
        return None if status is None or status.input is None else tuple(status.input["args"])

    async def unfinished(self, ids: Collection[str]) -> Mapping[str, bool]:
        """Of those workflows that there are, whether each still has something to do."""
        return await self._in_thread(self._internals.active_workflows, ids)

    async def send(self, id: str, message: Any, topic: str) -> bool:  # noqa: A002
        """A message for a workflow, kept until it is received. False: there is no such workflow."""
        try:
            await _apart(DBOS.send_async(id, message, topic))
        except UnknownWorkflowError:
            return False
        self._internals.signal(id, topic)
        return True

    async def event(self, id: str, key: str, timeout_seconds: float) -> Any:  # noqa: A002
        """What the workflow published under `key`; None when it does not in time."""
        return await _apart(DBOS.get_event_async(id, key, timeout_seconds))

    async def waiting(self) -> Mapping[str, Depth]:
        """Queue → how many workflows wait in it."""
        found = await self._counted("queue_name", "ENQUEUED", "DELAYED")
        names = {name for name, _ in found if name} | set(self._queues)
        return {name: Depth(found.get((name, "ENQUEUED"), 0), found.get((name, "DELAYED"), 0)) for name in names}

    async def _counted(self, by: str, *statuses: str) -> dict[tuple[str | None, str], int]:
        """Workflows of these statuses by a column; counted there, for a hundred thousand may wait."""
        return await self._in_thread(self._internals.count_workflows, by, *statuses)

    async def absent_seconds(self, name: str) -> float:
        """How long the process of that name has been seen to be absent; 0.0: it is there.

        Infinite where an absence is certain; else one that only lost its connection may come back.
        DATABASE_ERRORS when nobody can tell.
        """
        return 0.0 if name == self.name else (await self._absences(frozenset({name}))).get(name, 0.0)

    async def others(self) -> bool:
        """Whether another process lives that may take this one's calls. DATABASE_ERRORS when nobody can tell."""
        return await self._presence.others()

    async def _absences(self, names: frozenset[str]) -> dict[str, float]:
        absent, now = await self._presence.absent(names), time.monotonic()
        for name in names - absent:
            self._absent_since.pop(name, None)
        if self._presence.certain:
            return dict.fromkeys(absent, math.inf)
        # Not nothing: at first sight it is absent for a moment.
        return {name: now - self._absent_since.setdefault(name, now) + _MOMENT for name in absent}

    async def forget(self, before: datetime, limit: int = 1000) -> int:
        """Delete finished workflows that ended before then, at most so many; returns how many.

        DBOS keeps them for ever. Not by its methods: inside of a workflow those count as its steps.
        """
        return await self._in_thread(self._internals.forget_workflows, before, limit)

    @property
    def _internals(self) -> DbosInternals:
        assert self._dbos is not None
        return self._dbos

    async def _in_thread(self, function: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, functools.partial(function, *args))

    # -- inside a workflow ----------------------------------------------------------------------------

    async def step(self, name: str, run: Callable[[], Awaitable[_T]]) -> _T:
        """At least once; its result is kept, and a workflow that is begun again is given that.

        Repeated while the database is away (DATABASE_ERRORS); any other error ends the workflow.
        """

        async def attempt() -> _T:
            return await run()

        options: Any = {
            "name": name,
            "retries_allowed": True,
            "max_attempts": STEP_ATTEMPTS,
            "interval_seconds": 0.5,
            "backoff_rate": STEP_BACKOFF,
            "should_retry": _database_is_away,
        }
        return await DBOS.run_step_async(options, attempt)

    async def sleep(self, seconds: float) -> None:
        """Until that long after it was first asked for, crashes and all."""
        await DBOS.sleep_async(seconds)

    async def receive(self, topic: str, timeout_seconds: float) -> Any:
        """The next message of a topic; None when there is none in time."""
        return await DBOS.recv_async(topic, timeout_seconds)

    async def publish(self, key: str, value: Any) -> None:
        """Give a value to those who wait for it by `event`."""
        await DBOS.set_event_async(key, value)

    # -- dead processes -------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            try:
                await self.look()
            except DATABASE_ERRORS as e:
                logger.warning("dead processes cannot be looked for: {}", e)
            except Exception as e:
                logger.opt(exception=e).error("dead processes cannot be looked for")
            await asyncio.sleep(self._look_seconds)

    async def look(self) -> None:
        """Begin again what absent processes left behind."""
        pending = await self._counted("executor_id", "PENDING")
        absences = await self._absences(frozenset(name for name, _ in pending if name) - {self.name})
        gone = frozenset(name for name, seconds in absences.items() if seconds >= self._look_seconds * _NEARLY)
        if gone:
            logger.warning("{} process(es) are gone: their work is taken up", len(gone))
            await self._hand_back(gone)

    async def _hand_back(self, names: frozenset[str]) -> None:
        try:
            await self._in_thread(self._internals.hand_back, names)
        except Exception as e:
            # Whoever looks next does it.
            logger.warning("workflows could not be handed back: {}", e)


async def _apart(run: Coroutine[Any, Any, _T]) -> _T:
    """Run it outside of the workflow that this may be in.

    DBOS would count it among the workflow's steps, which a workflow that is begun again has to repeat in the
    same order; within a step it refuses some.
    """
    return await asyncio.create_task(run, context=contextvars.Context())


def _coroutine(name: str, run: Run) -> Any:
    """A plain coroutine function, as DBOS registers it."""

    async def workflow(*args: Any) -> Any:
        return await run(*args)

    workflow.__name__ = workflow.__qualname__ = name
    return workflow


def _database_is_away(error: BaseException) -> bool:
    return isinstance(error, DATABASE_ERRORS)


def _rate(per_second: float) -> Any:
    """DBOS limits whole beginnings in a period: of about a second, longer for less than one."""
    limit = max(1, int(per_second))
    return {"limit": limit, "period": limit / per_second}


def _quiet() -> None:
    """DBOS's log lines go to the standard library's root, at warnings."""
    dbos_logger = logging.getLogger("dbos")
    dbos_logger.propagate = True
    dbos_logger.setLevel(logging.WARNING)
    for handler in list(dbos_logger.handlers):
        dbos_logger.removeHandler(handler)
    dbos_logger.addHandler(logging.NullHandler())  # DBOS adds a console of its own where there is none
