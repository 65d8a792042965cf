"""What a colleague is asked, and how they say yes or no."""

from __future__ import annotations

import pytest

from bot.languages import asking


@pytest.mark.parametrize("code", ["en", "es", "es-MX"])
def test_a_question_names_the_call_and_the_key(code: str) -> None:
    words = asking(code)
    asked = words.asked("  John wants to pay. ", "5")
    assert "John wants to pay." in asked
    assert "5" in asked
    assert "  " not in asked
    assert "5" in words.asked_again("5")


def test_the_carriers_voice_speaks_the_scenarios_language() -> None:
    assert [asking(code).tag for code in ("en", "es", "es-MX", "en-GB")] == ["en-US", "es-ES", "es-MX", "en-GB"]
    assert asking("de").tag == "en-US", "without a text of its own, English by an English voice"


@pytest.mark.parametrize(
    ("code", "text", "meant"),
    [
        ("en", "Yes.", True),
        ("en", "Sure, put them through!", True),
        ("en", "I'll take it.", True),
        ("en", "No.", False),
        ("en", "Sorry, I can't right now.", False),
        ("en", "Yes, but not now.", False),
        ("en", "Who is it?", None),
        ("en", "Hi, you have reached Sam, yes I am away, please leave me a message after the tone.", None),
        ("es", "Sí, claro.", True),
        ("es", "Ahora no puedo.", False),
        ("es-MX", "¿Quién habla?", None),
        ("en", "", None),
    ],
)
def test_yes_and_no(code: str, text: str, meant: bool | None) -> None:
    assert asking(code).said_yes(text) is meant
