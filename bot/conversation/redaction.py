"""Numbers and addresses that a record should not hold: found in what was said, written or dictated. Pure.

Long runs of digits are cards, accounts, identity and telephone numbers; it does not matter which. So no check
digits: a card that the STT heard with one digit wrong is a card. Dates, times and amounts are shorter, or have
their slashes and commas. What is short is cut where it was dictated: digit by digit, or behind a word like PIN.
Numbers with letters in them have check digits, which python-stdnum knows: without, any order number would be one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from stdnum import iban, luhn
from stdnum.es import nie, nif
from stdnum.ie import pps
from stdnum.it import codicefiscale
from stdnum.mx import curp, rfc

from bot.languages import Language, plain
from bot.languages.wording import BETWEEN_DIGITS, TOKEN

REDACTED = "[redacted]"
LONG = 9
"""Digits in one run: an SSN has nine, most accounts more, a card 13 to 19; a date has eight."""
SPELLED = 7
"""Digits said one by one, as a telephone number without its area code; no date or time is."""
PIECE = 4
"""Digits of an utterance that is little else, dictated in pieces."""
AROUND = 2
"""Words around such a piece that was said digit by digit: "okay, it's four one one one"."""
SECRET = 3
"""Digits behind a word that says what they are: a CVV has three."""
_NEAR = 40
"""Characters between that word and the digits, at most."""
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LOCAL = re.compile(r"(?<![\w.-])\d{3}[-.]\d{4}(?![\w-]|\.\d)")
"""A telephone number of North America without its area code."""
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){3,7}(?:[ -]?[A-Z0-9]{1,3})?\b")
_LETTERED = re.compile(r"(?<![\w-])(?=[A-Za-z]*\d)[A-Za-z0-9-]{8,34}(?![\w-])")
_CARD = re.compile(r"(?<!\d)\d(?:[\W_]{0,2}\d){12,18}(?!\d)")
_AMOUNT = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+[.:]\d{2}(?!\d)")
_IDENTITIES: tuple[ModuleType, ...] = (iban, nif, nie, pps, codicefiscale, curp, rfc)


@dataclass(frozen=True)
class _Run:
    """Digits that follow each other, in figures or words."""

    begin: int
    end: int
    digits: int
    tokens: int


def redacted(text: str, language: Language, *, utterance: bool = False) -> str:
    """`text` without them. `utterance`: it is what somebody said in one go, where a piece of a number is one."""
    if not text:
        return text
    text = _LOCAL.sub(REDACTED, _EMAIL.sub(REDACTED, text))
    text = _CARD.sub(lambda found: REDACTED if luhn.is_valid(re.sub(r"\D", "", found[0])) else found[0], text)
    text = _LETTERED.sub(_without_identity, _IBAN.sub(REDACTED, text))
    text = _email_pattern(language.dictation.at, language.dictation.dot).sub(REDACTED, text)
    runs, words = _runs(text, language)
    secret = _secret_pattern(language.notices.before_secrets)
    for run in reversed(runs):
        piece = run.tokens == words or (run.tokens >= PIECE and words - run.tokens <= AROUND)
        if (
            run.digits >= LONG
            or run.tokens >= SPELLED
            or (utterance and run.digits >= PIECE and piece)
            or (run.digits >= SECRET and secret.search(plain(text[max(0, run.begin - _NEAR) : run.begin])))
        ):
            text = f"{text[: run.begin]}{REDACTED}{text[run.end :]}"
    return text


def _without_identity(found: re.Match[str]) -> str:
    """A number with letters whose check digits are right goes; in figures alone it is a date, or a run."""
    written = found[0].replace("-", "")
    is_one = not written.isdecimal() and any(kind.is_valid(written) for kind in _IDENTITIES)
    return REDACTED if is_one else found[0]


def _runs(text: str, language: Language) -> tuple[list[_Run], int]:
    """The runs of digits, and how many words the text has; what is only said between digits is none."""
    amounts = [match.span() for match in _AMOUNT.finditer(text)]
    runs: list[_Run] = []
    count, open_run = 0, False
    known = _words(language.digits, language.notices.tens, language.notices.between_digits)
    for token in TOKEN.finditer(text):
        digits = _digits(token.group(), known)
        if digits is None or any(begin <= token.start() < end for begin, end in amounts):
            open_run = False
            count += 1
            continue
        count += digits > 0
        if open_run and BETWEEN_DIGITS.fullmatch(text, runs[-1].end, token.start()):
            last = runs[-1]
            runs[-1] = _Run(last.begin, token.end(), last.digits + digits, last.tokens + (digits > 0))
        elif digits:
            runs.append(_Run(token.start(), token.end(), digits, 1))
            open_run = True
    return runs, count


@cache
def _words(digits: tuple[str, ...], tens: tuple[str, ...], between: tuple[str, ...]) -> Mapping[str, int]:
    """How many digits a word stands for; 0: it may stand between two."""
    known = dict.fromkeys(map(plain, between), 0) | dict.fromkeys(map(plain, tens), 2)
    return known | dict.fromkeys(map(plain, digits), 1)


def _digits(word: str, known: Mapping[str, int]) -> int | None:
    """As `known` has it; None: it is something else."""
    if word.isdecimal():
        return len(word)
    return known.get(word.lower() if word.isascii() and word.isalpha() else plain(word))


@cache
def _email_pattern(at: str, dot: str) -> re.Pattern[str]:
    part = r"[\w-]+"
    name = rf"{part}(?: (?:{dot}) {part})*"
    return re.compile(rf"\b{name},? (?:{at}),? {part}(?:,? (?:{dot}),? {part})+", re.IGNORECASE)


@cache
def _secret_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, map(plain, words)))})\b")
