"""ElevenLabs fails in mid-call: the sentence is finished, by its own voice or by the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.calls.server import CHARACTER_MS, Vendors, hear, running_server, say, steps, texts_of, vendors, wait
from tests.simulators.contexts import Silent
from tests.simulators.elevenlabs import Babble, ElevenLabsLatency, Refuse
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

OPENING = "Hi John. Does Thursday work?"
DIRECTIONS = (
    "The office is in Suite 200, on the second floor of the building beside the post office on Main St. "
    "You can park behind it, or take the tram at 1:30 p.m. to the stop in front of the old town hall."
)
SPOKEN = DIRECTIONS.replace("200", "two hundred").replace("St.", "Street.").replace("1:30", "one thirty")
GOODBYE = "You are welcome, John. Goodbye."
OUTCOME = {"reached_goal": True, "summary": "John confirmed.", "confirmed": True}
PATIENT = hear(12_000) | {"pause_ms": 1500}
"""A pause is to be expected here, and a machine under load adds to it: neither is the end of the reply."""
CALLEE = steps(hear(), say("Yes. Where is it?"), PATIENT, say("Thank you, goodbye."), wait())
SLOW = ElevenLabsLatency(first_audio_ms=120, speed=1.6)
"""Near real time: a socket that is lost in mid-sentence has not sent the rest."""


def replies() -> RuleReplies:
    goodbye = Reply(GOODBYE, (ToolUse("record_outcome", OUTCOME), ToolUse("end_call", {"reason": "done"})))
    return RuleReplies([("goodbye", goodbye), ("where", DIRECTIONS)], otherwise="Pardon?")


async def spoken(sims: Vendors, text: str, audio_ms: float) -> None:
    """Until so much of `text` has been sent."""
    while not any(text in c.text and c.sent_ms >= audio_ms for c in sims.elevenlabs.contexts):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def check_the_talk(call: Mapping[str, Any], sims: Vendors) -> None:
    """Nothing is missing, nothing is there twice, in the transcript and in what Claude is told."""
    assert texts_of(call, "agent") == [OPENING, DIRECTIONS, GOODBYE]
    assert (call["ended_reason"], call["error"]) == ("agent_hangup", None)
    assert call["outcome"]["reached_goal"] is True
    assert call["interruptions"] == 0
    told = [str(m["content"]) for m in sims.anthropic.exchanges[-1].request.messages if m["role"] == "assistant"]
    assert sum("town hall" in text for text in told) == 1
    assert any(DIRECTIONS in text for text in told), told


async def test_a_socket_lost_in_mid_sentence(tmp_path: Path) -> None:
    async with (
        vendors(CALLEE, replies(), elevenlabs_latency=SLOW) as sims,
        running_server(tmp_path, **sims.keys()) as server,
    ):
        call_id = await server.call(scenario="quick")
        await spoken(sims, "The office", 2000)
        sims.elevenlabs.faults = Plan(then=Refuse(503))
        sims.elevenlabs.drop_sockets()
        await asyncio.sleep(1.0)
        sims.elevenlabs.faults = Plan()
        call = await server.ended(call_id)
        check_the_talk(call, sims)
        parts = [c for c in sims.elevenlabs.contexts if "town hall" in c.text]
        assert len(parts) == 2, "asked for again, from where it broke off"
        rest = parts[1].text.strip()
        assert SPOKEN.endswith(rest)
        assert not rest.startswith("The office")
        heard_ms = len(sims.stream.played()) / 8
        all_ms = CHARACTER_MS * len(OPENING + SPOKEN + GOODBYE)
        assert all_ms - 300 < heard_ms < all_ms + 600, (heard_ms, all_ms)


async def test_a_context_without_audio_is_spoken_again(tmp_path: Path) -> None:
    fault = Silent()
    async with vendors(CALLEE, replies()) as sims, running_server(tmp_path, **sims.keys()) as server:
        call_id = await server.call(scenario="quick")
        await server.talking(call_id)
        spoken_before = len([c for c in sims.elevenlabs.contexts if c.text.strip()])
        sims.elevenlabs.context_faults = Plan((*[None] * spoken_before, fault))
        call = await server.ended(call_id)
        check_the_talk(call, sims)
        assert [c for c in sims.elevenlabs.contexts if c.fault == fault]


async def test_the_local_voice_goes_on_where_elevenlabs_refuses(tmp_path: Path) -> None:
    async with vendors(CALLEE, replies()) as sims:
        sims.elevenlabs.faults = Plan(then=Refuse(401))
        async with running_server(tmp_path, **sims.keys()) as server:
            call = await server.ended(await server.call(scenario="quick"), within=60)
            check_the_talk(call, sims)
            assert call["vendors"]["tts_fallback"] == "hibari", call["vendors"]


async def test_the_local_voice_finishes_what_elevenlabs_began(tmp_path: Path) -> None:
    async with (
        vendors(CALLEE, replies(), elevenlabs_latency=SLOW) as sims,
        running_server(tmp_path, **sims.keys()) as server,
    ):
        call_id = await server.call(scenario="quick")
        await spoken(sims, "The office", 2000)
        sims.elevenlabs.faults = Plan(then=Refuse(401))
        sims.elevenlabs.drop_sockets()
        call = await server.ended(call_id, within=60)
        check_the_talk(call, sims)
        assert (call["vendors"]["tts"], call["vendors"]["tts_fallback"]) == ("elevenlabs", "hibari")


async def test_nonsense_of_the_voice_is_not_heard(tmp_path: Path) -> None:
    nonsense = ("{", "[]", '{"audio": "AAAA"}', '{"contextId": "x", "audio": "////"}', '{"error": "hm"}')
    async with vendors(CALLEE, replies()) as sims:
        sims.elevenlabs.faults = Plan(then=Babble(nonsense))
        async with running_server(tmp_path, **sims.keys()) as server:
            call = await server.ended(await server.call(scenario="quick"))
            check_the_talk(call, sims)
            all_ms = CHARACTER_MS * len(OPENING + SPOKEN + GOODBYE)
            assert len(sims.stream.played()) / 8 == pytest.approx(all_ms, abs=400)
