"""What calls leave behind once they are over: nothing."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.telephony.simulated.script import Conversation
from tests.calls.server import HANG_UP, hear, running_server, say, silence, steps, vendors, wait
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

REPLIES = RuleReplies([("goodbye", Reply("Goodbye now.", (ToolUse("end_call"),)))], otherwise="Pardon?")
SAYS_GOODBYE = steps(hear(), say("Goodbye."), wait())
HANGS_UP = steps(hear(), HANG_UP)
IN_THE_OPENING = steps(silence(400), HANG_UP)
STAYS = steps(wait())
RINGS = steps(wait(), ring_ms=4000)
_SHARED_POOLS = ("voice", "smart-turn", "asyncio_")
"""Threads of the process, made when first needed: engines and the loop's own executor."""


@dataclass(frozen=True)
class Kept:
    """What the process holds."""

    tasks: int
    threads: frozenset[str]
    files: int


def kept() -> Kept:
    gc.collect()
    threads = {t.name for t in threading.enumerate() if not t.name.startswith(_SHARED_POOLS)}
    return Kept(len(asyncio.all_tasks()), frozenset(threads), len(list(Path("/proc/self/fd").iterdir())))


@pytest.fixture
def complaints() -> Iterator[list[dict[str, Any]]]:
    """What the event loop complains about: tasks destroyed, exceptions nobody retrieved."""
    heard: list[dict[str, Any]] = []
    yield heard
    gc.collect()
    assert heard == []


async def five_endings(tmp_path: Path, *, all_of_them: bool) -> dict[str, str]:
    """How each call ended, by the callee it met."""
    reasons: dict[str, str] = {}
    async with vendors(SAYS_GOODBYE, REPLIES) as sims, running_server(tmp_path, **sims.keys()) as server:

        async def hold(name: str, callee: Conversation) -> None:
            sims.twilio.conversations = lambda _: callee
            call_id = await server.call(scenario="quick")
            if callee is RINGS:
                await server.http.post(f"/api/phone/calls/{call_id}/hangup")
            reasons[name] = (await server.ended(call_id))["ended_reason"]

        await hold("agent", SAYS_GOODBYE)
        if all_of_them:
            await hold("callee", HANGS_UP)
            await hold("mid-opening", IN_THE_OPENING)
            await hold("ringing", RINGS)
        await server.all_over()
        sims.twilio.conversations = lambda _: STAYS
        call_id = await server.call(scenario="quick")
        await server.talking(call_id)
        await server.stop()
    async with running_server(tmp_path) as again:
        reasons["shutdown"] = (await again.read(call_id))["ended_reason"]
    return reasons


async def test_nothing_is_left_behind(tmp_path: Path, complaints: list[dict[str, Any]]) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    await five_endings(tmp_path / "warm", all_of_them=False)
    before = kept()
    reasons = await five_endings(tmp_path / "measured", all_of_them=True)
    after = kept()
    assert reasons == {
        "agent": "agent_hangup",
        "callee": "callee_hangup",
        "mid-opening": "callee_hangup",
        "ringing": "canceled",
        "shutdown": "server_shutdown",
    }
    assert after.tasks <= before.tasks, asyncio.all_tasks()
    assert after.threads <= before.threads
    assert after.files <= before.files
