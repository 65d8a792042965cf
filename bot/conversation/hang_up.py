"""How a call ends from our side: the goodbye, until it was heard; and why it ended.

Every end goes through here once. A goodbye is over when its mark came back, or when it is overdue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pipecat.frames.frames import TTSSpeakFrame

from bot.conversation.scenario.parts import Phrases
from bot.pipeline.line.line import Line
from bot.pipeline.line.line_ends import AllHeardFrame, LineOutput
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.turns.context import UserContext
from bot.records import EndedReason

GOODBYE_CAP_SECONDS = 2.0
"""How long past its own length a goodbye's mark is waited for."""
SYNTHESIS_CAP_SECONDS = 6.0
"""How long a goodbye may take to begin."""


class Goodbye:
    """One call's end. `over` is set when the call is to be torn down."""

    def __init__(
        self,
        phrases: Phrases,
        *,
        line: Line,
        user: UserContext,
        output: LineOutput,
        pipeline: RunningPipeline,
        last_callee_turn_at: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.over = asyncio.Event()
        self.reason: EndedReason | None = None
        self.error: str | None = None
        self._phrases = phrases
        self._line, self._user, self._output, self._pipeline = line, user, output, pipeline
        self._last_callee_turn_at = last_callee_turn_at
        self._changed = changed
        self._began_at: float | None = None
        """When a goodbye was asked for, time.monotonic()."""
        self._last_playing_at = 0.0
        self._default_said = False

    @property
    def begun(self) -> bool:
        """A goodbye is on its way."""
        return self._began_at is not None

    def end_now(self, reason: EndedReason, error: str | None = None) -> None:
        """End the call now, whatever is being said. The first reason given stays."""
        if self.reason is None:
            self.reason, self.error = reason, error
        self.over.set()

    async def after_reply(self, reason: EndedReason = EndedReason.AGENT_HANGUP) -> None:
        """End when the reply being generated was heard.

        The goodbye enters at the top of the pipeline, so it waits behind that reply.
        """
        if self.begin(reason):
            await self._pipeline.queue(AllHeardFrame(self.heard))

    async def say(self, text: str, reason: EndedReason) -> None:
        """End with these words; nothing where the call is ending already."""
        if self.begin(reason):
            self._default_said = True
            await self._pipeline.queue(TTSSpeakFrame(text, append_to_context=True), AllHeardFrame(self.heard))

    def begin(self, reason: EndedReason, error: str | None = None) -> bool:
        """From here on nobody is listened to. False where the call is ending already."""
        if self._began_at is not None or self.over.is_set():
            return False
        self._began_at = time.monotonic()
        if self.reason is None:
            self.reason, self.error = reason, error
        self._user.muted = True
        self._changed()
        return True

    def said(self) -> None:
        """Somebody else says the goodbye's words: no default ones are needed."""
        self._default_said = True

    async def heard(self) -> None:
        """All queued so far was heard: the end, unless nobody has said goodbye yet."""
        spoke = self._output.last_word_at > self._last_callee_turn_at()
        if not spoke and not self._default_said:
            # The model hung up without a word: nobody ends a call like that.
            self._default_said = True
            goodbye = TTSSpeakFrame(self._phrases.goodbye, append_to_context=True)
            await self._pipeline.queue(goodbye, AllHeardFrame(self.heard))
            return
        self.over.set()

    def overdue(self, now: float) -> bool:
        """Whether a goodbye never began, or its mark stays away."""
        if self._began_at is None:
            return False
        if self._line.playing_ms() > 0:
            self._last_playing_at = now
        began_by = self._began_at + SYNTHESIS_CAP_SECONDS
        return now >= max(began_by, self._last_playing_at) + GOODBYE_CAP_SECONDS
