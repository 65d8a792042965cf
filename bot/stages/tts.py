"""Text to speech: the menu of voices, 8 kHz each, words timed.

A member is a vendor or a local engine with its settings, the environment it `needs`, and `build`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pipecat.frames.frames import Frame, TTSAudioRawFrame, TTSTextFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.tts_service import TTSService
from pydantic import Field

from bot.audio import SAMPLE_RATE
from bot.engines.tts import LocalTTSService
from bot.settings import Settings, with_scheme
from bot.stages.menu import Member
from bot.stages.resources import Resources, SharedTls

CHARACTER_MS = 65.0
"""Some fifteen characters a second: English at a telephone's pace."""


class TimedWords:
    """Says where in its audio each word stands: `metadata["offset_ms"]`, from the context's first sample.

    pipecat turns word times into presentation times of the moment of sending. The line needs the offset
    itself: it knows when each sample is heard. Where two sentences touch without a space, and at the end of
    a reply, pipecat gives a word the time of the word before it; that one is placed by the length of the
    other.
    """

    _last_word: tuple[str | None, float, float] = (None, 0.0, 0.0)
    """Context, given offset, and estimated end of the word before, in ms."""

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, TTSTextFrame) and frame.pts is not None:
            baseline = self._word_timestamp_tracker._baseline  # type: ignore[attr-defined]  # a mixin
            if baseline is not None:
                frame.metadata["offset_ms"] = self._place(frame, (frame.pts - baseline) / 1e6)
        await super().push_frame(frame, direction)  # type: ignore[misc]  # a mixin

    def _place(self, frame: TTSTextFrame, given_ms: float) -> float:
        context, last_given_ms, last_end_ms = self._last_word
        moved = context == frame.context_id and given_ms <= last_given_ms
        start_ms = last_end_ms if moved else given_ms
        end_ms = start_ms + CHARACTER_MS * (len(frame.text.strip()) + 1)
        self._last_word = (frame.context_id, given_ms, end_ms)
        return start_ms


class ElevenLabs(Member):
    """ElevenLabs' multi-context websocket; 8 kHz PCM, so nothing is resampled."""

    vendor: Literal["elevenlabs"] = "elevenlabs"
    needs: ClassVar[tuple[str, ...]] = ("ELEVENLABS_API_KEY", "ELEVENLABS_VOICE_ID")
    model: str = "eleven_flash_v2_5"
    voice_id: str | None = None
    """None: ELEVENLABS_VOICE_ID."""
    stability: float | None = Field(default=None, ge=0, le=1)
    similarity_boost: float | None = Field(default=None, ge=0, le=1)
    speed: float | None = Field(default=None, ge=0.7, le=1.2)

    def missing(self, settings: Settings) -> list[str]:
        """A voice named by the scenario needs no ELEVENLABS_VOICE_ID."""
        names = super().missing(settings)
        return [name for name in names if name != "ELEVENLABS_VOICE_ID" or not self.voice_id]

    def build(self, resources: Resources, *, language: str) -> TTSService:
        settings = resources.settings
        assert settings.elevenlabs_api_key is not None
        service = ElevenLabsService(
            api_key=settings.elevenlabs_api_key.get_secret_value(),
            url=with_scheme(settings.elevenlabs_base_url, websocket=True),
            sample_rate=SAMPLE_RATE,
            settings=ElevenLabsTTSService.Settings(
                model=self.model,
                voice=self.voice_id or settings.elevenlabs_voice_id,
                language=language,
                stability=self.stability,
                similarity_boost=self.similarity_boost,
                speed=self.speed,
            ),
        )
        service.tls = resources.tls
        return service


class LocalVoiceMember(Member):
    """hibari on this machine; English."""

    vendor: Literal["hibari"] = "hibari"
    speed: float = Field(default=1.0, ge=0.5, le=2.0)

    def build(self, resources: Resources, *, language: str) -> TTSService:
        return LocalService(voice=resources.voice, speed=self.speed)


TtsMember = ElevenLabs | LocalVoiceMember
Tts = Annotated[TtsMember, Field(discriminator="vendor")]


def offline() -> TtsMember:
    """The member that stands in when keys are missing."""
    return LocalVoiceMember()


class ElevenLabsService(SharedTls, TimedWords, ElevenLabsTTSService):
    """pipecat's service with timed words and the process's TLS context.

    pipecat keeps one clock of words for all contexts: what still arrives of an interrupted reply moves the
    words of the next one, by seconds. Here each context has its own.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_consecutive_zero_audio_contexts=2, **kwargs)
        self._clock_of: str | None = None
        """The context pipecat's clock stands for now."""
        self._clocks: dict[str | None, _WordClock] = {}
        """Of the other contexts."""

    async def append_to_audio_context(self, context_id: str | None, frame: Any) -> None:
        # A message's audio is appended right before its words are timed.
        if isinstance(frame, TTSAudioRawFrame) and context_id != self._clock_of:
            self._clocks[self._clock_of] = self._word_clock
            self._word_clock = self._clocks.pop(context_id, _WordClock())
            self._clock_of = context_id
        await super().append_to_audio_context(context_id, frame)

    def _reset_alignment_state(self, context_id: str) -> None:
        others = self._word_clock
        super()._reset_alignment_state(context_id)
        if context_id != self._clock_of:
            self._word_clock = others
        self._clocks.pop(context_id, None)

    @property
    def _word_clock(self) -> _WordClock:
        return _WordClock(self._cumulative_time, self._partial_word, self._partial_word_start_time)

    @_word_clock.setter
    def _word_clock(self, clock: _WordClock) -> None:
        self._cumulative_time, self._partial_word = clock.seconds, clock.partial_word
        self._partial_word_start_time = clock.partial_word_start


@dataclass(frozen=True)
class _WordClock:
    """pipecat's: seconds of the context's audio so far, and the word it broke off in."""

    seconds: float = 0.0
    partial_word: str = ""
    partial_word_start: float = 0.0


class LocalService(TimedWords, LocalTTSService):
    """The local voice with timed words."""
