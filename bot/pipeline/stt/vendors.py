"""Speech to text: the vendors and local engines of the stage.

A member is a vendor or a local engine with its settings, the environment it `needs`, and `build`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeVar

from pipecat.services.stt_service import STTService
from pipecat.transcriptions.language import Language
from pydantic import Field, model_validator

from bot.audio import SAMPLE_RATE
from bot.pipeline.resources import Resources
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
        from pipecat.services.deepgram.stt import DeepgramSTTService

        from bot.pipeline.stt.deepgram_nova import NovaService

        return NovaService(
            api_key=_key(resources),
            base_url=resources.settings.deepgram_base_url,
            tls=resources.tls,
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
        from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService

        from bot.pipeline.stt.deepgram_flux import FluxService

        base = with_scheme(resources.settings.deepgram_base_url, websocket=True)
        return FluxService(
            api_key=_key(resources),
            url=f"{base}/v2/listen",
            tls=resources.tls,
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


class PocketSphinx(_SttVendor):
    """A local recogniser for live microphones; English, small vocabulary errors are to be expected."""

    vendor: Literal["pocketsphinx"] = "pocketsphinx"
    only_english: ClassVar[bool] = True

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        from bot.pipeline.offline.pocketsphinx_stt import PocketSphinxSTTService

        return with_fallback(PocketSphinxSTTService)(decoders=resources.decoders)


class Moonshine(_SttVendor):
    """A better local recogniser, behind the extra `moonshine`."""

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


def with_fallback(service: type[E]) -> type[E]:
    """A local STT that may stand in for another."""
    extended: type[E] = type(service.__name__, (SttFallback, service), {})
    return extended


def _key(resources: Resources) -> str:
    key = resources.settings.deepgram_api_key
    assert key is not None, "a member is built only when what it needs is set"
    return key.get_secret_value()


# -- how Deepgram names a language --------------------------------------------------------------------------
# It answers 400 to a pair of model and language that it does not have, and a call without an STT is lost: a
# region it does not know gives way to the language, Spanish of the Americas to the name Deepgram has for it.

_REGIONS = frozenset(
    {
        *("da-DK", "de-CH", "en-AU", "en-GB", "en-IN", "en-NZ", "en-US", "es-419", "fr-CA", "ko-KR", "nl-BE"),
        *("pt-BR", "pt-PT", "sv-SE", "th-TH", "zh-CN", "zh-HK", "zh-TW"),
    }
)
"""Regions that nova-3 knows, by Deepgram's changelog of 2025 and 2026."""
_MULTILINGUAL = "flux-general-multi"
"""The only Flux model that takes a hint."""


def nova_language(code: str) -> str:
    """`language` of /v1/listen for a code like "es-MX"."""
    base = code.split("-", maxsplit=1)[0]
    if code in _REGIONS or code == base:
        return code
    return "es-419" if base == "es" and code != "es-ES" else base


def flux_hints(model: str, code: str) -> list[Language] | None:
    """`language_hint` of /v2/listen; None where the model takes none, or pipecat does not know the language."""
    if model != _MULTILINGUAL:
        return None
    try:
        return [Language(code.split("-", maxsplit=1)[0])]
    except ValueError:
        return None
