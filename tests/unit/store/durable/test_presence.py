"""Who lives, by PostgreSQL's word, asked by many at once and by one who lost its connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot.store.address import PostgresAddress, parse_database_url
from bot.store.durable.presence import PostgresPresence
from tests.postgres import PostgresServer


def dsn_of(postgres: PostgresServer) -> str:
    address = parse_database_url(postgres.new_url(), Path("unused.db"))
    assert isinstance(address, PostgresAddress)
    return address.dsn


async def test_many_may_ask_at_once(postgres: PostgresServer) -> None:
    """After a process died, all its calls are looked at in the same moment."""
    presence = PostgresPresence(dsn_of(postgres))
    await presence.enter("a")
    try:
        answers = await asyncio.gather(*(presence.absent(frozenset({"a", "b"})) for _ in range(20)))
        assert answers == [frozenset({"b"})] * 20
    finally:
        await presence.leave()


async def test_a_connection_that_is_lost_is_taken_again(postgres: PostgresServer) -> None:
    dsn = dsn_of(postgres)
    mine, other = PostgresPresence(dsn), PostgresPresence(dsn)
    await mine.enter("a")
    await other.enter("b")
    try:
        assert mine._connection is not None
        mine._connection.terminate()
        async with asyncio.timeout(10):
            while mine._connection.is_closed():  # noqa: ASYNC110  # its own task does it
                await asyncio.sleep(0.02)
        assert await other.absent(frozenset({"a", "b"})) == frozenset()
    finally:
        await mine.leave()
        await other.leave()


async def test_a_process_knows_whether_it_is_the_only_one(postgres: PostgresServer) -> None:
    dsn = dsn_of(postgres)
    mine, other = PostgresPresence(dsn), PostgresPresence(dsn)
    await mine.enter("a")
    try:
        assert not await mine.others()
        await other.enter("b")
        assert await mine.others()
        assert await other.others()
        await other.leave()
        async with asyncio.timeout(10):
            while await mine.others():  # noqa: ASYNC110  # the server notices that its session ended
                await asyncio.sleep(0.02)
    finally:
        await mine.leave()
        await other.leave()
