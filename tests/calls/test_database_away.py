"""A call goes on while the durable engine waits for its database."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.calls.server import HANG_UP, hear, running_server, say, steps

BLOCKED = 33
"""One more than the engine has threads."""


async def test_a_call_is_held_while_the_engine_waits_for_its_database(tmp_path: Path) -> None:
    callee = steps(say("Hello?"), hear(), say("Yes, that works for me."), hear(), HANG_UP)
    async with running_server(tmp_path, callees=lambda _: callee) as server:
        call_id = await server.call()
        await server.talking(call_id)
        with closing(sqlite3.connect(tmp_path / "calls.durable.db", isolation_level=None, timeout=10)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            engine = server.agent.engine
            blocked = [asyncio.create_task(engine.send(call_id, {}, "nothing")) for _ in range(BLOCKED)]
            call = await server.until(call_id, lambda call: call["status"] == "completed", 45)
            assert not any(task.done() for task in blocked)
        assert not any(await asyncio.gather(*blocked))
        call = await server.ended(call_id)
    assert call["outcome"]["reached_goal"] is True
    agents = [turn for turn in call["transcript"] if turn["speaker"] == "agent"]
    assert len(agents) >= 2
    assert (await asyncio.to_thread((tmp_path / "recordings" / f"{call_id}.wav").stat)).st_size > 16_000
