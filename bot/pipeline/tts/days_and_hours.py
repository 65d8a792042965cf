"""Dates, weekdays and times of day as a language says them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from bot.languages.speech_forms import SpeechForms
from bot.pipeline.tts.number_words import NumberWords

Handler = Callable[[re.Match[str]], str | None]


class DaysAndHours:
    """One language's."""

    def __init__(self, forms: SpeechForms, number: NumberWords) -> None:
        self._forms, self._number = forms, number

    def rules(self) -> Iterator[tuple[str, int, Handler]]:
        """In the order in which they are asked."""
        yield from self._date_rules()
        yield from self._time_rules()

    def _date_rules(self) -> Iterator[tuple[str, int, Handler]]:
        forms, ignore = self._forms, re.IGNORECASE
        short = "|".join(sorted(forms.short_weekdays, key=len, reverse=True))
        short_month = "|".join(month.title() for month in forms.short_months)
        months = "|".join([*map(re.escape, forms.months), *(f"{m}\\.?" for m in forms.short_months)])
        yield rf"(?<!\w)({short})(\.?)(?:\s?[-–/]\s?({short})\b\.?)?(?=\W|$)", ignore, self._weekday
        yield r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)", 0, lambda m: self._date(m[1], m[2], m[3])
        yield r"(?<![\d/.])(\d{1,2})(?:/(\d{1,2})/|\.(\d{1,2})\.)(\d{4}|\d{2})(?![\d/])", 0, self._numeric_date
        yield r"(?<![\w./-])(\d{1,2})-(\d{1,2})-(\d{4})(?![\w-])", 0, self._numeric_date
        short_date = r"(\d{1,2})/(\d{1,2})(?![\d/])"
        until = rf"(?:(\s?[-–]\s?|\s(?:{forms.to}|through|until|hasta)\s){short_date})?"
        yield rf"\b({forms.date_words})\s{short_date}{until}", ignore, self._short_date
        yield rf"(?<!\w)({short_month})\.?\s?[-–]\s?({short_month})\b\.?(?!\s?\d)", 0, self._months
        yield (
            rf"(?<!\w)({months})\s(\d{{1,2}})(?:{forms.ordinals})?(?:,?\s(\d{{4}}))?(?![\w:]|[.,]\d)",
            ignore,
            (self._month_day),
        )
        of = r"(?:\sde|\sof)?"
        yield (
            rf"(?<!\w)(\d{{1,2}})(?:{forms.ordinals})?{of}\s({months})(?:(?:,|{of})\s(\d{{4}}))?(?![\w:])",
            ignore,
            (self._day_month),
        )

    def _time_rules(self) -> Iterator[tuple[str, int, Handler]]:
        clock = r"(\d{1,2})(?:[:.h](\d{2}))?"
        half = r"([ap])\.?\s?m\b\.?"
        to, ignore = self._forms.to, re.IGNORECASE
        yield rf"(?<![\w:.,]){clock}(?:\s?{half})?\s?(?:-|–|\b{to}\b)\s?{clock}\s?{half}", ignore, self._times
        yield rf"(?<![\w:.,]){clock}\s?{half}", ignore, self._time
        yield r"(?<![\w:.,])(\d{1,2}):(\d{2})(?:\s?[-–]\s?(\d{1,2}):(\d{2}))?(?:\s?h\b)?(?![\w:])", 0, self._clock

    def _weekday(self, match: re.Match[str]) -> str | None:
        first, stop, last = match[1], match[2], match[3]
        follows = match.string[match.end() : match.end() + 2].lstrip()
        if self._forms.code == "en" and not first[0].isupper():
            return None
        if not (
            stop or last or follows[:1].isdigit() or first.lower() not in ("sat", "sun", "mon", "dom", "lun")
        ):
            return None
        days = self._forms.short_weekdays
        between = self._forms.and_ if "/" in match.group() else self._forms.to
        return f"{days[first.lower()]} {between} {days[last.lower()]}" if last else days[first.lower()]

    def _date(self, year: str, month: str, day: str) -> str | None:
        if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
            return None
        return self._dated(self._forms.months[int(month) - 1], int(day), year)

    def _dated(self, month: str, day: int, year: str | None) -> str:
        forms = self._forms
        if forms.first_day:
            said = forms.first_day if day == 1 else self._number.cardinal(day)
        else:
            said = self._number.ordinal(day)
        if not year:
            return forms.date.format(day=said, month=month)
        return forms.date_with_year.format(day=said, month=month, year=self._number.year(_full_year(year)))

    def _numeric_date(self, match: re.Match[str]) -> str | None:
        first, second = int(match[1]), int(match[2] or match[3])
        day_first = first > 12 or (self._forms.day_first and second <= 12) or "." in match.group()
        day, month = (first, second) if day_first else (second, first)
        return self._date(match[match.re.groups], str(month), str(day))

    def _short_date(self, match: re.Match[str]) -> str | None:
        days = []
        for first, second in ((match[2], match[3]), (match[5], match[6])):
            if first:
                day, month = (first, second) if self._forms.day_first else (second, first)
                days.append(self._date("", month, day))
        said = f" {self._forms.to} ".join(day for day in days if day)
        return f"{match[1]} {said}" if all(days) else None

    def _months(self, match: re.Match[str]) -> str:
        return f"{self._month(match[1])} {self._forms.to} {self._month(match[2])}"

    def _month(self, written: str) -> str:
        return self._forms.short_months.get(written.lower().rstrip("."), written)

    def _month_day(self, match: re.Match[str]) -> str | None:
        short = match[1].lower().rstrip(".") in self._forms.short_months
        if not 1 <= int(match[2]) <= 31 or (short and not match[1][0].isupper()):
            return None
        return self._dated(self._month(match[1]), int(match[2]), match[3])

    def _day_month(self, match: re.Match[str]) -> str | None:
        day, month = int(match[1]), self._month(match[2])
        if not 1 <= day <= 31:
            return None
        if match.string[: match.start()].endswith(("the ", "The ")):  # the 1st of May
            year = f", {self._number.year(int(match[3]))}" if match[3] else ""
            return f"{self._number.ordinal(day)} of {month}{year}"
        return self._dated(month, day, match[3])

    def _times(self, match: re.Match[str]) -> str | None:
        shared = not match[2] and not match[3]  # "9 to 5pm"
        first = self._number.hour(int(match[1])) if shared else self._at(match[1], match[2], match[3])
        last = self._at(match[4], match[5], match[6])
        return f"{first} {self._forms.to} {last}" if first and last else None

    def _time(self, match: re.Match[str]) -> str | None:
        return self._at(match[1], match[2], match[3])

    def _clock(self, match: re.Match[str]) -> str | None:
        first = self._at(match[1], match[2], None)
        last = self._at(match[3], match[4], None) if match[3] else ""
        if first is None or last is None:
            return None
        return f"{first} {self._forms.to} {last}" if last else first

    def _at(self, hour: str, minute: str | None, half: str | None) -> str | None:
        forms, h, m = self._forms, int(hour), int(minute or 0)
        if h > 24 or m > 59 or (half and not 1 <= h <= 12):
            return None
        words = self._number.hour(h)
        if m in forms.o_clock and not (m == 0 and half) and h <= 12:
            time = forms.o_clock[m].format(hour=words)
        elif m == 0:
            time = words if half else forms.late_hour.format(hour=words)
        else:
            template = forms.few_minutes if m < 10 else forms.minutes
            time = template.format(hour=words, minute=self._number.cardinal(m))
        if not half:
            return time
        hour_of_day = h % 12 + (12 if half.lower() == "p" else 0)
        meridiem = next(words for begins, words in reversed(forms.meridiem) if begins <= hour_of_day)
        return forms.meridiem_time.format(time=time, meridiem=meridiem)


def _full_year(year: str) -> int:
    return int(year) + 2000 if len(year) == 2 else int(year)
