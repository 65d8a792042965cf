"""Numbers that are known, found where they are said in words."""

from __future__ import annotations

import pytest

from bot.conversation.masking import MASK, Secrets
from bot.languages.spoken_digits import spoken_at

SECRET = "4112"


@pytest.mark.parametrize(
    ("language", "text", "left"),
    [
        ("en", "It's four one one two.", "It's ****."),
        ("en", "Four, one... one - two!", "****!"),
        ("en", "four double one two, right?", "****, right?"),
        ("en", "forty-one twelve", "****"),
        ("en", "forty one one two", "****"),
        ("en", "four eleven two", "****"),
        ("en", "four thousand one hundred and twelve", "****"),
        ("en", "My PIN is four one 1 2, thanks", "My PIN is ****, thanks"),
        ("en", "nine four one one two five", "nine **** five"),
        ("en", "four one one two and four one one two", "**** and ****"),
        ("en", "four one one three", "four one one three"),
        ("en", "four of us, one car, one two", "four of us, one car, one two"),
        ("en", "fortyone one two", "fortyone one two"),
        ("en", "four one eleven two", "four one eleven two"),
        ("es", "Es cuatro uno uno dos.", "Es ****."),
        ("es", "cuarenta y uno doce", "****"),
        ("es", "cuatro mil ciento doce", "****"),
        ("es", "cuatro once dos", "****"),
        ("es", "cuatro uno uno tres", "cuatro uno uno tres"),
    ],
)
def test_a_known_number_is_found_as_it_is_said(language: str, text: str, left: str) -> None:
    for begin, end in reversed(spoken_at(text, [SECRET], language)):
        text = f"{text[:begin]}{MASK}{text[end:]}"
    assert text == left


def test_secret_keys_are_kept_in_no_words() -> None:
    """Of agent, tools and outcome alike, in each language, and more than one of them."""
    secrets = Secrets()
    secrets.add(SECRET)
    secrets.add("907#")
    assert secrets.said("You entered four one one two, and nine oh seven.") == f"You entered {MASK}, and {MASK}."
    kept = {
        "note": "cuatro uno uno dos",
        "other": ["four one one two", "41123", 4112],
        "pin 4112": "nine, 0, seven",
    }
    assert secrets.masked(kept) == {"note": MASK, "other": [MASK, "41123", MASK], f"pin {MASK}": MASK}
    assert secrets.said("See you at nine.") == "See you at nine."


def test_a_long_text_takes_no_time() -> None:
    assert spoken_at("one " * 20_000, ["2222"], "en") == []
