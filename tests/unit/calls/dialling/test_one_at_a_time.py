"""One call at a time with a number, whoever asked for it; and why a call waits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.calls import placing
from bot.calls.capacity import KEPT_LOOKS
from bot.calls.dialling import dial_once
from bot.errors import BusyError
from bot.policy import Terms
from bot.records import CallRecord, Direction, Status, Wait
from bot.store import Database, SqlCallStore
from bot.store.address import parse_database_url
from bot.store.claims import Claim, SqlClaims
from tests.postgres import PostgresServer
from tests.unit.calls.dialling.dialling import SPEC, build, opened


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'calls.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_url()


async def test_a_number_has_one_call_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Who comes second says what it waits for, and has its turn."""
    monkeypatch.setattr(dial_once, "NUMBER_BUSY", timedelta(seconds=0.2))
    monkeypatch.setattr(placing, "RESULT_SECONDS", 2.0)
    async with opened(build(tmp_path, url, max_calls_per_number=1)) as harness:
        first = await harness.agent.placing.place(SPEC)
        second = await harness.agent.placing.place(SPEC)
        other = await harness.agent.placing.place(replace(SPEC, phone_number="+12025550124"))
        assert (second.status, second.waiting_for) == (Status.QUEUED, Wait.NUMBER_BUSY)
        assert (first.call_sid, second.call_sid, other.waiting_for) == ("CA1", None, None)
        with pytest.raises(BusyError, match="on another call"):
            await harness.agent.placing.place(SPEC, Terms(wait=False))
        await harness.tell("CA1", Status.BUSY)
        await harness.until(lambda: len(harness.carrier.dialled) == 3)
        async with asyncio.timeout(10):
            while (await harness.record(second.call_id)).call_sid is None:  # noqa: ASYNC110  # kept behind the dialling
                await asyncio.sleep(0.02)


async def test_of_many_that_begin_at_once_one_gets_the_number(tmp_path: Path, url: str) -> None:
    store = SqlCallStore(Database(parse_database_url(url, tmp_path / "unused.db")))
    await store.open()
    claims = SqlClaims(store.database)
    now = datetime.now(UTC)
    for n in range(6):
        await store.add(CallRecord(f"call_{n}", SPEC, Direction.OUTBOUND, Status.QUEUED, now))
    begun = await asyncio.gather(
        *(claims.begin_dialling(f"call_{n}", at=now, since=now, max_per_day=None, at_once=1) for n in range(6))
    )
    await store.close()
    assert sorted(begun) == [Claim.GO, *[Claim.NUMBER_BUSY] * 5]


async def test_a_call_whose_turn_does_not_come_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop is late while calls are held: nothing is dialled, and the answer and the record say so."""
    monkeypatch.setattr(placing, "RESULT_SECONDS", 0.3)
    async with opened(build(tmp_path)) as harness:
        await harness.agent.placing.place(SPEC)
        for _ in range(KEPT_LOOKS):
            harness.agent.active_calls.lag.note(1e6)
        waiting = await harness.agent.placing.place(replace(SPEC, phone_number="+12025550124"))
        assert (waiting.status, waiting.waiting_for) == (Status.QUEUED, Wait.SERVER_BUSY)
        assert (await harness.record(waiting.call_id)).waiting_for is Wait.SERVER_BUSY
