"""What the stages count is what their vendors were sent: also unheard, again, and in vain."""

from __future__ import annotations

import pytest
from pipecat.frames.frames import InterruptionFrame, LLMTextFrame

from bot.conversation import opening
from bot.pipeline.llm.service import FallbackLLMService
from bot.pipeline.llm.vendors import Claude
from bot.pipeline.tts.vendors import ElevenLabs
from bot.pipeline.usage import Usage, Used
from tests.simulators.anthropic import AnthropicSimulator, Drop, Hang, Refuse, Stall
from tests.simulators.contexts import Empty
from tests.simulators.deepgram import Drop as EarDrop
from tests.simulators.elevenlabs import ElevenLabsLatency, ElevenLabsSimulator
from tests.simulators.faults import Plan
from tests.simulators.test_stt_recogniser import noise, voice
from tests.unit.conversation.test_opening import BRIEF, with_claude, with_elevenlabs
from tests.unit.pipeline.conversation import until
from tests.unit.pipeline.llm.test_service import FIRST, SAID, SECOND, Stage, stage
from tests.unit.pipeline.stt.test_vendors import connected, listening
from tests.unit.pipeline.tts.test_elevenlabs import TEXT, speaking


def counted(it: Stage) -> Usage:
    usage = Usage()
    assert isinstance(it.services[0], FallbackLLMService)
    it.services[0].usage = usage
    return usage


def tokens(usage: Usage, model: str = FIRST) -> dict[str, float | None]:
    return {used.unit: used.quantity for used in usage.items if used.what == model}


def billed(sim: AnthropicSimulator, model: str = FIRST) -> int:
    """Prompt tokens of the requests the simulator has read."""
    return sum(e.usage.input_tokens for e in sim.exchanges if e.usage is not None and e.request.model == model)


async def test_a_replys_tokens() -> None:
    async with stage() as it:
        usage = counted(it)
        await it.ask()
        await it.over()
        assert tokens(usage)["input_tokens"] == billed(it.sim)
        assert tokens(usage)["output_tokens"] == pytest.approx(len(SAID.split()), abs=6)


async def test_a_refusal_is_free_and_a_second_model_is_itself() -> None:
    async with stage(Refuse(529), Refuse(404)) as it:
        usage = counted(it)
        await it.ask()
        await it.over()
        assert tokens(usage) == {}
        assert tokens(usage, SECOND)["input_tokens"] == billed(it.sim, SECOND)


async def test_a_reply_that_breaks_off_is_paid_twice() -> None:
    async with stage(Drop(4)) as it:
        usage = counted(it)
        await it.ask()
        await it.over()
        assert len(it.sim.exchanges) == 2
        assert tokens(usage)["input_tokens"] == billed(it.sim)


async def test_a_reply_that_is_interrupted_costs_what_was_written() -> None:
    async with stage(Stall(after_tokens=6)) as it:
        usage = counted(it)
        await it.ask()
        await until(lambda: len(it.heard.of(LLMTextFrame)) >= 3)
        await it.pipeline.queue(InterruptionFrame())
        await until(lambda: bool(usage.items))
        assert tokens(usage)["input_tokens"] == billed(it.sim)
        written = len(it.sim.exchanges[0].sent_text)
        assert 0 < float(tokens(usage)["output_tokens"] or 0) <= written / 4 + 1


async def test_a_request_withdrawn_before_a_word_is_counted_by_its_length() -> None:
    async with stage(Hang()) as it:
        usage = counted(it)
        await it.ask()
        await until(lambda: len(it.sim.exchanges) == 1)
        await it.pipeline.queue(InterruptionFrame())
        await until(lambda: bool(usage.items))
        assert float(tokens(usage)["input_tokens"] or 0) > 10
        assert "output_tokens" not in tokens(usage)


async def test_characters_are_counted_as_they_are_sent() -> None:
    async with speaking() as call:
        usage = call.services[0].usage = Usage()
        await call.say()
        await call.over()
        sent = sum(len(context.sent_text.replace(" ", "")) for context in call.sim.contexts)
        (used,) = usage.items
        assert (used.vendor, used.what, used.unit) == ("elevenlabs", "eleven_flash_v2_5", "characters")
        assert used.quantity is not None
        assert sent <= used.quantity <= len(TEXT)


async def test_a_text_said_again_is_paid_again() -> None:
    async with speaking(context_faults=Plan((Empty(),))) as call:
        usage = call.services[0].usage = Usage()
        await call.say("Hello there.")
        await call.over()
        assert len(call.sim.contexts) == 2
        assert usage.items[0].quantity == 2 * len("Hello there.")


async def test_the_local_voice_counts_too() -> None:
    async with speaking(ladder=True) as call:
        usage = Usage()
        for service in call.services:
            service.usage = usage
        await call.services[0].give_up("a test", {})
        await call.say("Hello there.")
        await call.over()
        assert [used.vendor for used in usage.items] == ["hibari"]


async def test_audio_is_counted_by_the_second() -> None:
    async with listening(["Yes, speaking."]) as call:
        usage = call.service.usage = Usage()
        await connected(call)
        await call.hear(noise(200) + voice(900) + noise(220))
        await until(lambda: len(call.received) == 16 * 1320)
        assert usage.items == (Used("deepgram", "nova-3", "seconds", 1.32),)


async def test_audio_heard_again_is_paid_again() -> None:
    async with listening(["Yes, speaking."], Plan((EarDrop(after_audio_ms=600),))) as call:
        usage = call.service.usage = Usage()
        await connected(call)
        await call.hear(noise(200) + voice(900) + noise(220))
        await connected(call, 2)
        await until(lambda: call.finals != [] or len(call.sim.connections[1].audio) >= 16 * 1320)
        seconds = usage.items[0].quantity
        assert seconds is not None
        assert seconds > 1.32
        assert seconds == pytest.approx(len(call.received) / 16000, abs=0.8), "what was on its way is billed, too"


async def test_an_openings_words_and_voice_are_counted() -> None:
    usage = Usage()
    async with with_claude("Hi John.") as (_, resources):
        await opening.write(resources, [Claude()], BRIEF, usage=usage)
    latency = ElevenLabsLatency(first_audio_ms=10, speed=200)
    async with ElevenLabsSimulator(api_key="secret", latency=latency) as sim:
        resources = with_elevenlabs(sim)
        await opening.speak(resources, ElevenLabs(), "Hi John.", language="en", usage=usage)
        await sim.all_closed()
    by_unit = {used.unit: used for used in usage.items}
    assert by_unit["characters"].quantity == len("Hi John.")
    assert by_unit["output_tokens"].what == FIRST
