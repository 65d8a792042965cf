"""pocketsphinx in a pipeline: hears synthetic speech, leaves nothing behind, never waits on the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.tests.utils import SleepFrame

from bot.errors import SettingsError
from bot.pipeline.offline.moonshine_stt import MoonshineModel
from bot.pipeline.offline.pocketsphinx_stt import PocketSphinxSTTService
from bot.pipeline.offline.recognizer import RecognizerSTTService
from bot.pipeline.offline.sphinx import Decoders
from bot.pipeline.offline.voice import CALLEE_PITCH, LocalVoice
from tests.unit.pipeline.offline.line import Line


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    decoders = Decoders()
    decoders.load()
    yield decoders
    decoders.close()


def spoken(pcm: bytes) -> list[Frame]:
    """The audio in 20 ms frames, as a VAD would mark it."""
    pcm = bytes(3200) + pcm + bytes(3200)
    frames: list[Frame] = [InputAudioRawFrame(pcm[at : at + 320], 8000, 1) for at in range(0, len(pcm), 320)]
    return [
        *frames[:20],
        VADUserStartedSpeakingFrame(start_secs=0.2),
        *frames[20:],
        VADUserStoppedSpeakingFrame(stop_secs=0.2),
    ]


async def test_hears_digits_and_a_greeting(voice: LocalVoice, decoders: Decoders, line: Line) -> None:
    digits = await voice.speak("one two three four five", pitch=CALLEE_PITCH)
    hello = await voice.speak("Hello, good morning.", pitch=CALLEE_PITCH)
    threads = threading.active_count()
    # EndFrame comes right after the last word: what was heard by then must still be written down.
    down = await line.run(PocketSphinxSTTService(decoders=decoders), [*spoken(digits.pcm), *spoken(hello.pcm)])
    finals = [frame for frame in down if isinstance(frame, TranscriptionFrame)]
    assert len(finals) == 2
    assert len({"two", "three", "four", "five"} & set(finals[0].text.split())) >= 2
    assert {"hello", "good", "morning"} & set(finals[1].text.split())
    assert finals[1].finalized
    assert any(isinstance(frame, InterimTranscriptionFrame) for frame in down)
    assert threading.active_count() <= threads


async def test_a_decoder_is_used_again_and_starts_fresh(
    voice: LocalVoice, decoders: Decoders, line: Line
) -> None:
    speech = await voice.speak("three four five", pitch=CALLEE_PITCH)
    heard = []
    for _ in range(2):
        down = await line.run(PocketSphinxSTTService(decoders=decoders), spoken(speech.pcm))
        heard.append([frame.text for frame in down if isinstance(frame, TranscriptionFrame)])
    assert heard[0] == heard[1] != []
    first = decoders.take()
    decoders.give_back(first)
    assert decoders.take() is first
    decoders.give_back(first)


async def test_silence_is_not_decoded(decoders: Decoders, line: Line) -> None:
    frames = [InputAudioRawFrame(bytes(320), 8000, 1) for _ in range(200)]
    down = await line.run(PocketSphinxSTTService(decoders=decoders), frames)
    assert not any(isinstance(frame, TranscriptionFrame | InterimTranscriptionFrame) for frame in down)


class _Slow:
    """A recogniser that stands still until it is let go."""

    def __init__(self, go: threading.Event) -> None:
        self.go = go
        self.fed = 0
        self.closed = False

    def start(self) -> None:
        self.go.wait(10)

    def feed(self, pcm: bytes) -> str:
        self.fed += len(pcm)
        return "words"

    def finish(self) -> str:
        return "words"

    def close(self) -> None:
        self.closed = True


async def test_a_recogniser_that_falls_behind_drops_audio_with_one_line(line: Line) -> None:
    go = threading.Event()
    slow = _Slow(go)
    stt = RecognizerSTTService(open_recognizer=lambda: slow, model="slow", ttfs_p99_latency=1.0)
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", filter=lambda record: "behind" in record["message"])
    frames: list[Frame] = [VADUserStartedSpeakingFrame(start_secs=0.2)]
    frames += [InputAudioRawFrame(bytes(1600), 8000, 1) for _ in range(90)]  # 9 s at once

    async def release() -> None:
        await asyncio.sleep(0.3)
        go.set()

    releasing = asyncio.create_task(release())
    down = await line.run(stt, [*frames, SleepFrame(0.4), VADUserStoppedSpeakingFrame(stop_secs=0.2)])
    await releasing
    logger.remove(sink)
    assert slow.fed == 5 * 16000
    assert len(lines) == 1
    assert [frame.text for frame in down if isinstance(frame, TranscriptionFrame)] == ["words"]
    assert slow.closed


async def test_a_recogniser_that_cannot_open_ends_only_its_service(line: Line) -> None:
    def broken() -> _Slow:
        raise OSError("no model")

    stt = RecognizerSTTService(open_recognizer=broken, model="broken", ttfs_p99_latency=1.0)
    down = await line.run(stt, [SleepFrame(0.1), *spoken(bytes(8000))])
    assert not any(isinstance(frame, TranscriptionFrame) for frame in down)
    assert not stt.is_usable


def test_moonshine_without_its_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="uv sync --extra moonshine"):
        MoonshineModel()
