"""That an AI assistant speaks: found in an opening, or put into its first sentence. Pure.

A model may be asked for it and forget, and a scenario's text may lack it: what is said is looked at in any case.
In doubt it is put in: said twice it does no harm.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bot.languages import Language, plain

GREETING_WORDS = 3
"""A sentence of no more words ("Good morning, John.") is the greeting before the first sentence."""
_END = re.compile(r"[.!?…]+[\"'”’)]*(?=\s|$)")
_ABBREVIATED = re.compile(
    r"(?:^|[\s.])(?:mrs?|ms|dr|dra|sra?|srta|d|prof|st|jr|inc|ltd|co|corp|\w)$", re.IGNORECASE
)


def first_sentence(text: str) -> int:
    """Where the first sentence that is more than a greeting ends in `text`."""
    begins = 0
    for end in _END.finditer(text):
        said = text[begins : end.start()]
        if end.group() == "." and _ABBREVIATED.search(said):
            continue
        if len(said.split()) > GREETING_WORDS:
            return end.end()
        begins = end.end()
    return len(text)


def discloses(text: str, language: Language, sentence: str) -> bool:
    """Whether the first sentence says that an AI assistant speaks; `sentence` is the scenario's own way to."""
    first = text[: first_sentence(text)]
    return language.notices.disclosed.found_in(first) or plain(sentence) in plain(first)


def disclosed(text: str, agent_name: str | None, language: Language, sentence: str) -> str:
    """`text` whose first sentence says it: behind the agent's name, or else by `sentence` in front of it."""
    if discloses(text, language, sentence):
        return text
    if agent_name:
        named = _behind_name(text, agent_name, language)
        if discloses(named, language, sentence):
            return named
    return f"{sentence} {text}".strip()


def with_notice(text: str, notice: str) -> str:
    """`text` with a sentence more behind its first."""
    end = first_sentence(text)
    return f"{text[:end]} {notice}{text[end:]}".strip() if notice else text


def _behind_name(text: str, agent_name: str, language: Language) -> str:
    ways = "|".join(re.escape(way.format(name=agent_name)) for way in language.notices.introductions)
    who = re.compile(rf"(?<!\w)(?:{ways})(?![\w'’])", re.IGNORECASE)
    found = who.search(text, 0, first_sentence(text))
    if found is None:
        return text
    rest = text[found.end() :]
    comma = "," if rest[:1].isspace() else ""
    return f"{text[: found.end()]}, {language.notices.assistant}{comma}{rest}"


class DisclosureWatch:
    """Whether the callee heard it to its end: until then they do not interrupt, and it is said again."""

    def __init__(self, language: Language, sentence: str, *, wanted: bool) -> None:
        self.heard_at: datetime | None = None
        """When it was heard first."""
        self.pending = False
        """The agent has begun to speak to a person who has not heard it."""
        self._language, self._sentence, self._wanted = language, sentence, wanted
        self._words = ""
        self._cut = False

    def begin(self) -> None:
        """Somebody is about to hear it who has not, or has spoken to others since."""
        self.pending, self._words, self._cut = self._wanted, "", False

    def note_words(self, text: str) -> None:
        """Words of the agent have begun to be heard: those before them were heard whole."""
        if self.pending:
            self._see()
            self._words = f"{self._words} {text}".strip()

    def note_turn_over(self, *, interrupted: bool) -> None:
        """The agent's turn is over, at its end or by the callee."""
        if self.pending and not interrupted:
            self._see()
        self._cut, self._words = self.pending, ""

    def due(self) -> bool:
        """Whether it is to be said now by itself; True once for each time it was cut or left out."""
        due, self._cut = self._cut and self.pending, False
        return due

    def _see(self) -> None:
        if discloses(self._words, self._language, self._sentence):
            self.pending = False
            self.heard_at = self.heard_at or datetime.now(UTC)
