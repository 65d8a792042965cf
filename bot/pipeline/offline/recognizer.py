"""A blocking recogniser in a thread of its own behind a pipecat STT service, one a call.

Audio is decoded only from the VAD's start to its stop, with a little from before the start: decoding
silence costs as much as speech and is where recognisers invent words. Jobs go through a queue of our own and
not the executor's, because pieces that pile up are decoded in one go and a backlog can be measured and cut.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any, Protocol, TypeVar

from loguru import logger
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterimTranscriptionFrame,
    StartFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601
from pipecat.utils.tracing.service_decorators import traced_stt

from bot.audio import SAMPLE_RATE, pcm_ms

BACKLOG_MS = 5000.0
"""Audio waiting for the recogniser beyond which more is dropped."""
PREROLL_MS = 300.0
"""Audio kept from before the VAD's start: it fires after 0.2 s of speech."""

_T = TypeVar("_T")


class Recognizer(Protocol):
    """Turns one utterance after the other into text. Blocking; called from one thread."""

    def start(self) -> None:
        """An utterance begins."""

    def feed(self, pcm: bytes) -> str:
        """Takes 8 kHz 16-bit PCM; gives the utterance's text so far."""

    def finish(self) -> str:
        """The utterance is over; gives its text."""

    def close(self) -> None:
        """Gives everything back, also in mid-utterance."""


class _Mark(Enum):
    START = "start"
    STOP = "stop"
    END = "end"


class RecognizerSTTService(STTService):
    """Interim transcripts while the callee speaks, a finalized one after the VAD's stop.

    `open_recognizer` is called once, in the call's recogniser thread, as the pipeline starts.
    """

    def __init__(
        self, *, open_recognizer: Callable[[], Recognizer], model: str, ttfs_p99_latency: float, **kwargs: Any
    ) -> None:
        super().__init__(
            sample_rate=SAMPLE_RATE,
            ttfs_p99_latency=ttfs_p99_latency,
            settings=STTSettings(model=model, language=Language.EN),
            **kwargs,
        )
        self._open_recognizer = open_recognizer
        self._recognizer: Recognizer | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._worker: asyncio.Task[None] | None = None
        self._jobs: deque[bytes | _Mark] = deque()
        self._wake = asyncio.Event()
        self._backlog_ms = 0.0
        self._dropping = False
        self._in_speech = False
        self._preroll: deque[bytes] = deque()
        self._preroll_ms = 0.0
        self._last_interim = ""

    def can_generate_metrics(self) -> bool:
        return True

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{self.name} recogniser")
        self._worker = self.create_task(self._work(), "recogniser")

    async def stop(self, frame: EndFrame) -> None:
        """Finishes what was heard, then stops."""
        if self._worker:
            if self._in_speech:
                self._put(_Mark.STOP)
            self._put(_Mark.END)
            await self._worker
            self._worker = None
        await super().stop(frame)

    async def cleanup(self) -> None:
        """Ends the task and the thread; the piece being decoded is waited for (some 10 ms)."""
        await super().cleanup()  # type: ignore[no-untyped-call]  # pipecat leaves it unannotated
        if self._worker:
            await self.cancel_task(self._worker)
            self._worker = None
        thread, self._thread = self._thread, None
        if thread:
            await asyncio.get_running_loop().run_in_executor(thread, self._close_recognizer)
            thread.shutdown(wait=True)

    @traced_stt
    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Queues the audio; transcripts come from the recogniser's task."""
        self._hear(audio)
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame) and not self._in_speech:
            self._in_speech = True
            self._put(_Mark.START)
            for audio in self._preroll:
                self._hear(audio)
            self._preroll.clear()
            self._preroll_ms = 0.0
        elif isinstance(frame, VADUserStoppedSpeakingFrame) and self._in_speech:
            self._in_speech = False
            self._put(_Mark.STOP)

    def _hear(self, audio: bytes) -> None:
        ms = pcm_ms(audio)
        if not self._in_speech:
            self._preroll.append(audio)
            self._preroll_ms += ms
            while self._preroll_ms > PREROLL_MS:
                self._preroll_ms -= pcm_ms(self._preroll.popleft())
            return
        if self._backlog_ms + ms > BACKLOG_MS:
            if not self._dropping:
                logger.warning(f"{self} is {self._backlog_ms / 1000:.1f} s behind: dropping audio")
            self._dropping = True
            return
        self._dropping = False
        self._backlog_ms += ms
        self._put(audio)

    def _put(self, job: bytes | _Mark) -> None:
        self._jobs.append(job)
        self._wake.set()

    async def _work(self) -> None:
        """The recogniser's only user: takes the jobs in order, pushes what it hears."""
        try:
            await self._in_thread(self._open)
            while (job := await self._next_job()) is not _Mark.END:
                await self._do(job)
        except Exception as error:  # the rim of the recogniser: the pipeline's policy decides about the call
            logger.exception(f"{self}: the recogniser failed")
            await self.push_error(f"{self.name}: {error}", exception=error, force_treat_as_permanent=True)

    async def _do(self, job: bytes | _Mark) -> None:
        recognizer = self._recognizer
        assert recognizer is not None
        if job is _Mark.START:
            await self._in_thread(recognizer.start)
        elif job is _Mark.STOP:
            text = (await self._in_thread(recognizer.finish)).strip()
            self._last_interim = ""
            # Not by request_finalize: pipecat keeps one flag, and a new utterance may have begun meanwhile.
            last = not self._in_speech and _Mark.START not in self._jobs
            if text:
                await self.push_frame(
                    TranscriptionFrame(text, self._user_id, time_now_iso8601(), Language.EN, finalized=last)
                )
            await self.emit_stt_usage_metrics()  # type: ignore[no-untyped-call]  # as above
        elif isinstance(job, bytes):
            text = (await self._in_thread(lambda: recognizer.feed(job))).strip()
            self._backlog_ms -= pcm_ms(job)
            if text and text != self._last_interim:
                self._last_interim = text
                await self.push_frame(
                    InterimTranscriptionFrame(text, self._user_id, time_now_iso8601(), Language.EN)
                )

    async def _next_job(self) -> bytes | _Mark:
        """The next mark, or all audio up to it."""
        while not self._jobs:
            self._wake.clear()
            await self._wake.wait()
        job = self._jobs.popleft()
        if isinstance(job, _Mark):
            return job
        pieces = [job]
        while self._jobs and isinstance(self._jobs[0], bytes):
            pieces.append(self._jobs.popleft())  # type: ignore[arg-type]  # the line above looked
        return b"".join(pieces)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        self._recognizer = self._open_recognizer()

    def _close_recognizer(self) -> None:
        if self._recognizer:
            self._recognizer.close()
            self._recognizer = None
