"""Whether a dictation goes on after a pause."""

from __future__ import annotations

import pytest

from bot import languages

PHONE, EMAIL = "What is the best phone number to reach you?", "Could you give me your e-mail address?"
CODE, NAME = "What's your order number?", "Could you spell your last name, please?"
OTHER = "Does that still work for you?"


@pytest.mark.parametrize(
    ("language", "asked", "said", "goes_on"),
    [
        ("en", PHONE, "It's two oh two", True),
        ("en", PHONE, "Two oh two, five five five", True),
        ("en", PHONE, "202-555", True),
        ("en", PHONE, "202-555-0143", False),
        ("en", PHONE, "two oh two five five five oh one four three", False),
        ("en", PHONE, "I don't have one.", False),
        ("en", PHONE, "Why do you ask?", False),
        ("en", PHONE, "Yes.", False),
        ("en", EMAIL, "It's j o h n", True),
        ("en", EMAIL, "john dot smith at", True),
        ("en", EMAIL, "john.smith@", True),
        ("en", EMAIL, "john dot smith at gmail", True),
        ("en", EMAIL, "john dot smith at gmail dot com", False),
        ("en", EMAIL, "john.smith@gmail.com.", False),
        ("en", EMAIL, "I don't use e-mail.", False),
        ("en", CODE, "A B", True),
        ("en", CODE, "It's four seven", True),
        ("en", CODE, "four seven one one", False),
        ("en", NAME, "S M I", True),
        ("en", NAME, "Smith.", False),
        ("en", OTHER, "My name is S M I", True),
        ("en", OTHER, "At two p.m.", False),
        ("en", OTHER, "At 2:30.", False),
        ("en", OTHER, "I have three.", False),
        ("es", "¿A qué número le llamo?", "seis uno dos", True),
        ("es", "¿A qué número le llamo?", "seis uno dos tres cuatro cinco seis siete ocho", False),
        ("es", "¿Me da su correo?", "ana punto ruiz arroba", True),
        ("es", "¿Me da su correo?", "ana punto ruiz arroba ejemplo punto es", False),
    ],
)
def test_where_it_stands(language: str, asked: str, said: str, goes_on: bool) -> None:
    assert languages.of(language).is_dictating(said, asked) is goes_on
