"""What the stages behind hear of the callee while it is decided what a sound over the agent's voice is."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TextFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from bot import languages
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.turns import barge_in
from bot.pipeline.turns.barge_in import BargeIn
from bot.pipeline.turns.interjection import AgentVoice, Interjection, InterruptionSettings
from bot.pipeline.turns.vad import VoiceActivity
from tests.unit.pipeline.conversation import Collector, running, until

BEGIN = VADUserStartedSpeakingFrame(start_secs=0.16)
STOP = VADUserStoppedSpeakingFrame(stop_secs=0.2)
TURN_BEGINS = ProposedUserStartedSpeakingFrame()
TURN_ENDS = ProposedUserStoppedSpeakingFrame()
WINDOW = InputAudioRawFrame(audio=bytes(512), sample_rate=8000, num_channels=1)
TALKING = AgentVoice(sounding=True, left=3.0)
SILENT = AgentVoice(sounding=False)


def partly(text: str) -> Frame:
    return InterimTranscriptionFrame(text=text, user_id="", timestamp="")


def said(text: str) -> Frame:
    return TranscriptionFrame(text=text, user_id="", timestamp="", finalized=True)


@dataclass
class Agent:
    """Its voice, and what was done to it."""

    now: AgentVoice = TALKING
    to_be_silenced: bool = True
    done: list[str] = field(default_factory=list)

    def voice(self) -> AgentVoice:
        return self.now

    async def hold(self) -> None:
        self.done.append("hold")

    async def resume(self) -> None:
        self.done.append("resume")


@dataclass
class TurnsHarness:
    agent: Agent
    voice: VoiceActivity
    listening: list[bool]
    backchannels: list[str]
    behind: Collector
    pipeline: RunningPipeline

    @property
    def passed(self) -> list[Frame]:
        return [f for f in self.behind.down if isinstance(f, barge_in._WITHHELD)]

    async def hear(self, *frames: Frame) -> None:
        """Until all of them have been judged."""
        marker = TextFrame("all before has passed")
        for frame in frames:
            await self.pipeline.queue(frame, marker)
            await until(lambda: marker in self.behind.down)
            self.behind.down.remove(marker)

    async def sound(self) -> None:
        """A new one, of 0.1 s until now."""
        onset = max(time.monotonic(), self.voice.onset_at + 0.01)
        self.voice.onset_at, self.voice.voiced_at, self.voice.voiced_seconds = onset, onset + 0.1, 0.1
        self.voice.hush_seconds = 0.0
        await self.hear(WINDOW)

    async def quiet(self, seconds: float = 1.0) -> None:
        """So much silence has passed since the last voice."""
        shift = self.voice.voiced_at - (time.monotonic() - seconds)
        self.voice.voiced_at -= shift
        self.voice.onset_at -= shift
        judge = self.judge
        judge._onset_at -= shift
        judge._held_at -= shift
        judge._resumed_at -= shift
        if judge._agent_since is not None:
            judge._agent_since -= shift
        self.voice.voiced_seconds, self.voice.hush_seconds = 0.0, seconds
        await self.hear(WINDOW)

    judge: Interjection = field(kw_only=True)


@asynccontextmanager
async def turns_harness() -> AsyncIterator[TurnsHarness]:
    agent, voice, behind = Agent(), VoiceActivity(), Collector()
    listening, backchannels = [True], list[str]()
    judge = Interjection(InterruptionSettings(), languages.of("en"))
    stage = BargeIn(
        judge,
        voice,
        agent,  # type: ignore[arg-type]
        listening=lambda: listening[0],
        on_backchannel=lambda text, _ago: backchannels.append(text),
        longest_turn_seconds=30.0,
    )
    async with running([stage, behind]) as pipeline:
        harness = TurnsHarness(agent, voice, listening, backchannels, behind, pipeline, judge=judge)
        await harness.hear(WINDOW)  # the agent has spoken for a while
        yield harness


async def test_a_noise_is_heard_of_by_nobody() -> None:
    async with turns_harness() as harness:
        await harness.sound()
        await harness.hear(BEGIN, STOP)
        await harness.quiet(1.0)
        await harness.quiet(4.0)
        assert harness.agent.done == ["hold", "resume"]
        assert harness.passed == []


async def test_words_let_all_pass_in_order() -> None:
    async with turns_harness() as harness:
        await harness.sound()
        await harness.hear(BEGIN, partly("where is"))
        assert harness.agent.done == ["hold"]
        assert [type(f) for f in harness.passed] == [VADUserStartedSpeakingFrame, InterimTranscriptionFrame]


async def test_a_voice_that_an_interruption_left_held_is_not_left_so_by_a_goodbye() -> None:
    """Nobody is listened to any more before the turn has begun that would have silenced the agent."""
    async with turns_harness() as harness:
        await harness.sound()
        await harness.hear(partly("where is"))
        assert harness.agent.done == ["hold"]
        harness.listening[0] = False
        await harness.hear(WINDOW)
        assert harness.agent.done == ["hold", "resume"]


async def test_a_turn_that_was_open_already_silences_the_agent_all_the_same() -> None:
    async with turns_harness() as harness:
        await harness.sound()
        await harness.hear(partly("where is"))
        assert harness.behind.of(InterruptionFrame) == []
        while not harness.behind.of(InterruptionFrame):
            await harness.hear(WINDOW)


async def test_a_reply_on_its_way_is_interrupted_once() -> None:
    """A second interruption would take away what was begun early for the words of the first."""
    async with turns_harness() as harness:
        harness.agent.now = AgentVoice(sounding=True)  # the callee waits for it
        await harness.sound()
        await harness.hear(partly("are you there"))
        harness.agent.to_be_silenced = False  # the turn that has begun dropped what was held
        until_then = time.monotonic() + 2 * barge_in.UNHEEDED_SECONDS
        while time.monotonic() < until_then:
            await harness.hear(WINDOW)
        assert harness.behind.of(InterruptionFrame) == []


async def test_the_end_of_speech_passes_whose_beginning_has_passed() -> None:
    """With a long `stop_seconds` a sound may begin anew before the VAD has told its end."""
    async with turns_harness() as harness:
        harness.agent.now = SILENT
        await harness.hear(BEGIN)
        harness.agent.now = TALKING
        await harness.hear(WINDOW)
        await harness.sound()
        await harness.hear(STOP)
        await harness.quiet(1.0)
        await harness.quiet(4.0)
        assert harness.agent.done == ["hold", "resume"]
        assert harness.passed == [BEGIN, STOP]


async def test_a_turn_of_the_ears_that_began_with_an_mhm_begins_when_more_is_said() -> None:
    """Flux tells the beginning of a turn once; an "mhm" and the question after it may be one turn."""
    async with turns_harness() as harness:
        await harness.sound()
        await harness.hear(TURN_BEGINS, partly("mhm"))
        await harness.quiet(1.0)
        await harness.quiet(4.0)
        assert harness.backchannels == ["mhm"]
        assert harness.passed == []
        await harness.sound()
        question = partly("mhm where do I park")
        await harness.hear(question)
        assert harness.passed == [TURN_BEGINS, question]
        await harness.hear(TURN_ENDS)
        assert harness.passed[-1] is TURN_ENDS


async def test_a_turn_of_the_ears_that_was_an_mhm_only_ends_unheard() -> None:
    """Also where the agent has finished before the ear is sure of it."""
    async with turns_harness() as harness:
        await harness.sound()
        await harness.hear(TURN_BEGINS, partly("mhm"))
        await harness.quiet(1.0)
        harness.agent.now = SILENT
        await harness.hear(WINDOW)
        assert harness.backchannels == ["mhm"]
        await harness.hear(said("Mhm."), TURN_ENDS)
        assert harness.passed == []
        await harness.hear(TURN_BEGINS, partly("so"))
        assert harness.passed[0] is TURN_BEGINS


async def test_the_same_word_said_again_is_heard() -> None:
    async with turns_harness() as harness:
        harness.agent.now = replace(TALKING, left=2.0)
        await harness.sound()
        await harness.hear(partly("yes"))
        await harness.quiet(1.0)
        harness.agent.now = SILENT
        await harness.hear(WINDOW)
        await harness.sound()
        answer = said("Yes.")
        await harness.hear(answer)
        assert harness.passed == [answer]
