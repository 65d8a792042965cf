"""Deepgram's names of languages: no region that it would refuse."""

from __future__ import annotations

import pytest
from pipecat.transcriptions.language import Language

from bot.pipeline.stt.vendors import flux_hints, nova_language


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        ("en", "en"),
        ("en-US", "en-US"),
        ("en-IE", "en"),
        ("es", "es"),
        ("es-ES", "es"),
        ("es-MX", "es-419"),
        ("es-AR", "es-419"),
        ("fr-CA", "fr-CA"),
        ("fr-FR", "fr"),
        ("pt-BR", "pt-BR"),
    ],
)
def test_novas_language(code: str, sent: str) -> None:
    assert nova_language(code) == sent


def test_flux_is_given_a_hint_where_it_takes_one() -> None:
    assert flux_hints("flux-general-multi", "es-MX") == [Language.ES]
    assert flux_hints("flux-general-en", "en") is None
    assert flux_hints("flux-general-multi", "qq") is None
