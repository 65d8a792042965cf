"""Speech to text: the menu of ears.

A member is a vendor or a local engine with its settings, the environment it `needs`, and `build`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeVar

from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.stt_service import STTService
from pydantic import Field, model_validator

from bot.audio import SAMPLE_RATE
from bot.pipeline.resources import Resources
from bot.pipeline.stt.deepgram_flux import FluxService
from bot.pipeline.stt.deepgram_languages import flux_hints, nova_language
from bot.pipeline.stt.deepgram_nova import NovaService
from bot.pipeline.stt.fallback import SttFallback
from bot.pipeline.vendor import Vendor
from bot.settings import with_scheme


class _SttVendor(Vendor):
    detects_turns: ClassVar[bool] = False
    """The service proposes turns itself; no local turn detector runs."""


class DeepgramNova(_SttVendor):
    """Deepgram's streaming transcription, /v1/listen."""

    vendor: Literal["deepgram"] = "deepgram"
    needs: ClassVar[tuple[str, ...]] = ("DEEPGRAM_API_KEY",)
    model: str = "nova-3"
    keyterms: tuple[str, ...] = ()
    """Names and words to listen for, nova-3's `keyterm`."""
    smart_format: bool = False

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        return NovaService(
            api_key=_key(resources),
            base_url=resources.settings.deepgram_base_url,
            sample_rate=SAMPLE_RATE,
            settings=DeepgramSTTService.Settings(
                model=self.model,
                language=nova_language(language),
                smart_format=self.smart_format,
                keyterm=list(self.keyterms) or None,
            ),
        )


class DeepgramFlux(_SttVendor):
    """Deepgram's conversational transcription with its own end of turn, /v2/listen."""

    vendor: Literal["deepgram_flux"] = "deepgram_flux"
    needs: ClassVar[tuple[str, ...]] = ("DEEPGRAM_API_KEY",)
    detects_turns: ClassVar[bool] = True
    model: str = "flux-general-en"
    keyterms: tuple[str, ...] = ()
    eot_threshold: float = Field(default=0.7, ge=0.5, le=0.9)
    """Confidence that ends a turn; Deepgram's range."""
    eager_eot_threshold: float = Field(default=0.5, ge=0.3, le=0.9)
    """Confidence at which the reply is prepared ahead of the turn's end; Deepgram's range."""
    eot_timeout_ms: int = Field(default=5000, ge=500, le=10000)
    """Silence that ends a turn whatever the confidence; Deepgram's range."""

    @model_validator(mode="after")
    def _eager_comes_first(self) -> DeepgramFlux:
        if self.eager_eot_threshold > self.eot_threshold:
            raise ValueError("eager_eot_threshold must not be above eot_threshold")
        return self

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        base = with_scheme(resources.settings.deepgram_base_url, websocket=True)
        service = FluxService(
            api_key=_key(resources),
            url=f"{base}/v2/listen",
            sample_rate=SAMPLE_RATE,
            enable_eager_end_of_turn=True,
            settings=DeepgramFluxSTTService.Settings(
                model=self.model,
                keyterm=list(self.keyterms),
                language_hints=flux_hints(self.model, language),
                eot_threshold=self.eot_threshold,
                eager_eot_threshold=self.eager_eot_threshold,
                eot_timeout_ms=self.eot_timeout_ms,
            ),
        )
        service.tls = resources.tls
        return service


class PocketSphinx(_SttVendor):
    """A local ear for live microphones; English, small vocabulary errors are to be expected."""

    vendor: Literal["pocketsphinx"] = "pocketsphinx"
    only_english: ClassVar[bool] = True

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        from bot.pipeline.offline.pocketsphinx_stt import PocketSphinxSTTService

        return with_fallback(PocketSphinxSTTService)(decoders=resources.decoders)


class Moonshine(_SttVendor):
    """A better local ear, behind the extra `moonshine`."""

    vendor: Literal["moonshine"] = "moonshine"
    only_english: ClassVar[bool] = True

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        from bot.pipeline.offline.moonshine_stt import MoonshineSTTService

        return with_fallback(MoonshineSTTService)(model=resources.moonshine)


class Scripted(_SttVendor):
    """The simulated callee's own script as transcripts, each word when it has been spoken."""

    vendor: Literal["scripted"] = "scripted"

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        from bot.pipeline.offline.scripted_stt import ScriptedSTTService

        return with_fallback(ScriptedSTTService)(scripts=resources.scripts, call_sid=call_sid)


SttVendor = DeepgramNova | DeepgramFlux | PocketSphinx | Moonshine | Scripted
Stt = Annotated[SttVendor, Field(discriminator="vendor")]


def offline(*, simulated_line: bool) -> SttVendor:
    """The member that stands in when keys are missing."""
    return Scripted() if simulated_line else PocketSphinx()


E = TypeVar("E", bound=STTService)


def with_fallback(ear: type[E]) -> type[E]:
    """A local ear that may stand in for another."""
    rung: type[E] = type(ear.__name__, (SttFallback, ear), {})
    return rung


def _key(resources: Resources) -> str:
    key = resources.settings.deepgram_api_key
    assert key is not None, "a member is built only when what it needs is set"
    return key.get_secret_value()
