"""Simulated callees off a stream: asked by the carrier's voice, and in a conference with another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from bot.telephony.simulated.callee import Callee, NoListener, line_of
from bot.telephony.simulated.off_stream import Conference, Gathered, gather
from bot.telephony.simulated.script import Conversation
from bot.telephony.simulated.twiml_reader import Gather
from tests.simulators.twilio import FormantVoice

VOICE = FormantVoice(character_ms=20)
SAY = {"do": "say", "text": "Yes please."}
WAIT = {"do": "wait_for_hang_up", "within_ms": 20_000}


async def callee(*steps: Mapping[str, object]) -> Callee:
    conversation = Conversation.model_validate({"name": "t", "description": "t", "steps": list(steps)})
    lines = {text: line_of(await VOICE.speak(text)) for text in conversation.texts}
    return Callee(call_sid="CA1", conversation=conversation, lines=lines, listener=NoListener())


def question(**changes: object) -> Gather:
    fields: dict[str, object] = {
        "action": "https://a",
        "inputs": frozenset({"dtmf", "speech"}),
        "prompt_ms": 200,
        "timeout_seconds": 0.3,
        "num_digits": 1,
        "finish_on_key": "#",
        "action_on_empty": True,
    }
    return Gather(**{**fields, **changes})  # type: ignore[arg-type]  # a test's changes


@pytest.mark.parametrize(
    ("steps", "changes", "gathered"),
    [
        (({"do": "press", "digits": "2"}, WAIT), {"prompt_ms": 60_000}, Gathered(digits="2")),
        (({"do": "press", "digits": "12#"}, WAIT), {"num_digits": None}, Gathered(digits="12")),
        (({"do": "press", "digits": "12"}, WAIT), {"num_digits": None}, Gathered(digits="12")),
        ((SAY, WAIT), {}, Gathered(speech="Yes please.")),
        ((SAY, WAIT), {"inputs": frozenset({"dtmf"})}, Gathered()),
        ((WAIT,), {}, Gathered()),
        (({"do": "hang_up"},), {}, Gathered(left=True)),
    ],
    ids=["a key stops the prompt", "finished", "timeout", "speech", "deaf to speech", "nothing", "gone"],
)
async def test_a_question(
    steps: tuple[Mapping[str, object], ...], changes: dict[str, object], gathered: Gathered
) -> None:
    assert await gather(await callee(*steps), question(**changes), asyncio.Event()) == gathered


async def test_the_carriers_voice_is_heard() -> None:
    listens = await callee(
        {"do": "hear", "pause_ms": 100, "or_else": "hang_up"}, {"do": "press", "digits": "1"}, WAIT
    )
    asked = question(prompt_ms=400, timeout_seconds=2)
    assert await gather(listens, asked, asyncio.Event()) == Gathered(digits="1")


async def test_new_orders_end_a_question() -> None:
    stirred = asyncio.Event()
    asking = asyncio.create_task(gather(await callee(WAIT), question(timeout_seconds=60), stirred))
    await asyncio.sleep(0.05)
    stirred.set()
    assert await asking is None


async def test_two_in_a_room_hear_each_other() -> None:
    conference, stirred = Conference(), asyncio.Event()
    speaks = await callee({"do": "silence", "for_ms": 100}, SAY, WAIT)
    hears = await callee({"do": "hear", "pause_ms": 100, "or_else": "hang_up"}, {"do": "hang_up"})
    first = asyncio.create_task(conference.talk("CA1", speaks, stirred))
    assert await conference.talk("CA2", hears, asyncio.Event()), "heard, and hung up"
    assert speaks.said == ["Yes please."]
    assert conference.calls == ("CA1",)
    conference.closed.set()
    assert not await first
    assert not conference.calls
