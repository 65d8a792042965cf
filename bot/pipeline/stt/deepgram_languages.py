"""How Deepgram names a scenario's language. Pure.

Deepgram answers 400 to a pair of model and language that it does not have, and a call without an ear is lost: a
region it does not know gives way to the language, Spanish of the Americas to the name Deepgram has for it.
"""

from __future__ import annotations

from pipecat.transcriptions.language import Language

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
