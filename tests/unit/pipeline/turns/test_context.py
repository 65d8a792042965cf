"""The callee's half of the context: when their words run the model, and what travels on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pipecat.frames.frames import (
    EagerTranscriptionFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseStartFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from bot import languages
from bot.pipeline.line.line_ends import HeardTextFrame
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.turns import turn
from bot.pipeline.turns.context import (
    AssistantContext,
    KeysBeganFrame,
    KeysEnteredFrame,
    UserContext,
    words_before_tools,
)
from bot.pipeline.turns.interjection import InterruptionSettings
from bot.pipeline.turns.speculation import Speculating
from bot.pipeline.turns.turn import TurnSettings
from bot.pipeline.turns.vad import VoiceActivity
from tests.unit.pipeline.conversation import Collector, Diary, running, until


@dataclass
class TurnsHarness:
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
async def turns_harness(
    interruption: InterruptionSettings | None = None,
    *,
    voice: VoiceActivity | None = None,
    recordings: tuple[str, ...] = (),
) -> AsyncIterator[TurnsHarness]:
    context, diary, behind = LLMContext(messages=[]), Diary(), Collector()
    strategies = turn.build(
        TurnSettings(detector="timeout", pause_seconds=0.1, early_replies=False),
        interruption or InterruptionSettings(),
        vendor_turns=False,
        voice=voice or VoiceActivity(),
        language=languages.of("en"),
        speculating=Speculating(VoiceActivity(), diary, allowed=lambda: True),
        asked=lambda: user.asked,
    )
    user = UserContext(context, strategies, diary, stop_timeout=2.0, is_recording=lambda text: text in recordings)
    async with running([user, behind]) as pipeline:
        yield TurnsHarness(user, behind, diary, context, pipeline)


async def test_a_turn_of_the_callee_runs_the_model() -> None:
    async with turns_harness() as harness:
        harness.user.answering = True
        await harness.hear("Who is this?")
        await until(lambda: harness.runs == 1)
        assert harness.callee == ["Who is this?"]
        await harness.diary.until("callee")
        kinds = [kind for kind, _ in harness.diary.lines]
        assert kinds == ["speech", "silence", "final", "callee"]
        assert harness.diary.of("silence") == [0.1]


async def test_words_before_the_opening_are_kept_and_run_nothing() -> None:
    async with turns_harness() as harness:
        await harness.hear("Hello?")
        await harness.diary.until("callee")
        await asyncio.sleep(0.05)
        assert harness.runs == 0
        assert harness.callee == ["Hello?"]
        harness.user.answering = True
        await harness.hear("Who is this?")
        await until(lambda: harness.runs == 1)
        assert harness.callee == ["Hello?", "Who is this?"]


async def test_a_turn_the_opening_began_in_is_answered_by_the_opening() -> None:
    async with turns_harness() as harness:
        await harness.pipeline.queue(VADUserStartedSpeakingFrame(start_secs=0.1), partly("Hello"))
        await harness.diary.until("interim")
        harness.user.answering = True
        await harness.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.1), said("Hello?"))
        await harness.diary.until("callee")
        await asyncio.sleep(0.05)
        assert harness.runs == 0
        await harness.hear("Yes?")
        await until(lambda: harness.runs == 1)


async def test_the_words_of_a_recording_are_in_no_message_unless_they_are_taken_back() -> None:
    async with turns_harness(recordings=("You are number two.", "Cardiology.")) as harness:
        harness.user.answering = True
        for count, words in enumerate(("You are number two.", "Cardiology."), start=1):
            await harness.hear(words)
            await harness.diary.until("callee", count)
        assert (harness.callee, harness.runs) == ([], 0)
        harness.user.take_back()
        harness.user.take_back()
        await harness.hear("Yes?")
        await until(lambda: harness.runs == 1)
        assert harness.callee == ["Cardiology.", "Yes?"]


async def test_the_callees_audio_ends_here() -> None:
    async with turns_harness() as harness:
        harness.user.answering = True
        await harness.pipeline.queue(silence())
        await harness.hear("Hello?")
        await until(lambda: harness.runs == 1)
        assert harness.behind.of(InputAudioRawFrame) == []


async def test_a_muted_callee_neither_interrupts_nor_is_answered() -> None:
    async with turns_harness() as harness:
        harness.user.answering = harness.user.muted = True
        await harness.pipeline.queue(silence())  # pipecat mutes from the next frame on; a line brings 31 a second
        await harness.hear("Wait, wait!")
        await harness.diary.until("final")
        await asyncio.sleep(0.25)
        assert harness.runs == 0
        assert harness.callee == []
        assert harness.behind.of(InterruptionFrame) == []
        harness.user.muted = False
        await harness.pipeline.queue(silence())
        await harness.hear("Are you there?")
        await until(lambda: harness.runs == 1)
        assert harness.callee == ["Are you there?"]


async def test_speech_interrupts_unless_the_scenario_forbids_it() -> None:
    async with turns_harness() as harness:
        harness.user.answering = True
        await harness.hear("But")
        await until(lambda: bool(harness.behind.of(InterruptionFrame)))
    async with turns_harness(InterruptionSettings(allowed=False)) as harness:
        harness.user.answering = True
        await harness.hear("But")
        await until(lambda: harness.runs == 1)
        assert harness.behind.of(InterruptionFrame) == []


async def test_interim_words_are_told_and_not_kept() -> None:
    async with turns_harness() as harness:
        harness.user.answering = True
        await harness.pipeline.queue(VADUserStartedSpeakingFrame(start_secs=0.1), partly("I a"), partly("I am"))
        await harness.diary.until("interim", 2)
        await harness.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.1), said("I am here."))
        await until(lambda: harness.runs == 1)
        assert harness.diary.of("interim") == ["I a", "I am"]
        assert harness.callee == ["I am here."]


def test_words_of_a_reply_stand_before_the_tools_it_called() -> None:
    """They are heard later than the tools are called; behind the results they would end the request."""

    def call(number: int) -> list[dict[str, Any]]:
        function = {"name": "look_up", "arguments": "{}"}
        made = {
            "role": "assistant",
            "tool_calls": [{"id": f"t{number}", "type": "function", "function": function}],
        }
        return [made, {"role": "tool", "tool_call_id": f"t{number}", "content": "42"}]

    asked: dict[str, Any] = {"role": "user", "content": "How many?"}
    words: dict[str, Any] = {"role": "assistant", "content": "Let me see."}
    both = {"t1", "t2"}
    assert words_before_tools([asked, *call(1), words], {"t1"}) == [asked, words, *call(1)]
    assert words_before_tools([asked, *call(1), *call(2), words], both) == [asked, words, *call(1), *call(2)]
    assert words_before_tools([asked, *call(1), *call(2), words], {"t2"}) == [asked, *call(1), words, *call(2)]
    for settled in ([asked, *call(1)], [asked, words], [asked, *call(1), words, asked], []):
        assert words_before_tools(settled, both) == settled


class _Slow(FrameProcessor):
    """An interruption takes its time through the stages between the two halves."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            await asyncio.sleep(0.03)
        await self.push_frame(frame, direction)


@pytest.mark.parametrize("early", [True, False])
async def test_the_model_knows_where_it_was_cut_off_when_it_answers_the_interruption(early: bool) -> None:
    """All of a short interruption comes at once: it was withheld until its words were there."""
    context, diary, behind = LLMContext(messages=[]), Diary(), Collector()
    voice = VoiceActivity(hush_seconds=1.0)
    strategies = turn.build(
        TurnSettings(detector="timeout", pause_seconds=0.1, early_replies=early),
        InterruptionSettings(),
        vendor_turns=True,
        voice=voice,
        language=languages.of("en"),
        speculating=Speculating(voice, diary, allowed=lambda: True),
    )
    user = UserContext(context, strategies, diary, stop_timeout=2.0)
    user.answering = True
    async with running([user, behind, _Slow(), AssistantContext(context, diary)]) as pipeline:
        await pipeline.queue(LLMFullResponseStartFrame(), HeardTextFrame("We are in"))
        await diary.until("heard")
        eager = [EagerTranscriptionFrame(text="No.", user_id="", timestamp="")] if early else []
        await pipeline.queue(
            ProposedUserStartedSpeakingFrame(), *eager, said("No."), ProposedUserStoppedSpeakingFrame()
        )
        await diary.until("callee")
        await until(lambda: bool(behind.of(LLMContextFrame)))
        (asked,) = behind.of(LLMContextFrame)
        assert isinstance(asked, LLMContextFrame)
        said_so_far = [(m["role"], m["content"]) for m in asked.context.get_messages()]  # type: ignore[index]
        assert said_so_far == [("assistant", "We are in —"), ("user", "No.")]
        assert context.get_messages() == asked.context.get_messages()


async def test_keys_are_a_turn_that_silences_the_agent_and_runs_the_model() -> None:
    async with turns_harness() as harness:
        harness.user.answering = True
        await harness.user.queue_frame(KeysBeganFrame(interrupts=True))
        await until(lambda: len(harness.behind.of(InterruptionFrame)) == 1)
        await harness.user.queue_frame(KeysEnteredFrame("(Keys pressed: 12)"))
        await until(lambda: harness.runs == 1)
        assert harness.callee == ["(Keys pressed: 12)"]


async def test_what_is_said_while_keys_are_pressed_is_answered_with_them() -> None:
    async with turns_harness() as harness:
        harness.user.answering = True
        await harness.user.queue_frame(KeysBeganFrame(interrupts=False))
        await harness.hear("Wait, I am typing.")
        await harness.diary.until("callee")
        assert (harness.runs, harness.user.owes_reply) == (0, False)
        await harness.user.queue_frame(KeysEnteredFrame("(Keys pressed: 12)"))
        await until(lambda: harness.runs == 1)
        assert harness.callee == ["Wait, I am typing.", "(Keys pressed: 12)"]
        await harness.hear("And now?")
        await until(lambda: harness.runs == 2)


async def test_keys_pressed_over_speech_are_answered_when_it_ends() -> None:
    """Also where the speech was a noise without a word: a key's own tone, for one."""
    async with turns_harness() as harness:
        harness.user.answering = True
        await harness.pipeline.queue(VADUserStartedSpeakingFrame(start_secs=0.1))
        await harness.diary.until("speech")
        await harness.user.queue_frame(KeysBeganFrame(interrupts=False))
        await harness.user.queue_frame(KeysEnteredFrame("(Keys pressed: 12)"))
        await until(lambda: harness.callee == ["(Keys pressed: 12)"])
        assert harness.runs == 0
        await harness.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.1))
        await until(lambda: harness.runs == 1)
        await harness.pipeline.queue(VADUserStartedSpeakingFrame(start_secs=0.1))
        await harness.diary.until("speech", 2)
        await harness.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.1))
        await harness.user.queue_frame(KeysEnteredFrame("(Keys pressed: 3)"))
        await until(lambda: harness.runs == 2)


async def test_keys_before_the_opening_are_answered_by_it_and_an_action_by_nothing() -> None:
    async with turns_harness() as harness:
        await harness.user.queue_frame(KeysBeganFrame(interrupts=False))
        await harness.user.queue_frame(KeysEnteredFrame("(Keys pressed: 1)"))
        await until(lambda: harness.callee == ["(Keys pressed: 1)"])
        harness.user.answering = True
        await harness.user.queue_frame(KeysBeganFrame(interrupts=True))
        await harness.user.queue_frame(KeysEnteredFrame(None))
        await harness.hear("Hello?")
        await until(lambda: harness.runs == 1)
        assert harness.callee == ["(Keys pressed: 1)", "Hello?"]


async def test_a_pause_does_not_end_a_turn_in_which_a_number_is_dictated() -> None:
    voice = VoiceActivity()
    voice.voiced_at = time.monotonic() + 3600  # no silence has lasted long enough
    async with turns_harness(voice=voice) as harness:
        harness.user.answering = True
        harness.context.add_message({"role": "assistant", "content": "Which number can we reach you at?"})
        await harness.hear("two oh two")
        await asyncio.sleep(0.3)  # three times the pause that ends a turn
        await harness.pipeline.queue(silence(), silence())
        await harness.hear("five five five oh one four three")
        await until(lambda: harness.callee == ["two oh two five five five oh one four three"])
        await harness.hear("two oh two")
        await asyncio.sleep(0.3)
        assert harness.runs == 1
        voice.voiced_at = 0.0
        while harness.runs < 2:
            await harness.pipeline.queue(silence())
            await asyncio.sleep(0.01)
