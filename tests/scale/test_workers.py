"""`server.py --workers 2`: one port, a worker that is killed is replaced, one SIGTERM ends it all."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from tests.calls.server import HANG_UP, hear, say, steps, texts_of, vendors
from tests.scale.cluster import Cluster, Server, cluster
from tests.simulators.llm_replies import RuleReplies

CALLEE = steps(say("Hello?"), hear(3000), HANG_UP, ring_ms=300)


def serving(log: str) -> list[tuple[str, int]]:
    """(number, pid) of the workers, in the order they came."""
    return [(number, int(pid)) for number, pid in re.findall(r"worker (\d) serves \(pid (\d+)\)", log)]


async def so_many_serve(server: Server, count: int) -> None:
    while len(serving(server.log)) < count:  # noqa: ASYNC110  # another process's state
        await asyncio.sleep(0.1)


async def talk(running: Cluster, number: str) -> None:
    call = await running.ended(await running.call(phone_number=number), within=60.0)
    assert (call["status"], call["ended_reason"]) == ("completed", "callee_hangup"), call
    assert texts_of(call, "agent")


@pytest.mark.timeout(300)
@pytest.mark.long
async def test_two_workers_are_one_server(tmp_path: Path, database_url: str) -> None:
    async with (
        vendors(CALLEE, RuleReplies([], otherwise="I see.")) as sims,
        cluster(tmp_path, database_url, sims, servers=1, arguments=("--workers", "2")) as running,
    ):
        (server,) = running.servers
        async with asyncio.timeout(120):
            await so_many_serve(server, 2)
            await asyncio.gather(*(talk(running, f"+1202555010{n}") for n in range(4)))
            os.kill(serving(server.log)[1][1], signal.SIGKILL)
            await talk(running, "+12025550110")
            await so_many_serve(server, 3)
            assert serving(server.log)[2][0] == "1"
            await talk(running, "+12025550111")
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(server.process.wait(), 60.0) == 0
        for _, pid in serving(server.log):
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
