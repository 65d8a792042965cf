"""STTs in series, each standing in for the one before it.

    line → first STT → second STT → what the callee said

A standby neither connects nor listens, it lets everything pass. An STT that is lost for good hands the
audio it has not understood to the next one, which listens from there on, to the end of the call. The last one
has none to hand on to: it reports a permanent error, and the call apologises.
"""

from dataclasses import dataclass

from loguru import logger
from pipecat.frames.frames import CancelFrame, EndFrame, Frame, InputAudioRawFrame, StartFrame, SystemFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.ai_service import AIService

from bot.audio import SAMPLE_RATE
from bot.pipeline.pipecat_internals import TracedSTT

_FRAME_BYTES = 512
"""32 ms, as the line's input."""


@dataclass
class SttLostFrame(SystemFrame):
    """An STT is lost; `audio`: 8 kHz 16-bit, what it has not understood. In order with the callee's audio."""

    audio: bytes = b""


class SttFallback(TracedSTT):
    """A mixin: an STT that others stand behind, or that stands in for others."""

    lost = False
    _took_over = False

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]  # pipecat overrides it so, too
        await super().setup(setup)
        # pipecat's span of an STT begins with any transcript that passes it; those of the others pass a standby.
        self.trace(on=not self.is_standby)

    @property
    def is_standby(self) -> bool:
        return isinstance(self.previous, SttFallback) and not self._took_over

    @property
    def is_last(self) -> bool:
        return not isinstance(self.next, SttFallback)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, SttLostFrame) and direction is FrameDirection.DOWNSTREAM:
            await AIService.process_frame(self, frame, direction)
            await self._take_over(frame.audio)
        elif self._lets_pass(frame):
            await AIService.process_frame(self, frame, direction)
            await self.push_frame(frame, direction)
        else:
            await super().process_frame(frame, direction)

    def _lets_pass(self, frame: Frame) -> bool:
        return (self.is_standby or self.lost) and not isinstance(frame, StartFrame | EndFrame | CancelFrame)

    async def listen(self) -> None:
        """Begin to listen, as setup does for the first STT."""

    async def _take_over(self, audio: bytes) -> None:
        self._took_over = True
        self.trace(on=True)
        await self.listen()
        for at in range(0, len(audio), _FRAME_BYTES):
            piece = audio[at : at + _FRAME_BYTES]
            frame = InputAudioRawFrame(audio=piece, sample_rate=SAMPLE_RATE, num_channels=1)
            await self.process_audio_frame(frame, FrameDirection.DOWNSTREAM)

    async def give_up(self, why: str, audio: bytes) -> None:
        """Listen no more. `audio`: what was not understood."""
        if self.lost:
            return
        if self.is_last:
            await self.push_error(why, force_treat_as_permanent=True)
        else:
            logger.warning("{} is lost, {} listens: {}", self, self.next, why)
            await self.push_frame(SttLostFrame(audio=audio))
        self.lost = True
        self.trace(on=False)
