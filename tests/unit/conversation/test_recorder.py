"""The recorder: turns as they grow, latencies by the clock, a store that is told in time."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipecat.frames.frames import MetricsFrame
from pipecat.metrics.metrics import TextAggregationMetricsData, TTFBMetricsData

from bot import languages
from bot.conversation import recorder as recorder_module
from bot.conversation.recorder import CLOSING_TRIES, KEEP_SECONDS, Greeted, Recorder, greeted
from bot.conversation.redaction import redacted
from bot.conversation.reports import CallReports
from bot.records import Speaker, Turn, TurnLatency
from tests.unit.clocks import VirtualLoop, run


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class MemoryStore:
    """Keeps the last version of each turn; fails as often as it is told to."""

    kept: dict[int, Turn] = field(default_factory=dict)
    writes: list[tuple[float, Turn]] = field(default_factory=list)
    failures: int = 0

    async def put_turn(self, call_id: str, turn: Turn) -> None:
        assert call_id == "call-1"
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is full")
        self.kept[turn.index] = turn
        self.writes.append((asyncio.get_running_loop().time(), turn))


@dataclass
class Completed(CallReports):
    turns: list[Turn]

    def turn_completed(self, turn: Turn) -> None:
        self.turns.append(turn)


@dataclass
class Call:
    recorder: Recorder
    clock: Clock
    media_ms: list[int]
    complete: list[Turn]

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.media_ms[0] += round(seconds * 1000)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    clock, media_ms = Clock(), [0]
    monkeypatch.setattr(recorder_module, "time", SimpleNamespace(monotonic=clock.monotonic))
    complete: list[Turn] = []
    recorder = Recorder(
        "call-1", MemoryStore(), lambda: media_ms[0], vad_start_ms=160, reports=Completed(complete)
    )
    return Call(recorder, clock, media_ms, complete)


def ttfb(name: str, seconds: float) -> MetricsFrame:
    return MetricsFrame(data=[TTFBMetricsData(processor=name, value=seconds)])


def gathered(seconds: float) -> MetricsFrame:
    return MetricsFrame(data=[TextAggregationMetricsData(processor="tts", value=seconds)])


def test_a_callees_turn_from_noise_to_words(call: Call) -> None:
    recorder, done = call.recorder, call.complete
    call.advance(2.16)
    recorder.callee_speech_started()
    call.advance(0.5)
    recorder.callee_words("Who", final=False)
    recorder.callee_words("Who is", final=False)
    call.advance(0.5)
    recorder.callee_words("Who is this?", final=True)
    recorder.callee_words("And wh", final=False)
    recorder.callee_words("And why?", final=True)
    call.advance(0.3)
    recorder.callee_speech_stopped(0.2)
    recorder.callee_turn_over("Who is this? And why?")
    (turn,) = recorder.turns
    assert (turn.speaker, turn.text, turn.complete) == (Speaker.CALLEE, "Who is this? And why?", True)
    assert (turn.start_ms, turn.end_ms) == (2000, 3260)
    assert done == [turn]


def test_what_a_recording_said_is_marked_and_given_back_to_the_callee(call: Call) -> None:
    recorder = call.recorder
    for words in ("You are number two.", "Cardiology."):
        recorder.callee_words(words, final=True)
        recorder.callee_turn_over(words, recording=True)
    recorder.recording_was_callee()
    assert [turn.speaker for turn in recorder.turns] == [Speaker.RECORDING, Speaker.CALLEE]


def test_noise_is_no_turn_and_renumbers_none(call: Call) -> None:
    recorder = call.recorder
    recorder.callee_speech_started()
    recorder.callee_turn_over("")
    recorder.agent_words("Hello")
    recorder.agent_turn_over("Hello", interrupted=False)
    assert [turn.index for turn in recorder.kept_turns()] == [1]


def test_speech_without_a_final_transcript_keeps_its_interim_words(call: Call) -> None:
    call.recorder.callee_words("I was say", final=False)
    call.recorder.callee_turn_over("")
    assert [turn.text for turn in call.recorder.kept_turns()] == ["I was say"]


def test_an_agents_turn_is_what_was_heard(call: Call) -> None:
    recorder = call.recorder
    call.advance(1)
    for word in ("Hello", "there,", "John"):
        recorder.agent_words(word)
        call.advance(0.3)
    assert recorder.turns[0].text == "Hello there, John"
    assert not recorder.turns[0].complete
    recorder.agent_turn_over("Hello there, John —", interrupted=True)
    (turn,) = recorder.turns
    assert (turn.text, turn.interrupted, turn.start_ms, turn.end_ms) == ("Hello there, John —", True, 1000, 1900)
    assert recorder.counts.interruptions == 1
    recorder.agent_turn_over("", interrupted=True)
    assert recorder.counts.interruptions == 1, "a turn nobody heard was not interrupted"


def test_the_parts_of_a_reply_add_up_to_voice_to_voice(call: Call) -> None:
    recorder = call.recorder
    recorder.callee_speech_started()
    call.advance(0.2)
    recorder.callee_speech_stopped(0.2)
    call.advance(0.15)
    recorder.callee_words("Yes.", final=True)
    call.advance(0.05)
    recorder.callee_turn_over("Yes.")
    recorder.metrics(ttfb("llm", 0.3), llm={"llm"}, tts={"tts"})
    recorder.metrics(gathered(0.04), llm={"llm"}, tts={"tts"})
    recorder.metrics(ttfb("tts", 0.12), llm={"llm"}, tts={"tts"})
    recorder.metrics(ttfb("tts", 9.0), llm={"llm"}, tts={"tts"})
    recorder.metrics(ttfb("stt", 9.0), llm={"llm"}, tts={"tts"})
    call.advance(0.3 + 0.04 + 0.12 + 0.01)
    recorder.audio_sent(call.clock.now)
    recorder.agent_words("Great")
    latency = recorder.turns[1].latency
    expected = TurnLatency(
        voice_to_voice_ms=870.0,
        vad_ms=200.0,
        stt_ms=150.0,
        turn_ms=50.0,
        llm_ms=300.0,
        sentence_ms=40.0,
        tts_ms=120.0,
        line_ms=10.0,
    )
    assert latency is not None
    assert latency == expected
    parts = (latency.vad_ms, latency.stt_ms, latency.turn_ms, latency.llm_ms, latency.sentence_ms)
    assert sum(part or 0 for part in (*parts, latency.tts_ms, latency.line_ms)) == latency.voice_to_voice_ms


def test_an_opening_or_a_prompt_has_no_latency_and_leaves_none_behind(call: Call) -> None:
    recorder = call.recorder
    recorder.metrics(ttfb("tts", 0.5), llm={"llm"}, tts={"tts"})
    recorder.audio_sent(call.clock.now)
    recorder.agent_words("Are you there?")
    recorder.agent_turn_over("Are you there?", interrupted=False)
    assert recorder.turns[0].latency is None
    recorder.callee_speech_stopped(0.2)
    recorder.callee_words("Yes", final=True)
    recorder.callee_turn_over("Yes")
    recorder.metrics(ttfb("tts", 0.1), llm={"llm"}, tts={"tts"})
    call.advance(0.4)
    recorder.audio_sent(call.clock.now)
    recorder.agent_words("Good.")
    latency = recorder.turns[-1].latency
    assert latency is not None
    assert latency.tts_ms == 100.0
    assert latency.llm_ms is None


def test_only_the_first_audio_of_a_reply_is_its_latency(call: Call) -> None:
    recorder = call.recorder
    recorder.callee_speech_stopped(0.2)
    recorder.callee_words("Yes", final=True)
    recorder.callee_turn_over("Yes")
    call.advance(0.5)
    recorder.audio_sent(call.clock.now)
    call.advance(2)
    recorder.audio_sent(call.clock.now)
    recorder.agent_words("So,")
    latency = recorder.turns[-1].latency
    assert latency is not None
    assert latency.voice_to_voice_ms == 700.0


def test_a_filler_is_not_the_reply_whose_latency_counts(call: Call) -> None:
    recorder = call.recorder
    recorder.callee_speech_stopped(0.2)
    recorder.callee_words("Yes", final=True)
    recorder.callee_turn_over("Yes")
    call.advance(2.5)
    recorder.filler_sent()
    recorder.agent_words("One moment.")
    call.advance(1.3)
    recorder.audio_sent(call.clock.now)
    recorder.agent_words("Good.")
    recorder.agent_turn_over("One moment. Good.", interrupted=False)
    latency = recorder.turns[-1].latency
    assert latency is not None
    assert latency.voice_to_voice_ms == 4000.0


def test_a_reply_that_comes_under_its_filler_leaves_no_latency_to_the_next(call: Call) -> None:
    recorder = call.recorder
    recorder.callee_speech_stopped(0.2)
    recorder.callee_words("Yes", final=True)
    recorder.callee_turn_over("Yes")
    recorder.filler_sent()
    recorder.agent_words("One moment. Good.")
    recorder.agent_turn_over("One moment. Good.", interrupted=False)
    call.advance(10)
    recorder.audio_sent(call.clock.now)
    recorder.agent_words("Are you there?")
    assert [turn.latency for turn in recorder.turns[-2:]] == [None, None]


def test_tools_belong_to_the_reply_they_came_with(call: Call) -> None:
    recorder = call.recorder
    recorder.callee_words("Yes.", final=True)
    recorder.callee_turn_over("Yes.")
    recorder.tool_used("record_outcome", {"a": 1}, {"ok": True})
    recorder.agent_words("Good.")
    recorder.tool_used("take_message", {}, {})
    recorder.agent_turn_over("Good.", interrupted=False)
    recorder.tool_used("end_call", {}, {})
    assert [use.name for use in recorder.turns[1].tools] == ["record_outcome", "take_message", "end_call"]


async def test_closing_completes_what_is_open_and_drops_what_is_empty(call: Call) -> None:
    recorder = call.recorder
    recorder.agent_words("Good")
    recorder.agent_turn_over("Good", interrupted=False)
    recorder.callee_words("Well", final=False)
    recorder.callee_turn_over("Well")
    recorder.tool_used("end_call", {}, {})
    recorder.callee_speech_started()
    recorder.agent_words("Goodb")
    await recorder.close()
    await recorder.run()
    assert all(turn.complete for turn in recorder.turns)
    assert [turn.text for turn in recorder.kept_turns()] == ["Good", "Well", "Goodb"]
    store = recorder._store
    assert isinstance(store, MemoryStore)
    assert tuple(store.kept.values()) == recorder.kept_turns()
    assert [use.name for turn in recorder.kept_turns() for use in turn.tools] == ["end_call"]


# -- the store, in virtual time ----------------------------------------------------------------------------


def test_a_change_is_kept_within_a_second() -> None:
    loop = VirtualLoop()
    store = MemoryStore()

    async def main() -> None:
        recorder = Recorder("call-1", store, lambda: 0, vad_start_ms=0)
        running = asyncio.create_task(recorder.run())
        said: list[tuple[float, str]] = []
        for number in range(40):
            recorder.agent_words(f"w{number}")
            said.append((loop.time(), f"w{number}"))
            await asyncio.sleep(0.13)
        await asyncio.sleep(3)
        for at, word in said:
            first = min(when for when, turn in store.writes if word in turn.text.split())
            assert first - at <= KEEP_SECONDS + 0.01
        assert len(store.writes) <= 40 * 0.13 + 2, "and not with every word"
        await recorder.close()
        await running

    run(loop, main())


def test_a_store_that_fails_is_tried_again_without_further_news() -> None:
    loop = VirtualLoop()
    store = MemoryStore(failures=2)

    async def main() -> None:
        recorder = Recorder("call-1", store, lambda: 0, vad_start_ms=0)
        running = asyncio.create_task(recorder.run())
        recorder.agent_words("Hello")
        await asyncio.sleep(2.5)
        assert store.kept[0].text == "Hello"
        await recorder.close()
        await running

    run(loop, main())


@pytest.mark.parametrize(("failures", "kept"), [(0, True), (CLOSING_TRIES - 1, True), (1000, False)])
def test_the_end_is_tried_again_and_ends(failures: int, kept: bool) -> None:
    loop = VirtualLoop()
    store = MemoryStore()

    async def main() -> None:
        recorder = Recorder("call-1", store, lambda: 0, vad_start_ms=0)
        running = asyncio.create_task(recorder.run())
        recorder.agent_words("Hello")
        await asyncio.sleep(2)
        recorder.agent_words("again")
        store.failures = failures
        await recorder.close()
        await running
        assert (store.kept[0].text == "Hello again") is kept

    run(loop, main())


def test_keys_are_a_turn_beside_the_speech_that_goes_on_and_secrets_are_not_kept(call: Call) -> None:
    recorder = call.recorder
    recorder.callee_speech_started()
    recorder.callee_words("My code is", final=False)
    recorder.secrets.add("4711")
    recorder.callee_keys("****")
    recorder.callee_turn_over("My code is")
    recorder.agent_words("I have")
    recorder.tool_used("check", {"pin": "4711"}, {"pin": 4711, "status": "right"})
    recorder.agent_words("4 7 1 1.")
    recorder.agent_turn_over("I have 4 7 1 1.", interrupted=False)
    assert [(turn.text, turn.keys) for turn in call.complete] == [
        ("****", True),
        ("My code is", False),
        ("I have ****.", False),
    ]
    (use,) = call.complete[-1].tools
    assert (use.arguments, use.result) == ({"pin": "****"}, {"pin": "****", "status": "right"})


@pytest.mark.parametrize(
    ("hello_ended", "first_word", "now", "met"),
    [
        (None, 400, 9000, (None, None)),
        (900, 1200, 9000, (300.0, False)),
        (900, 2901, 9000, (2001.0, True)),
        (900, 500, 9000, (0.0, False)),
        (900, None, 9000, (None, True)),
        (900, None, 1500, (None, False)),
    ],
)
def test_how_soon_a_hello_is_answered(
    hello_ended: int | None, first_word: int | None, now: int, met: tuple[float | None, bool | None]
) -> None:
    assert greeted(hello_ended, first_word, now) == Greeted(*met)


def test_turns_that_something_was_cut_out_of_are_known(call: Call) -> None:
    recorder = Recorder(
        *("call-1", MemoryStore(), lambda: call.media_ms[0]),
        vad_start_ms=160,
        redact=functools.partial(redacted, language=languages.of("en")),
    )
    for text in ("Hello there.", "four one one one", "It is Thursday."):
        call.media_ms[0] += 1000
        recorder.callee_words(text, final=True)
        call.media_ms[0] += 500
        recorder.callee_turn_over(text)
    recorder.agent_words("So that is 4111 1111 1111 1111.")
    assert [turn.text for turn in recorder.kept_turns()] == [
        *("Hello there.", "[redacted]", "It is Thursday."),
        "So that is [redacted].",
    ]
    assert recorder.cut_spans() == ((2500, 3000), (4500, None))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 3)),
        st.tuples(st.just("speech"), st.floats(0, 2)),
        st.tuples(st.just("silence"), st.floats(0, 2)),
        st.tuples(st.sampled_from(["interim", "final", "over", "noise", "mhm", "keys", "agent", "agent over"])),
    ),
    max_size=40,
)


@given(STEPS)
def test_a_turn_never_ends_before_it_begins(steps: list[tuple[Any, ...]]) -> None:
    """However late a busy machine hears of speech and silence, and in whatever order words and ends come."""
    media_ms = [0]
    recorder = Recorder("call-1", MemoryStore(), lambda: media_ms[0], vad_start_ms=160)
    acts: dict[str, Callable[..., object]] = {
        "wait": lambda seconds: media_ms.__setitem__(0, media_ms[0] + round(seconds * 1000)),
        "speech": recorder.callee_speech_started,
        "silence": lambda seconds: recorder.callee_speech_stopped(0.2, seconds),
        "interim": lambda: recorder.callee_words("I was", final=False),
        "final": lambda: recorder.callee_words("I was saying", final=True),
        "over": lambda: recorder.callee_turn_over("I was saying"),
        "noise": lambda: recorder.callee_turn_over(""),
        "mhm": lambda: recorder.callee_backchannel("mhm", 1.5),
        "keys": lambda: recorder.callee_keys("12"),
        "agent": lambda: recorder.agent_words("Hello"),
        "agent over": lambda: recorder.agent_turn_over("Hello", interrupted=False),
    }
    for name, *values in steps:
        acts[name](*values)
    for turn in recorder.turns:
        assert turn.start_ms >= 0
        assert turn.end_ms is None or turn.start_ms <= turn.end_ms, (turn, steps)
