"""Three servers are restarted one after the other while calls talk: none is cut, none is dialled twice.

It takes two quiet cores one and three minutes: `poe long`. What drains and finishes in one process is tested in
tests/calls/test_drain.py.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.calls.server import hear, say, silence, steps, texts_of, vendors, wait
from tests.scale.cluster import Server, cluster
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

DRAIN_SECONDS = 120
REPLIES = RuleReplies([("goodbye", Reply("Goodbye then.", (ToolUse("end_call"),)))], otherwise="Take your time.")
CALLEE = steps(
    *(say("Hello?"), hear(), silence(3000), say("Let me find my calendar."), hear()),
    *(silence(4000), say("Here it is."), hear(), say("Goodbye."), wait()),
    ring_ms=1200,
)


@pytest.mark.timeout(900)
@pytest.mark.long
@pytest.mark.parametrize("lines", [4, 20])
async def test_no_call_notices_a_rolling_restart(tmp_path: Path, database_url: str, lines: int) -> None:
    restarted, ended = asyncio.Event(), []
    async with (
        vendors(CALLEE, REPLIES) as sims,
        cluster(tmp_path, database_url, sims, drain_seconds=DRAIN_SECONDS) as running,
    ):

        async def keep_talking(line: int) -> None:
            """One call after the other, until the last server is back."""
            calls = 0
            while not restarted.is_set():
                call_id = await running.call(phone_number=f"+1202555{line:02}{calls:02}")
                ended.append(await running.ended(call_id, within=180.0))
                calls += 1

        async with asyncio.TaskGroup() as group:
            for line in range(lines):
                group.create_task(keep_talking(line))
            await _on_line(running.servers, lines // 2)
            for server in running.servers:
                await _restart(server)
            restarted.set()
        dialled = len(sims.twilio.network.calls)
    assert len(ended) >= 2 * lines
    how = Counter((call["status"], call["ended_reason"], texts_of(call, "agent")[-1]) for call in ended)
    assert how == {("completed", "agent_hangup", "Goodbye then."): len(ended)}
    assert dialled == len(ended)
    drained = sum("calls are let finish" in server.log for server in running.servers)
    assert drained >= min(3, lines // 2), "nobody talked while it drained"


async def _on_line(servers: list[Server], count: int) -> None:
    async with asyncio.timeout(120):
        while sum([await server.calls_on_line() for server in servers]) < count:  # noqa: ASYNC110  # of other processes
            await asyncio.sleep(0.1)


async def _restart(server: Server) -> None:
    """As a rollout does: the next one only when this one is back."""
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(server.process.wait(), DRAIN_SECONDS + 30) == 0, server.log[-3000:]
    await server.start()
