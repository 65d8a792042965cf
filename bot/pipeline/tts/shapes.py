"""Figures whose shape says what they are: ratings, ratios, heights, sizes, house numbers, Roman numerals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from bot.languages.speech_forms import SpeechForms
from bot.pipeline.tts.number_words import NumberWords

_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
Handler = Callable[[re.Match[str]], str | None]


def roman(text: str) -> int | None:
    """The value of a Roman numeral up to a few hundred; None where it is none in its usual form."""
    if not re.fullmatch(r"C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})", text) or not text:
        return None
    values = [_ROMAN[letter] for letter in text]
    return sum(-one if one < other else one for one, other in zip(values, [*values[1:], 0], strict=True))


class Shapes:
    """One language's."""

    def __init__(self, forms: SpeechForms, number: NumberWords) -> None:
        self._forms, self._number = forms, number

    def rules(self) -> Iterator[tuple[str, int, Handler]]:
        """To be asked before dates, times and plain figures."""
        forms, number_of, number = self._forms, self._number, self._number.pattern
        for pattern, said in forms.fixed.items():
            yield rf"(?<![\w@.-])(?:{pattern})(?!\w)", 0, lambda _, said=said: said  # type: ignore[misc]
        yield rf"(?<![\w.,/])({number})\s?/\s?(5|10|100)(?![\w/%]|[.,]\d)", 0, self._rating
        yield r"(?<![\w.,:])(\d{1,3}):(\d)(?![\w:])", 0, self._ratio
        yield rf"(?<![\w.,])({number})\s?[x×]\s?({number})(?:\s?[x×]\s?({number}))?(?!\w)", 0, self._size
        yield r"(?<![\w.,/])(\d{1,3})/(\d{1,3})(?![\w/%]|[.,-]\d)", 0, self._pair
        yield r"(?<![\w.,/])(\d{3,})/(\d{3,})(?![\w/-])", 0, self._file_number
        yield r"(?<![\w.,:])(\d{1,3})\s?h\s?(\d{1,2})\s?(?:min|m)?(?![\w'])", 0, self._hours_minutes
        if forms.feet_and_inches:
            yield (
                r"(?<![\w.,])(\d{1,2})(?:'|′|\s?ft\.?)\s?(\d{1,2})(?:\"|″|''|\s?in\b\.?)?(?!\w)",
                0,
                self._height,
            )
            yield r"(?<![\w.,])(\d{1,3})(\"|″)(?!\w)", 0, self._inches
            yield r"(?<![\w.,])(\d{1,2})['′](?=\s(?:tall|wide|long|deep|high|x|by)\b)", 0, self._feet
            yield r"(?<![\w$.])\$\.(\d\d)(?!\d)", 0, lambda m: f"{number_of.cardinal(int(m[1]))} cents"
            yield r"\bI-(\d{1,3})(?![\w-])", 0, lambda m: f"I {number_of.cardinal(int(m[1]))}"
            yield r"\bv(?:er)?\.?\s?(\d+(?:\.\d+)+)(?!\w)", 0, self._version
        if forms.rooms:
            yield rf"\b({forms.rooms})(\s(?:#\s?)?)(\d{{3,4}})(?![\w.,:/%-]?\d|\w)", 0, self._room
            streets = r"(?:[NSEW]\.?\s)?(?:[A-Z][\w'.-]*\s|\d+(?:st|nd|rd|th)\s){1,3}"
            yield rf"(?<![\w$€£.,-])()()(\d{{3,4}})(?=\s{streets}(?:{forms.street_words})\b)", 0, self._room
        yield rf"\b({forms.numbered})\s([IVXLC]+)(?![\w'])", re.IGNORECASE, self._numbered
        yield r"(?<=[a-zíóé]\s)(I{2,3}|IV|VI{1,3}|IX|X[IV]+)(?![\w'.])", 0, self._ruler
        yield r"(?<!\w)#(?=[^\W\d_]{2,}(?![\w-]*\d))", 0, lambda _: f"{forms.hashtag} "
        yield r"\b(UTC|GMT)\s?([-−+])\s?(\d{1,2})(?![\w:])", 0, self._offset
        yield r"(?<![\w.,])~\s?(?=\d)", 0, lambda _: f"{forms.about} "
        yield rf"(?<![\w.,-])({number})\s?([kKM])(?![\w'/])", 0, self._thousands

    def _rating(self, match: re.Match[str]) -> str | None:
        best, worst = self._number.parts(match[1]), int(match[2])
        follows = match.string[match.end() :].lstrip()[:4].lower()
        if (
            best[0] > worst
            or (worst == 100 and best[1])
            or follows.startswith(("cup", "of ", "de ", "inch", "mile"))
        ):
            return None
        return f"{self._number.decimal(match[1])} {self._forms.out_of} {self._number.cardinal(worst)}"

    def _ratio(self, match: re.Match[str]) -> str:
        return f"{self._number.cardinal(int(match[1]))} {self._forms.to} {self._number.cardinal(int(match[2]))}"

    def _size(self, match: re.Match[str]) -> str:
        return f" {self._forms.by} ".join(self._number.decimal(figure) for figure in match.groups() if figure)

    def _pair(self, match: re.Match[str]) -> str | None:
        """Two figures and a stroke: a day of a month where no other reading is left, a fraction, or halves."""
        forms, number = self._forms, self._number
        if match.group() in forms.fractions:
            return None
        first, last = int(match[1]), int(match[2])
        day, month = (first, last) if forms.day_first else (last, first)
        if 12 < day <= 31 and 1 <= month <= 12:
            said = (
                (forms.first_day if day == 1 else number.cardinal(day))
                if forms.first_day
                else number.ordinal(day)
            )
            return forms.date.format(day=said, month=forms.months[month - 1])
        if first == last:
            return f"{number.cardinal(first)} {number.cardinal(last)}"
        if 2 < last <= 10 and first < last:
            part = forms.parts[last - 3]
            return f"{number.before_noun(first)} {part[first > 1]}"
        return f"{number.cardinal(first)} {forms.over} {number.cardinal(last)}"

    def _file_number(self, match: re.Match[str]) -> str:
        return f"{self._number.digits(match[1])} {self._forms.slash} {self._number.digits(match[2])}"

    def _hours_minutes(self, match: re.Match[str]) -> str | None:
        if int(match[2]) > 59:
            return None
        said = []
        for figure, unit in ((match[1], "h"), (match[2], "min")):
            one, many = self._forms.units[unit]
            words = self._number.agreeing(self._number.cardinal(int(figure)), many)
            said.append(f"{words} {one if int(figure) == 1 else many}")
        return " ".join(said)

    def _height(self, match: re.Match[str]) -> str | None:
        foot, inch = self._forms.feet_and_inches
        feet, inches = int(match[1]), int(match[2])
        if inches > 11:
            return None
        said = f"{self._number.cardinal(feet)} {foot[feet != 1]}"
        return f"{said} {self._number.cardinal(inches)} {inch[inches != 1]}" if inches else said

    def _inches(self, match: re.Match[str]) -> str | None:
        if match.string[: match.start()].count('"') % 2:
            return None  # it closes a quotation
        inch = self._forms.feet_and_inches[1]
        several = match[2] == '"' and match[1] != "1"  # else a noun follows: a fifteen inch screen
        return f"{self._number.cardinal(int(match[1]))} {inch[several]}"

    def _feet(self, match: re.Match[str]) -> str:
        return f"{self._number.cardinal(int(match[1]))} {self._forms.feet_and_inches[0][match[1] != '1']}"

    def _version(self, match: re.Match[str]) -> str:
        parts = f" {self._forms.point} ".join(self._number.digits(part) for part in match[1].split("."))
        return f"version {parts}"

    def _room(self, match: re.Match[str]) -> str | None:
        """In pairs, as an address is said: twelve oh five, three ten, twelve hundred."""
        head, last = int(match[3][:-2]), int(match[3][-2:])
        if not head or match[3][0] == "0":
            return None
        if not last:
            hundreds = "thousand" if not head % 10 and head >= 10 else "hundred"
            said = f"{self._number.cardinal(head // 10 if hundreds == 'thousand' else head)} {hundreds}"
        else:
            rest = self._number.cardinal(last)
            said = f"{self._number.cardinal(head)} {f'oh {rest}' if last < 10 else rest}"
        place = self._forms.abbreviations.get(match[1].lower().rstrip("."), match[1])
        return f"{place}{match[2].replace('#', '')}{said}"

    def _numbered(self, match: re.Match[str]) -> str | None:
        value = roman(match[2])
        short = match[1].removesuffix(".").lower()
        long = {**self._forms.abbreviations, "s": "siglo"}
        what = long[short] if match[1].endswith(".") else match[1]
        return None if value is None else f"{what} {self._number.cardinal(value)}"

    def _ruler(self, match: re.Match[str]) -> str | None:
        """Behind a name: Henry the eighth, Felipe sexto, John Smith the third. Others are counted: Rocky four."""
        forms, number = self._forms, self._number
        before = match.string[: match.start()].split()
        value = roman(match[1])
        if value is None or not before or not before[-1][:1].isupper():
            return None
        counted = before[-1] not in forms.rulers and (
            value > 4 or len(before) < 2 or not before[-2][:1].isupper()
        )
        if counted or (forms.code != "en" and value > 10):
            return number.cardinal(value)
        return f"the {number.ordinal(value)}" if forms.code == "en" else number.ordinal(value)

    def _offset(self, match: re.Match[str]) -> str:
        sign = self._forms.plus if match[2] == "+" else self._forms.minus
        return f"{' '.join(match[1])} {sign} {self._number.cardinal(int(match[3]))}"

    def _thousands(self, match: re.Match[str]) -> str | None:
        whole, part = self._number.parts(match[1])
        if match[2] in "kK" and whole < 100 and not part:
            return None  # a 5k is a run, 4K a screen
        return f"{self._number.decimal(match[1])} {self._forms.large[match[2].lower()].removesuffix(' de')}"
