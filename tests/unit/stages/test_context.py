"""The callee's half of the context: when their words run the model, and what travels on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext

from bot.pipeline import RunningPipeline
from bot.stages import turn
from bot.stages.context import UserContext
from bot.stages.turn import InterruptionSettings, TurnSettings
from tests.unit.stages.conversation import Collector, Diary, running, until


@dataclass
class Ear:
    user: UserContext
    behind: Collector
    diary: Diary
    context: LLMContext
    pipeline: RunningPipeline

    async def hear(self, text: str) -> None:
        """A whole utterance, from the VAD's start to the final transcript."""
        await self.pipeline.queue(
            VADUserStartedSpeakingFrame(start_secs=0.1),
            VADUserStoppedSpeakingFrame(stop_secs=0.1),
            said(text),
        )

    @property
    def runs(self) -> int:
        return len(self.behind.of(LLMContextFrame))

    @property
    def callee(self) -> list[Any]:
        return [m["content"] for m in self.context.get_messages() if m["role"] == "user"]  # type: ignore[index]


def said(text: str) -> Frame:
    return TranscriptionFrame(text=text, user_id="", timestamp="", finalized=True)


def partly(text: str) -> Frame:
    return InterimTranscriptionFrame(text=text, user_id="", timestamp="")


def silence() -> Frame:
    return InputAudioRawFrame(audio=bytes(512), sample_rate=8000, num_channels=1)


@asynccontextmanager
async def an_ear(interruption: InterruptionSettings | None = None) -> AsyncIterator[Ear]:
    context, diary, behind = LLMContext(messages=[]), Diary(), Collector()
    strategies = turn.build(
        TurnSettings(detector="timeout", pause_seconds=0.1),
        interruption or InterruptionSettings(),
        vendor_turns=False,
    )
    user = UserContext(context, strategies, diary, stop_timeout=2.0)
    async with running([user, behind]) as pipeline:
        yield Ear(user, behind, diary, context, pipeline)


async def test_a_turn_of_the_callee_runs_the_model() -> None:
    async with an_ear() as ear:
        ear.user.answering = True
        await ear.hear("Who is this?")
        await until(lambda: ear.runs == 1)
        assert ear.callee == ["Who is this?"]
        await ear.diary.until("callee")
        kinds = [kind for kind, _ in ear.diary.lines]
        assert kinds == ["speech", "silence", "final", "callee"]
        assert ear.diary.of("silence") == [0.1]


async def test_words_before_the_opening_are_kept_and_run_nothing() -> None:
    async with an_ear() as ear:
        await ear.hear("Hello?")
        await ear.diary.until("callee")
        await asyncio.sleep(0.05)
        assert ear.runs == 0
        assert ear.callee == ["Hello?"]
        ear.user.answering = True
        await ear.hear("Who is this?")
        await until(lambda: ear.runs == 1)
        assert ear.callee == ["Hello?", "Who is this?"]


async def test_a_turn_the_opening_began_in_is_answered_by_the_opening() -> None:
    async with an_ear() as ear:
        await ear.pipeline.queue(VADUserStartedSpeakingFrame(start_secs=0.1), partly("Hello"))
        await ear.diary.until("interim")
        ear.user.answering = True
        await ear.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.1), said("Hello?"))
        await ear.diary.until("callee")
        await asyncio.sleep(0.05)
        assert ear.runs == 0
        await ear.hear("Yes?")
        await until(lambda: ear.runs == 1)


async def test_the_callees_audio_ends_here() -> None:
    async with an_ear() as ear:
        ear.user.answering = True
        await ear.pipeline.queue(silence())
        await ear.hear("Hello?")
        await until(lambda: ear.runs == 1)
        assert ear.behind.of(InputAudioRawFrame) == []


async def test_a_muted_callee_neither_interrupts_nor_is_answered() -> None:
    async with an_ear() as ear:
        ear.user.answering = ear.user.muted = True
        await ear.pipeline.queue(silence())  # pipecat mutes from the next frame on; a line brings 31 a second
        await ear.hear("Wait, wait!")
        await ear.diary.until("final")
        await asyncio.sleep(0.25)
        assert ear.runs == 0
        assert ear.callee == []
        assert ear.behind.of(InterruptionFrame) == []
        ear.user.muted = False
        await ear.pipeline.queue(silence())
        await ear.hear("Are you there?")
        await until(lambda: ear.runs == 1)
        assert ear.callee == ["Are you there?"]


async def test_speech_interrupts_unless_the_scenario_forbids_it() -> None:
    async with an_ear() as ear:
        ear.user.answering = True
        await ear.hear("But")
        await until(lambda: bool(ear.behind.of(InterruptionFrame)))
    async with an_ear(InterruptionSettings(allowed=False)) as ear:
        ear.user.answering = True
        await ear.hear("But")
        await until(lambda: ear.runs == 1)
        assert ear.behind.of(InterruptionFrame) == []


async def test_interim_words_are_told_and_not_kept() -> None:
    async with an_ear() as ear:
        ear.user.answering = True
        await ear.pipeline.queue(VADUserStartedSpeakingFrame(start_secs=0.1), partly("I a"), partly("I am"))
        await ear.diary.until("interim", 2)
        await ear.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.1), said("I am here."))
        await until(lambda: ear.runs == 1)
        assert ear.diary.of("interim") == ["I a", "I am"]
        assert ear.callee == ["I am here."]
