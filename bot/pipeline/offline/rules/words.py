"""One language's words for the local LLM: `languages/<code>/rules.toml` as compiled rules and sentences."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from bot import languages
from bot.languages import plain


class Intent(StrEnum):
    """What words may mean; each is an entry of [meanings]."""

    YES = "yes"
    NO = "no"
    GOODBYE = "goodbye"
    THANKS = "thanks"
    GREETING = "greeting"
    WHO = "who"
    WHY = "why"
    REPEAT = "repeat"
    ROBOT = "robot"
    HOLD = "hold"
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"
    RESCHEDULE = "reschedule"
    CANCEL = "cancel"
    LATER = "later"
    MESSAGE = "message"
    ORDERS = "orders"
    HOW_ARE_YOU = "how_are_you"
    DECLINE = "decline"
    """Does not want to go on with what is asked."""


class FactKind(NamedTuple):
    """A kind of question, the kind of sentence that answers it, and words of the question it need not hold."""

    question: re.Pattern[str]
    fact: re.Pattern[str]
    words: frozenset[str]


class Words:
    """The rules and sentences of one language."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        parts = data["parts"] | data["rules"]
        self.meanings = {intent: _compiled(data["meanings"][intent], parts) for intent in Intent}
        self.rules = {name: _compiled(rule, parts) for name, rule in data["rules"].items()}
        self.moods = {name: _compiled(rule, parts) for name, rule in data["moods"].items()}
        self.written = {name: _compiled(rule, parts, spoken=False) for name, rule in data["written"].items()}
        self.kinds = {
            name: FactKind(
                _compiled(kind["question"], parts),
                _compiled(kind["fact"], parts, spoken=False),
                frozenset(kind["words"].split()),
            )
            for name, kind in data["kinds"].items()
        }
        self.fields: dict[str, str] = data["fields"]
        self.outcome: dict[str, str] = data["outcome"]
        self._say, self._notes = data["say"], data["notes"]
        vocabulary = data["vocabulary"]
        self.lists = {name: tuple(v.split()) for name, v in vocabulary.items() if isinstance(v, str)}
        self.sets = {name: frozenset(v) for name, v in self.lists.items()}
        self.numbers = {word: n for n, word in enumerate(self.lists["numbers"])} | vocabulary["more_numbers"]
        self.minutes: dict[str, int] = vocabulary["minutes"]
        self.near = [(re.compile(rf"\b(?:{rule})\b"), days) for rule, days in vocabulary["near"].items()]
        self.menu = data["menu"]
        purpose = data["purpose"]
        self.purpose = {name: _expanded(v, parts) for name, v in purpose.items() if isinstance(v, str)}
        self.tables = {
            name: [(_expanded(rule, parts), *rest) for rule, *rest in v]
            for name, v in purpose.items()
            if isinstance(v, list)
        }

    def __deepcopy__(self, memo: object) -> Words:
        return self  # a dialogue is copied for each reply, its language never changes

    def found(self, rule: str, text: str) -> bool:
        """Whether a rule of [rules] is met by the plain form of `text`."""
        return bool(self.rules[rule].search(plain(text)))

    def without(self, rule: str, text: str) -> str:
        """The plain form of `text` without what the rule names."""
        return " ".join(self.rules[rule].sub(" ", plain(text)).split())

    def sub(self, table: str, text: str, name: str = "(?!)") -> str:
        """`text` with the replacements of a table made; `name` is a pattern of the callee's names."""
        for rule, replacement in self.tables[table]:
            text = re.sub(rule.replace("<name>", name), replacement, text, flags=re.IGNORECASE)
        return text

    def variants(self, sentence: str) -> tuple[str, ...]:
        """The ways to say a sentence of [say]."""
        said = self._say[sentence]
        return (said,) if isinstance(said, str) else tuple(said)

    def say(self, sentence: str, **values: Any) -> str:
        """The first way to say it, filled in."""
        return self.variants(sentence)[0].format(**values)

    def note(self, note: str, **values: Any) -> str:
        """A sentence of [notes], for the summary."""
        text: str = self._notes[note].format(**values)
        return text

    @lru_cache(maxsize=512)  # noqa: B019  # one object a language, kept for good
    def meant(self, text: str) -> frozenset[Intent]:
        """Everything the words may mean; several at once is usual ("yes, thanks, bye")."""
        parts = {plain(part) for part in (text, *self.sentences(text))}
        found = {intent for intent, rule in self.meanings.items() if any(map(rule.search, parts))}
        if found & {Intent.DO_NOT_CALL, Intent.WRONG_NUMBER}:
            found.discard(Intent.LATER)
        if self.found("no_is_yes", text):
            found = (found - {Intent.NO}) | {Intent.YES}
        if Intent.NO in found and self.found("no_thanks", text):
            found.discard(Intent.YES)
        if self.found("yes_is_no", text):
            found = (found - {Intent.YES}) | {Intent.NO}
        return frozenset(found)

    def sentences(self, text: str) -> list[str]:
        """Parted at sentence marks; an abbreviation's dot ends none."""
        marked = self.written["abbreviation"].sub(lambda m: m.group(0)[:-1] + "·", text)
        parts = re.split(r"(?<=[.!?])\s+|\n+", marked)
        return [part.replace("·", ".").strip() for part in parts if plain(part)]

    def lowered(self, text: str) -> str:
        """As it goes on in mid-sentence: its first word in lower case, unless it is a name or an abbreviation."""
        mark = text[: len(text) - len(text.lstrip("¿¡"))]
        first = text[len(mark) :].split(maxsplit=1)[0] if text[len(mark) :].split() else ""
        keep = (
            first.strip(".,") in self.sets["keep_capital"]
            or not first[1:].replace("'", "").strip(",.?").islower()
        )
        return text if keep else mark + text[len(mark)].lower() + text[len(mark) + 1 :]


@cache
def _words(code: str) -> Words:
    return Words(tomllib.loads(files(languages).joinpath(code, "rules.toml").read_text("utf-8")))


def words_of(language: str) -> Words:
    """The words of a code like "es-MX"; English where the language has none."""
    code = languages.of(language).code
    return _words(code if languages.knows(code) else "en")


@cache
def field_rule(meaning: str) -> re.Pattern[str]:
    """Names of outcome fields that stand for what was learnt, in any language: scenarios mix them."""
    stems = "|".join(_words(code).fields[meaning] for code in languages.KNOWN)
    return re.compile(rf"(?:^|_)(?:{stems})")


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _expanded(rule: str, parts: Mapping[str, str]) -> str:
    while (
        longer := re.sub(
            r"\{([a-z_]+)\}",
            lambda m: f"(?:{_one(parts[m.group(1)])})" if m.group(1) in parts else m.group(0),
            rule,
        )
    ) != rule:
        rule = longer
    return rule


def _one(rule: str | list[str]) -> str:
    return rule if isinstance(rule, str) else "|".join(rule)


def _compiled(rule: str | list[str], parts: Mapping[str, str], *, spoken: bool = True) -> re.Pattern[str]:
    text = _expanded(_one(rule), parts)
    return re.compile(rf"\b(?:{text})\b") if spoken else re.compile(text, re.IGNORECASE)
