"""Listeners that keep what is reported, and a pipeline that runs while a test looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pipecat.frames.frames import Frame, MetricsFrame, StartFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from bot.pipeline.runner import RunningPipeline


class Diary:
    """The ConversationListener of a test."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, object]] = []
        self._news = asyncio.Condition()

    def callee_speech_started(self, late_seconds: float = 0.0) -> None:
        self._note("speech", True)

    def callee_speech_stopped(self, silence_seconds: float, late_seconds: float = 0.0) -> None:
        self._note("silence", silence_seconds)

    def speculated(self, *, kept: bool) -> None:
        self._note("guess", kept)

    def callee_words(self, text: str, *, final: bool) -> None:
        self._note("final" if final else "interim", text)

    def recording_was_callee(self) -> None: ...

    def callee_turn_over(self, text: str) -> None:
        self._note("callee", text)

    def agent_words(self, text: str) -> None:
        self._note("heard", text)

    def agent_words_cut(self, text: str) -> None:
        self._note("cut", text)

    def agent_turn_over(self, text: str, *, interrupted: bool) -> None:
        self._note("agent, cut" if interrupted else "agent", text)

    def of(self, kind: str) -> list[object]:
        return [what for noted, what in self.lines if noted == kind]

    async def until(self, kind: str, count: int = 1) -> None:
        """Until so many lines of a kind are there."""
        while len(self.of(kind)) < count:  # noqa: ASYNC110  # told synchronously, from inside the pipeline
            await asyncio.sleep(0.002)

    def _note(self, kind: str, what: object) -> None:
        self.lines.append((kind, what))


class Reports:
    """The MediaListener and LineListener of a test."""

    def __init__(self) -> None:
        self.speaking: list[bool] = []
        self.begun: list[float] = []
        self.metrics: list[MetricsFrame] = []
        self.payloads: list[Any] = []
        self.keys: list[str] = []

    def listening_began(self) -> None: ...

    def callee_window(self, pcm: bytes) -> None: ...

    def agent_audio_begins(self, now: float) -> None:
        self.begun.append(now)

    audio_begins = agent_audio_begins

    def agent_speaks(self, speaking: bool) -> None:
        self.speaking.append(speaking)

    def metrics_came(self, frame: MetricsFrame) -> None:
        self.metrics.append(frame)

    async def key_pressed(self, key: str) -> None:
        self.keys.append(key)

    async def heard(self, payload: Any) -> None:
        self.payloads.append(payload)


class Collector(FrameProcessor):
    """Keeps what passes, both ways."""

    def __init__(self, name: str = "Collector") -> None:
        super().__init__(name=name)
        self.down: list[Frame] = []
        self.up: list[Frame] = []
        self.started = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        (self.down if direction is FrameDirection.DOWNSTREAM else self.up).append(frame)
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self.started.set()

    def of(self, kind: type[Frame]) -> list[Frame]:
        return [frame for frame in self.down if isinstance(frame, kind)]


@asynccontextmanager
async def running(processors: Sequence[FrameProcessor]) -> AsyncIterator[RunningPipeline]:
    """The processors, started; torn down at the end, and no task left but a line's own."""
    before = asyncio.all_tasks()
    tail = Collector("Tail")
    pipeline = RunningPipeline([*processors, tail])
    task = asyncio.create_task(pipeline.run())
    await tail.started.wait()
    try:
        yield pipeline
    finally:
        await pipeline.cancel()
        await task
    left = {task for task in asyncio.all_tasks() - before if _of_the_pipeline(task)}
    assert not left, f"tasks left behind: {left}"


def _of_the_pipeline(task: asyncio.Task[Any]) -> bool:
    """Simulators and lines live on beside it."""
    code = getattr(task.get_coro(), "cr_code", None)
    where = code.co_filename if code is not None else ""
    return ("/pipecat/" in where or "/bot/" in where) and not task.get_name().startswith("line ")


async def until(condition: Callable[[], bool]) -> None:
    """Until it holds; the test's timeout bounds the wait."""
    while not condition():  # noqa: ASYNC110  # the state of a pipeline has no event of its own
        await asyncio.sleep(0.002)
