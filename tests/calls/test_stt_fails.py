"""Deepgram fails while the callee speaks: their words arrive all the same, once and whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.calls.server import CHARACTER_MS, Vendors, hear, running_server, say, steps, texts_of, vendors, wait
from tests.simulators.deepgram import Babble, Refuse
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse
from tests.simulators.stt_recogniser import ScriptedRecogniser
from tests.simulators.twilio import FormantVoice

ANSWER = "Yes Thursday works for me but could you tell me where the office is"
CALLEE = steps(hear(), say(ANSWER), hear(15_000), say("Thank you goodbye"), wait())


def replies() -> RuleReplies:
    goodbye = Reply("Goodbye.", (ToolUse("end_call", {"reason": "done"}),))
    return RuleReplies([("goodbye", goodbye), ("where", "In Suite 200.")], otherwise="Pardon?")


async def one_ear(sims: Vendors) -> None:
    """The call's connections share one recogniser, one after the other: what one did not hear, the next does."""
    voice = FormantVoice(character_ms=CHARACTER_MS)
    sims.deepgram._recogniser = ScriptedRecogniser([await voice.speak(text) for text in CALLEE.texts])


async def hears(sims: Vendors, text: str) -> None:
    """Until Deepgram has sent so much of what the callee says."""
    while not any(text.lower() in str(sent).lower() for c in sims.deepgram.connections for sent in c.sent):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("scenario", ["quick", "quick_flux"])
async def test_an_outage_of_a_second_while_the_callee_speaks(tmp_path: Path, scenario: str) -> None:
    async with vendors(CALLEE, replies()) as sims, running_server(tmp_path, **sims.keys()) as server:
        await one_ear(sims)
        call_id = await server.call(scenario=scenario)
        await hears(sims, "thursday works")
        sims.deepgram.faults = Plan(then=Refuse(503))
        sims.deepgram.drop_connections()
        await asyncio.sleep(1.0)
        sims.deepgram.faults = Plan()
        call = await server.ended(call_id)
        assert [text.rstrip(".").lower() for text in texts_of(call, "callee")] == [
            ANSWER.lower(),
            "thank you goodbye",
        ]
        assert texts_of(call, "agent")[1:] == ["In Suite 200.", "Goodbye."]
        assert (call["ended_reason"], call["error"]) == ("agent_hangup", None)
        assert len(sims.deepgram.connections) > 2


@pytest.mark.parametrize("scenario", ["quick", "quick_flux"])
async def test_nonsense_of_the_ear_ends_nothing(tmp_path: Path, scenario: str) -> None:
    nonsense = ("{", "7", '{"type": "Results"}', '{"type": "TurnInfo", "event": []}', '{"type": "Error"}', "[]")
    async with vendors(CALLEE, replies()) as sims:
        sims.deepgram.faults = Plan(then=Babble(nonsense))
        async with running_server(tmp_path, **sims.keys()) as server:
            call = await server.ended(await server.call(scenario=scenario))
            assert texts_of(call, "agent")[1:] == ["In Suite 200.", "Goodbye."]
            assert (call["ended_reason"], call["error"]) == ("agent_hangup", None)
            assert len(sims.deepgram.connections) == 1
