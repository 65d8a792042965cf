"""The opening of a call, written and spoken while the phone rings, so that it is ready before the hello."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from bot.audio import Speech, TimedWord
from bot.errors import VendorError
from bot.pipeline import RunningPipeline
from bot.stages.llm import LlmMember, Mind
from bot.stages.resources import Resources
from bot.stages.tts import LocalVoiceMember, TtsMember

PREPARE_SECONDS = 10.0
"""A vendor that has not answered by then is left alone; the opening is then spoken by the pipeline."""
FLUSH_SECONDS = 2.0
"""For the last words of a stage that is through, and its socket's goodbye."""
_ASK = "The phone is ringing. Write only the first thing you say when it is picked up: who you are, for whom \
you call, and why, in one or two short sentences."


class _Collector(FrameProcessor):
    """Keeps what a single stage produces; ends its pipeline at the first error."""

    def __init__(self) -> None:
        super().__init__(name="OpeningCollector")
        self.audio = bytearray()
        self.words: list[TimedWord] = []
        self.text = ""
        self.complete = asyncio.Event()
        """The stage has said all it has to say."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.audio += frame.audio
        elif isinstance(frame, TTSTextFrame):
            start = float(frame.metadata.get("offset_ms", self.words[-1].end_ms if self.words else 0.0))
            self.words.append(TimedWord(frame.text, start, start))
        elif isinstance(frame, LLMTextFrame):
            self.text += frame.text
        elif isinstance(frame, LLMFullResponseEndFrame | TTSStoppedFrame):
            self.complete.set()
        await self.push_frame(frame, direction)


@dataclass
class _OneStage:
    """A pipeline of one stage and a collector."""

    stage: FrameProcessor
    collector: _Collector = field(default_factory=_Collector)
    error: ErrorFrame | None = None

    async def run(self, frame: Frame) -> _Collector:
        """Feed one frame, collect what comes of it. VendorError on any error or after PREPARE_SECONDS.

        The EndFrame follows when the stage is through: a pipeline that waits for one cannot be cancelled.
        """
        self._pipeline = pipeline = RunningPipeline([self.stage, self.collector], on_error=self._stop)
        await pipeline.queue(frame)
        running = asyncio.create_task(pipeline.run(), name="opening")
        complete = asyncio.create_task(self.collector.complete.wait(), name="opening complete")
        try:
            done, _ = await asyncio.wait(
                {running, complete}, timeout=PREPARE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise VendorError("the opening took too long", provider=self.stage.name, retryable=True)
            if running not in done:
                await pipeline.queue(EndFrame())
                await asyncio.wait({running}, timeout=FLUSH_SECONDS)
        finally:
            complete.cancel()
            if not running.done():
                await pipeline.cancel()
            await asyncio.gather(running, complete, return_exceptions=True)
        if failure := running.exception():
            raise failure
        if self.error is not None:
            raise VendorError(self.error.error, provider=self.stage.name, retryable=True)
        return self.collector

    async def _stop(self, frame: ErrorFrame) -> None:
        self.error = self.error or frame
        await self._pipeline.cancel()


async def write(resources: Resources, member: LlmMember, mind: Mind) -> str:
    """The model's opening. VendorError when it does not come."""
    context = LLMContext(messages=[{"role": "user", "content": _ASK}])
    collector = await _OneStage(member.build(resources, mind)).run(LLMContextFrame(context=context))
    text = collector.text.strip()
    if not text:
        raise VendorError("the model wrote no opening", provider=member.vendor, retryable=True)
    return text


async def speak(resources: Resources, member: TtsMember, text: str, *, language: str) -> Speech:
    """`text` in the call's voice. VendorError when there is no audio."""
    if isinstance(member, LocalVoiceMember):
        return await resources.voice.speak(text, speed=member.speed)
    service = await asyncio.to_thread(member.build, resources, language=language)
    collector = await _OneStage(service).run(TTSSpeakFrame(text, append_to_context=True))
    if not collector.audio:
        raise VendorError("the voice sent no audio", provider=member.vendor, retryable=True)
    return Speech(text, bytes(collector.audio), tuple(collector.words))
