"""One language for the local LLM: its rules.toml, and what a callee's words hold by those rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from bot import languages
from bot.languages import plain
from bot.pipeline.offline.rules.days import DayWords

Intent = StrEnum(
    "Intent",
    "YES NO GOODBYE THANKS GREETING WHO WHY REPEAT ROBOT HOLD WRONG_NUMBER DO_NOT_CALL RESCHEDULE CANCEL LATER "
    "MESSAGE ORDERS HOW_ARE_YOU DECLINE",
)
"""What words may mean, each an entry of [meanings]. DECLINE: does not want to go on with what is asked."""


class FactKind(NamedTuple):
    """A kind of question, the kind of sentence that answers it, and words of the question it need not hold."""

    question: re.Pattern[str]
    fact: re.Pattern[str]
    words: frozenset[str]


class Moment(NamedTuple):
    """A day and a clock time, as far as they were named."""

    day: str | None
    minutes: int | None
    """Of the day; of half a day where `vague`: morning or afternoon was left open."""
    vague: bool = False

    def fits(self, other: Moment) -> bool:
        """Whether both may mean the same: what one leaves open, the other may fill."""
        if not (self.day == other.day or self.day is None or other.day is None):
            return False
        if self.minutes is None or other.minutes is None:
            return self.day is not None and self.day == other.day
        half = 720 if self.vague or other.vague else 1440
        return self.minutes % half == other.minutes % half


class Words:
    """The rules and sentences of one language."""

    def __init__(self, code: str) -> None:
        """`code`: of a language's folder."""
        self.code = code
        data = languages.data_of(code, "rules.toml")
        parts = data["parts"] | data["rules"]
        spoken = data["rules"] | data["moods"] | data["meanings"]
        self.rules = {name: _compiled(rule, parts) for name, rule in spoken.items()}
        self.written = {name: _compiled(rule, parts, spoken=False) for name, rule in data["written"].items()}
        self.kinds = {
            name: FactKind(
                _compiled(asked, parts), _compiled(fact, parts, spoken=False), frozenset(words.split())
            )
            for name, (asked, fact, words) in data["kinds"].items()
        }
        self.tables, sentences = data["tables"], data["sentences"]
        self.fields: dict[str, str] = dict(sentences["fields"])
        self._notes: dict[str, str] = dict(sentences["notes"])
        self._say = {name: tuple(ways) for name, *ways in sentences["say"]}
        self.lists = {name: tuple(value.split()) for name, value in data["lists"].items()}
        self.sets = {name: frozenset(value) for name, value in self.lists.items()}
        self.numbers = {word: n for n, word in enumerate(self.lists["numbers"])} | self.tables["more_numbers"]
        self.days = DayWords(code, self.numbers)
        self.substitutions = {
            name: [(_expanded(rule, parts), *rest) for rule, *rest in rows] for name, rows in data["subs"].items()
        }

    def __deepcopy__(self, memo: object) -> Words:
        return self  # a dialogue is copied for each reply, its language never changes

    def found(self, rule: str, text: str) -> bool:
        """Whether the plain form of `text` meets a rule of [rules], [moods] or [meanings]."""
        return bool(self.rules[rule].search(plain(text)))

    def without(self, rule: str, text: str) -> str:
        """The plain form of `text` without what the rule names."""
        return " ".join(self.rules[rule].sub(" ", plain(text)).split())

    def sub(self, table: str, text: str, name: str = "(?!)") -> str:
        """`text` with the replacements of a table made; `name` is a pattern of the callee's names."""
        for rule, replacement in self.substitutions[table]:
            text = _insensitive(rule.replace("<name>", name)).sub(replacement, text)
        return text

    def variants(self, sentence: str) -> tuple[str, ...]:
        """The ways to say it."""
        return self._say[sentence]

    def say(self, sentence: str, **values: Any) -> str:
        """The first way to say it, filled in; what stands in […] is left out where its value is empty."""
        return _filled(self.variants(sentence)[0], values)

    def note(self, note: str, **values: Any) -> str:
        """A sentence of the summary."""
        return _filled(self._notes[note], values)

    @lru_cache(maxsize=512)  # noqa: B019  # one object a language, kept for good
    def meant(self, text: str) -> frozenset[Intent]:
        """Everything the words may mean; several at once is usual ("yes, thanks, bye")."""
        parts = {plain(part) for part in (text, *self.sentences(text))}
        found = {intent for intent in Intent if any(map(self.rules[intent].search, parts))}
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

    def parts(self, text: str) -> list[str]:
        """The sentences, also parted where a statement turns into a question: recognisers leave the marks out."""
        parts: list[str] = []
        for sentence in self.sentences(text):
            rest = sentence.replace("’", "'")
            while (turn := self._turn(rest)) is not None:
                parts.append(rest[: turn.start()])
                rest = rest[turn.end() :]
            parts.append(rest)
        return [part for part in parts if plain(part)]

    def _turn(self, sentence: str) -> re.Match[str] | None:
        for turn in self.written["turn"].finditer(sentence):
            left = sentence[: turn.start()]
            # "Could you tell me, please, where …" is one question; "where is it, and when" are two.
            one = self.asks(left) and not self.written["joins"].search(turn.group(0))
            # "I don't know how …": the clause belongs to its verb.
            if plain(left) and not one and not self.found("holds_clause", left):
                return turn
        return None

    def asks(self, part: str) -> bool:
        """Whether one sentence asks something."""
        return self.found("asks", part) or (part.rstrip().endswith("?") and len(plain(part).split()) > 2)

    def lowered(self, text: str) -> str:
        """As it goes on in mid-sentence: its first word in lower case, unless it is a name or an abbreviation."""
        mark = text[: len(text) - len(text.lstrip("¿¡"))]
        first, rest = [*text[len(mark) :].split(maxsplit=1), ""][0].rstrip(".,?"), text[len(mark) :]
        keep = first in self.sets["keep_capital"] or not first[1:].replace("'", "").islower()
        return text if keep else mark + rest[0].lower() + rest[1:]

    def allowed(self, text: str) -> list[str]:
        """The clauses that rule nothing out: of "I can't on Thursday, how about Friday" the second."""
        clauses = self.written["clauses"].split(text.replace("’", "'"))
        return [clause for clause in clauses if not self.found("refused", clause)]

    def when(self, text: str) -> str | None:
        """The time the words name and do not rule out, as said: "Friday at 3 pm"; None without one."""
        named = [m.group(0).strip(" ,.?!") for c in self.allowed(text) for m in self.written["time"].finditer(c)]
        best = max(reversed(named), key=len, default="")
        while (shorter := self.written["time_edge"].sub("", best)) != best:
            best = shorter
        return self.lowered(best) or None

    def moment(self, text: str) -> Moment | None:
        """The first day and the first clock time of the text; None without either."""
        said = self.sub("spoken", text).lower().replace("’", "'")
        day = self.written["named_day"].search(said)
        minutes, vague = self._clock(self.written["day_of_month"].sub("", said))
        return (
            Moment(plain(day.group(0)) if day else None, minutes, vague) if day or minutes is not None else None
        )

    def _clock(self, said: str) -> tuple[int | None, bool]:
        if self.written["noon"].search(said):
            return 720, False
        for match in self.written["clock"].finditer(said):
            lead, number, minute, extra, part = match.group("lead", "hour", "minute", "extra", "part")
            if lead or minute or extra or part:
                hour = int(self.numbers.get(number, 0) or number)
                words = f"{lead} {extra}"
                added = int(minute or 0) or next((n for w, n in self.tables["minutes"].items() if w in words), 0)
                late, early = (self.written[half].search(said) for half in ("late", "early"))
                turned = 720 if late and hour < 12 else -720 if early and hour == 12 else 0
                return hour % 24 * 60 + added + turned, not (late or early or hour > 12)
        return None, False

    def offered(self, facts: Iterable[str]) -> tuple[str, ...]:
        """The appointments that facts offer, each with a day and a clock time: "Friday at 10am"."""
        free, other = self.written["free"], self.written["not_offered"]
        open_ = [self.sub("spoken", fact) for fact in facts if free.search(fact) and not other.search(fact)]
        said = [self.when(piece) for fact in open_ for piece in self.written["between"].split(fact)]
        times = [(text, self.moment(text)) for text in said if text]
        return tuple(text for text, at in times if at and at.day is not None and at.minutes is not None)

    def chosen(self, said: str, offers: Iterable[str]) -> str | None:
        """The one offer that the words mean; None where none fits, or several."""
        wanted = self.moment(said)
        fits = [offer for offer in offers if wanted and (at := self.moment(offer)) and wanted.fits(at)]
        return fits[0] if len(fits) == 1 else None

    def number(self, text: str) -> float | None:
        """The first number, in digits or words ("twenty five")."""
        if digits := re.search(r"-?\d+(?:\.\d+)?", text):
            return float(digits.group(0))
        said = plain(text).split()
        # "Un nueve" is nine: an article counts where no other number does.
        found = sorted((w for w in said if w in self.numbers), key=self.sets["small_words"].__contains__)
        if not found:
            return None
        number, after = self.numbers[found[0]], [*said, ""][said.index(found[0]) + 1]
        added = self.numbers.get(after, 0)
        return float(number + added if 20 <= number < 100 and 0 < added < 10 else number)

    def option(self, text: str, options: Sequence[str]) -> str | None:
        """The option the words name: whole, by one of its own words, or by its place ("the second")."""
        heard, said = f" {plain(text)} ", plain(text).split()
        own = {option: plain(option.replace("_", " ")) for option in options}
        counts = [word for name in own.values() for word in set(name.split())]
        whole = (o for o in sorted(options, key=len, reverse=True) if f" {own[o]} " in heard)
        by_word = (
            o for o in options if any(len(w) > 3 and w in said and counts.count(w) == 1 for w in own[o].split())
        )
        by_place = (o for place, o in zip(self.lists["places"], options, strict=False) if place in said)
        return next((found for way in (whole, by_word, by_place) for found in way), None)

    def phone(self, text: str) -> str | None:
        """A phone number in digits or digit words, as digits; None below seven digits."""
        said = [str(self.numbers[w]) if self.numbers.get(w, 10) < 10 else w for w in plain(text).split()]
        digits = re.sub(r"\D", "", " ".join(said))
        return ("+" if "+" in text else "") + digits if len(digits) >= 7 else None

    def phone_spoken(self, digits: str) -> str:
        """A number to be read back, digit by digit in groups, a pause between them."""
        named = [self.lists["numbers"][int(digit)] for digit in re.sub(r"\D", "", digits)]
        last = 4 if len(named) in (7, 10, 11) else 3
        starts = [
            0,
            *range(len(named) % 3 if last == 3 else (len(named) - 4) % 3, len(named) - last + 1, 3),
            len(named),
        ]
        groups = [" ".join(named[at:to]) for at, to in pairwise(starts)]
        return ", ".join(group for group in groups if group)

    def name(self, text: str, *, asked: bool = True) -> str | None:
        """The name someone gives for themselves: "my name is Ann Lee", "it's Ann", or just "Ann Lee".

        Unasked, only an introduction counts, and of the vague ones ("I'm …") only before a capital letter.
        """
        intro = self._introduction(text, asked=asked)
        if not intro and (not asked or self.asks(text)):
            return None
        kept: list[str] = []
        for word in (text[intro.end() :] if intro else text).split()[: 2 if intro else 4]:
            bare = word.strip(".,!?;")
            if plain(bare) in self.sets["not_names"] or plain(bare) in self.numbers or not bare[:1].isalpha():
                break
            kept.append(capital(bare))
            if bare != word:
                break
        return None if not kept or len(kept) > 3 or (not intro and self.meant(" ".join(kept))) else " ".join(kept)

    def without_introduction(self, text: str) -> str:
        """The words beside a greeting and a name: "Hi, my name is Bob and I need …" keeps "I need …"."""
        name, intro = self.name(text, asked=False), self._introduction(text, asked=False)
        if not name or not intro:
            return text
        rest = text[intro.end() + len(name) :]
        around = (
            text[: intro.start()].strip(" ,."),
            self.written["after_name"].sub("", rest, count=1).strip(" ,."),
        )
        return " ".join(part for part in around if len(part.split()) > 2)

    def _introduction(self, text: str, *, asked: bool) -> re.Match[str] | None:
        vague = self.written["introduces_vaguely"].search(text)
        sure = vague if vague and (asked or text[vague.end() :][:1].isupper()) else None
        return self.written["introduces"].search(text) or sure

    def day(self, text: str, today: date) -> date | None:
        """The first day named, counted from `today`; None without one."""
        return next((named.day for named in self.days.named(text, today)), None)


@lru_cache(maxsize=1024)
def _insensitive(rule: str) -> re.Pattern[str]:
    return re.compile(rule, re.IGNORECASE)


@cache
def _words(code: str) -> Words:
    return Words(code)


def words_of(language: str) -> Words:
    """The words of a code like "es-MX"; English where the language has none."""
    return _words(languages.folder_of(language))


@cache
def field_rule(meaning: str) -> re.Pattern[str]:
    """Names of outcome fields that stand for what was learnt, in any language: scenarios mix them."""
    return re.compile(rf"(?:^|_)(?:{'|'.join(_words(code).fields[meaning] for code in languages.KNOWN)})")


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _filled(text: str, values: Mapping[str, Any]) -> str:
    kept = re.sub(r"\[([^\]]*\{(\w+)\}[^\]]*)\]", lambda m: m.group(1) if values.get(m.group(2)) else "", text)
    return kept.format(**values)


def _expanded(rule: str | list[str], parts: Mapping[str, Any]) -> str:
    text = rule if isinstance(rule, str) else "|".join(rule)
    return re.sub(r"\{([a-z_]+)\}", lambda m: f"(?:{_expanded(parts[m.group(1)], parts)})", text)


def _compiled(rule: str | list[str], parts: Mapping[str, Any], *, spoken: bool = True) -> re.Pattern[str]:
    text = _expanded(rule, parts)
    return re.compile(rf"\b(?:{text})\b") if spoken else re.compile(text, re.IGNORECASE)
