"""Figures of calls and replies, on both databases."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from bot.records import AnsweredBy, CostItem, CostPart, Direction, EndedReason, PricedItems, Status, TurnLatency
from bot.store import CallChange, SqlCallStore
from bot.store.figures import STAGES, FigureSearch, Percentiles, Period
from bot.store.migrations.versions import m0014_figures
from bot.store.schema import calls, replies
from tests.unit.store.examples import NOON, a_call, a_turn

BERLIN = ZoneInfo("Europe/Berlin")
MARCH = Period(NOON - timedelta(days=5), NOON + timedelta(days=5), BERLIN)


def priced(*amounts: float | None) -> PricedItems:
    return PricedItems(tuple(CostItem("v", "w", 1.0, "u", usd) for usd in amounts), date(2026, 3, 1))


async def add(
    store: SqlCallStore, call_id: str, at: datetime, *latencies: float, scenario: str = "survey"
) -> None:
    call = a_call(call_id, created_at=at)
    call = replace(call, spec=replace(call.spec, scenario=scenario))
    turns = tuple(
        a_turn(2 * n + 1, started_at=at + timedelta(seconds=n), latency=TurnLatency(ms, ms / 4, llm_ms=ms / 2))
        for n, ms in enumerate(latencies)
    )
    await store.add(replace(call, turns=turns))


async def test_percentiles_of_replies_by_day_and_scenario(store: SqlCallStore) -> None:
    chance = random.Random(3)
    slow = [chance.uniform(600, 1900) for _ in range(200)]
    await add(store, "slow", NOON, *slow)
    await add(store, "quick", NOON + timedelta(days=1), 300.0, 340.0, 320.0, scenario="reminder")
    await add(store, "old", NOON - timedelta(days=30), 9000.0)
    found = await FigureSearch(store.database).replies(MARCH)
    assert found.whole is not None
    assert found.whole.count == 203
    ordered = sorted(slow)
    survey = found.by_scenario["survey"]
    for share, shown in ((0.5, survey.p50), (0.9, survey.p90), (0.99, survey.p99)):
        assert shown == pytest.approx(ordered[math.ceil(share * 200) - 1], abs=5.1)
    assert found.by_day == {date(2026, 3, 2): survey, date(2026, 3, 3): found.by_scenario["reminder"]}
    assert found.by_scenario["reminder"].p50 == 320
    means = found.means_by_scenario["reminder"]
    assert {stage: means[stage] for stage in ("vad_ms", "llm_ms", "tts_ms")} == {
        "vad_ms": pytest.approx(80),
        "llm_ms": pytest.approx(160),
        "tts_ms": 0,
    }
    assert list(means) == list(STAGES)
    assert not found.cut
    of_llm = await FigureSearch(store.database).replies(replace(MARCH, scenario="reminder"), "llm_ms")
    assert of_llm.by_scenario == {"reminder": Percentiles(3, 160, 170, 170)}


async def test_long_waits_have_wider_steps(store: SqlCallStore) -> None:
    await add(store, "long", NOON, 1990.0, 2010.0, 4321.0, 60_000.0)
    found = await FigureSearch(store.database).replies(MARCH)
    assert found.whole == Percentiles(4, 2000, 10_000, 10_000)


async def test_nothing_kept_has_no_figures(store: SqlCallStore) -> None:
    found = await FigureSearch(store.database).replies(MARCH)
    assert (found.whole, found.by_day, found.means_by_day) == (None, {}, {})
    counted = await FigureSearch(store.database).calls(MARCH)
    assert (counted.whole.placed, counted.by_day, counted.endings) == (0, {}, {})


async def test_a_reply_counts_once_it_is_complete(store: SqlCallStore) -> None:
    await store.add(a_call())
    await store.put_turn("call-1", a_turn(1, complete=False))
    await store.put_turn("call-1", a_turn(1))
    await store.put_turn("call-1", a_turn(1, latency=TurnLatency(voice_to_voice_ms=700.0)))
    await store.put_turn("call-1", a_turn(3, latency=None))
    found = await FigureSearch(store.database).replies(MARCH)
    assert found.by_scenario == {"appointment_confirmation": Percentiles(1, 700, 700, 700)}


async def test_calls_by_day_hour_number_and_ending(store: SqlCallStore) -> None:
    ended: dict[str, Any] = {"status": Status.COMPLETED, "ended_reason": EndedReason.AGENT_HANGUP}
    late = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)  # in Berlin the day after, half past midnight
    own, other = a_call().spec, replace(a_call().spec, from_number="+12025550199")
    for call in (
        a_call(
            "one",
            started_at=NOON,
            answered_at=NOON,
            answered_by=AnsweredBy.PERSON,
            ended_at=NOON,
            costs={CostPart.CALL: priced(0.25, 0.5), CostPart.CARRIER: priced(0.01)},
            **ended,
        ),
        a_call(
            "two",
            created_at=NOON,
            started_at=late,
            answered_at=late,
            answered_by=AnsweredBy.VOICEMAIL,
            ended_at=late,
            costs={CostPart.CALL: priced(0.25, None)},
            **ended,
        ),
        a_call("three", created_at=late, started_at=late, ended_at=late, status=Status.BUSY, spec=other),
        a_call("four", created_at=late, spec=own),
        a_call("five", created_at=late, answered_at=late, started_at=late, direction=Direction.INBOUND),
        a_call("old", created_at=NOON - timedelta(days=30)),
    ):
        await store.add(call)
    found = await FigureSearch(store.database).calls(MARCH)
    assert (found.whole.placed, found.whole.dialled, found.whole.answered, found.whole.by_person) == (5, 3, 2, 1)
    assert found.whole.usd == pytest.approx(0.76)
    assert found.whole.unpriced == 1
    assert {day: counts.placed for day, counts in found.by_day.items()} == {
        date(2026, 3, 2): 1,
        date(2026, 3, 3): 4,
    }
    assert {hour: counts.answer_rate for hour, counts in found.by_hour.items()} == {0: 0.5, 13: 1.0}
    assert {number: counts.dialled for number, counts in found.by_number.items()} == {"": 2, "+12025550199": 1}
    assert found.endings == {"agent_hangup": 2, "busy": 1}
    assert found.whole.person_rate == pytest.approx(1 / 3)


async def test_a_price_that_comes_later_counts(store: SqlCallStore) -> None:
    await store.add(a_call())
    await store.update("call-1", CallChange(costs={CostPart.ANALYSIS: priced(0.5)}))
    assert (await FigureSearch(store.database).calls(MARCH)).whole.usd == 0.5


async def test_days_in_which_summer_time_begins_are_the_zones(store: SqlCallStore) -> None:
    """On 2026-03-29 Berlin's clocks go from 2:00 to 3:00; its days begin an hour earlier from then on."""
    for number, at in enumerate(
        datetime(2026, 3, day, hour, 30, tzinfo=UTC) for day in (28, 29) for hour in (21, 22, 23)
    ):
        await store.add(a_call(f"call-{number}", created_at=at))
    period = Period(datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC), BERLIN)
    found = await FigureSearch(store.database).calls(period)
    assert {day.day: counts.placed for day, counts in found.by_day.items()} == {28: 2, 29: 2, 30: 2}
    assert [day.day for day in period.days][:3] == [20, 21, 22]


async def test_the_migration_fills_in_what_was_kept_before(store: SqlCallStore) -> None:
    await store.add(
        a_call(
            turns=(a_turn(0, latency=None), a_turn(1), a_turn(3, complete=False)),
            costs={
                CostPart.CALL: priced(0.25, 0.5),
                CostPart.CARRIER: priced(1.0, None),
                CostPart.OPENING: priced(),
            },
        )
    )

    def fill(connection: sa.Connection) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            m0014_figures.fill(connection.dialect.name == "postgresql")

    kept = sa.select(replies), sa.select(*(calls.c[f"usd_{part.value}"] for part in CostPart))
    before = [await store.database.rows(query) for query in kept]
    async with store.database.writer.begin() as connection:
        await connection.execute(replies.delete())
        await connection.execute(calls.update().values({f"usd_{part.value}": None for part in CostPart}))
        await connection.run_sync(fill)
    assert [await store.database.rows(query) for query in kept] == before
    assert list(map(dict, before[1])) == [
        {"usd_opening": 0, "usd_call": 0.75, "usd_carrier": None, "usd_analysis": None}
    ]
    assert [row["voice_to_voice_ms"] for row in before[0]] == [612.5]
