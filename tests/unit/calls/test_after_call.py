"""What is due when calls are over, on the real engine and store: in order for each, held up by nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from bot.calls.after_call import ANALYSES_AT_ONCE, AfterCall, Retries
from bot.calls.campaigns import Campaigns
from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.outcome import Analyst
from bot.calls.planner import Planner
from bot.calls.queues import AfterCallQueue, DialQueue
from bot.calls.webhooks.delivery import CallEvents, Webhooks
from bot.policy import RetryOn, RetryTerms
from bot.records import CallRecord, CallSpec, Direction, EndedReason, Status
from bot.store import Database, SqlCallStore
from bot.store.address import SqliteAddress
from bot.store.durable.engine import DurableEngine
from bot.store.retention import SqlRetentionStore

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@dataclass
class AfterCallHarness:
    """`told`: what happened to each call, in order."""

    engine: DurableEngine
    store: SqlCallStore
    after: AfterCall = field(init=False)
    told: list[tuple[str, str]] = field(default_factory=list)
    thinks: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, the model gives no answer."""
    analysing: int = 0

    def retry_of(self, _record: CallRecord) -> RetryTerms:
        return RetryTerms(attempts=2, delay_seconds=60, on=(RetryOn.BUSY,))

    def forget(self, call_id: str) -> None: ...

    def kept(self, record: CallRecord) -> CallRecord:
        return replace(record, spec=replace(record.spec, phone_number="+1…23"))

    async def keep_promise(self, _record: CallRecord) -> None: ...

    async def announce(self, call_id: str, event: str, data: Any, url: str | None) -> None:
        self.told.append((call_id, event))

    async def settle(self, _record: CallRecord) -> None: ...

    async def keep(self, record: CallRecord) -> None:
        self.analysing += 1
        await self.thinks.wait()
        self.told.append((record.call_id, "analysed"))

    async def place(self, record: CallRecord) -> CallRecord:
        self.told.append((record.call_id, "placed"))
        return record

    async def contact_done(self, record: CallRecord) -> None:
        self.told.append((record.call_id, "done"))

    def of(self, call_id: str) -> list[str]:
        return [what for which, what in self.told if which == call_id]

    async def over(self, call_id: str, status: Status = Status.BUSY, number: str = "+12025550123") -> None:
        record = CallRecord(call_id, CallSpec(number, "s"), Direction.OUTBOUND, status, NOW)
        reason = EndedReason.DIAL_BUSY if status is Status.BUSY else EndedReason.DIAL_FAILED
        await self.store.add(replace(record, dialling_at=NOW, ended_at=NOW, ended_reason=reason))
        await AfterCallQueue(self.engine).begin(call_id)

    async def until(self, *expected: tuple[str, str]) -> None:
        async with asyncio.timeout(30):
            while not set(expected) <= set(self.told):  # noqa: ASYNC110  # workflows tell it
                await asyncio.sleep(0.01)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[AfterCallHarness]:
    address = SqliteAddress(tmp_path / "calls.db")
    harness = AfterCallHarness(DurableEngine(address, poll_seconds=0.01), SqlCallStore(Database(address)))
    harness.after = AfterCall(
        harness.engine,
        harness.store,
        CallEvents(harness.engine, harness.store, cast(Webhooks, harness), lambda record: record.call_id),
        cast(Analyst, harness),
        Retries(harness.store, cast(Planner, harness), cast(DialQueue, harness), cast(Campaigns, harness)),
        cast(DoNotCall, harness),
        SqlRetentionStore(harness.store.database),
    )
    await harness.store.open()
    harness.after.register()
    await harness.engine.open()
    yield harness
    harness.thinks.set()
    await harness.engine.close()
    await harness.store.close()


async def test_a_call_that_nothing_follows_is_done_with_its_outcome(harness: AfterCallHarness) -> None:
    harness.thinks.set()
    await harness.over("a", Status.FAILED)
    await harness.until(("a", "done"))
    assert harness.of("a") == ["call_ended", "analysed", "call_analyzed", "done"]


async def test_what_need_not_stay_of_a_call_goes_once_its_outcome_is_known(harness: AfterCallHarness) -> None:
    await harness.over("a")
    await harness.until(("a_2", "placed"))
    assert (await harness.store.find("a")).spec.phone_number == "+12025550123", "its analysis may need it"
    harness.thinks.set()
    async with asyncio.timeout(30):
        while (await harness.store.find("a")).spec.phone_number != "+1…23":  # noqa: ASYNC110  # a workflow does it
            await asyncio.sleep(0.01)
    assert (await harness.store.find("a_2")).spec.phone_number == "+12025550123", "it is to be dialled yet"


async def test_the_next_attempt_does_not_wait_for_the_outcome(harness: AfterCallHarness) -> None:
    await harness.over("a")
    await harness.until(("a_2", "placed"))
    assert harness.of("a") == ["call_ended"]
    harness.thinks.set()
    await harness.until(("a", "call_analyzed"))
    assert harness.of("a") == ["call_ended", "analysed", "call_analyzed"]
    assert harness.of("a_2") == ["placed"]


async def test_who_was_erased_is_not_called_again(harness: AfterCallHarness) -> None:
    harness.thinks.set()
    await harness.over("a", number="+1")
    await harness.until(("a", "done"))
    record = await harness.store.get("a")
    assert record is not None
    assert record.retried_as is None
    assert harness.of("a_2") == []


async def test_a_model_that_does_not_answer_delays_the_end_of_no_call(harness: AfterCallHarness) -> None:
    calls = [f"call-{number}" for number in range(ANALYSES_AT_ONCE + 4)]
    for call_id in calls:
        await harness.over(call_id, Status.FAILED)
    await harness.until(*((call_id, "call_ended") for call_id in calls))
    async with asyncio.timeout(30):
        while harness.analysing < ANALYSES_AT_ONCE:  # noqa: ASYNC110  # workflows do it
            await asyncio.sleep(0.01)
    await harness.over("last", Status.FAILED)
    await harness.until(("last", "call_ended"))
    assert harness.analysing == ANALYSES_AT_ONCE
    harness.thinks.set()
    await harness.until(*((call_id, "done") for call_id in (*calls, "last")))
