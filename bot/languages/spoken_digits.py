"""Where a text says a number that is known: digit by digit, in pairs, or as a number. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from bot import languages
from bot.languages import plain
from bot.languages.wording import BETWEEN_DIGITS, TOKEN


class _Said(NamedTuple):
    """Digits, where they stand, and what the words are worth as part of one number."""

    digits: str
    begin: int
    end: int
    worth: int
    scales: bool


def spoken_at(text: str, numbers: Sequence[str], language: str) -> list[tuple[int, int]]:
    """Where `text` says one of the numbers, as (begin, end), in its order."""
    words = _words(language)
    found: list[tuple[int, int]] = []
    for run in _runs(text, words):
        if _value(run) in numbers:
            found.append((run[0].begin, run[-1].end))
            continue
        begins = [sum(len(said.digits) for said in run[:n]) for n in range(len(run) + 1)]
        stream = "".join(said.digits for said in run)
        for number in numbers:
            at = stream.find(number)
            while at >= 0:
                # Of "forty one two" no half of "forty one" is named.
                if at in begins and at + len(number) in begins:
                    last = begins.index(at + len(number)) - 1
                    found.append((run[begins.index(at)].begin, run[last].end))
                at = stream.find(number, at + 1)
    apart: list[tuple[int, int]] = []
    for begin, end in sorted(found):
        if not apart or begin >= apart[-1][1]:
            apart.append((begin, end))
    return apart


def _runs(text: str, words: dict[str, Any]) -> Iterator[list[_Said]]:
    """What is said one digit after the other, nothing else between."""
    run: list[_Said] = []
    times, end, tens = 1, 0, False
    for token in TOKEN.finditer(text):
        word = plain(token.group())
        if run and not BETWEEN_DIGITS.fullmatch(text, end, token.start()):
            yield run
            run, times, tens = [], 1, False
        end = token.end()
        if word in words["times"]:
            times = words["times"][word]
        elif word in words["between"]["words"]:
            continue  # "forty and one" is heard as well
        elif (said := _said(word, token.start(), token.end(), words)) is None:
            if run:
                yield run
            run, times, tens = [], 1, False
        elif tens and len(said.digits) == 1 and said.digits != "0" and not word.isdecimal():
            before = run.pop()
            run.append(
                _Said(before.digits[0] + said.digits, before.begin, said.end, before.worth + said.worth, False)
            )
            tens = False
        else:
            run.append(said._replace(digits=said.digits * times))
            times, tens = 1, word in words["tens"]
    if run:
        yield run


def _said(word: str, begin: int, end: int, words: dict[str, Any]) -> _Said | None:
    if word.isdecimal():
        return _Said(word, begin, end, int(word), False)
    if word in words["digits"]:
        return _Said(words["digits"][word], begin, end, int(words["digits"][word]), False)
    if word in words["tens"]:
        return _Said(f"{words['tens'][word]}0", begin, end, words["tens"][word] * 10, False)
    if word in words["scales"]:
        return _Said("", begin, end, words["scales"][word], True)
    return None


def _value(run: Sequence[_Said]) -> str | None:
    """The number that a run with "hundred" or "thousand" in it says."""
    if not any(said.scales for said in run):
        return None
    total = current = 0
    for said in run:
        if not said.scales:
            current += said.worth
        elif said.worth == 1000:
            total, current = total + (current or 1) * 1000, 0
        elif said.worth == 100:
            current = (current or 1) * 100
        else:
            current += said.worth
    return str(total + current)


@cache
def _words(language: str) -> dict[str, Any]:
    return languages.data_of(language, "digits.toml")
