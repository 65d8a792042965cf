"""The durable engine on its real library: once, in order of limits, and again after a crash."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.store.address import SqliteAddress
from bot.store.connections import retry_database
from bot.store.durable.engine import DurableEngine
from bot.store.durable.presence import FilePresence
from bot.telemetry.metrics import Depth


def make(tmp_path: Path) -> DurableEngine:
    return DurableEngine(SqliteAddress(tmp_path / "calls.db"), poll_seconds=0.01, look_seconds=0.05)


@asynccontextmanager
async def opened(engine: DurableEngine) -> AsyncIterator[DurableEngine]:
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


async def test_a_workflow_is_begun_once_for_an_id(tmp_path: Path) -> None:
    engine, begun, done = make(tmp_path), [], asyncio.Event()

    async def run(word: str) -> None:
        begun.append(word)
        done.set()

    engine.workflow("note", run)
    engine.queue("notes")
    async with opened(engine):
        assert await engine.enqueue("note", "a", id="1", queue="notes")
        assert not await engine.enqueue("note", "b", id="1", queue="notes")
        await asyncio.wait_for(done.wait(), 10)
        assert await engine.arguments("1") == ("a",)
        assert await engine.arguments("2") is None
    assert begun == ["a"]


async def test_it_is_known_which_workflows_are_over(tmp_path: Path) -> None:
    engine, go_on = make(tmp_path), asyncio.Event()

    async def run(how: str) -> None:
        if how == "waits":
            await go_on.wait()
        if how == "fails":
            raise ValueError("of itself")

    engine.workflow("note", run)
    engine.queue("notes")
    async with opened(engine):
        for how in ("waits", "fails", "ends"):
            await engine.enqueue("note", how, id=how, queue="notes")
        await engine.enqueue("note", "ends", id="later", queue="notes", delay_seconds=600)
        ids = ("waits", "fails", "ends", "later", "stranger")
        for waits in (True, False):
            stands = {"waits": waits, "fails": False, "ends": False, "later": True}
            for _ in range(1000):
                if await engine.unfinished(ids) == stands:
                    break
                await asyncio.sleep(0.05)
            assert await engine.unfinished(ids) == stands
            go_on.set()


def test_workflows_run_on_the_loop_that_opened_the_engine(tmp_path: Path) -> None:
    """Even what DBOS takes from a queue while that loop does not run."""
    engine, ran_on, looked = make(tmp_path), [], threading.Event()

    async def run() -> None:
        ran_on.append(asyncio.get_running_loop())

    def load() -> int:
        looked.set()
        return 0

    async def begin() -> None:
        await engine.open()
        looked.clear()  # before: what is taken at once has its queue wait for the loop, and look no more
        await engine.enqueue("note", id="1", queue="notes")

    async def end() -> None:
        try:
            async with asyncio.timeout(10):
                while not ran_on:  # noqa: ASYNC110  # told from another loop, where it fails
                    await asyncio.sleep(0.01)
        finally:
            await engine.close()

    engine.workflow("note", run)
    engine.queue("notes", per_process=1, load=load)
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(begin())
        assert looked.wait(10)
        time.sleep(0.1)  # what was looked for is taken and begun meanwhile
        loop.run_until_complete(end())
    finally:
        loop.close()
    assert ran_on == [loop]


async def test_a_killed_process_s_workflow_goes_on_from_its_last_kept_step(tmp_path: Path) -> None:
    counted: dict[str, int] = {"first": 0, "second": 0}
    stuck, finished = asyncio.Event(), asyncio.Event()

    def build(*, hangs: bool) -> DurableEngine:
        engine = make(tmp_path)

        async def first() -> str:
            counted["first"] += 1
            return "kept"

        async def second() -> str:
            counted["second"] += 1
            if hangs:
                stuck.set()
                await asyncio.Event().wait()
            return "done"

        async def run() -> None:
            assert await engine.step("first", first) == "kept"
            assert await engine.step("second", second) == "done"
            finished.set()

        engine.workflow("two", run)
        engine.queue("twos")
        return engine

    async with opened(build(hangs=True)) as engine:
        await engine.enqueue("two", id="1", queue="twos")
        await asyncio.wait_for(stuck.wait(), 10)
    async with opened(build(hangs=False)):
        await asyncio.wait_for(finished.wait(), 10)
    assert counted == {"first": 1, "second": 2}


async def test_what_a_killed_process_had_begun_goes_before_all_that_waits(tmp_path: Path) -> None:
    begun: list[str] = []
    running, over = asyncio.Event(), asyncio.Event()

    def build(*, hangs: bool) -> DurableEngine:
        engine = make(tmp_path)

        async def run(word: str) -> None:
            begun.append(word)
            running.set()
            if hangs:
                await asyncio.Event().wait()
            if len(begun) == 5:
                over.set()

        engine.workflow("dial", run)
        engine.queue("lines", concurrency=1)
        return engine

    async with opened(build(hangs=True)) as engine:
        await engine.enqueue("dial", "of a campaign", id="1", queue="lines", priority=10)
        await asyncio.wait_for(running.wait(), 10)
        for number in range(3):
            await engine.enqueue("dial", f"waits {number}", id=f"waits {number}", queue="lines")
        assert engine._dbos is not None
        tables = engine._dbos.tables
        rows = tables.tables.workflow_status
        with tables.engine.begin() as connection:  # they waited longer
            waiting = rows.c.workflow_uuid.startswith("waits")
            connection.execute(rows.update().where(waiting).values(created_at=rows.c.created_at - 60_000))
    async with opened(build(hangs=False)):
        await asyncio.wait_for(over.wait(), 10)
    assert begun[:2] == ["of a campaign", "of a campaign"]
    assert sorted(begun[2:]) == ["waits 0", "waits 1", "waits 2"]


async def test_messages_and_events_cross(tmp_path: Path) -> None:
    engine = make(tmp_path)

    async def run() -> None:
        await engine.publish("ready", {"sid": "CA1"})
        await engine.publish("news", await engine.receive("news", 10.0))

    engine.workflow("listen", run)
    engine.queue("lines", concurrency=5, per_process=2, per_partition=1, per_second=50)
    async with opened(engine):
        await engine.enqueue("listen", id="1", queue="lines", partition="+1")
        assert await engine.event("1", "ready", 10.0) == {"sid": "CA1"}
        assert await engine.send("1", {"over": True}, "news")
        assert await engine.event("1", "news", 10.0) == {"over": True}
        assert not await engine.send("nobody", {}, "news")


async def test_a_delayed_workflow_waits(tmp_path: Path) -> None:
    engine, begun = make(tmp_path), asyncio.Event()

    async def run() -> None:
        begun.set()

    engine.workflow("later", run)
    engine.queue("laters")
    async with opened(engine):
        await engine.enqueue("later", id="1", queue="laters", delay_seconds=3600)
        assert (await engine.waiting())["laters"] == Depth(delayed=1)
        assert not begun.is_set()
        await engine.enqueue("later", id="2", queue="laters", delay_seconds=0.3)
        await asyncio.wait_for(begun.wait(), 60)


async def test_a_process_that_leaves_begins_nothing_of_the_queues_it_names(tmp_path: Path) -> None:
    engine, begun, done = make(tmp_path), [], asyncio.Event()

    async def run(word: str) -> None:
        begun.append(word)
        if len(begun) == 2:
            done.set()

    engine.workflow("note", run)
    engine.queue("lines", per_process=20)
    engine.queue("after", per_process=20)
    async with opened(engine):
        await engine.stop_taking("lines")
        await engine.enqueue("note", "a line", id="1", queue="lines")
        for number in (2, 3):  # the queues are asked one as often as the other
            await engine.enqueue("note", f"after {number}", id=f"{number}", queue="after")
        await asyncio.wait_for(done.wait(), 10)
    assert sorted(begun) == ["after 2", "after 3"]
    begun.clear()
    again = make(tmp_path)
    done.clear()

    async def run_again(word: str) -> None:
        begun.append(word)
        if word == "a line":
            done.set()

    again.workflow("note", run_again)
    again.queue("lines", per_process=20)
    again.queue("after", per_process=20)
    async with opened(again):
        await asyncio.wait_for(done.wait(), 10)
    # The next process has it; what ended as the first one closed may be begun again.
    assert begun.count("a line") == 1


async def test_threads_of_the_loop_outlive_the_engine(tmp_path: Path) -> None:
    async with opened(make(tmp_path)) as engine:
        assert await engine.arguments("1") is None
    assert await asyncio.to_thread(lambda: 1) == 1


async def test_who_lives_is_the_lock_s_word(tmp_path: Path) -> None:
    mine, other = FilePresence(tmp_path / "alive"), FilePresence(tmp_path / "alive")
    await mine.enter("a")
    assert await other.absent(frozenset({"a", "b"})) == {"b"}
    await mine.leave()
    assert await other.absent(frozenset({"a"})) == {"a"}


async def test_a_workflow_s_work_outside_of_steps_outlasts_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.connections.FIRST_PAUSE_SECONDS", 0.01)
    tries = []

    async def run() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("away")
        return "there"

    assert await retry_database(run) == "there"
    assert len(tries) == 3


async def test_what_else_takes_a_process_s_places_keeps_its_queue_shut(tmp_path: Path) -> None:
    engine, load, looked, begun = make(tmp_path), [2], [0], asyncio.Event()

    async def run() -> None:
        begun.set()

    def loaded() -> int:
        looked[0] += 1
        return load[0]

    engine.workflow("note", run)
    engine.queue("lines", per_process=2, urgent=True, load=loaded)
    async with opened(engine):
        await engine.enqueue("note", id="1", queue="lines")
        async with asyncio.timeout(10):
            while looked[0] < 5:  # noqa: ASYNC110  # by the queue's thread
                await asyncio.sleep(0.01)
        assert not begun.is_set()
        load[0] = 1
        await asyncio.wait_for(begun.wait(), 10)
