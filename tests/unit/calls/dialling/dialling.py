"""A phone agent on its real engine and store, with a carrier in memory whose calls ring until they are ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.api.answers import as_event
from bot.calls.agent import Backends, PhoneAgent
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.parts import Limits, Opening
from bot.conversation.scenario.scenario import Scenario, Scenarios
from bot.records import CallRecord, CallSpec, Status
from bot.settings import Settings
from bot.store.address import parse_database_url
from bot.store.database import Database
from bot.telephony.carrier import CarrierCall, DialOrder
from tests.busy import ANY_CALLS, ANY_LAG_MS
from tests.unit.calls.calls_in_memory import NotingCarrier, QuietResources, ShakyStore, webhook

TO = "+12025550123"
OUTBOUND, INBOUND = "appointment_confirmation", "inbound_reception"
SPEC = CallSpec(TO, OUTBOUND)
WITHIN_SECONDS = 90.0


class RingingCarrier(NotingCarrier):
    """Its calls are open from their dialling to `end`. `most`: how many were, at once; `most_of`: by a key of the
    order."""

    def __init__(self) -> None:
        super().__init__()
        self.open_calls: dict[str, DialOrder] = {}
        self.most = 0
        self.most_of: dict[Any, int] = {}
        self.by: Callable[[DialOrder], Any] = lambda _order: None

    async def dial(self, order: DialOrder) -> str:
        sid = await super().dial(order)
        self.open_calls[sid] = order
        self.known[sid] = CarrierCall(sid, Status.RINGING)
        self.most = max(self.most, len(self.open_calls))
        key = self.by(order)
        alike = sum(self.by(each) == key for each in self.open_calls.values())
        self.most_of[key] = max(self.most_of.get(key, 0), alike)
        return sid


@dataclass
class DiallingHarness:
    agent: PhoneAgent
    carrier: RingingCarrier
    store: ShakyStore
    over: list[CallRecord] = field(default_factory=list)
    """Calls of which what is due afterwards was done."""

    async def record(self, call_id: str) -> CallRecord:
        record = await self.store.get(call_id)
        assert record is not None
        return record

    async def tell(self, call_sid: str, status: Status, call_id: str | None = None) -> None:
        self.carrier.open_calls.pop(call_sid, None)
        query = f"?call_id={call_id}" if call_id else ""
        form = {"CallSid": call_sid, "CallStatus": status.value}
        await self.agent.carrier_events.handle(webhook(f"/status{query}", form))

    async def answer(self, call_id: str | None, call_sid: str) -> str:
        query = f"?call_id={call_id}" if call_id else ""
        fields = {"CallSid": call_sid, "From": "+12025550199", "To": "+12025550100"}
        return (await self.agent.carrier_events.handle(webhook(f"/voice{query}", fields))).body

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_SECONDS):
            while not holds():  # noqa: ASYNC110  # workflows do it
                await asyncio.sleep(0.02)

    async def is_over(self, call_id: str) -> CallRecord:
        """The call as it was when what is due afterwards began."""
        await self.until(lambda: any(call.call_id == call_id for call in self.over))
        return next(call for call in self.over if call.call_id == call_id)


def build(
    tmp_path: Path, url: str | None = None, carrier: RingingCarrier | None = None, **changes: Any
) -> DiallingHarness:
    fields: dict[str, Any] = {
        "twilio_account_sid": "AC1",
        "twilio_auth_token": SecretStr("secret"),
        "public_host": "https://bot.example.com",
        "api_keys": (SecretStr("key"),),
        "data_dir": tmp_path,
        "database_url": url or f"sqlite:///{tmp_path / 'calls.db'}",
        "max_calls": 10,
        "max_loop_lag_ms": ANY_LAG_MS,
        "max_calls_per_number": ANY_CALLS,
        **changes,
    }
    settings = Settings(_env_file=None, **fields)
    scenarios = Scenarios(
        [
            Scenario(
                compliance=Compliance(profile="none"),
                name=name,
                description="d",
                instructions="i",
                opening=Opening(text="Hi."),
                limits=Limits(ring_seconds=5),
            )
            for name in (OUTBOUND, INBOUND)
        ]
    )
    store = ShakyStore(Database(parse_database_url(settings.database_url, tmp_path / "calls.db")))
    carrier = carrier or RingingCarrier()
    agent = PhoneAgent(Backends(QuietResources(settings), store, carrier), scenarios, present=as_event)
    agent.active_calls.prepare = _say_nothing  # type: ignore[method-assign]  # no voice here
    agent.active_calls.build_ahead = _say_nothing  # type: ignore[method-assign]
    harness = DiallingHarness(agent, carrier, store)

    async def note(record: CallRecord) -> None:
        harness.over.append(record)

    agent.do_not_call.keep_promise = note  # type: ignore[method-assign]
    return harness


@asynccontextmanager
async def opened(harness: DiallingHarness) -> AsyncIterator[DiallingHarness]:
    await harness.agent.open()
    try:
        yield harness
    finally:
        harness.store.failures = {}
        harness.carrier.failures = {}
        async with asyncio.timeout(30):
            await harness.agent.close()


OVERRUN_SECONDS = 0.3
"""For calls beyond a limit to be dialled, if they are."""


@asynccontextmanager
async def ringing(harness: DiallingHarness, count: int, at_once: int) -> AsyncIterator[None]:
    """Calls ring until so many do at once, or all that are left of `count`; nobody answers."""

    async def end_all() -> None:
        left = count
        while True:
            if left and len(harness.carrier.open_calls) >= min(at_once, left):
                await asyncio.sleep(OVERRUN_SECONDS)
                for sid in list(harness.carrier.open_calls):
                    left -= 1
                    await harness.tell(sid, Status.NO_ANSWER)
            await asyncio.sleep(0.02)

    ending = asyncio.create_task(end_all())
    try:
        yield
    finally:
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)


def _say_nothing(*_: Any, **__: Any) -> None:
    return
