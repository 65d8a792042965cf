"""Scripted STT: every word once, in order, not before it was spoken; and the same inside a pipeline."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    STTMuteFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from bot.audio import TimedWord
from bot.pipeline.offline.scripted_stt import (
    INTERIM_EVERY_MS,
    PAUSE_MS,
    CalleeScripts,
    Final,
    Interim,
    ScriptedSTTService,
    ScriptLine,
    ScriptReader,
)
from bot.pipeline.offline.voice import LocalVoice
from bot.pipeline.offline.word_times import shifted
from tests.unit.pipeline.offline.line import Line


def script_line(text: str, start_ms: float, word_ms: float = 200) -> ScriptLine:
    words = [
        TimedWord(w, start_ms + n * word_ms, start_ms + (n + 1) * word_ms) for n, w in enumerate(text.split())
    ]
    return ScriptLine(text, tuple(words))


@settings(deadline=None, database=None)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    word_ms=st.integers(20, 600),
    gap_ms=st.integers(0, 1500),
    frame_ms=st.sampled_from([20, 40, 100]),
    late=st.integers(0, 800),
    stops=st.lists(st.integers(0, 400), max_size=12),
)
def test_every_told_word_comes_out_once_and_in_order(
    *, lengths: list[int], word_ms: int, gap_ms: int, frame_ms: int, late: int, stops: list[int]
) -> None:
    at = 0.0
    utterances = []
    for number, length in enumerate(lengths):
        utterances.append(script_line(" ".join(f"w{number}.{n}" for n in range(length)), at, word_ms))
        at += length * word_ms + gap_ms
    reader = ScriptReader()
    finals: list[tuple[float, str]] = []
    interims: list[tuple[float, str]] = []
    waiting = list(utterances)
    for tick in range(int((at + PAUSE_MS + late) / frame_ms) + 2):
        now = float(tick * frame_ms)
        due = [u for u in waiting if u.words[0].start_ms + late <= now + late]
        reader.take(due)
        waiting = waiting[len(due) :]
        heard = reader.hear(now) + (reader.stop(now) if tick in stops else [])
        for transcript in heard:
            (finals if isinstance(transcript, Final) else interims).append((now, transcript.text))
    everything = [word for u in utterances for word in u.words]
    assert " ".join(text for _, text in finals).split() == [word.text for word in everything]
    begun = {word.text: word.start_ms for word in everything}
    assert all(begun[word] <= now for now, text in finals + interims for word in text.split())
    gaps = [b[0] - a[0] for a, b in pairwise(interims)]
    assert all(gap >= INTERIM_EVERY_MS for gap in gaps)


def test_words_are_interim_until_the_callee_falls_silent() -> None:
    reader = ScriptReader()
    reader.take([script_line("yes that works", 1000)])
    assert reader.hear(1100) == []
    assert reader.hear(1200) == [Interim("yes")]
    assert reader.hear(1400) == [Interim("yes that")]
    assert reader.hear(1590) == []
    assert reader.stop(1590) == [Final("yes that works")], "the word that has begun is heard"
    assert reader.stop(1800) == reader.hear(5000) == []


def test_without_a_vad_a_pause_ends_the_utterance() -> None:
    reader = ScriptReader()
    reader.take([script_line("hello there", 0), script_line("you", 2000)])
    assert reader.hear(400) == [Interim("hello there")]
    assert reader.hear(400 + PAUSE_MS - 20) == []
    assert reader.hear(400 + PAUSE_MS) == [Final("hello there")]
    assert reader.hear(2600) == [Final("you")]


def test_a_late_clock_keeps_two_utterances_apart() -> None:
    reader = ScriptReader()
    reader.take([script_line("one", 0), script_line("two", 3000)])
    assert reader.hear(9000) == [Final("one"), Final("two")]


def test_calls_are_kept_apart_and_forgotten() -> None:
    scripts = CalleeScripts()
    first, second = script_line("hello", 0), script_line("goodbye", 500)
    scripts.say("CA1", first.text, first.words)
    scripts.say("CA2", second.text, second.words)
    assert scripts.lines("CA1") == (first,)
    assert scripts.lines("CA1", 1) == ()
    scripts.forget("CA1")
    scripts.forget("CA9")
    assert scripts.lines("CA1") == ()
    assert scripts.lines("CA2") == (second,)


def test_words_must_be_those_of_the_text() -> None:
    with pytest.raises(ValueError, match="each word"):
        CalleeScripts().say("CA1", "hello there", [TimedWord("hello", 0, 100)])


def silence(from_ms: int, to_ms: int, frame_ms: int) -> list[Frame]:
    return [InputAudioRawFrame(bytes(16 * frame_ms), 8000, 1) for _ in range(from_ms, to_ms, frame_ms)]


@pytest.mark.parametrize("frame_ms", [20, 100])
async def test_in_a_pipeline_the_samples_are_the_clock(voice: LocalVoice, line: Line, frame_ms: int) -> None:
    scripts = CalleeScripts()
    speech = await voice.speak("Yes, that works for me.")
    scripts.say("CA1", speech.text, shifted(speech.words, 1000))
    stt = ScriptedSTTService(scripts=scripts, call_sid="CA1")
    end = 1000 + int(speech.words[-1].end_ms) // frame_ms * frame_ms
    frames = [
        *silence(0, 1200, frame_ms),
        VADUserStartedSpeakingFrame(start_secs=0.2),
        *silence(1200, end + 200, frame_ms),
        VADUserStoppedSpeakingFrame(stop_secs=0.2),
        *silence(end + 200, end + 1500, frame_ms),
    ]
    down = await line.run(stt, frames)
    finals = [frame for frame in down if isinstance(frame, TranscriptionFrame)]
    interims = [frame.text for frame in down if isinstance(frame, InterimTranscriptionFrame)]
    assert [(frame.text, frame.finalized) for frame in finals] == [(speech.text, True)]
    assert len(interims) >= 3
    assert all(speech.text.startswith(text) for text in interims)
    assert down.index(finals[0]) > next(
        n for n, f in enumerate(down) if isinstance(f, VADUserStoppedSpeakingFrame)
    )
    first = next(n for n, f in enumerate(down) if isinstance(f, InterimTranscriptionFrame))
    before = sum(isinstance(frame, InputAudioRawFrame) for frame in down[:first]) * frame_ms
    assert (
        1000 + speech.words[0].end_ms - frame_ms
        <= before + frame_ms
        <= 1000 + speech.words[0].end_ms + 2 * frame_ms
    )
    assert "scripted" in stt.name


async def test_muted_words_come_when_it_is_unmuted(line: Line) -> None:
    scripts = CalleeScripts()
    scripts.say("CA1", "hello", [TimedWord("hello", 0, 300)])
    frames = [STTMuteFrame(mute=True), *silence(0, 1000, 20), STTMuteFrame(mute=False), *silence(1000, 1100, 20)]
    down = await line.run(ScriptedSTTService(scripts=scripts, call_sid="CA1"), frames)
    assert [frame.text for frame in down if isinstance(frame, TranscriptionFrame)] == ["hello"]


async def test_the_end_of_the_call_finishes_what_was_heard(line: Line) -> None:
    scripts = CalleeScripts()
    scripts.say("CA1", "good bye", [TimedWord("good", 0, 300), TimedWord("bye", 300, 500)])
    down = await line.run(ScriptedSTTService(scripts=scripts, call_sid="CA1"), silence(0, 520, 20))
    assert [frame.text for frame in down if isinstance(frame, TranscriptionFrame)] == ["good bye"]
