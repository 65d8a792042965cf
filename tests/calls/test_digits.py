"""Keys pressed in mid-call: the call leaves its media stream, the carrier presses, and it comes back."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.telephony.simulated.carrier import SimulatedCarrier
from tests.calls.server import hear, press, running_server, say, silence, steps, texts_of, vendors, wait
from tests.simulators.anthropic import AnthropicSimulator
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

KEYPAD = steps(
    say("Hello?"),
    hear(),
    say("Please enter your code."),
    silence(3000),
    say("Thank you, that is right."),
    hear(),
    say("Goodbye."),
    wait(),
)


BYE = ToolUse("end_call")
SAID = ["Here it comes.", "Good, then I would like to order.", "Goodbye then."]


def replies() -> RuleReplies:
    return RuleReplies(
        [
            ("goodbye", Reply(SAID[2], (ToolUse("end_call"),))),
            ("that is right", SAID[1]),
            ("code", Reply(SAID[0], (ToolUse("send_digits", {"digits": "1w#"}),))),
        ],
        otherwise="Pardon?",
    )


async def test_the_conversation_goes_on_on_the_next_stream(tmp_path: Path) -> None:
    async with vendors(KEYPAD, replies()) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(scenario="desk", first_speaker="callee", extension="w204"))
        await server.all_over()
        assert (call["status"], call["ended_reason"], call["error"]) == ("completed", "agent_hangup", None)
        said = texts_of(call, "agent")
        assert said[1:] == SAID
        (simulated,) = sims.twilio.network.calls
        assert simulated.callee is not None
        assert simulated.callee.digits_heard == "2041#", "an extension before the first stream"
        first, second = sims.twilio.streams
        assert first.call_sid == second.call_sid
        assert first.sent_of("stop")
        assert len(first.played()) == len(first.audio), "the agent's words before the keys were cut off"
        assert len(second.played()) == len(second.audio)
        starts = [turn["start_ms"] for turn in call["transcript"]]
        assert starts == sorted(starts)
        with wave.open(str(tmp_path / "recordings" / f"{call['call_id']}.wav")) as recording:
            seconds = recording.getnframes() / recording.getframerate()
        assert abs(seconds - call["duration_seconds"]) < 1.0


async def test_a_carrier_that_refuses_the_keys_leaves_the_call_as_it_is(tmp_path: Path) -> None:
    """The model is told and goes on; the line keeps its stream."""
    refused = RuleReplies(
        [
            ("not pressed", Reply("I cannot press keys, goodbye.", (ToolUse("end_call"),))),
            ("code", Reply(SAID[0], (ToolUse("send_digits", {"digits": "1"}),))),
        ],
        otherwise="Pardon?",
    )
    caller = steps(say("Hello?"), hear(), say("Please enter your code."), wait())
    async with vendors(caller, refused) as sims, running_server(tmp_path, **sims.keys()) as server:
        call_id = await server.call(scenario="desk", first_speaker="callee")
        await server.talking(call_id)
        sims.twilio.refuses_twiml = True
        call = await server.ended(call_id)
        assert call["ended_reason"] == "agent_hangup"
        assert texts_of(call, "agent")[-1] == "I cannot press keys, goodbye."
        assert len(sims.twilio.streams) == 1


async def test_without_an_account_the_simulated_callee_gets_the_keys(tmp_path: Path) -> None:
    async with AnthropicSimulator(replies(), api_key="anthropic-key") as claude:
        keys: dict[str, Any] = {"anthropic_api_key": SecretStr("anthropic-key"), "anthropic_base_url": claude.url}
        async with running_server(tmp_path, callees=lambda _: KEYPAD, **keys) as server:
            call = await server.ended(await server.call(scenario="desk", first_speaker="callee"))
            assert (call["status"], call["ended_reason"]) == ("completed", "agent_hangup")
            assert texts_of(call, "agent")[1:] == SAID
            assert isinstance(server.agent.carrier, SimulatedCarrier)
            (simulated,) = server.agent.carrier._network.calls
            assert simulated.callee is not None
            assert simulated.callee.digits_heard == "1#"


async def test_what_the_callee_types_is_their_turn_and_a_secret_is_kept_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One scenario says nothing of keys; the other calls them secret."""
    replies = RuleReplies(
        [
            (
                "471108",
                Reply("4 7 1 1 0 8 is right, goodbye.", (ToolUse("record_outcome", {"pin": "471108"}), BYE)),
            ),
            ("4711", Reply("Order 4711, goodbye.", (BYE,))),
        ],
        otherwise="Pardon?",
    )
    order = steps(say("Hello?"), hear(), press("47"), silence(600), press("11#"), wait())
    pin = steps(say("Hello?"), hear(), press("471108"), wait())
    async with vendors(order, replies, then=[pin]) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(scenario="desk"))
        assert [(turn["text"], turn["keys"]) for turn in call["transcript"] if turn["speaker"] == "callee"] == [
            ("Hello?", False),
            ("4711", True),
        ]
        assert texts_of(call, "agent")[-1] == "Order 4711, goodbye."
        assert sims.anthropic.exchanges[-1].request.last_user_text == "(Keys pressed: 4711)"
        call = await server.ended(await server.call(scenario="keypad"))
        assert [turn["text"] for turn in call["transcript"] if turn["keys"]] == ["****"]
        assert texts_of(call, "agent")[-1] == "**** is right, goodbye."
        assert call["outcome"]["fields"]["pin"] == "****"
        assert "(Keys pressed: 471108" in sims.anthropic.exchanges[-1].request.last_user_text
        assert "471108" not in json.dumps(call)
    assert "471108" not in "".join(capsys.readouterr())
