"""The languages the product speaks by itself: what is said without a model, and words it recognises.

A language is one folder here: phrases and word lists, the sentences of machines that pick up, how a colleague is
asked to take a call, and the rules of the local LLM. What only a model says needs nothing from here, so a
language without a folder can still be spoken by a scenario that brings its own phrases: it gets English word
lists, which then hardly ever match, and every sound interrupts.
"""

import tomllib
from dataclasses import replace
from importlib.resources import files
from typing import Any

from bot.languages.en.phrases import ENGLISH
from bot.languages.es.phrases import SPANISH
from bot.languages.identity import Identity, IdentityWords
from bot.languages.language import Answering, ColleagueWords, Language, Notices
from bot.languages.wording import Wording, plain

__all__ = [
    "KNOWN",
    "Answering",
    "ColleagueWords",
    "Identity",
    "IdentityWords",
    "Language",
    "Notices",
    "Wording",
    "asking",
    "data_of",
    "folder_of",
    "knows",
    "of",
    "plain",
]

KNOWN: dict[str, Language] = {language.code: language for language in (ENGLISH, SPANISH)}
"""By the code of two letters."""


def of(code: str) -> Language:
    """The language of a code like "es" or "es-MX".

    One that has no folder here comes back with its own code, English words and English phrases: a
    caller that must not speak English asks `knows` first, as the scenario does when it is loaded.
    """
    base = _base(code)
    if base in KNOWN:
        return KNOWN[base]
    return replace(ENGLISH, code=base, name=f"the language with the code {code}", speech=None)


def knows(code: str) -> bool:
    """Whether `of` has the language itself and no substitute."""
    return _base(code) in KNOWN


def folder_of(code: str) -> str:
    """The name of its folder; English's where it has none."""
    return _base(code) if knows(code) else ENGLISH.code


def data_of(code: str, file: str) -> dict[str, Any]:
    """What a TOML file of its folder holds, read anew."""
    return tomllib.loads(files(__name__).joinpath(folder_of(code), file).read_text("utf-8"))


def asking(code: str) -> ColleagueWords:
    """How a colleague is asked, in the language of a code; its country chooses the carrier's voice."""
    words = of(code).asking
    return replace(words, tag=code) if "-" in code and knows(code) else words


def _base(code: str) -> str:
    return code.replace("_", "-").split("-")[0].lower()
