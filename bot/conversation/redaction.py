"""Numbers and addresses that a transcript should not hold: found in what was said, written or dictated. Pure.

Long runs of digits are cards, accounts, identity and telephone numbers; it does not matter which. So no check
digits: a card that the STT heard with one digit wrong is a card. Dates, times and amounts are shorter, or have
their slashes and commas. What is short but the whole of an utterance was dictated in pieces.
"""

from __future__ import annotations

import re
from functools import cache

from bot.languages import Language, plain

REDACTED = "[redacted]"
LONG = 9
"""Digits in one run: an SSN has nine, most accounts more, a card 13 to 19; a date has eight."""
PIECE = 4
"""Digits of an utterance that is nothing else."""
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){3,7}(?:[ -]?[A-Z0-9]{1,3})?\b")
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_BETWEEN = re.compile(r"[\s\-–,.;:…]*")
_AMOUNT = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+[.:]\d{2}(?!\d)")


def redacted(text: str, language: Language) -> str:
    """`text` without them."""
    if not text:
        return text
    text = _IBAN.sub(REDACTED, _EMAIL.sub(REDACTED, text))
    runs, words = _runs(text, language)
    for begin, end, digits, tokens in reversed(runs):
        if digits >= LONG or (digits >= PIECE and tokens == words):
            text = f"{text[:begin]}{REDACTED}{text[end:]}"
    return text


def _runs(text: str, language: Language) -> tuple[list[tuple[int, int, int, int]], int]:
    """Runs of digits as (begin, end, digits, tokens), and how many tokens the text has."""
    amounts = [match.span() for match in _AMOUNT.finditer(text)]
    runs: list[tuple[int, int, int, int]] = []
    count, open_run = 0, False
    for token in _TOKEN.finditer(text):
        count += 1
        digits = _digits(plain(token.group()), language)
        if digits is None or any(begin <= token.start() < end for begin, end in amounts):
            open_run = False
            continue
        if open_run and _BETWEEN.fullmatch(text, runs[-1][1], token.start()):
            begin, _, before, tokens = runs[-1]
            runs[-1] = (begin, token.end(), before + digits, tokens + 1)
        elif digits:
            runs.append((token.start(), token.end(), digits, 1))
            open_run = True
    return runs, count


@cache
def _words(
    language: str, digits: tuple[str, ...], tens: tuple[str, ...], between: tuple[str, ...]
) -> dict[str, int]:
    known = dict.fromkeys(map(plain, between), 0) | dict.fromkeys(map(plain, tens), 2)
    return known | dict.fromkeys(map(plain, digits), 1)


def _digits(word: str, language: Language) -> int | None:
    """How many a word stands for; 0: it may stand between two; None: it is something else."""
    if word.isdecimal():
        return len(word)
    notices = language.notices
    return _words(language.code, language.digits, notices.tens, notices.between_digits).get(word)
