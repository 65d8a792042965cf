"""A summary by rules as two sentences that agree with whether the goal was reached. Pure.

What the brain noted is quoted speech, names, and hours: a full stop within them ends no sentence. Where it is
not sure that a sentence ends, it goes on, because a long sentence says the same and a cut one does not.
"""

from __future__ import annotations

import re

from bot.pipeline.offline.outcome_words import OutcomeWords, words_of

_NEXT = re.compile(r"\s+(?=[¿¡«“\"(]*[A-ZÁÉÍÓÚÑÜ])|\s*$")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Dr|Dra|Mr|Mrs|Ms|Prof|St|Sr|Sra|Srta|Jr)|\b[AaPp]\.\s?[Mm]|(?<=\w\s)(?:No|[A-Z]))\.$"
)
"""A number's "No." and an initial have a word before them; alone they are a sentence."""
_ASIDE = re.compile(r"(?:Open question:|Message(?: from [^:\"]+)?:|Pregunta pendiente:|Mensaje:)")
_QUOTING = re.compile(rf"(?:{_ASIDE.pattern}|Asked|On) [\"«]")
"""Notes that end with what was said, and no full stop."""
_OPENING, _CLOSING = "«“", "»”"


def two_sentences(summary: str, *, reached: bool, language: str) -> str:
    """`summary` as two sentences, the result first: one is followed by whether the goal was reached, many are
    drawn together. That nothing was settled, or another end than `reached`, is left out."""
    words = words_of(language)
    untrue = {words.nothing, words.not_reached} if reached else {words.reached}
    told = [part for part in sentences(summary) if part not in untrue]
    goal = _goal(words, reached)
    if not told and reached:
        told = [words.spoke]
    told.sort(key=lambda part: _ASIDE.match(part) is not None)
    if len(told) < 2 and goal not in told:
        told = [goal, *told] if told and _ASIDE.match(told[0]) else [*told, goal]
    if len(told) < 2:
        return told[0]
    rest = [_open(part) for part in told[1:-1]] + [_ended(told[-1])]
    return f"{_ended(told[0])} {'; '.join(rest)}"


def agreeing(summary: str, *, was: bool, reached: bool, language: str) -> str:
    """`summary`, told of a goal that `was` reached or not, where it is `reached` now: notes of another end go."""
    if was is reached:
        return summary
    words = words_of(language)
    return f"{words.spoke} {_goal(words, reached)}"


def _goal(words: OutcomeWords, reached: bool) -> str:
    return words.reached if reached else words.not_reached


def sentences(text: str) -> list[str]:
    """They end at . ! ? before a capital or the end, not within quotes, numbers, or after an abbreviation."""
    text = text.strip()
    found: list[str] = []
    begin, quoted = 0, False
    for at, sign in enumerate(text):
        closes = sign in _CLOSING or (sign == '"' and quoted)
        if sign == '"' or sign in _OPENING or sign in _CLOSING:
            quoted = not closes
        if quoted or not (closes or sign in ".!?"):
            continue
        part = text[begin : at + 1]
        if closes and text[at - 1] not in ".!?" and not _QUOTING.match(part):
            continue
        following = _NEXT.match(text, at + 1)
        if following is None or (_ABBREVIATION.search(part) and not _ASIDE.match(text, following.end())):
            continue
        found.append(part)
        begin = following.end()
    return [*found, text[begin:]] if text[begin:] else found


def _ended(sentence: str) -> str:
    """With a mark at its end; one within the last quote is enough."""
    return sentence if sentence.rstrip('"»”')[-1:] in (".", "!", "?") else f"{sentence}."


def _open(sentence: str) -> str:
    """To be followed by a semicolon."""
    return sentence if _ABBREVIATION.search(sentence) else sentence.removesuffix(".")
