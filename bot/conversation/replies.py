"""Does what the watch over owed replies says: fills the wait, asks the model again, apologises and ends.

A request that was lost is withdrawn before it is made again. That enters the pipeline at the model, past the
callee's own half of it: nobody has interrupted, and no turn is touched.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from loguru import logger
from pipecat.frames.frames import LLMRunFrame
from pipecat.services.llm_service import LLMService

from bot.conversation.fillers import Fillers
from bot.conversation.patience import ReplyWatch, Step
from bot.conversation.scenario.parts import Patience
from bot.pipeline.line.line import Line
from bot.pipeline.line.line_ends import LineOutput, ReplyWithdrawnFrame
from bot.pipeline.runner import RunningPipeline
from bot.records import EndedReason


class Replies:
    """The replies of one call. `apologise` ends it with a reason and what happened."""

    def __init__(
        self,
        patience: Patience,
        *,
        line: Line,
        output: LineOutput,
        llms: Sequence[LLMService[Any]],
        pipeline: RunningPipeline,
        fillers: Fillers,
        apologise: Callable[[EndedReason, str], Awaitable[None]],
    ) -> None:
        self._watch = ReplyWatch(patience)
        self._line, self._output = line, output
        self._llms = tuple(llms)
        self._pipeline = pipeline
        self._fillers = fillers
        self._apologise = apologise

    @property
    def owed(self) -> bool:
        """The callee waits for the agent."""
        return self._watch.owed

    def owe(self) -> None:
        """The callee's turn is over."""
        self._watch.owe(time.monotonic())

    def settle(self) -> None:
        """No reply is to come."""
        self._watch.settle()

    def note_callee_speech(self, speaking: bool) -> None:
        self._watch.callee_speaks(speaking, time.monotonic())

    def note_tools(self, working: bool) -> None:
        self._watch.tools_work(working, time.monotonic())

    def wake_in(self, now: float) -> float:
        """Seconds until `mind` has something to do."""
        return self._watch.wake_in(now)

    async def mind(self, now: float) -> None:
        """What is due now."""
        step = self._watch.decide(
            now,
            audio_at=self._output.last_audio_at,
            playing=not self._line.idle,
            busy=self._busy,
            wordless=any(getattr(llm, "reply_was_empty", False) for llm in self._llms),
        )
        match step:
            case Step.FILLER:
                if self._fillers.say():
                    self._watch.filled(now)
            case Step.ASK_AGAIN:
                logger.warning("a reply got lost; the model is asked again")
                await self._withdraw()
                await self._pipeline.queue(LLMRunFrame())
            case Step.APOLOGISE:
                written = not self._busy and any(getattr(llm, "reply_has_text", True) for llm in self._llms)
                reason = EndedReason.ERROR_TTS if written else EndedReason.ERROR_LLM
                await self._withdraw()
                await self._apologise(reason, "a reply that was owed stayed silent")
            case Step.NOTHING:
                pass

    @property
    def _busy(self) -> bool:
        return any(getattr(llm, "busy", False) for llm in self._llms)

    async def _withdraw(self) -> None:
        await self._llms[0].queue_frame(ReplyWithdrawnFrame())
