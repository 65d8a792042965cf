"""The opening, written and spoken against the vendors' simulators; a failure is quick and leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from anthropic import AsyncAnthropic
from pydantic import SecretStr

from bot.audio import Speech, TimedWord
from bot.conversation import opening
from bot.conversation.opening import SpeechStream
from bot.errors import VendorError
from bot.pipeline.llm.vendors import Claude, LlmBrief, Rules
from bot.pipeline.offline.voice import LocalVoice
from bot.pipeline.resources import Resources
from bot.pipeline.tts.vendors import ElevenLabs, Hibari
from bot.records import CallSpec
from bot.settings import Settings
from tests.simulators import anthropic as claude
from tests.simulators import elevenlabs as eleven
from tests.simulators.anthropic import AnthropicLatency, AnthropicSimulator
from tests.simulators.contexts import Silent
from tests.simulators.elevenlabs import VOICE, ElevenLabsLatency, ElevenLabsSimulator
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import Reply, ScriptedReplies

SPEC = CallSpec(
    "+12025550123", "s", action="Confirm your appointment Thursday at 2pm", callee_name="John", agent_name="Kim"
)
BRIEF = LlmBrief(SPEC, "Be brief.", (), frozenset({"end_call"}), None)
TEXT = "Hi John, this is Kim. I'm calling to confirm your appointment."
QUICK = AnthropicLatency(headers_ms=5, first_token_ms=10, tokens_per_second=2000)


class Ear:
    """Listens to a stream."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def play(self, pcm: bytes) -> None:
        self.heard.append(pcm)

    def place(self, word: TimedWord) -> None:
        self.heard.append(word.text)

    def end(self) -> None:
        self.heard.append("end")


def test_a_listener_is_given_what_there_is_and_then_what_comes() -> None:
    stream, ear = SpeechStream("Hi John."), Ear()
    stream.add_audio(b"aa")
    stream.add_audio(b"bb")
    stream.add_word(TimedWord("Hi", 0, 100))
    stream.play_to(ear)
    assert ear.heard == [b"aabb", "Hi"]
    stream.add_audio(b"cc")
    stream.add_word(TimedWord("John.", 100, 200))
    stream.finish()
    stream.finish()
    assert ear.heard == [b"aabb", "Hi", b"cc", "John.", "end"]
    late = Ear()
    stream.play_to(late)
    assert late.heard == [b"aabbcc", "Hi", "John.", "end"]
    assert stream.speech() == Speech(
        "Hi John.", b"aabbcc", (TimedWord("Hi", 0, 100), TimedWord("John.", 100, 200))
    )


def test_a_stream_is_silent_only_when_it_is_over_without_a_sound() -> None:
    stream, ear = SpeechStream(), Ear()
    assert not stream.silent, "something may still come"
    stream.play_to(ear)
    stream.finish()
    assert stream.silent
    assert ear.heard == ["end"]
    spoken = SpeechStream("Hi")
    spoken.add(Speech("Hi", b"aa"))
    spoken.finish()
    assert not spoken.silent


@asynccontextmanager
async def checked() -> AsyncIterator[None]:
    """No task of ours or of pipecat's is left behind."""
    before = asyncio.all_tasks()
    yield
    left = [
        task for task in asyncio.all_tasks() - before if "/pipecat/" in _where(task) or "/bot/" in _where(task)
    ]
    assert left == []


def _where(task: asyncio.Task[object]) -> str:
    code = getattr(task.get_coro(), "cr_code", None)
    return code.co_filename if code is not None else ""


def with_elevenlabs(sim: ElevenLabsSimulator) -> Resources:
    settings = Settings(
        _env_file=None,
        elevenlabs_api_key=SecretStr("secret"),
        elevenlabs_voice_id=VOICE,
        elevenlabs_base_url=sim.url,
    )
    return Resources(settings)


@asynccontextmanager
async def with_claude(
    *replies: Reply | str, faults: Plan[claude.AnthropicFault] | None = None
) -> AsyncIterator[tuple[AnthropicSimulator, Resources]]:
    async with (
        AnthropicSimulator(ScriptedReplies(list(replies)), latency=QUICK, faults=faults) as sim,
        AsyncAnthropic(api_key="k", base_url=sim.url, max_retries=0, timeout=5) as client,
    ):
        yield sim, Resources(Settings(_env_file=None), anthropic=client)


async def test_claude_writes_the_opening() -> None:
    async with with_claude(f" {TEXT}\n") as (sim, resources), checked():
        assert await opening.write(resources, [Claude()], BRIEF) == TEXT
        (exchange,) = sim.exchanges
        assert exchange.request.system == "Be brief."
        assert "The phone is ringing" in exchange.request.last_user_text


async def test_the_rules_write_one_without_a_vendor() -> None:
    async with checked():
        text = await opening.write(Resources(Settings(_env_file=None)), [Rules()], BRIEF)
    assert "John" in text
    assert "appointment" in text


@pytest.mark.parametrize(
    "fault",
    [claude.Refuse(529), claude.Refuse(401), claude.Drop(after_tokens=2), claude.ErrorEvent(after_tokens=2)],
    ids=["overloaded", "wrong key", "reset", "error in the stream"],
)
async def test_a_claude_that_fails_is_a_vendor_error_at_once(fault: claude.AnthropicFault) -> None:
    async with with_claude(TEXT, faults=Plan(then=fault)) as (_, resources), checked():
        with pytest.raises(VendorError) as caught:
            await opening.write(resources, [Claude()], BRIEF)
        assert caught.value.provider
        assert caught.value.retryable


async def test_a_claude_that_says_nothing_is_a_vendor_error() -> None:
    async with with_claude(Reply("")) as (_, resources), checked():
        with pytest.raises(VendorError, match="no opening"):
            await opening.write(resources, [Claude()], BRIEF)


async def test_a_claude_that_stalls_is_left_alone_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PREPARE_SECONDS", 0.3)
    stall = Plan[claude.AnthropicFault](then=claude.Stall(after_tokens=2))
    async with with_claude(TEXT, faults=stall) as (_, resources), checked():
        with pytest.raises(VendorError, match="too long"):
            await opening.write(resources, [Claude()], BRIEF)


async def test_elevenlabs_speaks_it_with_its_words_in_their_places() -> None:
    latency = ElevenLabsLatency(first_audio_ms=10, speed=200)
    async with ElevenLabsSimulator(api_key="secret", latency=latency) as sim, checked():
        speech = await opening.speak(with_elevenlabs(sim), ElevenLabs(), TEXT, language="en")
        await sim.all_closed()
    assert speech.text == TEXT
    assert speech.duration_ms == len(sim.contexts[0].sent_text) * 60
    assert " ".join(word.text.strip() for word in speech.words) == TEXT
    starts = [word.start_ms for word in speech.words]
    assert all(earlier <= later for earlier, later in pairwise(starts))
    assert 0 <= starts[0] < 200
    assert starts[-1] < speech.duration_ms


async def test_it_is_spoken_as_a_person_says_it_and_kept_as_it_was_written() -> None:
    written = "Siobhan here, about $5 at 10:30."
    async with ElevenLabsSimulator(api_key="secret") as sim, checked():
        speech = await opening.speak(
            with_elevenlabs(sim), ElevenLabs(), written, language="en", pronunciation={"Siobhan": "Shivawn"}
        )
        await sim.all_closed()
    assert sim.contexts[0].sent_text.strip() == "Shivawn here, about five dollars at ten thirty."
    assert " ".join(word.text.strip() for word in speech.words) == written


async def test_a_stream_has_the_first_audio_before_the_last_is_made() -> None:
    latency = ElevenLabsLatency(first_audio_ms=10, speed=4)
    stream, sizes = SpeechStream(TEXT), list[int]()
    async with ElevenLabsSimulator(api_key="secret", latency=latency) as sim, checked():
        speaking = asyncio.create_task(
            opening.speak(with_elevenlabs(sim), ElevenLabs(), TEXT, language="en", stream=stream)
        )
        while not speaking.done():
            sizes.append(len(stream.pcm))
            await asyncio.sleep(0.005)
        speech = await speaking
    assert stream.speech() == speech
    assert any(0 < size < len(speech.pcm) for size in sizes)
    assert not stream.finished, "its maker says when"


async def test_the_local_voice_speaks_it_too() -> None:
    resources = Resources(Settings(_env_file=None), voice=LocalVoice())
    resources.voice.load()
    names = {"John": "Jonathan Alexander"}
    try:
        speech = await opening.speak(resources, Hibari(speed=1.5), "Hello John.", language="en")
        longer = await opening.speak(
            resources, Hibari(speed=1.5), "Hello John, it costs $5.", language="en", pronunciation=names
        )
    finally:
        resources.voice.close()
    assert [word.text for word in speech.words] == ["Hello", "John."]
    assert speech.duration_ms > 300
    assert [word.text for word in longer.words] == ["Hello", "John,", "it", "costs", "$5."]
    assert longer.words[1].start_ms > 2 * speech.words[1].start_ms, "all of the name is spoken by then"


async def test_a_voice_that_refuses_is_a_vendor_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PREPARE_SECONDS", 2.0)
    refuse = Plan[eleven.SocketFault](then=eleven.Refuse())
    async with ElevenLabsSimulator(api_key="secret", faults=refuse) as sim, checked():
        with pytest.raises(VendorError):
            await opening.speak(with_elevenlabs(sim), ElevenLabs(), TEXT, language="en")


async def test_a_voice_that_stays_silent_is_left_alone_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PREPARE_SECONDS", 0.5)
    async with ElevenLabsSimulator(api_key="secret", context_faults=Plan(then=Silent())) as sim, checked():
        with pytest.raises(VendorError):
            await opening.speak(with_elevenlabs(sim), ElevenLabs(), TEXT, language="en")


async def test_giving_up_while_it_is_made_leaves_nothing() -> None:
    """The callee hung up while it rang: its process cancels the opening's task."""
    hang = Plan[claude.AnthropicFault](then=claude.Hang())
    async with with_claude(TEXT, faults=hang) as (sim, resources), checked():
        writing = asyncio.create_task(opening.write(resources, [Claude()], BRIEF))
        while not sim.exchanges:  # noqa: ASYNC110  # the simulator has no event for it
            await asyncio.sleep(0.005)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await asyncio.sleep(0)
