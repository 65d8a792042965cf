"""The languages the product speaks by itself: what is said without a model, and words it knows by ear.

A language is one file here: phrases, word lists, and the sentences of machines that pick up. What only a model
says needs nothing from here, so a language without a file can still be spoken by a scenario that brings its own
phrases: it gets English word lists, which then hardly ever match, and every sound interrupts.
"""

from __future__ import annotations

from dataclasses import replace

from bot.languages.english import ENGLISH
from bot.languages.language import Answering, Language, Wording, plain
from bot.languages.spanish import SPANISH

__all__ = ["KNOWN", "Answering", "Language", "Wording", "knows", "of", "plain"]

KNOWN: dict[str, Language] = {language.code: language for language in (ENGLISH, SPANISH)}
"""By the code of two letters."""


def of(code: str) -> Language:
    """The language of a code like "es" or "es-MX".

    One that has no file here comes back with its own code, English words and English phrases: whoever must not
    speak English then asks `knows` first, as the scenario does when it is loaded.
    """
    base = _base(code)
    if base in KNOWN:
        return KNOWN[base]
    return replace(ENGLISH, code=base, name=f"the language with the code {code}")


def knows(code: str) -> bool:
    """Whether `of` has the language itself and no substitute."""
    return _base(code) in KNOWN


def _base(code: str) -> str:
    return code.replace("_", "-").split("-")[0].lower()
