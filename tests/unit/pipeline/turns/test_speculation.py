"""Replies begun early: when they begin, when they are kept, when they are dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    EagerTranscriptionFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TextFrame,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection

from bot import languages
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.turns import turn
from bot.pipeline.turns.context import AssistantContext, UserContext
from bot.pipeline.turns.interjection import InterruptionSettings
from bot.pipeline.turns.speculation import GUESSES, Speculating
from bot.pipeline.turns.turn import TurnSettings
from bot.pipeline.turns.vad import VoiceActivity
from tests.unit.pipeline.conversation import Collector, Diary, running, until


@dataclass
class TurnsHarness:
    user: UserContext
    behind: Collector
    diary: Diary
    voice: VoiceActivity
    context: LLMContext
    pipeline: RunningPipeline

    async def hear(self, *frames: Frame) -> None:
        await self.pipeline.queue(*frames)

    async def hush(self, seconds: float = 0.1) -> None:
        """The voice has faded; a window of audio brings the news."""
        self.voice.hush_seconds = seconds
        await self.hear(WINDOW)

    @property
    def asked(self) -> list[tuple[bool, str]]:
        """What the model was asked: a guess or in earnest, and the last message."""
        return [
            (frame.speculation, str(frame.context.get_messages()[-1]["content"]))  # type: ignore[index]
            for frame in self.behind.down
            if isinstance(frame, LLMContextFrame)
        ]

    async def until_asked(self, *asked: tuple[bool, str]) -> None:
        await until(lambda: len(self.asked) >= len(asked))
        assert self.asked == list(asked)

    async def settle(self) -> None:
        """Until all that was queued has passed: a marker comes out behind it."""
        marker = VADUserStoppedSpeakingFrame(stop_secs=0.01)
        passed = len(self.behind.down)
        await self.hear(marker)
        await until(lambda: any(frame is marker for frame in self.behind.down[passed:]))


WINDOW = InputAudioRawFrame(audio=bytes(512), sample_rate=8000, num_channels=1)
BEGIN = VADUserStartedSpeakingFrame(start_secs=0.1)
STOP = VADUserStoppedSpeakingFrame(stop_secs=0.2)


def partly(text: str) -> Frame:
    return InterimTranscriptionFrame(text=text, user_id="", timestamp="")


def said(text: str) -> Frame:
    return TranscriptionFrame(text=text, user_id="", timestamp="", finalized=True)


@asynccontextmanager
async def turns_harness(*, vendor_turns: bool = False, allowed: bool = True) -> AsyncIterator[TurnsHarness]:
    context, diary, behind, voice = LLMContext(messages=[]), Diary(), Collector(), VoiceActivity()
    strategies = turn.build(
        TurnSettings(detector="timeout", pause_seconds=0.15),
        InterruptionSettings(),
        vendor_turns=vendor_turns,
        voice=voice,
        language=languages.of("en"),
        speculating=Speculating(voice, diary, allowed=lambda: allowed),
    )
    user = UserContext(context, strategies, diary, stop_timeout=2.0)
    user.answering = True
    async with running([user, behind, AssistantContext(context, diary)]) as pipeline:
        yield TurnsHarness(user, behind, diary, voice, context, pipeline)


async def test_the_reply_begins_at_a_hush_and_is_kept_when_the_words_stay() -> None:
    async with turns_harness() as harness:
        await harness.hear(BEGIN, partly("what is the address"), partly("what is the address"))
        await harness.hush()
        await harness.until_asked((True, "what is the address"))
        assert harness.context.get_messages() == [], "nothing is written before the turn is over"
        await harness.hear(STOP, said("What is the address?"))
        await harness.diary.until("callee")
        await harness.settle()
        assert harness.asked == [(True, "what is the address")], "asked once"
        assert harness.context.get_messages() == [{"role": "user", "content": "What is the address?"}]
        assert harness.behind.of(EagerEndOfTurnCancelFrame) == []
        assert harness.diary.of("guess") == [True]


async def test_without_a_hush_it_begins_when_the_vad_says_stop() -> None:
    async with turns_harness() as harness:
        await harness.hear(BEGIN, partly("what is the address"), WINDOW)
        await harness.settle()
        await harness.until_asked((True, "what is the address"))  # the marker is a stop too


async def test_other_words_drop_it_and_the_model_is_asked_again() -> None:
    async with turns_harness() as harness:
        await harness.hear(BEGIN, partly("what is the"), partly("what is the"))
        await harness.hush()
        await harness.until_asked((True, "what is the"))
        await harness.hear(STOP, said("What is the address?"))
        await harness.until_asked((True, "what is the"), (True, "What is the address?"))
        await harness.diary.until("callee")
        assert harness.diary.of("guess") == [False, True]
        cancelled = harness.behind.down.index(harness.behind.of(EagerEndOfTurnCancelFrame)[0])
        runs = [at for at, frame in enumerate(harness.behind.down) if isinstance(frame, LLMContextFrame)]
        assert runs[0] < cancelled < runs[1], "the model stops the first before it begins the second"


async def test_words_that_may_lack_the_last_ones_are_not_guessed_at_until_they_are_final() -> None:
    async with turns_harness() as harness:
        await harness.hear(BEGIN, partly("what is the"))
        await harness.hush()
        await harness.hear(said("What is the address?"), WINDOW)
        await harness.until_asked((True, "What is the address?"))


async def test_a_caller_who_goes_on_is_let_go_on() -> None:
    async with turns_harness() as harness:
        await harness.hear(BEGIN, partly("I would like to come"), partly("I would like to come"))
        await harness.hush()
        await harness.until_asked((True, "I would like to come"))
        harness.voice.hush_seconds = 0.0
        await harness.hear(WINDOW, partly("I would like to come on Thursday"), WINDOW)
        await until(lambda: bool(harness.behind.of(EagerEndOfTurnCancelFrame)))
        assert harness.diary.of("guess") == [False]
        assert harness.diary.of("callee") == []


async def test_guesses_within_one_turn_are_few() -> None:
    async with turns_harness() as harness:
        await harness.hear(BEGIN)
        for count in range(GUESSES + 3):
            await harness.hear(*[partly(" ".join(["word"] * (count + 1)))] * 2)
            await harness.hush()
        await until(
            lambda: (
                harness.diary.of("interim")
                == [" ".join(["word"] * n) for n in range(1, GUESSES + 4) for _ in range(2)]
            )
        )
        marker = TextFrame("all before has passed")
        await harness.hear(WINDOW, marker)
        await until(lambda: any(frame is marker for frame in harness.behind.down))
        assert len(harness.asked) == GUESSES


async def test_what_the_model_refuses_is_asked_in_earnest_when_the_turn_is_over() -> None:
    """It wanted a tool, which no guess may run."""
    async with turns_harness() as harness:
        await harness.hear(BEGIN, partly("please call me back"), partly("please call me back"))
        await harness.hush()
        await harness.until_asked((True, "please call me back"))
        await harness.behind.push_frame(EagerEndOfTurnCancelFrame(), FrameDirection.UPSTREAM)
        await until(lambda: harness.diary.of("guess") == [False])
        await harness.hush()
        await harness.hear(STOP, said("Please call me back."))
        await harness.until_asked((True, "please call me back"), (False, "Please call me back."))


async def test_a_turn_that_the_model_does_not_answer_is_not_guessed_at() -> None:
    async with turns_harness(allowed=False) as harness:
        await harness.hear(BEGIN, partly("hello"))
        await harness.hush()
        await harness.hear(STOP, said("Hello."))
        await harness.until_asked((False, "Hello."))


@pytest.mark.parametrize(("committed", "kept"), [("Who is this?", True), ("Who is this please?", False)])
async def test_an_ear_that_proposes_turns_proposes_early_ones_too(committed: str, kept: bool) -> None:
    async with turns_harness(vendor_turns=True) as harness:
        await harness.hear(ProposedUserStartedSpeakingFrame())
        await harness.hear(EagerTranscriptionFrame(text="who is this", user_id="", timestamp=""))
        await until(lambda: len(harness.asked) == 1)
        await harness.hear(said(committed), ProposedUserStoppedSpeakingFrame())
        await until(lambda: bool(harness.behind.of(UserStoppedSpeakingFrame)))
        await harness.diary.until("callee")
        assert harness.diary.of("guess") == [kept]
        assert harness.asked == [(True, "who is this")] + ([] if kept else [(False, committed)])


async def test_a_request_that_its_withdrawal_overtook_carries_the_news() -> None:
    async with turns_harness() as harness:
        await harness.hear(BEGIN, partly("what is the"), partly("what is the"))
        await harness.hush()
        await harness.until_asked((True, "what is the"))
        await harness.hear(STOP, said("What is the address?"))
        await harness.until_asked((True, "what is the"), (True, "What is the address?"))
        first, second = (frame.metadata["guess"] for frame in harness.behind.of(LLMContextFrame))
        assert (first.withdrawn, second.withdrawn) == (True, False)


async def test_a_guess_that_somebody_interrupts_is_not_taken_for_an_answer() -> None:
    async with turns_harness() as harness:
        await harness.hear(BEGIN, partly("what is the address"), partly("what is the address"))
        await harness.hush()
        await harness.until_asked((True, "what is the address"))
        await harness.hear(InterruptionFrame())
        await until(lambda: harness.diary.of("guess") == [False])
        await harness.hear(STOP, said("What is the address?"))
        await harness.diary.until("callee")
        await harness.settle()
        assert len(harness.asked) == 2, "asked again: by another guess, or in earnest"


async def test_an_early_turn_that_somebody_interrupts_is_asked_about_in_earnest() -> None:
    async with turns_harness(vendor_turns=True) as harness:
        await harness.hear(ProposedUserStartedSpeakingFrame())
        await harness.hear(EagerTranscriptionFrame(text="who is this", user_id="", timestamp=""))
        await until(lambda: len(harness.asked) == 1)
        await harness.hear(InterruptionFrame())
        await until(lambda: harness.diary.of("guess") == [False])
        await harness.hear(said("Who is this?"), ProposedUserStoppedSpeakingFrame())
        await harness.until_asked((True, "who is this"), (False, "Who is this?"))


async def test_what_the_model_refuses_while_the_turn_ends_is_asked_in_earnest() -> None:
    """The refusal and the news that the guess is kept pass each other."""
    async with turns_harness() as harness:
        await harness.hear(BEGIN, partly("please call me back"), partly("please call me back"))
        await harness.hush()
        await harness.until_asked((True, "please call me back"))
        await harness.hear(STOP, said("Please call me back."))
        await harness.diary.until("callee")
        assert harness.diary.of("guess") == [True]
        await harness.behind.push_frame(EagerEndOfTurnCancelFrame(), FrameDirection.UPSTREAM)
        await harness.until_asked((True, "please call me back"), (False, "Please call me back."))
