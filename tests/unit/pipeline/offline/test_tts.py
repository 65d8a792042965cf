"""The local voice in a pipeline: pieces, word times that grow over a turn, prompt silence on interruption."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.tests.utils import SleepFrame

from bot.pipeline.offline.tts import LocalTTSService
from bot.pipeline.offline.voice import LocalVoice
from tests.unit.pipeline.offline.line import Line

SENTENCES = [
    "Hello John, this is Alex.",
    "I'm calling about your appointment on 3/4/2025!",
    "Is Dr. Smith at 2pm okay?",
]


def turn(text: str) -> list[Frame]:
    return [
        LLMFullResponseStartFrame(),
        *(LLMTextFrame(f"{word} ") for word in text.split()),
        LLMFullResponseEndFrame(),
    ]


async def test_a_turn_is_one_context_with_growing_word_times(voice: LocalVoice, line: Line) -> None:
    down = await line.run(LocalTTSService(voice=voice), turn(" ".join(SENTENCES)))
    audio = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    words = [frame for frame in down if isinstance(frame, TTSTextFrame)]
    expected = [await voice.speak(sentence) for sentence in SENTENCES]

    assert b"".join(frame.audio for frame in audio) == b"".join(speech.pcm for speech in expected)
    assert {frame.sample_rate for frame in audio} == {8000}
    assert max(frame.num_frames for frame in audio) <= 1600, "pieces of at most 200 ms"
    assert len({f.context_id for f in audio} | {f.context_id for f in words}) == 1
    assert [type(f) for f in down if isinstance(f, TTSStartedFrame | TTSStoppedFrame)] == [
        TTSStartedFrame,
        TTSStoppedFrame,
    ]
    assert [frame.text for frame in words] == " ".join(SENTENCES).split()

    offset = 0.0
    due = []
    for speech in expected:
        due += [offset + word.start_ms for word in speech.words]
        offset += speech.duration_ms
    first = words[0].pts
    assert first is not None
    heard = [((frame.pts or 0) - first) / 1e6 + due[0] for frame in words]
    assert all(abs(a - b) < 1 for a, b in zip(heard, due, strict=True))


async def test_each_spoken_frame_is_a_context_of_its_own(voice: LocalVoice, line: Line) -> None:
    down = await line.run(LocalTTSService(voice=voice), [TTSSpeakFrame("Hold on."), TTSSpeakFrame("Goodbye.")])
    audio = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    assert len(dict.fromkeys(frame.context_id for frame in audio)) == 2
    assert [frame.text for frame in down if isinstance(frame, TTSTextFrame)] == ["Hold", "on.", "Goodbye."]
    assert sum(isinstance(frame, TTSStoppedFrame) for frame in down) == 2


async def test_an_interruption_ends_the_turn_and_the_next_one_is_whole(voice: LocalVoice, line: Line) -> None:
    tts = LocalTTSService(voice=voice)
    long_turn = turn(" ".join(f"This is sentence number {number} of a very long turn." for number in range(30)))
    down = await line.run(tts, [*long_turn[:-1], SleepFrame(0.15), InterruptionFrame(), *turn("Yes, of course.")])
    cut = next(n for n, frame in enumerate(down) if isinstance(frame, InterruptionFrame))
    after = [frame for frame in down[cut:] if isinstance(frame, TTSAudioRawFrame)]
    assert b"".join(frame.audio for frame in after) == (await voice.speak("Yes, of course.")).pcm
    assert [frame.text for frame in down[cut:] if isinstance(frame, TTSTextFrame)] == ["Yes,", "of", "course."]
    assert tts._spoken_ms == {}, "nothing of the cut turn is kept"


async def test_mere_punctuation_is_no_fault(voice: LocalVoice, line: Line) -> None:
    down = await line.run(LocalTTSService(voice=voice), [TTSSpeakFrame("… - …")])
    assert any(isinstance(frame, TTSAudioRawFrame) for frame in down)
    await asyncio.sleep(0)
