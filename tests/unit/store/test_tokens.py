"""A media token opens one socket: burnt once, by whoever is first, and not after its time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.errors import NotFoundError
from bot.store import Database, SqlCallStore
from bot.store.address import parse_database_url
from bot.store.schema import tokens
from tests.unit.store.examples import NOON, a_call

SOON = NOON + timedelta(seconds=60)


async def test_a_token_is_burnt_once(store: SqlCallStore) -> None:
    await store.add(a_call())
    await store.issue_token("call-1", "hash", SOON)
    assert await store.burn_token("other", NOON) is None
    assert await store.burn_token("hash", NOON) == "call-1"
    assert await store.burn_token("hash", NOON) is None


async def test_of_many_sockets_in_two_processes_one_gets_in(store: SqlCallStore, url: str) -> None:
    other = SqlCallStore(Database(parse_database_url(url, Path("unused.db"))))
    await other.open()
    try:
        await store.add(a_call())
        await store.issue_token("call-1", "hash", SOON)
        burnt = await asyncio.gather(*(each.burn_token("hash", NOON) for each in [store, other] * 6))
        assert sorted(call_id or "" for call_id in burnt) == [""] * 11 + ["call-1"]
    finally:
        await other.close()


async def test_an_expired_token_is_dead_and_swept_up(store: SqlCallStore) -> None:
    await store.add(a_call())
    await store.issue_token("call-1", "old", SOON)
    await store.issue_token("call-1", "new", SOON + timedelta(seconds=1))
    assert await store.burn_token("old", SOON) is None
    assert await store.burn_token("new", SOON) == "call-1"
    async with store.database.reader.connect() as connection:
        assert (await connection.execute(sa.select(tokens))).all() == []


async def test_a_token_needs_its_call(store: SqlCallStore) -> None:
    with pytest.raises(NotFoundError):
        await store.issue_token("nobody", "hash", SOON)
