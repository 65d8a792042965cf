"""Every touch of DBOS beyond its public interface; made for the version that pyproject pins.

DBOS makes its own threads the default executor of the loop that its workflows run on, and waits in them for as
long as its database is away. Here it keeps them for itself: what its modules call `asyncio.to_thread` runs on
them, and the loop's executor stays as it was, for whatever needs no database. Workflows on a loop of their own
were rejected: they share the connections and the calls of this one.

The functions over its tables block.
"""

import asyncio
import contextvars
import functools
import sys
import threading
import time
import types
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import sqlalchemy as sa
from dbos import DBOS, _queue, _workflow_commands
from dbos import _dbos as _dbos_module
from dbos._error import DBOSNonExistentWorkflowError as UnknownWorkflowError
from dbos._error import DBOSWorkflowIDInUseError as WorkflowIdTakenError
from dbos._sys_db import workflow_is_active

from bot.store.address import PostgresAddress, SqliteAddress
from bot.store.durable.wake_up import MOVE_SECONDS, QueueWake

__all__ = ["DbosInternals", "UnknownWorkflowError", "WorkflowIdTakenError", "system_url"]

_FIRST = -1
"""DBOS itself gives 0, its highest, to what comes without a priority."""
_LIMITS_SECONDS = 60.0
"""How long a queue's limits are taken as they were read; DBOS reads them before each look."""
_T = TypeVar("_T")


def system_url(address: SqliteAddress | PostgresAddress) -> tuple[str, str]:
    """Where DBOS keeps its tables, and their schema.

    On SQLite in a file of their own: its writes come from threads and would wait for the calls' writer. On
    PostgreSQL psycopg takes libpq's parameters, where asyncpg also takes settings: `search_path` becomes a
    schema beside it.
    """
    if isinstance(address, SqliteAddress):
        path = address.path.with_name(f"{address.path.stem}.durable.db")
        return f"sqlite:///{path}", "dbos"
    parts = urlsplit(address.dsn)
    query = dict(parse_qsl(parts.query))
    schema = query.pop("search_path", None)
    url = urlunsplit(("postgresql+psycopg", parts.netloc, parts.path, urlencode(query), ""))
    return url, f"{unquote(schema)}_dbos" if schema else "dbos"


class DbosInternals:
    """What the durable engine changes and reads inside one DBOS, from before its launch until its end."""

    def __init__(self, dbos: DBOS, *, shared: bool) -> None:
        """`shared`: other processes may use the database."""
        self._dbos, self._shared = dbos, shared
        self._asyncio = types.ModuleType("asyncio")
        """As DBOS's modules see it."""
        self._asyncio.__dict__.update(vars(asyncio), to_thread=self._in_thread_of_dbos)
        self._wakes: dict[str, QueueWake] = {}
        self._manager = QueueWake(shared=shared)

    # -- threads and loops ----------------------------------------------------------------------------

    def keep_threads_apart(self) -> None:
        """Run what DBOS does in threads on its own, and leave the loop's executor alone."""
        for module in _modules(asyncio):
            module.asyncio = self._asyncio
        DBOS._configure_asyncio_thread_pool = classmethod(_nothing)  # type: ignore[method-assign, assignment]

    def give_back(self) -> None:
        """Leave DBOS's modules as they were imported."""
        for module in _modules(self._asyncio):
            module.asyncio = asyncio
        DBOS._configure_asyncio_thread_pool = _CONFIGURE  # type: ignore[method-assign]
        _dbos_module.queue_thread = _QUEUE_THREAD  # type: ignore[attr-defined]
        _queue.queue_worker_thread = _QUEUE_WORKER_THREAD

    async def _in_thread_of_dbos(self, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> _T:
        call = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._dbos._executor, call)

    def run_workflows_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """DBOS takes a loop of its own whenever it does not find this one running, where none can be ended."""
        self._dbos._background_event_loop.target_loop = lambda: loop  # type: ignore[method-assign]

    # -- looking for work -----------------------------------------------------------------------------

    def wait_for_bells(self) -> None:
        """Have the threads of the queues, from their start, look for work when a bell is rung."""

        def queue_thread(stop_event: threading.Event, dbos: DBOS) -> None:
            self._watch(dbos._sys_db)
            self._manager.stop_with(stop_event)
            _QUEUE_THREAD(self._manager, dbos)  # type: ignore[arg-type]

        def queue_worker_thread(stop_event: threading.Event, dbos: DBOS, queue: Any) -> None:
            wake = self.wake(queue.name)
            wake.stop_with(stop_event)
            wake.ring()
            _QUEUE_WORKER_THREAD(wake, dbos, queue)  # type: ignore[arg-type]

        _dbos_module.queue_thread = queue_thread  # type: ignore[attr-defined]
        _queue.queue_worker_thread = queue_worker_thread
        _workflow_commands._BACKGROUND_JOBS_INTERVAL_SEC = MOVE_SECONDS[self._shared]

    def wake(self, queue_name: str) -> QueueWake:
        """What the thread of that queue waits on."""
        return self._wakes.setdefault(queue_name, QueueWake(shared=self._shared))

    def ring_all(self) -> None:
        """Have every queue's thread look: for work, or that it is to stop."""
        for wake in [self._manager, *self._wakes.values()]:
            wake.ring()

    def signal(self, workflow_id: str, topic: str) -> None:
        """Wake the workflow that receives this topic here. On PostgreSQL a trigger tells all processes."""
        if (waiter := self.tables.notifications_map.get(f"{workflow_id}::{topic}")) is not None:
            waiter.set()

    def _watch(self, tables: Any) -> None:
        """Ring for what goes into a queue or leaves it; note what the looks find."""
        insert, claim, claim_parts = (
            tables.init_workflow,
            tables.start_queued_workflows,
            tables.start_queued_partitioned_workflows,
        )
        limits, partitions, signal = tables.get_queue, tables.get_queue_partitions, tables._signal_notification
        kept: dict[str, tuple[float, Any]] = {}

        def init_workflow(status: Any, **options: Any) -> Any:
            result = insert(status, **options)
            if status["queue_name"] is not None:
                due_ms = status["delay_until_epoch_ms"]
                self.wake(status["queue_name"]).ring(None if due_ms is None else due_ms / 1000)
            return result

        def start_queued_workflows(queue: Any, *args: Any, **options: Any) -> Any:
            taken, full = claim(queue, *args, **options)
            self.wake(queue.name).found(bool(taken) or full is not None)
            return taken, full

        def start_queued_partitioned_workflows(queue: Any, *args: Any, **options: Any) -> Any:
            taken = claim_parts(queue, *args, **options)
            self.wake(queue.name).found(bool(taken))
            return taken

        def get_queue_partitions(queue_name: str) -> Any:
            waiting = partitions(queue_name)
            self.wake(queue_name).found(bool(waiting))
            return waiting

        def get_queue(queue_name: str) -> Any:
            at, queue = kept.get(queue_name, (-_LIMITS_SECONDS, None))
            if time.monotonic() - at >= _LIMITS_SECONDS:
                queue = limits(queue_name)
                kept[queue_name] = time.monotonic(), queue
            return queue

        def _signal_notification(channel: str, payload: str) -> None:
            signal(channel, payload)
            if (waiter := tables.workflow_events_map.get(payload)) is not None:
                waiter.set()

        def cancel_timed_out_workflows(_limit: int) -> list[str]:
            return []  # No workflow of ours has a deadline.

        for function in (
            cancel_timed_out_workflows,
            init_workflow,
            start_queued_workflows,
            start_queued_partitioned_workflows,
            get_queue_partitions,
            get_queue,
            _signal_notification,
        ):
            setattr(tables, function.__name__, function)
        active = self._dbos._active_workflows_set
        remove = active._remove

        def _remove(key: str, bucket: Any) -> None:
            remove(key, bucket)
            if bucket is not None:
                self.wake(bucket[0]).ring()

        active._remove = _remove  # type: ignore[method-assign]

    # -- workflows ------------------------------------------------------------------------------------

    def count_running(self, count: Callable[[str, int], int]) -> None:
        """Ask `count(queue, DBOS's own count)` before anything is taken for a queue with a limit per process."""
        running = self._dbos._active_workflows_set.count_for_queue

        def counted(queue_name: str) -> int:
            return count(queue_name, running(queue_name))

        self._dbos._active_workflows_set.count_for_queue = counted  # type: ignore[method-assign]

    def registered(self, workflow: str) -> Callable[..., Any]:
        return self._dbos._registry.workflow_info_map[workflow]

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Of the workflows that run here."""
        return list(self._dbos._workflow_tasks)

    @property
    def queue_threads(self) -> list[threading.Thread]:
        """Each may be about to begin a workflow."""
        return [
            thread
            for thread in self._dbos._background_threads
            if getattr(getattr(thread, "_target", None), "__name__", "") == "queue_thread"
        ]

    # -- tables: these block --------------------------------------------------------------------------

    @property
    def tables(self) -> Any:
        """DBOS's system database."""
        return self._dbos._sys_db

    def count_workflows(self, by: str, *statuses: str) -> dict[tuple[str | None, str], int]:
        """Workflows of these statuses by a column of theirs and status."""
        rows = self.tables.tables.workflow_status
        mine = self.tables._name_filter(rows.c.application_name, self.tables.app_name)
        query = (
            sa.select(rows.c[by], rows.c.status, sa.func.count())
            .where(rows.c.status.in_(statuses), mine)
            .group_by(rows.c[by], rows.c.status)
        )
        with self.tables.engine.begin() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def active_workflows(self, ids: Collection[str]) -> dict[str, bool]:
        """Of those workflows that there are, whether each still has something to do."""
        rows = self.tables.tables.workflow_status
        query = sa.select(rows.c.workflow_uuid, rows.c.status).where(rows.c.workflow_uuid.in_(list(ids)))
        with self.tables.engine.begin() as connection:
            return {row[0]: workflow_is_active(row[1]) for row in connection.execute(query)}

    def hand_back(self, processes: Collection[str]) -> None:
        """Put what these processes ran back into its queues, before all that waits there.

        It was begun already: behind a campaign, or a thousand calls, its call would not be followed that long.
        """
        rows = self.tables.tables.workflow_status
        theirs = sa.and_(rows.c.status == "PENDING", rows.c.executor_id.in_(processes))
        with self.tables.engine.begin() as connection:
            connection.execute(rows.update().where(theirs).values(priority=_FIRST))
        DBOS._recover_pending_workflows(sorted(processes))
        self.ring_all()

    def forget_workflows(self, before: datetime, limit: int) -> int:
        """Delete workflows that ended before then, at most `limit`; returns how many."""
        found = self.tables.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            completed_before=before.isoformat(),
            limit=limit,
            load_input=False,
            load_output=False,
        )
        if found:
            self.tables.delete_workflows([status.workflow_id for status in found])
        return len(found)


_CONFIGURE = DBOS._configure_asyncio_thread_pool
_QUEUE_THREAD = _queue.queue_thread
_QUEUE_WORKER_THREAD = _queue.queue_worker_thread


async def _nothing(_dbos: type[DBOS]) -> None:
    return


def _modules(seen: types.ModuleType) -> list[Any]:
    """DBOS's modules whose `asyncio` is that one."""
    names = [name for name in sys.modules if name.startswith("dbos.")]
    return [sys.modules[name] for name in names if getattr(sys.modules[name], "asyncio", None) is seen]
