"""How a call ends from our side: the goodbye, until it was heard; the carrier's hang-up; and why it ended.

The order is: goodbye, its mark comes back, the carrier hangs up, the line closes. Every end goes through here
once. A goodbye is over when its mark came back, or when it is overdue.
"""

import asyncio
import time
from collections.abc import Callable

from loguru import logger

from bot.conversation.call_plan import Plan
from bot.conversation.stages import Stages
from bot.pipeline.line.line import LineEnd
from bot.pipeline.line.line_ends import AllHeardFrame
from bot.pipeline.offline.voice import LocalVoice
from bot.records import EndedReason
from bot.telephony.carrier import EndsCalls, try_hang_up

GOODBYE_CAP_SECONDS = 2.0
"""How long past its own length a goodbye's mark is waited for."""
SYNTHESIS_CAP_SECONDS = 6.0
"""How long a goodbye may take to begin."""
HANG_UP_SECONDS = 3.0
"""How long the line's end, or the carrier's callback, is waited for once the carrier was asked to hang up."""
HANG_UP_TRIES = 2
"""A hang-up that neither of them confirms is asked for again."""
CARRIER_SECONDS = 6.0
"""How long the carrier may take to be asked: its callee waits on an open line."""


class Goodbye:
    """One call's end. `over` is set when the call is to be torn down."""

    def __init__(
        self,
        plan: Plan,
        stages: Stages,
        *,
        carrier: EndsCalls,
        voice: LocalVoice,
        will_call_back: Callable[[], bool],
    ) -> None:
        self.over = asyncio.Event()
        self.reason: EndedReason | None = None
        self.error: str | None = None
        self._plan, self._stages = plan, stages
        self._carrier, self._voice = carrier, voice
        self._will_call_back = will_call_back
        self._carrier_over = asyncio.Event()
        self._began_at: float | None = None
        """When a goodbye was asked for, time.monotonic()."""
        self._last_playing_at = 0.0
        self._default_said = False

    @property
    def begun(self) -> bool:
        """A goodbye is on its way."""
        return self._began_at is not None

    @property
    def _apology(self) -> str:
        phrases = self._plan.scenario.phrases
        return phrases.trouble_call_back if self._will_call_back() else phrases.trouble

    # -- the goodbye ----------------------------------------------------------------------------------

    def end_now(self, reason: EndedReason, error: str | None = None) -> None:
        """End the call now, whatever is being said. The first reason given stays."""
        if self.reason is None:
            self.reason, self.error = reason, error
        self.over.set()

    async def after_reply(self, reason: EndedReason = EndedReason.AGENT_HANGUP) -> None:
        """End when the reply being generated was heard: this waits behind it, from the top of the pipeline."""
        if self._begin(reason):
            await self._stages.pipeline.queue(AllHeardFrame(self._heard))

    async def say(self, text: str, reason: EndedReason) -> None:
        """End with these words; nothing where the call is ending already."""
        if self._begin(reason):
            await self._say(text)

    async def apologise(self, reason: EndedReason, error: str) -> None:
        """A vendor failed beyond its fallback: say so to the callee and end. Where the TTS did, locally."""
        if not self._begin(reason, error):
            return
        logger.error("{}: {}", reason, error)
        text = self._apology
        if reason is not EndedReason.ERROR_TTS:
            await self._say(text)
            return
        self._default_said = True
        await self._stages.line.interrupt()
        self._stages.play(await self._voice.speak(text), self._heard)

    async def leave(self, reason: EndedReason, text: str | None = None) -> None:
        """End with `text`, or the scenario's apology, in the midst of what is being said."""
        if not self._begin(reason):
            return
        self._default_said = True
        # A turn that is open yet would be answered when it is over, in the midst of the goodbye.
        self._stages.user.hear_only()
        await self._stages.hush()
        text = text or self._apology
        speech = self._plan.spoken(text)
        if speech is None:
            await self._say(text)
        else:
            self._stages.play(speech, self._heard)

    def _begin(self, reason: EndedReason, error: str | None = None) -> bool:
        """From here on the callee is not listened to. False where the call is ending already."""
        if self._began_at is not None or self.over.is_set():
            return False
        self._began_at = time.monotonic()
        if self.reason is None:
            self.reason, self.error = reason, error
        self._stages.user.muted = True
        self._stages.changed.set()
        return True

    async def _say(self, text: str) -> None:
        self._default_said = True
        await self._stages.say(text, self._heard)

    async def _heard(self) -> None:
        """All queued so far was heard: the end, unless the agent has not said goodbye yet."""
        spoke = self._stages.output.last_word_at > self._stages.user.last_turn_at
        if spoke or self._default_said:
            self.over.set()
        else:
            # The model hung up without a word: a call does not end like that.
            await self._say(self._plan.scenario.phrases.goodbye)

    def overdue(self, now: float) -> bool:
        """Whether a goodbye never began, or its mark stays away."""
        if self._began_at is None:
            return False
        if self._stages.line.playing_ms() > 0:
            self._last_playing_at = now
        began_by = self._began_at + SYNTHESIS_CAP_SECONDS
        return now >= max(began_by, self._last_playing_at) + GOODBYE_CAP_SECONDS

    # -- the line -------------------------------------------------------------------------------------

    def line_ended(self, end: LineEnd) -> None:
        """The line is over before we left it. One that ends under a goodbye ends as that goodbye meant it to."""
        if end is LineEnd.LOST:
            self.end_now(EndedReason.ERROR_LINE, "the next media stream did not come")
        elif end is LineEnd.SERVER_LEFT:
            self.end_now(EndedReason.SERVER_SHUTDOWN)
        self.reason = self.reason or EndedReason.CALLEE_HANGUP
        logger.debug("the line ended: {}", end)

    def carrier_ended(self) -> None:
        """The carrier says the call is over, which a call between two streams learns from nothing else."""
        self._carrier_over.set()
        self._stages.line.carrier_ended()

    async def close_line(self, line_task: asyncio.Task[LineEnd], *, handed_over: bool) -> None:
        """Hang up at the carrier, unless others talk on there, and close the line."""
        line = self._stages.line
        stopped = line_task.done() and line_task.result() is LineEnd.STOPPED
        if not stopped and not handed_over:
            over = asyncio.create_task(self._carrier_over.wait(), name=f"carrier over {self._plan.call_id}")
            try:
                for _ in range(HANG_UP_TRIES):
                    await try_hang_up(self._carrier, line.call_sid, CARRIER_SECONDS)
                    done, _ = await asyncio.wait(
                        {line_task, over}, timeout=HANG_UP_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    if done:
                        break
                    logger.warning("the line is still open after the hang-up")
            finally:
                over.cancel()
                await asyncio.gather(over, return_exceptions=True)
        await line.close()
        await asyncio.gather(line_task, return_exceptions=True)
