"""The running stages of one call, as its parts act on them: say, play, ask the model, fall silent."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import LLMRunFrame, TTSSpeakFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import LLMService

from bot.audio import Speech
from bot.pipeline.line.line import Line
from bot.pipeline.line.line_ends import AllHeardFrame, HushFrame, LineOutput
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.turns.context import UserContext

HUSH_SECONDS = 1.0
"""For a pipeline that is still starting."""


@dataclass(frozen=True)
class Stages:
    """What is said through the pipeline waits behind what is being said; what is played goes past it."""

    line: Line
    user: UserContext
    output: LineOutput
    pipeline: RunningPipeline
    context: LLMContext
    llms: tuple[LLMService[Any], ...]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Something happened that the next deadline of the call depends on."""

    async def say(self, text: str, heard: Callable[[], Awaitable[None]] | None = None) -> None:
        """Speak `text`; `heard` is awaited once all of it was heard."""
        await self.pipeline.queue(TTSSpeakFrame(text, append_to_context=True))
        if heard is not None:
            await self.pipeline.queue(AllHeardFrame(heard))

    def play(self, speech: Speech, heard: Callable[[], Awaitable[None]]) -> None:
        """Play speech that is there as a whole; `heard` is awaited once all of it was heard."""
        self.output.speak(speech)
        self.line.when_heard(heard, mark=True)

    async def run_model(self) -> None:
        await self.pipeline.queue(LLMRunFrame())

    def note(self, text: str) -> None:
        """Let the model know something that was not said on the line."""
        self.context.add_message({"role": "user", "content": text})

    async def hush(self) -> None:
        """Drop what is being said, or prepared by the pipeline; returns when what is said next would be heard."""
        hush = HushFrame()
        await self.pipeline.queue(hush)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hush.passed.wait(), HUSH_SECONDS)
