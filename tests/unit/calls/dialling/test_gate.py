"""The gate: the rules, fed from records, the list and the calls of the day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from bot.calls.campaigns import Campaigns
from bot.calls.dialling.dial_once import DialGate
from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.dialling.policy import LISTED, Go, Refuse, WaitUntil
from bot.calls.planner import Planner
from bot.conversation.scenario.scenario import Scenarios, load_file
from bot.policy import HoursTerms, Terms
from bot.records import CallRecord, CallSpec, Direction, Status, Wait
from bot.settings import Settings
from bot.store import Database, SqlCallStore
from bot.store.address import SqliteAddress
from bot.store.claims import Claim, SqlClaims
from bot.store.do_not_call import SqlDoNotCallStore
from tests.busy import ANY_CALLS

NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
"""A Monday, in New York."""
NUMBER = "+12025550123"
OFFICE = 'description = "d"\ninstructions = "i"\n[hours]\nstart = "09:00"\nend = "17:00"\n'


class NoCampaigns:
    async def gate(self, record: CallRecord) -> None:
        return


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlCallStore]:
    store = SqlCallStore(Database(SqliteAddress(tmp_path / "calls.db")))
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def gate(store: SqlCallStore, tmp_path: Path) -> DialGate:
    (tmp_path / "office.toml").write_text(OFFICE, encoding="utf-8")
    scenarios = Scenarios([load_file(tmp_path / "office.toml")])
    settings = Settings(
        _env_file=None, max_calls_per_number_per_day=2, max_calls_per_number=ANY_CALLS, data_dir=tmp_path
    )
    planner = Planner(scenarios, settings, {}, "simulated", simulated_line=True)
    return DialGate(store, planner, DoNotCall(SqlDoNotCallStore(store.database)), cast(Campaigns, NoCampaigns()))


def a_call(call_id: str = "call-1", terms: Terms = Terms(), **changes: Any) -> CallRecord:  # noqa: B008 - frozen
    spec = CallSpec(phone_number=NUMBER, scenario="office")
    record = CallRecord(call_id, spec, Direction.OUTBOUND, Status.QUEUED, NOON, terms=terms)
    return replace(record, **changes)


async def test_a_call_in_its_hours(gate: DialGate) -> None:
    assert await gate(a_call(), NOON) == Go()


async def test_the_scenarios_hours_and_those_of_the_request(gate: DialGate) -> None:
    evening = NOON + timedelta(hours=6)
    morning = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)
    assert await gate(a_call(), evening) == WaitUntil(morning, Wait.CALLING_HOURS)
    assert await gate(a_call(terms=Terms(hours=HoursTerms())), evening) == Go()
    assert await gate(a_call(terms=Terms(time_zone="Pacific/Honolulu")), evening) == Go()


async def test_a_scheduled_call_and_one_put_off_further(gate: DialGate) -> None:
    asked = NOON + timedelta(hours=1)
    later = NOON + timedelta(hours=2)
    terms = Terms(schedule_at=asked)
    assert await gate(a_call(terms=terms), NOON) == WaitUntil(asked, Wait.SCHEDULED)
    assert await gate(a_call(terms=terms, scheduled_at=later), asked) == WaitUntil(later, Wait.SCHEDULED)
    assert await gate(a_call(terms=terms, scheduled_at=later), later) == Go()


async def test_a_listed_number(gate: DialGate, store: SqlCallStore) -> None:
    await store.add(a_call())
    await SqlDoNotCallStore(store.database).add([NUMBER], at=NOON)
    assert await gate(a_call(), NOON) == LISTED
    assert await gate.begin(a_call(), NOON) == LISTED


async def test_a_call_whose_scenario_is_gone_is_no_matter_of_hours(gate: DialGate) -> None:
    gone = a_call(spec=CallSpec(phone_number="+88213123456", scenario="gone"))
    assert await gate(gone, NOON) == Go()


async def test_a_number_without_a_zone_is_refused(gate: DialGate) -> None:
    found = await gate(a_call(spec=CallSpec(phone_number="+88213123456", scenario="office")), NOON)
    assert isinstance(found, Refuse)
    assert found.code == "unknown_time_zone"


async def test_the_cap_of_the_day_where_all_come_at_once(gate: DialGate, store: SqlCallStore) -> None:
    calls = [a_call(f"call-{n}") for n in range(5)]
    for call in calls:
        await store.add(call)
    # All are let through before one has dialled …
    assert await asyncio.gather(*(gate(call, NOON) for call in calls)) == [Go()] * 5
    # … and two dial.
    begun = await asyncio.gather(*(gate.begin(call, NOON) for call in calls))
    morning = WaitUntil(datetime(2026, 3, 3, 14, 0, tzinfo=UTC), Wait.CALLING_HOURS)
    assert begun.count(Claim.GO) == 2
    assert begun.count(morning) == 3
    assert await gate(a_call("call-5"), NOON) == morning
    assert await gate(a_call("call-5"), NOON + timedelta(days=1)) == Go()


async def test_a_call_that_was_canceled_or_begun_meanwhile(gate: DialGate, store: SqlCallStore) -> None:
    await store.add(a_call())
    assert await gate.begin(a_call(), NOON) is Claim.GO
    assert await gate.begin(a_call(), NOON) is Claim.BEGUN
    await store.add(a_call("call-2"))
    assert await SqlClaims(store.database).cancel_waiting("call-2", at=NOON)
    assert await gate.begin(a_call("call-2"), NOON) is Claim.OVER
