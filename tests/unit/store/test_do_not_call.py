"""The do-not-call list: added once, removed, found, paged, thousands at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta

import pytest

from bot.errors import RequestError
from bot.records import Status
from bot.store import SqlCallStore
from bot.store.do_not_call import Listed, ListedBy, SqlDoNotCallStore
from bot.store.retention import Kept, SqlRetentionStore
from tests.unit.store.examples import NOON, a_call

NUMBER = "+12025550123"


@pytest.fixture
def mine(store: SqlCallStore) -> SqlDoNotCallStore:
    return SqlDoNotCallStore(store.database)


async def test_a_number_is_added_found_and_removed(mine: SqlDoNotCallStore) -> None:
    assert await mine.get(NUMBER) is None
    why = "asked on the phone \x00☃"
    assert await mine.add([NUMBER], at=NOON, source=ListedBy.CALL, reason=why, call_id="call-1") == 1
    found = await mine.get(NUMBER)
    assert found == Listed(NUMBER, NOON, ListedBy.CALL, "asked on the phone ☃", "call-1")
    assert found.added_at.tzinfo is UTC
    assert await mine.remove(NUMBER)
    assert not await mine.remove(NUMBER)
    assert await mine.get(NUMBER) is None


async def test_the_first_word_stands(mine: SqlDoNotCallStore) -> None:
    await mine.add([NUMBER], at=NOON, reason="first")
    assert await mine.add([NUMBER, "+12025550199"], at=NOON + timedelta(days=1), reason="second") == 1
    assert await mine.get(NUMBER) == Listed(NUMBER, NOON, reason="first")


async def test_a_number_twice_in_one_bulk_is_one(mine: SqlDoNotCallStore) -> None:
    assert await mine.add([NUMBER, NUMBER], at=NOON) == 1
    assert await mine.get(NUMBER) == Listed(NUMBER, NOON)


async def test_pages_hold_every_number_once(mine: SqlDoNotCallStore) -> None:
    # Many share a moment: a bulk has one.
    numbers = [f"+120255501{n:02}" for n in range(23)]
    for start in range(0, len(numbers), 4):
        await mine.add(numbers[start : start + 4], at=NOON + timedelta(seconds=start))
    seen: list[str] = []
    cursor = None
    while True:
        page = await mine.page(limit=5, cursor=cursor)
        seen += [listed.phone_number for listed in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == numbers[::-1]


async def test_a_cursor_that_is_not_ours(mine: SqlDoNotCallStore) -> None:
    with pytest.raises(RequestError, match="cursor"):
        await mine.page(cursor="!")


async def test_ten_thousand_at_once(mine: SqlDoNotCallStore) -> None:
    numbers = [f"+1202555{n:04}" for n in range(10_000)]
    assert await mine.add(numbers, at=NOON, reason="x" * 100) == 10_000
    assert await mine.add(numbers, at=NOON) == 0


async def test_two_bulks_at_once_do_not_wait_for_each_other(mine: SqlDoNotCallStore) -> None:
    numbers = [f"+1202555{n:04}" for n in range(2000)]
    assert sum(await asyncio.gather(mine.add(numbers, at=NOON), mine.add(numbers[::-1], at=NOON))) == 2000


async def test_a_callee_who_is_erased_stays_on_the_list_without_his_words(
    store: SqlCallStore, mine: SqlDoNotCallStore
) -> None:
    await store.add(a_call())
    await store.advance("call-1", Status.COMPLETED, at=NOON)
    await mine.add([NUMBER], at=NOON, source=ListedBy.CALL, reason="my own words", call_id="call-1")
    await SqlRetentionStore(store.database).erase(["call-1"], [Kept.TRANSCRIPT, Kept.NUMBER], NOON)
    assert await mine.get(NUMBER) == Listed(NUMBER, NOON, ListedBy.CALL, None, "call-1")
