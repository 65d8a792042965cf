"""The voices: word places that grow over a whole turn, the menu, the fallback's needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.services.tts_service import TTSService
from pydantic import SecretStr, TypeAdapter, ValidationError

from bot.pipeline.offline.voice import LocalVoice
from bot.pipeline.resources import Resources
from bot.pipeline.tts.elevenlabs import ElevenLabsService
from bot.pipeline.tts.vendors import ElevenLabs, Hibari, Tts, offline
from bot.settings import Settings
from tests.simulators.elevenlabs import VOICE, ElevenLabsLatency, ElevenLabsSimulator
from tests.unit.pipeline.conversation import Collector, running, until

SENTENCES = "Hello, this is Alex from Downtown Dental. I'm calling about Thursday. Does that still work for you?"
CHARACTER_MS = 60


@pytest.fixture(scope="module")
def voice() -> Iterator[LocalVoice]:
    voice = LocalVoice()
    voice.load()
    yield voice
    voice.close()


def reply(text: str) -> list[Frame]:
    words = [LLMTextFrame(f"{word} ") for word in text.split()]
    return [LLMFullResponseStartFrame(), *words, LLMFullResponseEndFrame()]


async def offsets(service: TTSService, text: str) -> tuple[list[tuple[str, float]], float]:
    """Each word with its place in ms, and the length of the audio in ms."""
    collector = Collector()
    async with running([service, collector]) as pipeline:
        await pipeline.queue(*reply(text))
        await until(lambda: bool(collector.of(TTSStoppedFrame)))
        await asyncio.sleep(0.02)
    frames = [frame for frame in collector.down if isinstance(frame, TTSTextFrame)]
    assert {frame.context_id for frame in frames} == {frames[0].context_id}
    audio = b"".join(frame.audio for frame in collector.down if isinstance(frame, TTSAudioRawFrame))
    return [(frame.text.strip(), frame.metadata["offset_ms"]) for frame in frames], len(audio) / 16


def elevenlabs(sim: ElevenLabsSimulator) -> TTSService:
    settings = Settings(
        _env_file=None,
        elevenlabs_api_key=SecretStr("secret"),
        elevenlabs_voice_id=VOICE,
        elevenlabs_base_url=sim.url,
    )
    return ElevenLabs().build(Resources(settings), language="en")


async def test_words_of_several_sentences_keep_their_places() -> None:
    latency = ElevenLabsLatency(first_audio_ms=10, speed=200)
    async with ElevenLabsSimulator(api_key="secret", latency=latency) as sim:
        words, length_ms = await offsets(elevenlabs(sim), SENTENCES)
        await sim.all_closed()
    assert [word for word, _ in words] == SENTENCES.split()
    places = [place for _, place in words]
    assert all(earlier < later for earlier, later in pairwise(places)), places
    assert places[0] < 500
    assert length_ms - 1500 < places[-1] < length_ms
    spoken = sim.contexts[0].sent_text
    at = 0
    for word, place in words:
        at = spoken.index(word, at)
        assert place == pytest.approx(at * CHARACTER_MS, abs=150), word
        at += len(word)


async def test_the_local_voice_places_its_words_too(voice: LocalVoice) -> None:
    settings = Settings(_env_file=None)
    service = Hibari(speed=1.5).build(Resources(settings, voice=voice), language="en")
    words, length_ms = await offsets(service, SENTENCES)
    assert [word for word, _ in words] == SENTENCES.split()
    places = [place for _, place in words]
    assert all(earlier < later for earlier, later in pairwise(places))
    assert places[-1] < length_ms


@pytest.mark.parametrize(
    "text",
    ["Of course sir, we have an opening for you.", "We would like to welcome you again on the second floor."],
)
async def test_the_local_voice_pauses_no_longer_than_a_comma_between_pieces(voice: LocalVoice, text: str) -> None:
    collector = Collector()
    service = Hibari().build(Resources(Settings(_env_file=None), voice=voice), language="en")
    async with running([service, collector]) as pipeline:
        await pipeline.queue(*reply(text))
        await until(lambda: bool(collector.of(TTSStoppedFrame)))
    pieces = [f for f in collector.down if isinstance(f, AggregatedTextFrame) and not isinstance(f, TTSTextFrame)]
    assert len(pieces) == 2, "this text is spoken in two pieces"
    pcm = b"".join(frame.audio for frame in collector.down if isinstance(frame, TTSAudioRawFrame))
    levels = np.abs(np.frombuffer(pcm, dtype="<i2")[: len(pcm) // 160 * 80].reshape(-1, 80)).max(axis=1)
    silent = "".join("s" if level < 200 else "." for level in levels).strip("s")
    longest_ms = 10 * max((len(run) for run in silent.split(".")), default=0)
    assert longest_ms <= 260, "a comma's pause is 150 to 300 ms"


async def test_a_turn_after_an_interruption_counts_from_its_own_start() -> None:
    latency = ElevenLabsLatency(first_audio_ms=10, speed=200)
    async with ElevenLabsSimulator(api_key="secret", latency=latency) as sim:
        collector = Collector()
        async with running([elevenlabs(sim), collector]) as pipeline:
            await pipeline.queue(*reply(SENTENCES))
            await until(lambda: bool(collector.of(TTSTextFrame)))
            await pipeline.queue(InterruptionFrame())
            await until(lambda: bool(collector.of(InterruptionFrame)))
            seen = len(collector.down)
            await pipeline.queue(*reply("Sure, no problem."))
            await until(lambda: any(isinstance(f, TTSStoppedFrame) for f in collector.down[seen:]))
        fresh = [f for f in collector.down[seen:] if isinstance(f, TTSTextFrame)]
        assert " ".join(f.text.strip() for f in fresh) == "Sure, no problem."
        assert fresh[0].metadata["offset_ms"] < 200
        await sim.all_closed()


async def test_the_vendor_is_asked_for_what_the_line_speaks() -> None:
    async with ElevenLabsSimulator(api_key="secret", latency=ElevenLabsLatency(speed=200)) as sim:
        await offsets(elevenlabs(sim), "Hello.")
        await sim.all_closed()
        (socket,) = sim.sockets
    assert socket.query["output_format"] == "pcm_8000"
    assert socket.query["model_id"] == "eleven_flash_v2_5"
    assert socket.voice_id == VOICE


def test_the_menu_of_voices() -> None:
    menu: TypeAdapter[Any] = TypeAdapter(Tts)
    assert menu.validate_python({"vendor": "hibari", "speed": 1.2}) == Hibari(speed=1.2)
    assert offline() == Hibari()
    for wrong in ({"vendor": "espeak"}, {"vendor": "hibari", "speed": 5}, {"vendor": "elevenlabs", "voice": "x"}):
        with pytest.raises(ValidationError):
            menu.validate_python(wrong)


def test_a_voice_named_by_the_scenario_needs_no_voice_in_the_environment() -> None:
    key_only = Settings(_env_file=None, elevenlabs_api_key=SecretStr("k"))
    assert ElevenLabs().missing(key_only) == ["ELEVENLABS_VOICE_ID"]
    assert ElevenLabs(voice_id="v").missing(key_only) == []
    assert ElevenLabs(voice_id="v").missing(Settings(_env_file=None)) == ["ELEVENLABS_API_KEY"]
    service = ElevenLabs(voice_id="v").build(Resources(key_only), language="en")
    assert isinstance(service, ElevenLabsService)
