"""A machine treated over fakes: what whole calls cannot wait for or break on purpose."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any, cast

import pytest
from pipecat.frames.frames import Frame, LLMMessagesAppendFrame, LLMRunFrame, TTSSpeakFrame

from bot.audio import Speech, TimedWord, mulaw_to_pcm
from bot.conversation import opening
from bot.conversation.answer_detection import PERSON_PAUSE_SECONDS, AnswerDetection
from bot.conversation.machines.answering import MachineHandling
from bot.conversation.machines.policy import UNHEARD_SECONDS
from bot.conversation.opening import SpeechStream
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.parts import Hold, Menu, Voicemail
from bot.conversation.scenario.scenario import Scenario
from bot.conversation.stages import Stages
from bot.errors import VendorError
from bot.pipeline.line.line_ends import AllHeardFrame, HushFrame
from bot.pipeline.turns.music import MusicDetector
from bot.records import AnsweredBy, CallSpec, EndedReason, Speaker
from bot.telephony.carrier import Detection
from bot.telephony.simulated.callee import music_payloads

SECOND = bytes(16000)


class FakePipeline:
    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def queue(self, *frames: Frame) -> None:
        for frame in frames:
            self.frames.append(frame)
            if isinstance(frame, HushFrame):
                frame.passed.set()

    def of(self, kind: type[Frame]) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, kind)]


class FakeLine:
    """Plays nothing; tells nobody that it was heard."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def playing_ms(self) -> float:
        return 0.0

    def when_heard(self, payload: Any, *, mark: bool = False) -> None:
        self.waiting.append(payload)


class FakeOutput:
    last_word_at = 0.0

    def __init__(self) -> None:
        self.played: list[str] = []

    def begin(self, context_id: str, text: str, *, opening: bool = False) -> FakeOutput:
        self.played.append(text)
        return self

    def play(self, pcm: bytes) -> None: ...

    def place(self, word: TimedWord) -> None: ...

    def end(self) -> None: ...


class FakeUser:
    muted = answering = False
    runs = 0

    def hear_only(self) -> None:
        self.answering = False

    def answer_once(self) -> None:
        self.runs += 1

    answer_now = answer_once


class FakeGoodbye:
    reason: EndedReason | None = None

    def end_now(self, reason: EndedReason) -> None:
        self.reason = self.reason or reason

    async def say(self, _text: str, reason: EndedReason) -> None:
        self.end_now(reason)


class FakePlan:
    call_id = "call_1"
    our_number = None
    spec = CallSpec("+12025550123", "x", action="Confirm Thursday", agent_name="Alex")
    slots = type("Slots", (), {"tts": None})()
    scenario = Scenario(
        compliance=Compliance(profile="none"),
        description="d",
        instructions="i",
        voicemail=Voicemail(policy="leave_message", message="Call us."),
    )


class Bench:
    """`watch` has picked up at 100 s of its own clock."""

    def __init__(self, plan: type[FakePlan] = FakePlan) -> None:
        self.detection = AnswerDetection(Speaker.CALLEE, 100.0, 1.5, 0.25)
        self.line, self.output, self.pipeline = FakeLine(), FakeOutput(), FakePipeline()
        self.user, self.goodbye = FakeUser(), FakeGoodbye()
        ends: Any = (self.line, self.user, self.output, self.pipeline, None, ())
        parts: dict[str, Any] = {"goodbye": self.goodbye, "resources": None}
        self.answering = MachineHandling(
            cast(Any, plan()), detection=self.detection, stages=Stages(*ends), **parts
        )

    async def hears(self, words: str, now: float) -> None:
        """A whole sentence that ends now."""
        self.detection.speech_started(now - 2.0)
        self.detection.words(words, now, final=True)
        self.detection.speech_stopped(now)
        await self.answering.treat(now)
        await asyncio.sleep(0)

    async def beeps(self, now: float) -> None:
        self.detection.beep(now)
        await self.answering.treat(now)


MAILBOX = "Please leave a message after the beep."


@pytest.fixture(autouse=True)
def voice(monkeypatch: pytest.MonkeyPatch) -> None:
    async def speak(*args: Any, stream: SpeechStream, **_: Any) -> Speech:
        stream.add(Speech(args[2], SECOND))
        return stream.speech()

    monkeypatch.setattr(opening, "speak", speak)


async def test_a_message_that_could_not_be_made_ahead_is_said_by_the_pipeline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: Any, **__: Any) -> Speech:
        raise VendorError("no voice", provider="elevenlabs", retryable=True)

    monkeypatch.setattr(opening, "speak", fail)
    bench = Bench()
    await bench.hears(MAILBOX, 103.0)
    await bench.beeps(104.0)
    await bench.answering.treat(104.1)
    (speak,) = bench.pipeline.of(TTSSpeakFrame)
    (end,) = bench.pipeline.of(AllHeardFrame)
    assert speak.text == "Call us."
    assert bench.goodbye.reason is None
    await end.heard()
    await bench.answering.treat(106.0)
    assert bench.goodbye.reason is EndedReason.VOICEMAIL_REACHED
    await bench.answering.close()


async def test_a_message_whose_end_is_never_told_ends_the_call_all_the_same() -> None:
    bench = Bench()
    await bench.hears(MAILBOX, 103.0)
    await bench.beeps(104.0)
    assert bench.output.played == ["Call us."]
    assert bench.user.muted, "nothing the mailbox says stops it"
    spoke_at = time.monotonic()
    await bench.answering.treat(spoke_at + 0.5)
    assert bench.goodbye.reason is None
    await bench.answering.treat(spoke_at + 1.0 + UNHEARD_SECONDS)
    assert bench.goodbye.reason is EndedReason.VOICEMAIL_REACHED
    await bench.answering.close()


async def test_a_person_stops_the_message_and_is_listened_to() -> None:
    bench = Bench()
    await bench.hears(MAILBOX, 103.0)
    await bench.beeps(104.0)
    hushed = len(bench.pipeline.of(HushFrame))
    await bench.answering.release()
    assert len(bench.pipeline.of(HushFrame)) == hushed + 1
    assert bench.user.answering
    assert not bench.user.muted
    assert not bench.answering.engaged
    await bench.answering.close()


async def test_a_fax_ends_the_call_as_a_number_that_no_retry_reaches() -> None:
    bench = Bench()
    bench.detection.detected(Detection.FAX, 102.0)
    await bench.answering.treat(102.0)
    assert bench.goodbye.reason is EndedReason.DIAL_FAILED


class Menus(FakePlan):
    scenario = FakePlan.scenario.model_copy(update={"menu": Menu(goal="the front desk")})


async def test_the_model_is_told_once_that_it_talks_to_a_menu_and_asked_behind_each() -> None:
    bench = Bench(Menus)
    await bench.hears("For sales, press one. For service, press two.", 105.0)
    assert bench.pipeline.of(LLMRunFrame) == []
    await bench.answering.treat(107.0)
    await bench.hears("For printers, press three.", 112.0)
    await bench.answering.treat(115.0)
    (note,) = bench.pipeline.of(LLMMessagesAppendFrame)
    assert "the front desk" in note.messages[0]["content"]
    assert len(bench.pipeline.of(LLMRunFrame)) == bench.user.runs == 2
    assert not bench.user.answering, "a person's turn is answered, a menu's is not"
    await bench.answering.release()
    assert "menu is behind you" in bench.pipeline.of(LLMMessagesAppendFrame)[-1].messages[0]["content"]


async def test_a_menu_s_turn_that_is_still_open_runs_the_model_by_its_end() -> None:
    bench = Bench(Menus)
    await bench.hears("For sales, press one. For service, press two.", 105.0)
    bench.answering.note_piece()
    await bench.answering.treat(107.0)
    assert bench.user.runs == 1, "its end is let through"
    assert bench.pipeline.of(LLMRunFrame) == [], "a second run would not know its words"
    bench.answering.note_turn_over()
    await bench.hears("For printers, press three.", 112.0)
    await bench.answering.treat(115.0)
    assert len(bench.pipeline.of(LLMRunFrame)) == 1


class OnHoldPlan(FakePlan):
    scenario = FakePlan.scenario.model_copy(update={"hold": Hold(longest_seconds=900, text="Hi, this is Alex.")})


ANNOUNCED = ("Your call is important to us. Please stay on the line.", "You are number three in the queue.")


async def hold_for(bench: Bench, seconds: float, now: float) -> float:
    """Music, and every half a minute an announcement, heard window by window; the time behind it."""
    sound = b"".join(mulaw_to_pcm(base64.b64decode(payload)) for payload in music_payloads())
    windows = [sound[at : at + 512] for at in range(0, len(sound) - 511, 512)]
    music, detection = MusicDetector(), bench.detection
    for count in range(round(seconds / 0.032)):
        now += 0.032
        if music.hear(windows[count % len(windows)]):
            detection.music(music.sounding, now)
        detection.line_quiet = music.quiet
        if count % 937 == 936:
            words = ANNOUNCED[count // 937 % 2]
            detection.speech_started(now)
            detection.words(words, now, final=True)
            detection.speech_stopped(now)
            assert detection.is_recording(words), "no model is to read it"
        if count % 3 == 2:
            decision = detection.decide(now)
            assert (decision.who, decision.open) == (AnsweredBy.HOLD, False)
            await bench.answering.treat(now)
    return now


async def test_ten_minutes_of_music_ask_no_model_and_say_nothing_and_then_somebody_is_heard() -> None:
    bench = Bench(OnHoldPlan)
    bench.detection.opened = True
    await bench.hears("Could you hold, please?", 103.0)
    now = await hold_for(bench, 600.0, 103.0)
    asked = [frame for frame in bench.pipeline.frames if not isinstance(frame, HushFrame)]
    assert (asked, bench.user.runs, bench.output.played, bench.goodbye.reason) == ([], 0, [], None)
    bench.detection.music(False, now)
    await bench.hears("Thanks for holding, how can I help?", now + 3.0)
    assert not bench.detection.decide(now + 3.0 + PERSON_PAUSE_SECONDS).open
    assert bench.detection.new_person
    await bench.answering.introduce()
    assert bench.output.played == ["Hi, this is Alex."]
    await bench.answering.close()


async def test_a_hold_ends_with_its_budget() -> None:
    bench = Bench()
    bench.detection.opened = True
    await bench.hears("Could you hold, please?", 103.0)
    assert bench.goodbye.reason is None
    now = await hold_for(bench, 299.0, 103.0)
    assert bench.goodbye.reason is None
    await bench.answering.treat(now + 1.5)
    assert bench.goodbye.reason is EndedReason.HOLD_TIMEOUT
    await bench.answering.close()
