"""What a sound over the agent's voice becomes, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from pipecat.frames.frames import (
    Frame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from bot import languages
from bot.pipeline.turns.barge_in import AgentOnLine, BargeIn
from bot.pipeline.turns.interjection import AgentVoice, Interjection, InterruptionSettings
from bot.pipeline.turns.interjection import BargeInAct as Act
from bot.pipeline.turns.vad import VoiceActivity

WINDOW = 0.032
TALKING = AgentVoice(sounding=True, left=3.0)
SILENT = AgentVoice(sounding=False)


class Room:
    """The callee makes sounds, window by window; every act is noted with its time."""

    def __init__(self, language: str = "en", agent: AgentVoice = TALKING, **settings: Any) -> None:
        self.interjection = Interjection(InterruptionSettings(**settings), languages.of(language))
        self.voice = VoiceActivity()
        self.agent = agent
        self.now = 100.0
        self.acts: list[tuple[Act, float]] = []
        self.pass_time(0.5)
        self.began = self.now

    def pass_time(self, seconds: float, *, voiced: bool = False) -> None:
        for _ in range(round(seconds / WINDOW)):
            self.now += WINDOW
            self.voice.note(voiced, 3000.0 if voiced else 10.0, WINDOW, self.now)
            self.ask()

    def speak(self, seconds: float) -> None:
        self.pass_time(seconds, voiced=True)

    def hear(self, text: str, *, final: bool = False) -> None:
        self.interjection.hear(text, final=final)
        self.ask()

    def ask(self) -> None:
        act = self.interjection.decide(self.now, self.voice, self.agent)
        if act is not Act.NOTHING:
            self.acts.append((act, round(self.now - getattr(self, "began", self.now), 3)))

    @property
    def done(self) -> list[Act]:
        return [act for act, _ in self.acts]

    def at(self, act: Act) -> float:
        return next(at for done, at in self.acts if done is act)


def test_a_silent_agent_is_interrupted_by_nobody() -> None:
    room = Room(agent=SILENT)
    room.speak(1.0)
    room.pass_time(1.0)
    assert room.done == []
    assert not room.interjection.withholding


def test_a_voice_pauses_the_agent_within_200_ms() -> None:
    room = Room()
    room.speak(0.2)
    assert room.done == [Act.HOLD]
    assert room.at(Act.HOLD) <= 0.1


def test_a_cough_is_over_and_the_agent_goes_on_within_a_second() -> None:
    room = Room()
    room.speak(0.3)
    room.pass_time(1.0)
    assert room.done == [Act.HOLD, Act.RESUME]
    assert room.at(Act.RESUME) - room.at(Act.HOLD) < 1.0
    room.pass_time(3.0)
    assert room.done == [Act.HOLD, Act.RESUME, Act.FORGET]


@pytest.mark.parametrize("words", ["mhm", "Uh-huh.", "okay", "yeah, right", "I see"])
def test_a_backchannel_lets_the_agent_go_on(words: str) -> None:
    room = Room()
    room.speak(0.4)
    room.pass_time(0.2)
    room.hear(words, final=True)
    assert room.done == [Act.HOLD, Act.RESUME]
    assert room.at(Act.RESUME) - room.at(Act.HOLD) < 1.0
    assert room.interjection.words == words
    room.pass_time(2.5)
    assert room.done[-1] is Act.FORGET


@pytest.mark.parametrize("words", ["what time", "no", "that does not", "I have a dog"])
def test_words_interrupt(words: str) -> None:
    room = Room()
    room.speak(0.25)
    room.hear(words)
    assert room.done == [Act.HOLD, Act.INTERRUPT]
    assert not room.interjection.withholding


@pytest.mark.parametrize(("language", "words"), [("en", "wait"), ("en", "okay hold on"), ("es", "espere")])
def test_words_that_stop_do_so_at_once(language: str, words: str) -> None:
    room = Room(language, min_words=4)
    room.speak(0.2)
    room.hear(words)
    assert room.done == [Act.HOLD, Act.INTERRUPT]


def test_half_a_second_of_speech_interrupts_without_words() -> None:
    room = Room()
    room.speak(1.0)
    assert room.done == [Act.HOLD, Act.INTERRUPT]
    assert 0.5 <= room.at(Act.INTERRUPT) <= 0.55


def test_an_ear_that_tells_words_as_they_come_is_waited_for() -> None:
    """Speech without a word of it is music or somebody else's; the agent is silent while it may be words."""
    room = Room()
    room.interjection.learn(VoiceActivity(), interim=True)
    room.speak(1.5)
    assert room.done == [Act.HOLD]
    room.speak(1.0)
    assert room.done == [Act.HOLD, Act.RESUME]
    assert 2.0 <= room.at(Act.RESUME) <= 2.2


def test_a_background_that_was_recognised_pauses_no_more_and_its_loud_neighbour_does() -> None:
    room = Room()
    room.interjection.learn(VoiceActivity(), interim=True)
    room.speak(2.2)
    assert room.done == [Act.HOLD, Act.RESUME]
    room.pass_time(0.5)
    room.speak(2.0)
    assert room.done == [Act.HOLD, Act.RESUME, Act.FORGET]
    room.hear("what was that")
    assert room.done[-1:] == [Act.INTERRUPT], "words count, however soft"
    room.pass_time(1.0)
    for _ in range(5):
        room.now += WINDOW
        room.voice.note(True, 12_000.0, WINDOW, room.now)
        room.ask()
    assert room.done[-1] is Act.HOLD


def test_a_voice_much_softer_than_the_callees_pauses_nobody_unless_it_has_words() -> None:
    room = Room()
    loud = VoiceActivity(loudness=12_000.0)
    room.interjection.learn(loud, interim=False)
    room.speak(2.0)
    assert room.done == []
    assert room.interjection.withholding
    room.hear("mhm")
    assert room.done == []
    room.hear("mhm but")
    assert room.done == [Act.INTERRUPT]


def test_words_of_a_longer_sentence_are_waited_for_when_it_is_over() -> None:
    room = Room()
    room.interjection.learn(VoiceActivity(), interim=True)
    room.speak(1.0)
    room.pass_time(0.5)
    room.hear("where do I park", final=True)
    assert room.done == [Act.HOLD, Act.INTERRUPT]


def test_more_than_a_greeting_is_let_be_over_the_opening() -> None:
    room = Room(agent=replace(TALKING, opening=True))
    room.speak(1.3)
    room.hear("Hello? Who is this?", final=True)
    room.pass_time(0.3)
    assert room.done == [Act.HOLD, Act.RESUME]


def test_a_backchannel_may_last_longer_than_that_but_not_for_ever() -> None:
    room = Room()
    room.speak(0.4)
    room.hear("uh-huh")
    room.speak(0.3)
    assert room.done == [Act.HOLD]
    room.speak(0.5)
    assert room.done == [Act.HOLD, Act.INTERRUPT]


def test_with_more_words_asked_for_mere_speech_does_not_interrupt() -> None:
    room = Room(min_words=3)
    room.speak(0.9)
    room.hear("no no")  # asks to stop
    assert room.done == [Act.HOLD, Act.INTERRUPT]
    room = Room(min_words=3)
    room.speak(0.6)
    room.hear("Thursday evening")
    room.speak(0.3)
    assert room.done == [Act.HOLD]
    room.hear("Thursday evening please")
    assert room.done == [Act.HOLD, Act.INTERRUPT]


def test_words_that_come_late_still_interrupt() -> None:
    room = Room()
    room.speak(0.3)
    room.pass_time(0.6)
    assert room.done == [Act.HOLD, Act.RESUME]
    room.hear("that is wrong", final=True)
    assert room.done == [Act.HOLD, Act.RESUME, Act.INTERRUPT]


def test_the_next_sound_is_judged_by_itself() -> None:
    room = Room()
    room.speak(0.3)
    room.pass_time(0.8)
    room.hear("mhm", final=True)
    room.speak(0.3)
    room.hear("but wait")
    assert room.done == [
        Act.HOLD,
        Act.RESUME,
        Act.FORGET,
        Act.HOLD,
        Act.INTERRUPT,
    ]


def test_the_last_words_of_a_reply_are_said_and_the_answer_is_kept() -> None:
    room = Room(agent=replace(TALKING, left=0.3, complete=True))
    room.speak(0.3)
    assert room.done == []
    assert room.interjection.withholding
    room.hear("yes that works")
    room.agent = SILENT
    room.speak(0.1)
    assert room.done == [Act.RELEASE]


def test_a_yes_over_the_end_of_a_question_answers_it() -> None:
    room = Room(agent=replace(TALKING, left=1.0, complete=True, asks=True))
    room.speak(0.3)
    room.pass_time(0.3)
    room.hear("yes", final=True)
    assert room.done == [Act.HOLD, Act.RESUME]
    room.pass_time(1.0)
    room.agent = SILENT
    room.pass_time(0.1)
    assert room.done == [Act.HOLD, Act.RESUME, Act.RELEASE]


def test_a_yes_over_a_statement_answers_nothing() -> None:
    room = Room(agent=replace(TALKING, left=1.0, complete=True))
    room.speak(0.3)
    room.pass_time(0.3)
    room.hear("yes", final=True)
    room.agent = SILENT
    room.pass_time(0.1)
    assert room.done == [Act.HOLD, Act.RESUME, Act.FORGET]


def test_a_greeting_over_the_opening_is_no_interruption() -> None:
    room = Room(agent=replace(TALKING, opening=True))
    room.speak(0.4)
    room.pass_time(0.2)
    room.hear("Hello?", final=True)
    assert room.done == [Act.HOLD, Act.RESUME]
    room = Room()
    room.speak(0.4)
    room.hear("Hello?")
    assert room.done == [Act.HOLD, Act.INTERRUPT]


@pytest.mark.parametrize(("words", "act"), [("Hello?", Act.FORGET), ("What is it", Act.INTERRUPT)])
def test_a_hello_that_an_ear_tells_of_when_the_opening_has_begun_is_answered_by_it(words: str, act: Act) -> None:
    room = Room(agent=SILENT)
    room.speak(0.4)
    room.pass_time(0.5)
    room.agent = replace(TALKING, opening=True)
    room.ask()
    room.interjection.start_late(room.now, room.voice, room.agent)
    assert room.interjection.withholding
    room.hear(words, final=True)
    room.pass_time(2.5)
    assert room.done == [act]


def test_what_must_be_heard_is_heard_and_what_is_said_over_it_is_kept() -> None:
    room = Room(agent=replace(TALKING, protected=True))
    room.speak(0.8)
    room.hear("stop it please", final=True)
    room.pass_time(1.0)
    assert room.done == []
    assert room.interjection.withholding
    room.agent = TALKING
    room.ask()
    assert room.done == [Act.INTERRUPT]


def test_a_voice_that_was_there_before_the_agent_spoke_is_no_interruption() -> None:
    room = Room(agent=SILENT)
    room.speak(1.0)
    room.agent = TALKING
    room.speak(1.0)
    assert room.done == []


def test_a_held_voice_that_somebody_dropped_lets_all_pass() -> None:
    room = Room()
    room.speak(0.2)
    room.agent = SILENT
    room.ask()
    assert room.done == [Act.HOLD, Act.RELEASE]


def test_words_without_a_sound_are_dropped_only_as_backchannels() -> None:
    room = Room()
    assert room.interjection.overheard("mhm", TALKING)
    assert not room.interjection.overheard("what is that", TALKING)
    assert not room.interjection.overheard("mhm", SILENT)


def test_a_scenario_adds_words() -> None:
    room = Room(backchannels=("rodger that",), stop_words=("banana",), min_words=5)
    room.speak(0.3)
    room.pass_time(0.3)
    room.hear("Rodger that!", final=True)
    assert room.done[-1] is Act.RESUME
    room = Room(stop_words=("banana",), min_words=5)
    room.speak(0.3)
    room.hear("banana")
    assert room.done[-1] is Act.INTERRUPT


def test_voice_activity_sees_a_hush_before_the_voice_is_gone() -> None:
    voice = VoiceActivity()
    now = 5.0
    for _ in range(20):
        now += WINDOW
        voice.note(True, 4000.0, WINDOW, now)
    assert voice.hush_seconds == 0
    assert voice.speech_seconds() == pytest.approx(0.64)
    for _ in range(3):
        now += WINDOW
        voice.note(True, 200.0, WINDOW, now)  # Silero lags behind the loudness
    assert voice.hush_seconds == pytest.approx(3 * WINDOW)
    now += WINDOW
    voice.note(True, 2000.0, WINDOW, now)
    assert voice.hush_seconds == 0


def test_what_was_said_over_the_end_is_not_kept_until_the_end_of_the_next_reply() -> None:
    room = Room(agent=replace(TALKING, left=0.3, complete=True))
    room.speak(0.3)
    room.hear("wait a minute")
    assert room.done == []
    room.agent = TALKING  # a tool's result is spoken about
    room.ask()
    assert room.done == [Act.INTERRUPT]


def test_a_yes_to_a_question_that_the_agent_goes_on_from_does_not_make_it_deaf() -> None:
    room = Room(agent=replace(TALKING, left=1.0, complete=True, asks=True))
    room.speak(0.3)
    room.pass_time(0.3)
    room.hear("yes", final=True)
    assert room.done == [Act.HOLD, Act.RESUME]
    room.agent = TALKING
    room.pass_time(0.5)
    room.speak(0.2)
    assert room.done[-1] is Act.HOLD


def test_a_backchannel_in_a_noise_without_end_does_not_hold_the_agent_for_ever() -> None:
    room = Room(min_words=3)
    room.speak(0.3)
    room.hear("yeah")
    room.speak(2.5)
    assert room.done[:2] == [Act.HOLD, Act.RESUME]
    assert room.at(Act.RESUME) <= 2.2


class _Agent:
    """Says its opening."""

    to_be_silenced = True

    def voice(self) -> AgentVoice:
        return replace(TALKING, opening=True)

    async def hold(self) -> None: ...

    async def resume(self) -> None: ...


@pytest.mark.parametrize("open_turn", [True, False])
async def test_a_hello_that_is_told_late_ends_the_turn_it_began(
    open_turn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opening was begun by the silence behind the hello; the ear's words came when it was being said."""
    dropped: list[str] = []
    stage = BargeIn(
        Interjection(InterruptionSettings(), languages.of("en")),
        VoiceActivity(),
        cast(AgentOnLine, _Agent()),
        listening=lambda: True,
        on_backchannel=lambda words, _ago: dropped.append(words),
        longest_turn_seconds=30.0,
    )
    passed: list[Frame] = []

    async def push(frame: Frame, _direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        passed.append(frame)

    monkeypatch.setattr(stage, "push_frame", push)
    await stage.process_frame(UserStartedSpeakingFrame(), FrameDirection.UPSTREAM)
    if not open_turn:
        await stage.process_frame(UserStoppedSpeakingFrame(), FrameDirection.UPSTREAM)
    hello = TranscriptionFrame("Hello?", "", "")
    await stage.process_frame(hello, FrameDirection.DOWNSTREAM)
    assert (hello in passed, dropped) == ((True, []) if open_turn else (False, ["Hello?"]))
