"""Numbers in words, by num2words: cardinals, ordinals, years, digits read out."""

from __future__ import annotations

import re

from num2words import num2words

from bot.languages.speech_forms import SpeechForms

LARGEST = 10**15
"""A longer figure is read digit by digit."""
YEARS = range(1900, 2100)
"""Read in pairs in English: twenty twenty-six."""


class NumberWords:
    """Numbers of one language in words."""

    def __init__(self, forms: SpeechForms) -> None:
        self._forms = forms
        mark, group = re.escape(forms.decimal_mark), re.escape(forms.group_mark)
        self.pattern = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)(?:{mark}\d+)?"
        self._whole = re.compile(rf"[-−]?{self.pattern}")

    def is_one(self, text: str) -> bool:
        return bool(self._whole.fullmatch(text))

    def parts(self, figure: str) -> tuple[int, str]:
        """The whole number and the digits behind the mark."""
        whole, _, part = figure.replace(self._forms.group_mark, "").partition(self._forms.decimal_mark)
        return int(whole), part

    def cardinal(self, number: int) -> str:
        if number >= LARGEST:
            return self.digits(str(number))
        return str(num2words(number, lang=self._forms.code)).replace(",", "")

    def before_noun(self, number: int) -> str:
        return self.shortened(self.cardinal(number))

    def shortened(self, said: str) -> str:
        for end, short in self._forms.masculine_one:
            if said.endswith(end):
                return said[: -len(end)] + short
        return said

    def decimal(self, figure: str) -> str:
        negative = figure[0] in "-−"
        whole, part = self.parts(figure.lstrip("-−"))
        said = self.cardinal(whole)
        if part:
            said = f"{said} {self._forms.point} {self.digits(part)}"
        return f"{self._forms.minus} {said}" if negative else said

    def ordinal(self, number: int) -> str:
        return str(num2words(number, to="ordinal", lang=self._forms.code)).replace(",", "")

    def year(self, number: int) -> str:
        if number in YEARS:
            return str(num2words(number, to="year", lang=self._forms.code)).replace(",", "")
        return self.cardinal(number)

    def hour(self, hour: int) -> str:
        said = self.cardinal(hour)
        return said.removesuffix("uno") + "una" if said.endswith("uno") else said

    def digits(self, text: str) -> str:
        return " ".join(str(num2words(int(digit), lang=self._forms.code)) for digit in text if digit.isdigit())
