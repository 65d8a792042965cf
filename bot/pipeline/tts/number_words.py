"""Numbers in words, by num2words: cardinals, ordinals, years, digits read out."""

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
        # An amount may be written the other way round: $19.99 in Spanish.
        other = rf"\d{{1,3}}(?:{mark}\d{{3}})+{group}\d\d(?!\d)|\d+{group}\d{forms.other_decimals}(?!\d)"
        self.pattern = rf"(?:{other}|(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)(?:{mark}\d+)?)"
        self._other = re.compile(other)
        self._whole = re.compile(rf"[-−]?{self.pattern}")

    def is_one(self, text: str) -> bool:
        return bool(self._whole.fullmatch(text))

    def parts(self, figure: str) -> tuple[int, str]:
        """The whole number and the digits behind the mark."""
        mark, group = self._forms.decimal_mark, self._forms.group_mark
        if self._other.fullmatch(figure):
            mark, group = group, mark
        whole, _, part = figure.replace(group, "").partition(mark)
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

    def agreeing(self, said: str, noun: str) -> str:
        """A number in words before the word that follows it: una persona, doscientas horas, un día."""
        forms = self._forms
        if not forms.feminine or noun.lower() in forms.not_nouns:
            return said
        if not re.fullmatch(forms.feminine, noun, re.IGNORECASE):
            return self.shortened(said)
        return re.sub(r"uno$", "una", re.sub(r"(cient|quinient)os", r"\1as", said))

    def decimal(self, figure: str) -> str:
        negative = figure[0] in "-−"
        whole, part = self.parts(figure.lstrip("-−"))
        said = self.cardinal(whole)
        if part:
            said = f"{said} {self._forms.point} {self.digits(part)}"
        return f"{self._forms.minus} {said}" if negative else said

    def ordinal(self, number: int) -> str:
        return str(num2words(number, to="ordinal", lang=self._forms.code)).replace(",", "")

    def figure(self, figure: str) -> str:
        """One without a noun: what may be a year is read as one."""
        return self.year(int(figure)) if figure.isdecimal() else self.decimal(figure)

    def year(self, number: int) -> str:
        if number in YEARS:
            return str(num2words(number, to="year", lang=self._forms.code)).replace(",", "")
        return self.cardinal(number)

    def hour(self, hour: int) -> str:
        said = self.cardinal(hour)
        return said.removesuffix("uno") + "una" if said.endswith("uno") else said

    def digits(self, text: str) -> str:
        return " ".join(str(num2words(int(digit), lang=self._forms.code)) for digit in text if digit.isdigit())


def grouped(digits: str) -> list[str]:
    """A number read out: threes, and a last group of two to four."""
    groups = []
    while len(digits) > 4:
        groups.append(digits[:3])
        digits = digits[3:]
    return [*groups, digits]


def is_nanp(number: str) -> bool:
    """A number of the North American plan: +1 and ten digits."""
    return bool(re.fullmatch(r"\+1\d{10}", number))
