"""A server process that dies at a chosen point of a dialling, and the run that shows what is left of the call.

The process is the product's own PhoneAgent on a real database, dialling a Twilio simulator by the real SDK; only
its models are left out. It ends by SIGKILL to itself, or the run kills it while Twilio has its request. Then
another is started on the same database, and the call has to be found dialled: once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.api.answers import as_event
from bot.calls.agent import Backends, PhoneAgent
from bot.calls.carriers import build_carrier
from bot.calls.idempotency import Asked
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.parts import Opening
from bot.conversation.scenario.scenario import Scenario, Scenarios
from bot.pipeline.resources import Resources
from bot.records import CallRecord, CallSpec, Status
from bot.settings import Settings
from bot.store import Database, SqlCallStore, open_database
from bot.store.address import parse_database_url
from bot.telephony.simulated.script import Conversation
from tests.busy import ANY_CALLS, ANY_LAG_MS
from tests.simulators.faults import Plan
from tests.simulators.twilio import OWN_NUMBER, TwilioSimulator, Unanswered

TO = "+12025550123"
RINGS = Conversation.model_validate(
    {
        "name": "rings",
        "description": "Rings for longer than any run.",
        "pickup": {"ring_ms": 60_000, "answer": "no-answer"},
        "steps": [],
        "longest_ms": 60_000,
    }
)
WITHIN_SECONDS = 60.0
STARTED_SECONDS = 0.5
"""Of a forked process to its first write, on a machine with nothing else to do."""
POINTS = (
    "stored",
    "enqueued",
    "decided",
    "intent kept",
    "asked, and not carried out",
    "asked, and carried out",
    "dialled",
    "sid kept",
    "initiated",
)
"""In the order of a dialling."""


@dataclass(frozen=True)
class Orders:
    """For one process. `place`: an Idempotency-Key to place a call with; `die_at`: a point."""

    database_url: str
    twilio_url: str
    account_sid: str
    auth_token: str
    data_dir: str
    place: str | None = None
    die_at: str | None = None


@dataclass(frozen=True)
class Left:
    """What a run left: Twilio's calls to the number, and our record of the one that was asked for."""

    dialled: tuple[str, ...]
    record: CallRecord | None
    asked: bool = True
    """Whether the process had kept the call before it died: one killed before that owes nothing."""

    @property
    def right(self) -> bool:
        record = self.record
        if not self.asked:
            return not self.dialled and record is None
        return record is not None and self.dialled == (record.call_sid,) and not record.status.final


class _NoModels(Resources):
    async def open(self) -> None: ...

    async def close(self) -> None: ...


def _say_nothing(*_: Any, **__: Any) -> None:
    return


def serve(orders: Orders) -> None:
    """The process: until it is killed."""
    asyncio.run(_serve(orders))


async def _serve(orders: Orders) -> None:
    settings = Settings(
        _env_file=None,
        twilio_account_sid=orders.account_sid,
        twilio_auth_token=SecretStr(orders.auth_token),
        twilio_phone_number=OWN_NUMBER,
        twilio_base_url=orders.twilio_url,
        public_host="http://127.0.0.1:9",
        api_keys=(SecretStr("key"),),
        database_url=orders.database_url,
        data_dir=Path(orders.data_dir),
        max_calls=5,
        max_loop_lag_ms=ANY_LAG_MS,
        max_calls_per_number=ANY_CALLS,
    )
    resources = _NoModels(settings)
    name = "appointment_confirmation"
    scenario = Scenario(
        compliance=Compliance(profile="none"),
        name=name,
        description="d",
        instructions="i",
        opening=Opening(text="Hi."),
    )
    store = SqlCallStore(open_database(settings))
    carrier = build_carrier(settings, resources)
    agent = PhoneAgent(Backends(resources, store, carrier), Scenarios([scenario]), present=as_event)
    agent.active_calls.prepare = _say_nothing  # type: ignore[method-assign]  # no voice here
    if orders.die_at is not None:
        _rig(agent, store, orders.die_at)
    await agent.open()
    if orders.place is not None:
        await agent.placing.place(
            CallSpec(TO, name, action="confirm"), asked=Asked(idempotency_key=orders.place, request_hash="h")
        )
    await asyncio.Event().wait()


def _rig(agent: PhoneAgent, store: SqlCallStore, point: str) -> None:
    """Lets the process die at the point."""
    dialler = agent._dialler

    def die(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(owner: Any, name: str, reached: str) -> None:
        run: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def dying(*args: Any, **named: Any) -> Any:
            die(reached)
            return await run(*args, **named)

        setattr(owner, name, dying)

    def after(owner: Any, name: str, reached: str) -> None:
        run: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def dying(*args: Any, **named: Any) -> Any:
            result = await run(*args, **named)
            die(reached)
            return result

        setattr(owner, name, dying)

    before(agent._queue, "begin", "stored")
    after(agent._queue, "hop", "enqueued")
    after(store, "advance", "initiated")
    dialler._once = dataclasses.replace(dialler._once, on_point=die)


class Runs:
    """Starts processes that have the product imported already: a fork costs milliseconds, an import seconds."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.crash.dying"])

    async def run(self, number: int, point: str, database_url: str, folder: Path) -> Left:
        """Place a call, die at `point`, start again: what is left, once the call has a sid or time is up."""
        faults: Plan[Any] = Plan()
        if point.startswith("asked"):
            faults = Plan((Unanswered(acted="not" not in point),))
        async with TwilioSimulator(conversations=lambda _: RINGS, rest=faults) as twilio:
            orders = Orders(database_url, twilio.url, twilio.account_sid, twilio.auth_token, str(folder))
            dies_by_itself = None if point.startswith("asked") else point
            first = self._start(dataclasses.replace(orders, place=f"run-{number}", die_at=dies_by_itself))
            try:
                await _until(lambda: not first.is_alive() or _asked(twilio))
                first.kill()
            finally:
                await asyncio.to_thread(_reap, first)
            second = self._start(orders)
            try:
                record = await self._sid(database_url)
            finally:
                await asyncio.to_thread(_reap, second)
            dialled = tuple(call.call_sid for call in twilio.network.calls if call.leg.to == TO)
            return Left(dialled, record)

    async def run_killed(self, number: int, seconds: float, database_url: str, folder: Path) -> Left:
        """As `run`, killed from outside so long after its database was there."""
        async with TwilioSimulator(conversations=lambda _: RINGS) as twilio:
            orders = Orders(database_url, twilio.url, twilio.account_sid, twilio.auth_token, str(folder))
            first = self._start(dataclasses.replace(orders, place=f"run-{number}"))
            try:
                await asyncio.sleep(STARTED_SECONDS + seconds)
                first.kill()
            finally:
                await asyncio.to_thread(_reap, first)
            asked = await self._kept(database_url)
            second = self._start(orders)
            try:
                record = await self._sid(database_url) if asked else None
            finally:
                await asyncio.to_thread(_reap, second)
            dialled = tuple(call.call_sid for call in twilio.network.calls if call.leg.to == TO)
            return Left(dialled, record, asked)

    async def _kept(self, database_url: str) -> bool:
        store = SqlCallStore(Database(parse_database_url(database_url, Path("unused.db"))))
        await store.open()
        try:
            return bool((await store.page()).items)
        finally:
            await store.close()

    def _start(self, orders: Orders) -> BaseProcess:
        process = self._context.Process(target=serve, args=(orders,))
        process.start()
        return process

    async def _sid(self, database_url: str) -> CallRecord | None:
        """The one call, once it was dialled; None or as it stands when it is not in time."""
        store = SqlCallStore(Database(parse_database_url(database_url, Path("unused.db"))))
        await store.open()
        try:
            deadline = asyncio.get_running_loop().time() + WITHIN_SECONDS
            while True:
                calls = (await store.page()).items
                record = calls[0] if calls else None
                done = record is not None and record.call_sid is not None and record.status is not Status.QUEUED
                if done or asyncio.get_running_loop().time() > deadline:
                    return record
                await asyncio.sleep(0.1)
        finally:
            await store.close()


def _asked(twilio: TwilioSimulator) -> bool:
    """Twilio has the request that it does not answer."""
    return twilio.rest.nth(0) is not None and any(request.method == "POST" for request in twilio.requests)


def _reap(process: BaseProcess) -> None:
    process.kill()
    process.join()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_SECONDS):
        while not holds():  # noqa: ASYNC110  # another process does it
            await asyncio.sleep(0.02)
