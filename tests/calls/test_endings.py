"""How calls end that do not end well: silence, hang-ups of either side, nobody there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.telephony.simulated.script import Conversation
from tests.calls.server import (
    HANG_UP,
    RunningServer,
    hear,
    running_server,
    say,
    silence,
    steps,
    texts_of,
    vendors,
    wait,
)
from tests.simulators.llm_replies import RuleReplies

REPLIES = RuleReplies(
    [], otherwise="One moment, let me think about this for a good long while before I answer you."
)


async def test_a_silent_callee(tmp_path: Path) -> None:
    async with vendors(steps(wait()), REPLIES) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(scenario="quick"))
        assert (call["status"], call["ended_reason"]) == ("completed", "silence")
        assert call["answered_by"] == "nobody"
        assert texts_of(call, "agent") == [
            "Hi John. Does Thursday work?",
            "Are you there?",
            "I'll hang up. Goodbye.",
        ]
        assert sims.anthropic.exchanges == []


async def test_the_callee_hangs_up_in_mid_reply(tmp_path: Path) -> None:
    callee = steps(hear(), say("Well?"), silence(2200), HANG_UP)
    async with vendors(callee, REPLIES) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(scenario="quick"))
        await server.all_over()
        assert (call["status"], call["ended_reason"]) == ("completed", "callee_hangup")
        assert call["outcome"]["reached_goal"] is False
        said = texts_of(call, "agent")
        assert len(said) == 2
        assert said[1].startswith("One moment")
        assert len(said[1]) < len(
            "One moment, let me think about this for a good long while before I answer you."
        )


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ("busy", "busy", "dial_busy"),
        ("no-answer", "no-answer", "dial_no_answer"),
        ("failed", "failed", "dial_failed"),
    ],
)
async def test_nobody_there(tmp_path: Path, answer: str, status: str, reason: str) -> None:
    callee: Conversation = steps(wait(), answer=answer)
    async with vendors(callee, REPLIES) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(scenario="quick"))
        await server.all_over()
        assert (call["status"], call["ended_reason"]) == (status, reason)
        assert call["transcript"] == []
        assert (call["recording_url"], call["answered_by"]) == (None, None)
        assert sims.deepgram.connections == []
        assert sims.twilio.streams == []


async def test_hanging_up_while_it_rings(tmp_path: Path) -> None:
    async with (
        vendors(steps(wait(), ring_ms=4000), REPLIES) as sims,
        running_server(tmp_path, **sims.keys()) as server,
    ):
        call_id = await server.call(scenario="quick")
        answer = await server.http.post(f"/api/phone/calls/{call_id}/hangup")
        assert answer.status_code == 200
        call = await server.ended(call_id)
        await server.all_over()
        assert (call["status"], call["ended_reason"]) == ("canceled", "canceled")
        (simulated,) = sims.twilio.network.calls
        await simulated.ended.wait()
        assert simulated.status == "canceled"
        await _is_over(server, call_id)


async def test_hanging_up_while_they_talk(tmp_path: Path) -> None:
    async with vendors(steps(wait()), REPLIES) as sims, running_server(tmp_path, **sims.keys()) as server:
        call_id = await server.call(scenario="quick")
        await server.talking(call_id)
        answer = await server.http.post(f"/api/phone/calls/{call_id}/hangup")
        assert answer.status_code == 200
        call = await server.ended(call_id)
        await server.all_over()
        assert (call["status"], call["ended_reason"]) == ("completed", "api_hangup")
        (simulated,) = sims.twilio.network.calls
        await simulated.ended.wait()
        assert simulated.status == "completed"
        await _is_over(server, call_id)
    assert sims.deepgram.open_connections == 0


async def _is_over(server: RunningServer, call_id: str) -> None:
    again = await server.http.post(f"/api/phone/calls/{call_id}/hangup")
    assert again.status_code == 409
    assert again.json()["error"]["code"] == "conflict"
    unknown = await server.http.post("/api/phone/calls/call_nobody/hangup")
    assert unknown.status_code == 404
