"""Runs a pipeline from its first frame to its last: pipecat's worker as a phone call needs it.

8 kHz both ways, so nothing is resampled. RTVI, turn tracking and the idle observer are off: each sees every
frame at every hop, and the call has its own clocks.
"""

from collections.abc import Awaitable, Callable, Sequence

from pipecat.frames.frames import ErrorFrame, Frame
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.tracing.tracing_context import TracingContext
from pipecat.workers.runner import WorkerRunner

from bot.audio import SAMPLE_RATE
from bot.pipeline.pipecat_internals import UnobservedPipeline, trace_into


class RunningPipeline:
    """Linked when constructed, connected and started by `run`, over when `run` returns."""

    def __init__(
        self,
        processors: Sequence[FrameProcessor],
        *,
        on_error: Callable[[ErrorFrame], Awaitable[None]] | None = None,
        tracing: TracingContext | None = None,
    ) -> None:
        self._worker = PipelineWorker(
            UnobservedPipeline(list(processors)),
            params=PipelineParams(
                audio_in_sample_rate=SAMPLE_RATE,
                audio_out_sample_rate=SAMPLE_RATE,
                enable_metrics=True,
                enable_usage_metrics=True,
                send_initial_empty_metrics=False,
            ),
            enable_rtvi=False,
            enable_turn_tracking=False,
            enable_tracing=tracing is not None,
            idle_timeout_secs=None,
            cancel_timeout_secs=5.0,
        )
        if tracing is not None:
            trace_into(self._worker, tracing)
        if on_error is not None:

            async def report(_worker: PipelineWorker, frame: ErrorFrame) -> None:
                await on_error(frame)

            self._worker.add_event_handler("on_pipeline_error", report)

    async def run(self) -> None:
        """Until a terminal frame has passed or `cancel`; every task, socket and thread is gone then."""
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self._worker)
        await runner.run()

    async def queue(self, *frames: Frame) -> None:
        """Push frames in at the top, behind what is there."""
        await self._worker.queue_frames(list(frames))

    async def cancel(self) -> None:
        """Tear down now; `run` returns soon after."""
        await self._worker.cancel()
