"""A database that does not answer holds the durable engine's own threads, and no others."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from bot.store.address import SqliteAddress
from bot.store.durable.engine import DurableEngine

BLOCKED = 33
"""One more than the engine has threads."""


async def test_work_in_threads_goes_on_while_the_engine_waits_for_its_database(tmp_path: Path) -> None:
    engine = DurableEngine(SqliteAddress(tmp_path / "calls.db"), poll_seconds=0.01)
    ran: list[int] = []

    async def run(number: int) -> None:
        ran.append(number)

    engine.workflow("note", run)
    engine.queue("notes")
    await engine.open()
    try:
        assert await engine.enqueue("note", -1, id="before", queue="notes")
        with closing(sqlite3.connect(tmp_path / "calls.durable.db", isolation_level=None, timeout=10)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            blocked = [
                asyncio.create_task(engine.enqueue("note", number, id=f"{number}", queue="notes"))
                for number in range(BLOCKED)
            ]
            async with asyncio.timeout(10):
                for _ in range(100):  # by then they are all in their threads
                    assert await asyncio.to_thread(pow, 2, 3) == 8
            assert not any(task.done() for task in blocked)
        assert all(await asyncio.gather(*blocked))
        async with asyncio.timeout(60):
            while len(ran) <= BLOCKED:  # noqa: ASYNC110  # other threads begin them
                await asyncio.sleep(0.01)
    finally:
        await engine.close()
    assert sorted(ran) == list(range(-1, BLOCKED))
