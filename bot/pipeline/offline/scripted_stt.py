"""The told hearing as a pipecat STT service: words come from the simulated callee, times from the audio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any

from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601
from pipecat.utils.tracing.service_decorators import traced_stt

from bot.audio import SAMPLE_RATE
from bot.pipeline.offline.hearing import Ear, Final, Hearing, Interim


class ToldSTTService(STTService):
    """Told hearing: it does not recognise speech, it is TOLD what the simulated callee says.

    The samples received are the media clock, so every frame from the call's first on must pass here, also
    silent ones. Words come as interims when the clock has passed them and as a finalized transcript when the
    VAD stops, or 300 ms after an utterance's last word where it did not.
    """

    def __init__(self, *, hearing: Hearing, call_sid: str, **kwargs: Any) -> None:
        super().__init__(
            name=f"told hearing of {call_sid}",
            sample_rate=SAMPLE_RATE,
            # Words are told before they are spoken: after the VAD's stop there is nothing to wait for.
            ttfs_p99_latency=0.0,
            settings=STTSettings(model="told", language=Language.EN),
            **kwargs,
        )
        self._hearing = hearing
        self._call_sid = call_sid
        self._ear = Ear()
        self._samples = 0

    @property
    def now_ms(self) -> float:
        """The media clock: audio received so far."""
        return self._samples * 1000 / SAMPLE_RATE

    def can_generate_metrics(self) -> bool:
        return True

    async def process_audio_frame(self, frame: InputAudioRawFrame, direction: FrameDirection) -> None:
        # Counted here and not in run_stt, which a muted service does not reach.
        self._samples += frame.num_frames
        await super().process_audio_frame(frame, direction)

    @traced_stt
    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """The transcripts due now; `audio` has moved the clock, its content is not listened to."""
        self._ear.take(self._hearing.told(self._call_sid, self._ear.utterances))
        for frame in self._frames(self._ear.hear(self.now_ms)):
            yield frame

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            await self._finish()

    async def stop(self, frame: EndFrame) -> None:
        await self._finish()
        await super().stop(frame)

    async def _finish(self) -> None:
        self._ear.take(self._hearing.told(self._call_sid, self._ear.utterances))
        for frame in self._frames(self._ear.stop(self.now_ms)):
            await self.push_frame(frame)

    def _frames(self, transcripts: Iterable[Interim | Final]) -> Iterable[Frame]:
        for transcript in transcripts:
            now = time_now_iso8601()
            if isinstance(transcript, Final):
                # `finalized` commits the turn without the stop strategies' safety-net wait.
                yield TranscriptionFrame(transcript.text, self._user_id, now, Language.EN, finalized=True)
            else:
                yield InterimTranscriptionFrame(transcript.text, self._user_id, now, Language.EN)
