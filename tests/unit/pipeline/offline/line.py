"""One processor in a real PipelineWorker at 8 kHz."""

from __future__ import annotations

from collections.abc import Sequence

from pipecat.frames.frames import Frame
from pipecat.pipeline.worker import PipelineParams
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.tests.utils import run_test


class Line:
    """Runs a processor between a source and a sink until all its frames are out."""

    async def run(self, processor: FrameProcessor, frames: Sequence[Frame]) -> list[Frame]:
        """What the processor pushed downstream, without Start- and EndFrame."""
        down, _ = await run_test(
            processor,
            frames_to_send=frames,
            pipeline_params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        )
        return list(down)
