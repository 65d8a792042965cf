"""Days of the calendar as people say them, counted from the day of the call: "next Tuesday". Pure.

No library: dateparser and its like guess where they are not sure (a lone "may" is a month, "second" a number),
read nothing of "the last Friday of next month", and do not say which words they took. The words are data:
days.toml of each language. What is ambiguous between people has one rule: "Tuesday" is the next one after
today; English "next Tuesday" is next week's (weeks begin on Monday), Spanish "el próximo martes" the nearest; a
day without a year is the next one there is. No words name a day that does not exist.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import NamedTuple

from bot import languages
from bot.languages import plain
from bot.languages.wording import TOKEN

MAX_CHARACTERS = 2000
"""Of a text that days are looked for in; the rest names none."""
_ISO = r"(?P<iso>\d{4} \d\d \d\d)"
_YEARS = 8
"""Within so many years there is every day, a leap day too."""
_MAX_COUNT = 1000


class DayNamed(NamedTuple):
    """The words, as they stand in the text, and the day they mean."""

    words: str
    day: date


class DayWords:
    """The words of one language."""

    def __init__(self, code: str, numbers: Mapping[str, int]) -> None:
        """`code`: of a language's folder; `numbers`: words and what they count."""
        data = languages.data_of(code, "days.toml")
        self._numbers = {word: n for word, n in numbers.items() if n > 0}
        self._counts, self._near, self._units = data["counts"], data["near"], data["units"]
        self._weekdays = data["weekdays"].split()
        self._months = [f"{m}|{short}" for m, short in _both(data["months"], data["short_months"])]
        self._ordinals = [word.replace("_", " ") for word in data["ordinals"].split()]
        self._places, self._last = data["places"].split(), data["last"]
        count = "|".join([*self._counts, r"\d{1,3}", *sorted(self._numbers, key=len, reverse=True)])
        place, digits = "|".join([*self._places, self._last]), rf"\d{{1,2}}{data['suffix']}?"
        spoken = "|".join(sorted(self._ordinals, key=len, reverse=True))
        weekday, near = "|".join(self._weekdays), "|".join(self._near)
        units = "|".join(rule for rule, _, _ in self._units.values())
        parts = {
            "{n}": rf"(?P<n>{count})(?: (?P<more>{count}))?", "{n_days}": rf"(?P<n_days>{count})",
            "{unit}": rf"(?P<unit>{units})", "{weekday}": rf"(?P<weekday>{weekday})",
            "{base}": rf"(?:(?P<weekday>{weekday})|(?P<near>{near}))", "{place}": rf"(?P<place>{place})",
            "{month}": rf"(?P<month>{'|'.join(self._months)})", "{nth}": rf"(?P<nth>{digits}|{spoken})",
            "{nth_digits}": rf"(?P<nth>{digits})", "{nth_word}": rf"(?P<nth>{spoken})",
            "{year}": r"(?P<year>20\d\d)",
        }  # fmt: skip
        self._rules = [("iso", re.compile(rf"\b{_ISO}\b")), ("near", re.compile(rf"\b(?P<near>{near})\b"))]
        for kind, rules in data["rules"].items():
            for rule in rules:
                filled = re.sub(r"\{\w+\}", lambda m: parts[m[0]], rule)
                self._rules.append((kind, re.compile(rf"\b{filled}\b")))

    def named(self, text: str, today: date) -> Iterator[DayNamed]:
        """The days that `text` names, in its order."""
        folded, starts, ends = _folded(text[:MAX_CHARACTERS])
        hits = [(found, kind) for kind, rule in self._rules for found in rule.finditer(folded)]
        hits.sort(key=lambda hit: (hit[0].start(), -hit[0].end()))
        behind = 0
        for found, kind in hits:
            if found.start() < behind:
                continue
            behind = found.end()
            day = self._day(kind, {k: v for k, v in found.groupdict().items() if v}, today)
            if day is not None:
                words = text[starts[found.start()] : ends[found.end() - 1]]
                yield DayNamed(words, day)

    def _day(self, kind: str, said: Mapping[str, str], today: date) -> date | None:
        try:
            return self._counted(kind, said, today)
        except (ValueError, OverflowError):  # no such day
            return None

    def _counted(self, kind: str, said: Mapping[str, str], today: date) -> date | None:
        weekday = self._weekdays.index(said["weekday"]) if "weekday" in said else 0
        match kind:
            case "iso":
                return date(*map(int, said["iso"].split()))
            case "near":
                return today + timedelta(days=self._days_near(said["near"]))
            case "ahead" | "ago":
                return self._shifted(today, said, -1 if kind == "ago" else 1)
            case "after":
                days = self._days_near(said["near"]) if "near" in said else _ahead(weekday, today)
                return self._shifted(today + timedelta(days=days), said)
            case "coming":
                return today + timedelta(days=_ahead(weekday, today))
            case "this":
                return today + timedelta(days=(weekday - today.weekday()) % 7)
            case "past":
                return today - timedelta(days=(today.weekday() - weekday - 1) % 7 + 1)
            case _ if kind.startswith("in_weeks"):
                weeks = {"1": 1, "2": 2, "n": 0, "last": -1}[kind.removeprefix("in_weeks_")] or self._count(said)
                return today + timedelta(days=7 * weeks + weekday - today.weekday())
            case _:
                return self._of_month(kind, said, today, weekday)

    def _of_month(self, kind: str, said: Mapping[str, str], today: date, weekday: int) -> date | None:
        first = _months_on(today.replace(day=1), "next" in kind)
        match kind:
            case "date":
                month, nth = self._month(said["month"]), self._nth(said["nth"])
                years = [int(said["year"])] if "year" in said else range(today.year, today.year + _YEARS + 1)
                days = (_real(year, month, nth) for year in years)
                return next((day for day in days if day and ("year" in said or day >= today)), None)
            case "nth":
                ahead = (today + timedelta(days=n) for n in range(62))
                return next((day for day in ahead if day.day == self._nth(said["nth"])), None)
            case "nth_this" | "nth_next":
                return first.replace(day=self._nth(said["nth"]))
            case "month_end" | "next_month_end":
                return _months_on(first, 1) - timedelta(days=1)
            case _:  # nth_weekday_…
                if "month" in said:
                    month = self._month(said["month"])
                    first = date(today.year + (month < today.month), month, 1)
                return self._weekday_of(first, said["place"], weekday)

    def _days_near(self, said: str) -> int:
        return next(int(days) for rule, days in self._near.items() if re.fullmatch(rule, said))

    def _shifted(self, day: date, said: Mapping[str, str], sign: int = 1) -> date:
        if "n_days" in said:
            # "De hoy en ocho" counts today: a week.
            days = self._number(said["n_days"])
            return day + timedelta(days=days - 1 if days in (8, 15) else days)
        count = (self._count(said) if "n" in said else 1) * sign
        days, months = next((d, m) for rule, d, m in self._units.values() if re.fullmatch(rule, said["unit"]))
        return _months_on(day, months * count) if months else day + timedelta(days=days * count)

    def _count(self, said: Mapping[str, str]) -> int:
        count, more = self._number(said["n"]), self._number(said["more"]) if "more" in said else 0
        return min(count + more if count >= 20 and 0 < more < 10 else more or count, _MAX_COUNT)

    def _number(self, word: str) -> int:
        known = next((n for rule, n in self._counts.items() if re.fullmatch(rule, word)), None)
        return int(word) if word.isdecimal() else int(known if known is not None else self._numbers[word])

    def _month(self, word: str) -> int:
        return next(n for n, rule in enumerate(self._months, 1) if re.fullmatch(rule, word))

    def _nth(self, word: str) -> int:
        if digits := re.match(r"\d+", word):
            return int(digits[0])
        return next(n for n, rule in enumerate(self._ordinals, 1) if re.fullmatch(rule, word))

    def _weekday_of(self, first: date, place: str, weekday: int) -> date | None:
        days = monthrange(first.year, first.month)[1]
        found = [day for n in range(days) if (day := first + timedelta(days=n)).weekday() == weekday]
        if re.fullmatch(self._last, place):
            return found[-1]
        return found[next(n for n, rule in enumerate(self._places) if re.fullmatch(rule, place))]


def _folded(text: str) -> tuple[str, list[int], list[int]]:
    """The plain words with one blank between them; of each of its characters, where its word begins and ends."""
    words, starts, ends = [], [], []
    for token in TOKEN.finditer(text):
        word = plain(token.group()).replace(" ", "")
        words.append(word)
        starts += [token.start()] * (len(word) + 1)
        ends += [token.end()] * (len(word) + 1)
    return " ".join(words), starts, ends


def _ahead(weekday: int, today: date) -> int:
    """Days to the next such day; a week on that day itself."""
    return (weekday - today.weekday() - 1) % 7 + 1


def _both(one: str, other: str) -> Iterator[tuple[str, str]]:
    return zip(one.split(), other.split(), strict=True)


def _real(year: int, month: int, day: int) -> date | None:
    return date(year, month, day) if 1 <= day <= monthrange(year, month)[1] else None


def _months_on(day: date, months: int) -> date:
    """The same day of a later month, or its last where it has none."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
