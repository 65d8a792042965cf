"""What a simulated callee answers: to the fields that a call wants filled, by what the agent just asked. Pure.

A field is recognised by the words that the agent's question shares with the field's own question, name and
description, so that a model may ask in its own words. What is asked beside the fields (is it a good time, is
there anything else) is recognised by the patterns of the language, in `bot/languages/*/callee.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from bot import languages
from bot.languages import plain
from bot.telephony.carrier import AskedField, CalleeBrief

PATTERNS = ("goodbye", "anything_else", "permission", "identity", "help", "yes_or_no", "waits")
_STEM_LETTERS = 5
"""So many first letters of a word are compared: "satisfied" and "satisfaction" ask for one thing."""
_SHORT = 3
"""Words of so few letters are in every question."""
_ALIKE = 0.34
"""So much of a field's question has to be in what the agent asked."""
_THE_SAME = 0.75
"""So much of it, and it is no other question."""
_SCALE = re.compile(r"\b(?:1|one|uno) (?:to|a|al|and|y) (?:5|10|five|ten|cinco|diez)\b")
_SENTENCE = re.compile(r"[^.!?¿¡]+[.!?]*")


@dataclass(frozen=True)
class AnswerWords:
    """One language's callee.toml."""

    patterns: Mapping[str, re.Pattern[str]]
    small: frozenset[str]
    """Words that are in any question."""
    says: Mapping[str, str]
    types: Mapping[str, str]
    dictated: Mapping[str, str]
    text: Sequence[tuple[re.Pattern[str], str]]

    def found(self, pattern: str, text: str) -> bool:
        return bool(self.patterns[pattern].search(plain(text)))


@cache
def words_of(language: str) -> AnswerWords:
    """Of a code like "es-MX"; English where there is no such file."""
    data = languages.data_of(language, "callee.toml")
    return AnswerWords(
        {name: re.compile(rf"\b(?:{rule})") for name, rule in data.items() if name in PATTERNS},
        frozenset(data["small_words"].split()),
        data["says"],
        data["types"],
        data["dictated"],
        [(re.compile(rf"\b(?:{entry['asked']})"), entry["say"]) for entry in data["text"]],
    )


def plausible(field: AskedField, words: AnswerWords) -> str:
    """An answer to a field by its type, its options and its question."""
    about = plain(" ".join(part for part in (field.question, field.name, field.description) if part))
    if field.type == "choice" and field.options:
        return words.types["choice"].format(option=field.options[0].replace("_", " ").capitalize())
    if field.type == "number" and _SCALE.search(about):
        return words.types["scale"]
    if field.type in words.types:
        return words.types[field.type]
    return _text_for(about, words)


def _text_for(about: str, words: AnswerWords) -> str:
    return next(say for asked, say in words.text if asked.search(about))


class Answers:
    """One callee's in one call. `manner`: plain, hedges, refuses, or dictates what has digits, slowly."""

    def __init__(
        self,
        brief: CalleeBrief,
        *,
        manner: str = "plain",
        lines: Sequence[str] = (),
        own: Sequence[tuple[str, str]] = (),
    ) -> None:
        """`lines` are said in turn, one at each of the agent's pauses, before it is answered; `own`: a pattern of
        what is asked, and what is answered to it."""
        self._brief, self._manner = brief, manner
        self._words = words_of(brief.language)
        self._lines = list(lines)
        self._own = [(re.compile(asked, re.IGNORECASE), say) for asked, say in own]
        self._said: set[str] = set()
        self._idle = 0

    @property
    def texts(self) -> Iterator[str]:
        """Everything it may say."""
        yield from self._lines
        yield from (say for _, say in self._own)
        yield from self._words.says.values()
        yield from (say for _, say in self._words.text)
        yield from (self._field_answer(field) for field in self._brief.fields)

    def reply(self, heard: str) -> str | None:
        """To what the agent said since the last time; "": nothing, more is to come; None: it has said goodbye."""
        says = self._words.says
        asked = _questions(heard)
        if heard and not asked and all(self._words.found("waits", part) for part in _sentences(heard)):
            return ""
        if self._words.found("goodbye", heard) and not asked:
            return None
        for pattern, say in self._own:
            if pattern.search(heard):
                return say
        if self._lines:
            return self._lines.pop(0)
        if self._manner == "refuses":
            return says["refusal"]
        if not heard:
            field = next((f for f in self._brief.fields if f.name not in self._said and f.question), None)
            return says["hello_again"] if field is None else self._answer(field)
        return self._to(asked[-1] if asked else "", heard)

    def _to(self, question: str, heard: str) -> str:
        words = self._words
        if not question:
            self._idle += 1
            return words.says["okay"] if self._idle < 2 else words.says["goodbye"]
        self._idle = 0
        if words.found("anything_else", question):
            return words.says["that_is_all"]
        field, alike = self._field_of(question)
        if field is not None and alike >= _THE_SAME:
            return self._answer(field)
        for name in ("permission", "identity", "help"):
            if words.found(name, question):
                return words.says[name]
        if field is not None:
            return self._answer(field)
        text = _text_for(plain(question), words)
        if text != words.text[-1][1]:
            return text
        if self._manner == "hedges":
            return words.says["hedge"]
        return words.says["yes" if words.found("yes_or_no", question) else "not_sure"]

    def _answer(self, field: AskedField) -> str:
        self._said.add(field.name)
        return self._field_answer(field)

    def _field_answer(self, field: AskedField) -> str:
        if self._manner == "hedges" and field.type in ("boolean", "choice"):
            return self._words.says["hedge"]
        if self._manner == "dictates" and field.type in self._words.dictated:
            return self._words.dictated[field.type]
        return field.answer or plausible(field, self._words)

    def _field_of(self, question: str) -> tuple[AskedField | None, float]:
        """The field that is asked for, and how alike the questions are; of two alike the one that is open."""
        said = self._stems(question)

        def likeness(field: AskedField) -> float:
            asked = self._stems(field.question or "")
            about = self._stems(f"{field.name} {field.description}")
            by_question = len(said & asked) / len(asked) if asked else 0.0
            by_name = len(said & about) / max(len(said), 4) if about else 0.0
            return max(by_question, by_name)

        ranked = sorted(self._brief.fields, key=lambda f: (-likeness(f), f.name in self._said))
        if not ranked or likeness(ranked[0]) < _ALIKE:
            return None, 0.0
        return ranked[0], likeness(ranked[0])

    def _stems(self, text: str) -> set[str]:
        words = plain(text.replace("_", " ")).split()
        return {word[:_STEM_LETTERS] for word in words if len(word) > _SHORT and word not in self._words.small}


def _sentences(heard: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.findall(heard) if part.strip()]


def _questions(heard: str) -> list[str]:
    return [part for part in _sentences(heard) if part.endswith("?")]
