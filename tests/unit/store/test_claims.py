"""From waiting to dialling: one winner, of all who ask at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.policy import CallConsent, Terms
from bot.records import Direction, EndedReason, Status
from bot.store import CallChange, Database, SqlCallStore
from bot.store.address import parse_database_url
from bot.store.claims import Claim, SqlClaims
from bot.store.consents import consents
from bot.store.do_not_call import SqlDoNotCallStore
from bot.store.retention import Kept, SqlRetentionStore
from tests.unit.store.examples import NOON, a_call

MIDNIGHT = NOON - timedelta(hours=12)
NUMBER = a_call().spec.phone_number


@pytest.fixture
def mine(store: SqlCallStore) -> SqlClaims:
    return SqlClaims(store.database)


async def begin(claims: SqlClaims, call_id: str = "call-1", cap: int | None = None, **changes: Any) -> Claim:
    return await claims.begin_dialling(call_id, **{"at": NOON, "since": MIDNIGHT, "max_per_day": cap} | changes)


async def test_a_waiting_call_is_begun_once(store: SqlCallStore, mine: SqlClaims) -> None:
    await store.add(a_call())
    assert await begin(mine) is Claim.GO
    assert await begin(mine, at=NOON + timedelta(minutes=1)) is Claim.BEGUN
    record = await store.get("call-1")
    assert record is not None
    assert record.dialling_at == NOON
    assert record.status is Status.QUEUED


async def test_of_many_who_ask_one_dials(store: SqlCallStore, mine: SqlClaims) -> None:
    await store.add(a_call())
    answers = await asyncio.gather(*(begin(mine) for _ in range(8)))
    assert sorted(answers) == [Claim.BEGUN] * 7 + [Claim.GO]


async def test_a_call_that_is_over_or_unknown_is_not_begun(store: SqlCallStore, mine: SqlClaims) -> None:
    await store.add(a_call())
    await store.advance("call-1", Status.CANCELED, at=NOON)
    assert await begin(mine) is Claim.OVER
    assert await begin(mine, "nobody") is Claim.OVER


async def test_a_listed_number_is_not_begun(store: SqlCallStore, mine: SqlClaims) -> None:
    await store.add(a_call())
    await SqlDoNotCallStore(store.database).add([NUMBER], at=NOON)
    assert await begin(mine) is Claim.DO_NOT_CALL
    record = await store.get("call-1")
    assert record is not None
    assert record.dialling_at is None


async def test_calls_of_the_day_are_counted(store: SqlCallStore, mine: SqlClaims) -> None:
    async def count() -> int:
        return await mine.dialled_since(NUMBER, MIDNIGHT)

    await store.add(a_call("waits"))
    assert await count() == 0
    await begin(mine, "waits")
    assert await count() == 1
    # Refused by the carrier: it has rung nowhere.
    await store.advance("waits", Status.FAILED, at=NOON)
    assert await count() == 0
    await store.add(a_call("unreachable"))
    await begin(mine, "unreachable")
    await store.update("unreachable", CallChange(call_sid="CA1"))
    await store.advance("unreachable", Status.FAILED, at=NOON)
    assert await count() == 1
    await store.add(a_call("registered", started_at=NOON, status=Status.IN_PROGRESS))
    assert await count() == 2
    await store.add(a_call("theirs", started_at=NOON, direction=Direction.INBOUND))
    await store.add(a_call("yesterday"))
    await begin(mine, "yesterday", at=MIDNIGHT - timedelta(seconds=1))
    assert await count() == 2
    assert await mine.dialled_since("+12025550199", MIDNIGHT) == 0


async def test_a_cap_holds_when_all_ask_at_once(url: str, store: SqlCallStore) -> None:
    # Two servers of one database.
    other = SqlCallStore(Database(parse_database_url(url, Path("unused.db"))))
    await other.open()
    try:
        claims = [SqlClaims(store.database), SqlClaims(other.database)]
        for n in range(10):
            await store.add(a_call(f"call-{n}"))
        answers = await asyncio.gather(*(begin(claims[n % 2], f"call-{n}", 3) for n in range(10)))
    finally:
        await other.close()
    assert sorted(answers) == [Claim.CAPPED] * 7 + [Claim.GO] * 3


async def test_a_waiting_call_is_canceled(store: SqlCallStore, mine: SqlClaims) -> None:
    await store.add(a_call())
    assert await mine.cancel_waiting("call-1", at=NOON)
    record = await store.get("call-1")
    assert record is not None
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.CANCELED)
    assert record.ended_at == NOON
    assert not await mine.cancel_waiting("call-1", at=NOON)
    assert not await mine.cancel_waiting("nobody", at=NOON)
    assert await begin(mine) is Claim.OVER


async def test_cancel_or_dial_but_never_both(store: SqlCallStore, mine: SqlClaims) -> None:
    for n in range(10):
        await store.add(a_call(f"call-{n}"))
        claim, canceled = await asyncio.gather(
            begin(mine, f"call-{n}"), mine.cancel_waiting(f"call-{n}", at=NOON)
        )
        assert canceled == (claim is Claim.OVER)


async def test_lines_in_total_hold_when_all_ask_at_once(url: str, store: SqlCallStore) -> None:
    other = SqlCallStore(Database(parse_database_url(url, Path("unused.db"))))
    await other.open()
    try:
        claims = [SqlClaims(store.database), SqlClaims(other.database)]
        await store.add(replace(a_call("call-in"), direction=Direction.INBOUND))
        for n in range(10):
            spec = replace(a_call().spec, phone_number=f"+1202555010{n}")
            await store.add(replace(a_call(f"call-{n}"), spec=spec))
        answers = await asyncio.gather(*(begin(claims[n % 2], f"call-{n}", lines=4) for n in range(10)))
    finally:
        await other.close()
    assert sorted(answers) == [Claim.FULL] * 7 + [Claim.GO] * 3


async def test_a_decision_is_taken_over_once(url: str, store: SqlCallStore) -> None:
    other = SqlCallStore(Database(parse_database_url(url, Path("unused.db"))))
    await other.open()
    try:
        claims = [SqlClaims(store.database), SqlClaims(other.database)]
        await store.add(a_call())
        assert await begin(claims[0]) is Claim.GO
        later = [NOON + timedelta(seconds=n + 1) for n in range(8)]
        taken = await asyncio.gather(
            *(claims[n % 2].dial_again("call-1", decided=NOON, at=at) for n, at in enumerate(later))
        )
        assert sorted(taken) == [False] * 7 + [True]
        await store.update("call-1", CallChange(call_sid="CA1"))
        known = await store.get("call-1")
        assert known is not None
        assert known.dialling_at is not None
        assert not await claims[0].dial_again("call-1", decided=known.dialling_at, at=NOON), "carried out"
    finally:
        await other.close()


async def test_what_follows_a_call_first_stays(store: SqlCallStore) -> None:
    await store.add(a_call())
    assert await store.follow_first("call-1", "call-1:1")
    assert not await store.follow_first("call-1", "call-1:2")
    known = await store.get("call-1")
    assert known is not None
    assert known.followed_by == "call-1:1"


CONSENT = CallConsent("written", "2026-03-01T09:00:00+00:00", "form 17")


async def consents_kept(store: SqlCallStore) -> list[tuple[str, str, str]]:
    query = sa.select(consents.c.phone_number, consents.c.kind, consents.c.source)
    rows = await store.database.rows(query)
    return [(row["phone_number"], row["kind"], row["source"]) for row in rows]


async def test_the_consent_of_a_dialled_call_outlives_the_call(store: SqlCallStore, mine: SqlClaims) -> None:
    await store.add(replace(a_call(), terms=Terms(consent=CONSENT)))
    await store.add(a_call("call-2"))
    assert await consents_kept(store) == [], "nobody was called under it"
    assert await begin(mine) is Claim.GO
    assert await begin(mine, "call-2") is Claim.GO
    kept = [(NUMBER, "written", "form 17")]
    assert await consents_kept(store) == kept
    retention = SqlRetentionStore(store.database)
    await store.advance("call-1", Status.COMPLETED, at=NOON)
    await retention.erase(["call-1"], tuple(Kept), NOON)
    await retention.forget_consents(NOON + timedelta(days=5 * 365))
    assert await consents_kept(store) == kept, "neither an erasure nor retention takes the proof"
    await retention.forget_consents(NOON + timedelta(days=5 * 366))
    assert await consents_kept(store) == []


async def test_so_many_calls_a_day_about_one_thing(store: SqlCallStore, mine: SqlClaims) -> None:
    for number in range(1, 4):
        await store.add(a_call(f"call-{number}"))
    other = replace(a_call("other"), spec=replace(a_call().spec, scenario="another"))
    await store.add(other)
    assert await begin(mine, "call-1", max_per_subject=2) is Claim.GO
    assert await begin(mine, "other", max_per_subject=1) is Claim.GO
    assert await begin(mine, "call-2", max_per_subject=2) is Claim.GO
    assert await begin(mine, "call-3", max_per_subject=2) is Claim.CAPPED
