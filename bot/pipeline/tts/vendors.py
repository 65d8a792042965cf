"""Text to speech: the vendors and local engines of the stage, 8 kHz each, words timed.

A member is a vendor or a local engine with its settings, the environment it `needs`, and `build`.
"""

from collections.abc import AsyncGenerator
from typing import Annotated, ClassVar, Literal

from pipecat.frames.frames import ErrorFrame, Frame, TTSAudioRawFrame
from pipecat.services.tts_service import TTSService
from pydantic import Field

from bot.audio import SAMPLE_RATE
from bot.pipeline.offline.tts import LocalTTSService
from bot.pipeline.resources import Resources
from bot.pipeline.tts.fallback import TtsFallback
from bot.pipeline.tts.spoken_text import SpokenText
from bot.pipeline.usage import Metered
from bot.pipeline.vendor import Vendor
from bot.settings import Settings, with_scheme


class ElevenLabs(Vendor):
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

    def build(self, resources: Resources, *, language: str, speech: SpokenText | None = None) -> TTSService:
        from pipecat.services.elevenlabs.tts import ElevenLabsTTSService

        from bot.pipeline.tts.elevenlabs import ElevenLabsService

        settings = resources.settings
        assert settings.elevenlabs_api_key is not None
        return ElevenLabsService(
            api_key=settings.elevenlabs_api_key.get_secret_value(),
            url=with_scheme(settings.elevenlabs_base_url, websocket=True),
            tls=resources.tls,
            sample_rate=SAMPLE_RATE,
            speech=speech,
            settings=ElevenLabsTTSService.Settings(
                model=self.model,
                voice=self.voice_id or settings.elevenlabs_voice_id,
                language=language,
                stability=self.stability,
                similarity_boost=self.similarity_boost,
                speed=self.speed,
            ),
        )


class Hibari(Vendor):
    """hibari on this machine; English."""

    vendor: Literal["hibari"] = "hibari"
    only_english: ClassVar[bool] = True
    speed: float = Field(default=1.0, ge=0.5, le=2.0)

    def build(self, resources: Resources, *, language: str, speech: SpokenText | None = None) -> TTSService:
        return LocalService(voice=resources.voice, speed=self.speed, speech=speech)


TtsVendor = ElevenLabs | Hibari
Tts = Annotated[TtsVendor, Field(discriminator="vendor")]


def offline() -> TtsVendor:
    """The member that stands in when keys are missing."""
    return Hibari()


def fallback_of(first: TtsVendor, language: str) -> TtsVendor | None:
    """What stands in for a TTS where the scenario names none: the local one, in its language."""
    in_english = language.partition("-")[0] == "en"
    return Hibari() if in_english and not isinstance(first, Hibari) else None


class LocalService(Metered, TtsFallback, LocalTTSService):
    """The local TTS with fallback, its words timed."""

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        if self.gave_up:
            await self.pass_on(context_id, text)
            return
        self.usage.add("hibari", "speech", "characters", len(text))
        sounded = False
        async for frame in super().run_tts(text, context_id):
            if isinstance(frame, ErrorFrame) and not self.is_last:
                await self.give_up(frame.error, {context_id: "" if sounded else text})
                return
            sounded = sounded or isinstance(frame, TTSAudioRawFrame)
            yield frame
