"""Openings: what one process spoke, another has; where there is no other, nothing is written."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot.audio import Speech, TimedWord
from bot.records import Status
from bot.store import SqlCallStore
from bot.store.openings import SqlOpeningStore, openings
from tests.unit.store.examples import NOON, a_call

SPEECH = Speech(
    "Hi, ☃ Zoë.", bytes(range(256)) * 40, (TimedWord("Hi,", 0.0, 120.5), TimedWord("Zoë.", 400.0, 640.0))
)


@pytest.fixture
def mine(store: SqlCallStore) -> SqlOpeningStore:
    return SqlOpeningStore(store.database)


async def kept(store: SqlCallStore) -> int:
    async with store.database.reader.connect() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(openings))).scalar_one())


async def test_comes_back_as_it_was_where_others_may_answer(store: SqlCallStore, mine: SqlOpeningStore) -> None:
    await store.add(a_call())
    assert await mine.get("call-1") is None
    await mine.put("call-1", SPEECH)
    assert await mine.get("call-1") == (SPEECH if store.database.shared else None)
    assert await kept(store) == int(store.database.shared)


async def test_the_last_one_stands(store: SqlCallStore, mine: SqlOpeningStore) -> None:
    await store.add(a_call())
    await mine.put("call-1", SPEECH)
    await mine.put("call-1", Speech("Other.", bytes(2)))
    expected = Speech("Other.", bytes(2)) if store.database.shared else None
    assert await mine.get("call-1") == expected


async def test_a_call_that_is_gone_keeps_none(store: SqlCallStore, mine: SqlOpeningStore) -> None:
    await mine.put("nobody", SPEECH)
    assert await kept(store) == 0


async def test_what_ended_calls_left_is_swept(store: SqlCallStore, mine: SqlOpeningStore) -> None:
    for number in (1, 2):
        await store.add(a_call(f"call-{number}", minutes=number))
        await mine.put(f"call-{number}", SPEECH)
    await store.advance("call-1", Status.NO_ANSWER, at=NOON + timedelta(minutes=5))
    shared = store.database.shared
    assert await mine.sweep() == int(shared)
    assert (await mine.get("call-1"), await mine.get("call-2")) == (None, SPEECH if shared else None)
