"""Leads one call through its time: who picked up, the opening, silence, the longest duration, the goodbye's cap.

The decisions are pure (`pickup`, `silence`); this file hears of events, asks them, and does what they say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pipecat.frames.frames import LLMRunFrame, TTSSpeakFrame

from bot import prompt
from bot.farewell import Farewell
from bot.opening import Recital
from bot.pickup import Pickup, Verdict
from bot.pipeline import RunningPipeline
from bot.plan import Plan
from bot.records import Direction, EndedReason
from bot.silence import Silence, SilenceWatch
from bot.stages.context import UserContext
from bot.stages.line import Line, LineOutput, Performance


class _OpeningListener:
    """Plays a recital, and tells when it ends without a sound: then the pipeline has to speak."""

    def __init__(self, performance: Performance, recital: Recital, lost: Callable[[], None]) -> None:
        self.play, self.place = performance.play, performance.place
        self._performance, self._recital, self._lost = performance, recital, lost

    def end(self) -> None:
        self._performance.end()
        if self._recital.silent:
            self._lost()


class Conductor:
    """`run` is the call's clock; the `note_…` methods are told what happens."""

    def __init__(
        self,
        plan: Plan,
        *,
        line: Line,
        user: UserContext,
        output: LineOutput,
        pipeline: RunningPipeline,
        farewell: Farewell,
        changed: asyncio.Event,
    ) -> None:
        self.plan = plan
        self._line, self._user, self._output = line, user, output
        self._pipeline, self._farewell = pipeline, farewell
        self._changed = changed
        """Something happened that the next deadline depends on."""
        self._opening_lost = self._opening_said_again = False
        scenario = plan.scenario
        self._pickup = Pickup(
            plan.first_speaker,
            line.opened_at,
            scenario.opening.wait_seconds,
            scenario.opening.pause_seconds,
            may_be_machine=plan.direction is Direction.OUTBOUND,
        )
        self._pickup.deaf()
        self._machine_at: float | None = None
        self._silence = SilenceWatch(
            scenario.limits.silence_seconds, scenario.limits.silence_prompts, line.opened_at
        )

    async def run(self) -> None:
        """Until the call is over."""
        limits = self.plan.scenario.limits
        must_end_at = self._line.opened_at + limits.max_duration_seconds
        while not self._farewell.over.is_set():
            self._changed.clear()
            now = time.monotonic()
            if self._farewell.begun:
                if self._farewell.overdue(now):
                    self._farewell.now(EndedReason.AGENT_HANGUP)
                    return
                wait = 0.25
            elif now >= must_end_at:
                await self._farewell.say(self.plan.scenario.phrases.time_is_up, EndedReason.MAX_DURATION)
                continue
            else:
                await self._open_or_answer_machine(now)
                await self._mind_silence(now)
                wait = self._wake_in(time.monotonic(), must_end_at)
            try:
                await asyncio.wait_for(self._changed.wait(), max(wait, 0.001))
            except TimeoutError:
                continue

    def _wake_in(self, now: float, must_end_at: float) -> float:
        waits = [must_end_at - now]
        if self._pickup.opened:
            waits.append(self._silence.wake_in(now))
        pickup = self._pickup.wake_in(now)
        if pickup is not None:
            waits.append(pickup)
        if self._machine_at is not None:
            waits.append(0.25)
        return min(waits)

    # -- the opening ----------------------------------------------------------------------------------

    async def _open_or_answer_machine(self, now: float) -> None:
        verdict = self._pickup.decide(now)
        if verdict is Verdict.OPEN:
            self._user.answering = True
            await self._say_opening()
        elif self._opening_lost and not self._opening_said_again:
            self._opening_said_again = True
            await self._say_opening()
        elif verdict is Verdict.MACHINE and self._machine_at is None:
            self._machine_at = now
            self._user.muted = True
            await self._line.interrupt()
        if self._machine_at is not None:
            await self._treat_machine(now)

    async def _say_opening(self) -> None:
        opening = self.plan.opening
        if opening is not None and not opening.silent and not self._opening_lost:
            performance = self._output.begin("opening", opening.text or "")
            opening.play_to(_OpeningListener(performance, opening, self._lose_opening))
        elif self.plan.opening_text:
            await self._pipeline.queue(TTSSpeakFrame(self.plan.opening_text, append_to_context=True))
        else:
            self._user.answer_now()
            await self._pipeline.queue(LLMRunFrame())

    def _lose_opening(self) -> None:
        self._opening_lost = True
        self._changed.set()

    async def _treat_machine(self, now: float) -> None:
        """Hang up at once, or leave the message once the greeting has been silent for a second."""
        assert self._machine_at is not None
        if self.plan.scenario.voicemail.policy == "hang_up":
            self._farewell.now(EndedReason.VOICEMAIL_REACHED)
            return
        if now - max(self._machine_at, self._silence.quiet_since) < 1.0 and now - self._machine_at < 20.0:
            return
        text = prompt.voicemail_text(self.plan.spec, self.plan.scenario)
        await self._farewell.say(text, EndedReason.VOICEMAIL_REACHED)

    # -- silence --------------------------------------------------------------------------------------

    async def _mind_silence(self, now: float) -> None:
        if not self._pickup.opened or self._farewell.begun:
            return
        phrases = self.plan.scenario.phrases
        match self._silence.decide(now):
            case Silence.PROMPT:
                text = phrases.silence[(self._silence.asked - 1) % len(phrases.silence)]
                await self._pipeline.queue(TTSSpeakFrame(text, append_to_context=True))
            case Silence.GOODBYE:
                await self._farewell.say(phrases.silence_goodbye, EndedReason.SILENCE)
            case Silence.NOTHING:
                pass

    # -- news -----------------------------------------------------------------------------------------

    def note_listening(self) -> None:
        self._pickup.listening(time.monotonic())
        self._changed.set()

    def note_agent_speech(self, speaking: bool) -> None:
        self._silence.agent_speaks(speaking, time.monotonic())
        self._changed.set()

    def note_callee_speech(self, speaking: bool) -> None:
        now = time.monotonic()
        self._silence.callee_speaks(speaking, now)
        if speaking:
            self._pickup.speech_started()
        else:
            self._pickup.speech_stopped(now)
        self._changed.set()

    def note_callee_words(self, words: str) -> None:
        self._pickup.words(words)
        self._silence.callee_said_something()
        self._changed.set()

    def note_callee_turn_over(self, text: str) -> None:
        if text and self._user.answering:
            self._silence.owe_reply(time.monotonic())
            self._pickup.conversation_began()
        self._changed.set()
