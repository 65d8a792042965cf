"""The local voice as a pipecat TTS service: 8 kHz, in pieces, with word times like a vendor's."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from loguru import logger
from pipecat.frames.frames import ErrorFrame, Frame, TTSAudioRawFrame
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.utils.tracing.service_decorators import traced_tts

from bot.audio import SAMPLE_RATE, SAMPLES_PER_MS, Speech
from bot.pipeline.offline.voice import VOICE, LocalVoice

BREATH_MS = 120
"""Of the pause behind a sentence (LocalVoice puts 160 ms there), what is left out within one."""
_PAUSES = frozenset(".,;:!?…—–")
PIECE_MS = 100
"""Audio a frame: short enough that an interruption leaves little behind, long enough to be cheap."""


class LocalTTSService(TTSService):
    """Speaks a turn's sentences in one audio context; word times count from that context's first sample.

    `voice` is loaded and shared by all calls; the service never closes it. An interruption cancels the
    waiting sentence; its synthesis ends in its thread and is thrown away.
    """

    def __init__(self, *, voice: LocalVoice, speed: float = 1.0, **kwargs: Any) -> None:
        super().__init__(
            sample_rate=SAMPLE_RATE,
            push_text_frames=False,
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model="hibari", voice=VOICE, language=None),
            **kwargs,
        )
        self._voice = voice
        self._speed = speed
        self._spoken_ms: dict[str, float] = {}
        """Context → audio it holds so far."""

    def can_generate_metrics(self) -> bool:
        return True

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """The audio of one sentence in frames of at most 100 ms, its words queued beside them."""
        await self.start_tts_usage_metrics(text)
        try:
            async for speech in self._voice.stream(text, speed=self._speed):
                async for frame in self._play(_drawn_together(speech), context_id):
                    yield frame
        except Exception as error:  # the rim of a request: one sentence is lost, the call goes on
            logger.exception(f"{self}: cannot speak")
            yield ErrorFrame(error=f"local voice: {error}")

    async def _play(self, speech: Speech, context_id: str) -> AsyncGenerator[Frame, None]:
        # Mere punctuation has no sound, and pipecat counts a context without audio as a fault.
        pcm = speech.pcm or bytes(2 * SAMPLES_PER_MS * PIECE_MS)
        offset_ms = self._spoken_ms.get(context_id, 0.0)
        size = 2 * SAMPLES_PER_MS * PIECE_MS
        words = list(speech.words)
        for at in range(0, len(pcm), size):
            yield TTSAudioRawFrame(pcm[at : at + size], self.sample_rate, 1, context_id=context_id)
            until_ms = (at + size) / (2 * SAMPLES_PER_MS)
            due = [word for word in words if word.start_ms < until_ms]
            words = words[len(due) :]
            if due:
                times = [(word.text, (offset_ms + word.start_ms) / 1000) for word in due]
                await self.add_word_timestamps(times, context_id)
        self._spoken_ms[context_id] = offset_ms + len(pcm) / (2 * SAMPLES_PER_MS)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        self._spoken_ms.pop(context_id, None)

    async def on_audio_context_completed(self, context_id: str) -> None:
        self._spoken_ms.pop(context_id, None)


def _drawn_together(speech: Speech) -> Speech:
    """A piece that ends within a clause: the next one follows without a breath."""
    breath = 2 * SAMPLES_PER_MS * BREATH_MS
    if speech.text.rstrip("\"'”’»)")[-1:] in _PAUSES or len(speech.pcm) < 2 * breath:
        return speech
    return replace(speech, pcm=speech.pcm[:-breath])
