"""How many calls are dialled at once and in a second: each limit, kept by the real engine and reached."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.calls import placing as module
from bot.calls.campaigns import rules
from bot.calls.campaigns.contacts import RawRow
from bot.calls.campaigns.rounds import next_call
from bot.calls.capacity import KEPT_LOOKS
from bot.calls.idempotency import Asked
from bot.calls.queues import LINES
from bot.records import CallRecord, Direction, Status
from bot.store.campaign_records import Campaign, CampaignStatus
from bot.store.campaigns import SqlCampaignStore
from bot.store.durable.engine import _rate
from bot.telemetry.metrics import Depth
from bot.telephony.carrier import DialOrder
from tests.unit.calls.dialling.dialling import (
    INBOUND,
    OVERRUN_SECONDS,
    SPEC,
    DiallingHarness,
    build,
    opened,
    ringing,
)

OURS = ("+15005550001", "+15005550002")


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESULT_SECONDS", 0.0)


def number_of(order: DialOrder) -> str | None:
    return order.from_number


async def place(harness: DiallingHarness, number: int, *, key_id: str | None = None) -> CallRecord:
    spec = replace(SPEC, phone_number=f"+1202555{number:04}", from_number=OURS[number % 2])
    return await harness.agent.placing.place(spec, asked=Asked(key_id))


async def dial_all(harness: DiallingHarness, count: int, at_once: int) -> None:
    """So many calls, from two numbers and for two keys in turn; as many at once as may be, and no more."""
    harness.carrier.by = number_of
    async with ringing(harness, count, at_once):
        await asyncio.gather(*(place(harness, n, key_id=f"key-{n % 2}") for n in range(count)))
        await harness.until(lambda: len(harness.over) == count)
    assert len(harness.carrier.dialled) == count
    assert harness.carrier.most == at_once


def begun_ms(harness: DiallingHarness) -> list[int]:
    """When the engine let each dialling begin, in order; the carrier may be asked later."""
    assert harness.agent.engine._dbos is not None
    tables = harness.agent.engine._dbos.tables
    rows = tables.tables.workflow_status
    query = sa.select(rows.c.started_at_epoch_ms).where(rows.c.queue_name == LINES)
    with tables.engine.begin() as connection:
        return sorted(connection.execute(query).scalars())


async def test_lines_in_total(tmp_path: Path) -> None:
    async with opened(build(tmp_path, max_lines=2)) as harness:
        await dial_all(harness, 6, 2)


async def test_lines_of_a_process(tmp_path: Path) -> None:
    async with opened(build(tmp_path, max_calls=3)) as harness:
        await dial_all(harness, 7, 3)


async def test_lines_of_a_number(tmp_path: Path) -> None:
    async with opened(build(tmp_path, max_lines_per_number=1)) as harness:
        await dial_all(harness, 6, 2)
        assert harness.carrier.most_of == {OURS[0]: 1, OURS[1]: 1}


async def test_fewer_lines_in_total_than_of_a_number(tmp_path: Path) -> None:
    async with opened(build(tmp_path, max_lines=2, max_lines_per_number=5)) as harness:
        await dial_all(harness, 6, 2)


async def test_lines_of_a_key(tmp_path: Path) -> None:
    async with opened(build(tmp_path, max_lines_per_key=1)) as harness:
        await dial_all(harness, 6, 2)  # a key's calls are those of a number
        assert harness.carrier.most_of == {OURS[0]: 1, OURS[1]: 1}


async def test_calls_of_a_campaign_that_come_due_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight were put off to the same moment: two at once are dialled, as the campaign allows."""
    monkeypatch.setattr(rules, "TURN_SECONDS", 0.1)
    monkeypatch.setattr(rules, "LEAST_TURN_SECONDS", 0.1)
    async with opened(build(tmp_path)) as harness:
        now = datetime.now(UTC)
        spec = replace(SPEC, phone_number="", action="Confirm.")
        never = now + timedelta(days=1)  # no round places any: each call is placed here
        running = Campaign("c", spec, CampaignStatus.LOADING, now, concurrency=2, start_at=never)
        rows = [RawRow(n, "", f"+1202555{n:04}", {}) for n in range(8)]
        await harness.agent.campaigns.create(running, rows)
        opens = datetime.now(UTC) + timedelta(seconds=2)
        for result in await harness.agent.campaigns.store.results("c", after=-1, limit=10):
            call = replace(next_call(running, result.contact, now), scheduled_at=opens)
            await harness.agent._queue.place(call)
            await SqlCampaignStore(harness.store.database).begin(result.contact, call.call_id, 1)
        async with ringing(harness, 8, 2):
            for count in range(1, 9):
                await harness.until(functools.partial(is_over, harness, count))
        assert len(harness.carrier.dialled) == 8
        assert harness.carrier.most == 2
        assert {(await harness.record(call.call_id)).status for call in harness.over} == {Status.NO_ANSWER}


def is_over(harness: DiallingHarness, count: int) -> bool:
    return len(harness.over) >= count


@pytest.mark.parametrize("limit", ["max_lines", "max_lines_per_number", "max_lines_per_key"])
async def test_a_call_asked_for_by_itself_waits_behind_no_campaign(tmp_path: Path, limit: str) -> None:
    limits: dict[str, Any] = {limit: 1}
    async with opened(build(tmp_path, **limits)) as harness:
        for number in range(3):
            spec = replace(SPEC, phone_number=f"+1202555{number:04}", from_number=OURS[0])
            record = harness.agent.planner.record(spec, Direction.OUTBOUND)
            await harness.agent._queue.place(replace(record, campaign_id="c", key_id="k"))
            await harness.until(lambda: len(harness.carrier.dialled) == 1)
        alone = await place(harness, 8, key_id="k")
        await harness.tell("CA1", Status.NO_ANSWER)
        await harness.until(lambda: len(harness.carrier.dialled) == 2)
        assert harness.carrier.dialled[1].to == alone.spec.phone_number


async def test_nothing_is_dialled_while_the_loop_is_later_than_it_may_be(tmp_path: Path) -> None:
    async with opened(build(tmp_path, max_loop_lag_ms=1e9)) as harness:
        await place(harness, 1)
        await harness.until(lambda: len(harness.carrier.dialled) == 1)
        for _ in range(3):
            harness.agent.active_calls.lag.note(1e6)
        waits = await place(harness, 2)
        await asyncio.sleep(OVERRUN_SECONDS)
        assert (await harness.record(waits.call_id)).status is Status.QUEUED
        for _ in range(KEPT_LOOKS):
            harness.agent.active_calls.lag.note(0.0)
        await harness.until(lambda: len(harness.carrier.dialled) == 2)


async def test_diallings_in_a_second(tmp_path: Path) -> None:
    async with opened(build(tmp_path, dials_per_second=2)) as harness:
        await dial_all(harness, 7, 7)
        at = begun_ms(harness)
    assert len(at) == 7
    assert all(third - first >= 1000 for first, third in zip(at, at[2:], strict=False)), at


@pytest.mark.parametrize("per_second", [0.2, 1.0, 1.5, 2.9, 30.0])
def test_a_fraction_of_a_second_is_no_other_rate(per_second: float) -> None:
    rate = _rate(per_second)
    assert rate["limit"] / rate["period"] == pytest.approx(per_second)
    assert rate["limit"] >= 1


async def test_calls_that_came_in_take_lines_of_the_total(tmp_path: Path) -> None:
    async with opened(build(tmp_path, max_lines=1)) as harness:
        # In another process.
        theirs = CallRecord(
            "call_in",
            replace(SPEC, scenario=INBOUND),
            Direction.INBOUND,
            Status.QUEUED,
            datetime.now(UTC),
            call_sid="CA90",
            followed_by="call_in:line",
        )
        await harness.store.add(theirs)
        waits = await place(harness, 1)
        async with asyncio.timeout(20):
            # Its turn comes, and it is put off.
            while await harness.agent.engine.arguments(f"{waits.call_id}:2") is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert harness.carrier.dialled == []
        assert "<Stream" not in await harness.answer(None, "CA91"), "nor does another one come in"
        await harness.store.advance("call_in", Status.COMPLETED, at=datetime.now(UTC))
        await harness.until(lambda: len(harness.carrier.dialled) == 1)


async def test_a_full_process_lets_no_turn_come(tmp_path: Path) -> None:
    """A call that waits for a line is one row, however long it waits."""
    async with opened(build(tmp_path, max_calls=1)) as harness:
        assert "<Stream" in await harness.answer(None, "CA90")
        waits = await place(harness, 1)
        looks = [0]
        load = harness.agent.engine._queues["lines"].load
        assert load is not None

        def counted() -> int:
            looks[0] += 1
            return load()

        queue = replace(harness.agent.engine._queues["lines"], load=counted)
        harness.agent.engine._queues["lines"] = queue
        await harness.until(lambda: looks[0] >= 5)
        assert (await harness.agent.engine.waiting())["lines"] == Depth(ready=1)
        assert await harness.agent.engine.arguments(f"{waits.call_id}:2") is None
        await harness.tell("CA90", Status.COMPLETED)
        await harness.until(lambda: len(harness.carrier.dialled) == 1)


@pytest.mark.parametrize("limit", ["max_lines_per_number", "max_lines_per_key"])
@pytest.mark.parametrize("comes", [True, False])
async def test_a_limit_that_comes_or_goes_loses_no_call(tmp_path: Path, limit: str, comes: bool) -> None:
    """What waits in the queue was enqueued under the settings of before."""
    full: dict[str, Any] = {
        "max_lines": 1,
        "max_lines_per_key" if limit == "max_lines_per_number" else "max_calls": 1,
    }
    before: dict[str, Any]
    after: dict[str, Any]
    before, after = ({}, {limit: 1}) if comes else ({limit: 1}, {})
    async with opened(build(tmp_path, **full | before)) as harness:
        first, second = await place(harness, 0, key_id="k"), await place(harness, 2, key_id="k")
        await harness.until(lambda: len(harness.carrier.dialled) == 1)
    async with opened(build(tmp_path, **full | after)) as again, ringing(again, 1, 1):
        for call in (first, second):
            await again.is_over(call.call_id)
    assert len(again.carrier.dialled) == 1
