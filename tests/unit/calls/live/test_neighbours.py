"""Events between processes: sent while somebody there follows, in messages that NOTIFY carries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from bot.calls.live import neighbours as neighbours_module
from bot.calls.live.events import CalleeWords, StatusChanged, ToolUsed
from bot.calls.live.neighbours import LEASE_SECONDS, Neighbours
from bot.records import Status
from bot.store import Database, SqlCallStore
from bot.store.address import SqliteAddress
from tests.unit.calls.live.live import MemoryNews, OneProcess, first, names, processes
from tests.unit.pipeline.conversation import until
from tests.unit.store.examples import a_call


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlCallStore]:
    made = SqlCallStore(Database(SqliteAddress(tmp_path / "calls.db")))
    await made.open()
    await made.add(a_call(created_at=datetime.now(UTC)))
    yield made
    await made.close()


@asynccontextmanager
async def sending(*every: OneProcess) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.neighbours.send()) for one in every]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def words(text: str, turn: int = 0) -> CalleeWords:
    return CalleeWords(call_id="call-1", turn=turn, text=text, start_ms=0)


async def test_a_call_held_elsewhere_is_followed_here(store: SqlCallStore) -> None:
    here, there = processes(store, 2)
    there.held.add("call-1")
    there.hub.publish(words("Hel"))
    async with sending(there):
        feed = await here.feeds.of_call("call-1", None, None)
        there.hub.publish(words("Hello?"))
        got = await first(feed, 3)
    assert names(got) == ["status_changed", "callee_words", "callee_words"]
    assert [getattr(one.event, "text", "") for one in got] == ["", "Hel", "Hello?"]


async def test_a_reader_resumes_in_another_process(store: SqlCallStore) -> None:
    here, there, third = processes(store, 3)
    there.held.add("call-1")
    for turn in range(4):
        there.hub.publish(words(str(turn), turn))
    log = there.hub.log_of("call-1")
    for process in (here, third):
        got = await first(await process.feeds.of_call("call-1", None, log[1].id), 2)
        assert [one.id for one in got] == [log[2].id, log[3].id]


async def test_a_long_log_goes_in_several_messages_and_long_values_are_left_out(store: SqlCallStore) -> None:
    here, there = processes(store, 2)
    there.held.add("call-1")
    for turn in range(60):
        there.hub.publish(words("☃" * 300, turn))
    there.hub.publish(
        ToolUsed(call_id="call-1", name="look", arguments={"a": "x" * 9000}, result="y" * 9000, at_ms=5)
    )
    got = await first(await here.feeds.of_call("call-1", None, None), 62)
    assert names(got).count("callee_words") == 60
    tool = got[-1].event
    assert isinstance(tool, ToolUsed)
    assert tool.arguments is None
    assert tool.shortened
    assert len(tool.result) < 1100


async def test_nothing_is_sent_while_nobody_follows_and_no_longer_than_asked(
    store: SqlCallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = processes(store, 2)
    now = [0.0]
    there.neighbours = Neighbours(there.hub, there.news, there.held.__contains__, clock=lambda: now[0])
    sent = cast(MemoryNews, there.news).sent
    async with sending(there):
        there.hub.publish(words("nobody hears this"))
        await asyncio.sleep(2 * neighbours_module.BATCH_SECONDS)
        assert sent == []
        feed = await here.feeds.of_all(frozenset({"status_changed"}), None)
        sent.clear()
        there.hub.publish(words("nor this"))
        there.hub.publish(StatusChanged(call_id="call-1", status=Status.RINGING))
        assert await asyncio.wait_for(feed.subscription.next(5.0), 5.0) is not None
        assert sent == [("events", "process-0")]
        now[0] = LEASE_SECONDS + 1
        sent.clear()
        there.hub.publish(StatusChanged(call_id="call-1", status=Status.COMPLETED))
        await asyncio.sleep(2 * neighbours_module.BATCH_SECONDS)
        assert sent == []
    feed.close()


async def test_readers_are_renewed_until_they_leave(store: SqlCallStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours_module, "RENEW_SECONDS", 0.01)
    here, there = processes(store, 2)
    feeds = [await here.feeds.of_all(frozenset({name}), None) for name in ("status_changed", "callee_words")]
    renewing = asyncio.create_task(here.neighbours.renew())
    seen: list[object] = []

    async def note(_: str, data: object) -> None:
        seen.append(data)

    cast(MemoryNews, there.news).handlers["watch"] = note
    await until(lambda: bool(seen))
    assert seen[0] == {"wants": {"": ["callee_words", "status_changed"]}, "from": "process-0"}
    for feed in feeds:
        feed.close()
    await asyncio.sleep(0.05)
    count = len(seen)
    await asyncio.sleep(0.05)
    assert len(seen) <= count + 1
    renewing.cancel()
    await asyncio.gather(renewing, return_exceptions=True)
