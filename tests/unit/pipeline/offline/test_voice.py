"""The local voice: the same bytes each time, speech of the right length, words where they are spoken."""

from __future__ import annotations

import asyncio

import numpy as np
import numpy.typing as npt
import pytest

from bot.audio import Speech, TimedWord
from bot.errors import PhoneAgentError
from bot.pipeline.offline.voice import CALLEE_PITCH, LocalVoice, clauses, joined
from bot.pipeline.offline.word_times import share_by_letters, text_times

TEXT = "Hello, this is Alex from Downtown Dental. Your appointment is on 3/4/2025 at 2pm!"


def samples(speech: Speech) -> npt.NDArray[np.float64]:
    return np.frombuffer(speech.pcm, "<i2").astype(np.float64) / 32768


def loudness(speech: Speech, start_ms: float, end_ms: float) -> float:
    part = samples(speech)[int(start_ms * 8) : int(end_ms * 8)]
    return float(np.sqrt((part * part).mean())) if len(part) else 0.0


def height(speech: Speech) -> float:
    """The median fundamental of the loud parts, in Hz."""
    found = []
    wave = samples(speech)
    for at in range(0, len(wave) - 400, 200):
        window = wave[at : at + 400] - wave[at : at + 400].mean()
        if np.sqrt((window * window).mean()) > 0.05:
            same = np.correlate(window, window, "full")[399:]
            found.append(8000 / (20 + int(same[20:114].argmax())))
    return float(np.median(found))


async def test_same_text_same_bytes(voice: LocalVoice) -> None:
    other = LocalVoice()
    await asyncio.to_thread(other.load)
    try:
        assert (await other.speak(TEXT)).pcm == (await voice.speak(TEXT)).pcm
    finally:
        other.close()


async def test_words_are_the_text_and_lie_in_the_audio(voice: LocalVoice) -> None:
    speech = await voice.speak(TEXT)
    assert [word.text for word in speech.words] == TEXT.split()
    times = [time_ms for word in speech.words for time_ms in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert times[0] < 150, "leading silence is cut"
    assert speech.duration_ms - 300 < times[-1] <= speech.duration_ms
    assert 4500 < speech.duration_ms < 8500


async def test_every_word_is_audible_at_its_time_and_pauses_are_not(voice: LocalVoice) -> None:
    speech = await voice.speak(TEXT)
    # The model's phoneme ends are 25 ms steps, and a stop consonant begins with silence.
    assert all(loudness(speech, word.start_ms - 50, word.end_ms + 50) > 0.02 for word in speech.words)
    dental, yours = speech.words[6], speech.words[7]
    assert loudness(speech, dental.end_ms + 40, yours.start_ms - 60) < 0.01


async def test_two_persons(voice: LocalVoice) -> None:
    agent = await voice.speak("We would love to see you at our office on Monday.")
    callee = await voice.speak("We would love to see you at our office on Monday.", pitch=CALLEE_PITCH)
    assert height(callee) < 0.85 * height(agent)
    assert abs(callee.duration_ms - agent.duration_ms) < 0.15 * agent.duration_ms


async def test_faster_is_shorter(voice: LocalVoice) -> None:
    slow, fast = (
        await voice.speak("One two three four five."),
        await voice.speak("One two three four five.", speed=1.5),
    )
    assert fast.duration_ms < 0.8 * slow.duration_ms


async def test_stream_gives_a_speech_a_sentence(voice: LocalVoice) -> None:
    parts = [part async for part in voice.stream("First one. And Dr. Smith? Third!")]
    assert [part.text for part in parts] == ["First one.", "And Dr. Smith?", "Third!"]
    assert joined("x", parts).pcm == (await voice.speak("First one. And Dr. Smith? Third!")).pcm


@pytest.mark.parametrize("text", ["", "…", "- ?", "日本"])
async def test_nothing_to_pronounce_is_silence(voice: LocalVoice, text: str) -> None:
    speech = await voice.speak(text)
    assert speech.pcm == b""
    assert [word.text for word in speech.words] == text.split()


async def test_the_loop_runs_on_while_it_speaks(voice: LocalVoice) -> None:
    ticks = 0

    async def ticker() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    task = asyncio.create_task(ticker())
    for number in range(6):
        await voice.speak(f"This is sentence number {number}, and it goes on for quite a while, as you can hear.")
    task.cancel()
    assert ticks > 30, "a loop that is held up ticks once a sentence"


async def test_an_unloaded_voice_says_so() -> None:
    voice = LocalVoice()
    with pytest.raises(PhoneAgentError, match="not loaded"):
        await voice.speak("Hello.")
    voice.close()


def test_clauses_keep_every_word_and_the_limit() -> None:
    text = "one, two three; " * 40
    pieces = clauses(text, 50)
    assert " ".join(pieces).split() == text.split()
    assert max(map(len, pieces)) <= 50
    assert clauses("x" * 120, 50) == ["x" * 50, "x" * 50, "x" * 20]


def test_words_read_differently_share_the_time_between_their_neighbours() -> None:
    spoken = [
        TimedWord("by", 0, 100),
        TimedWord("March", 100, 300),
        TimedWord("fourth,", 300, 500),
        TimedWord("ok", 600, 700),
    ]
    words = text_times("by 3/4, ok", spoken)
    assert words == (TimedWord("by", 0, 100), TimedWord("3/4,", 100, 500), TimedWord("ok", 600, 700))
    assert share_by_letters(["a", "abc"], 0, 400) == [TimedWord("a", 0, 100), TimedWord("abc", 100, 400)]
