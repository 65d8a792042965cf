"""Turn written text into the words a person would say on the phone. Pure.

ElevenLabs' flash models normalise nothing (elevenlabs.io/docs, "Text normalization"), and local engines guess.
The TTS is given the spoken form; pipecat keeps both and attributes each spoken word to what was written, so the
transcript keeps figures. Letting the LLM write words in place of figures was rejected:
the record and the tools need figures, and a prompt is not a promise.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from heapq import heapify, heappop, heappush

import phonenumbers

from bot.languages.speech_forms import SpeechForms
from bot.pipeline.tts.days_and_hours import DaysAndHours
from bot.pipeline.tts.number_words import YEARS, NumberWords, grouped, is_nanp
from bot.pipeline.tts.shapes import Shapes

MAX_CARDINAL_DIGITS = 4
"""A whole number without marks that is longer is a code: 47110022."""

Handler = Callable[[re.Match[str]], str | None]


class SpeechText:
    """One language's rules, and a scenario's own pronunciations. Use `speech_text`."""

    def __init__(self, forms: SpeechForms, pronunciation: Mapping[str, str]) -> None:
        self._forms = forms
        self._number = NumberWords(forms)
        self._rules = [
            (re.compile(pattern, flags), handler) for pattern, flags, handler in self._all(pronunciation)
        ]

    def spoken(self, text: str) -> str:
        out, at = [], 0
        for start, end, words in self._replaced(text):
            out += [text[at:start], words]
            at = end
        return _tidy("".join([*out, text[at:]]))

    def _replaced(self, text: str) -> Iterator[tuple[int, int, str]]:
        """The first rule that wants the first place it can; from behind its match on, again."""
        at = 0
        waiting = [
            (match.start(), order, match)
            for order in range(len(self._rules))
            if (match := self._next(order, text, 0))
        ]
        heapify(waiting)
        while waiting:
            start, order, match = heappop(waiting)
            words = self._rules[order][1](match) if start >= at else None
            if words is not None and match.end() > start:
                yield start, match.end(), words
                at = match.end()
            if following := self._next(order, text, max(at, start + 1)):
                heappush(waiting, (following.start(), order, following))

    def _next(self, order: int, text: str, at: int) -> re.Match[str] | None:
        return self._rules[order][0].search(text, at)

    # -- the rules, in the order in which they are asked ------------------------------------------------

    def _all(self, pronunciation: Mapping[str, str]) -> Iterator[tuple[str, int, Handler]]:
        forms, ignore = self._forms, re.IGNORECASE
        own = {word.casefold(): said for word, said in pronunciation.items()}
        if own:
            words = "|".join(re.escape(word) for word in sorted(own, key=len, reverse=True))
            yield rf"(?<!\w)(?:{words})(?!\w)", ignore, lambda m: own[m.group().casefold()]
        yield r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", 0, self._email
        yield r"(?:https?://|www\.)[^\s<>()\"']*[^\s<>()\"'.,;:!?]", ignore, self._link
        yield (
            r"(?<![\w@.])(?:[a-z0-9-]{2,}\.)+(?:com|org|net|io|gov|edu|co|es|uk|info|app|dev)(?:/[\w/-]*\w)?(?!\w)",
            (ignore),
            self._link,
        )
        yield from self._money_rules()
        yield from Shapes(forms, self._number).rules()
        yield from DaysAndHours(forms, self._number).rules()
        number = self._number.pattern
        yield rf"(?<![\w.,])(-?{number})\s?%?\s?(?:-|–|{forms.to})\s?({number})\s?%", 0, self._percents
        yield rf"(?<![\w.,])([-−]?{number})\s?%", 0, self._percents
        fractions = "|".join(re.escape(f) for f in sorted(forms.fractions, key=len, reverse=True))
        yield rf"(?<![\w/])(\d+(?:\s|(?=[½¼¾])))?({fractions})(?![\w/])", 0, self._fraction
        yield r"(?<![\d/])\d{3}/\d{3}[-. ]\d{4}(?!\d)", 0, self._phone
        yield r"(?<![\w.,-])\+?\(?\d[\d().\s-]{5,18}\d(?![\w-])(?!\.\d)", 0, self._phone
        units = "|".join(re.escape(u) for u in sorted(forms.units, key=len, reverse=True))
        range_or_one = rf"(?<![\w.,])(?:({number})\s?[-–]\s?)?([-−]?{number})"
        per = "|".join(sorted(forms.per, key=len, reverse=True))
        yield rf"{range_or_one}\s?({units})(?!\w|/(?!(?:{per})\b))(?:\.(?=\s(?-i:[a-z])))?", ignore, self._unit
        yield (
            rf"(?<![\w.,])(\d+|\d{{1,3}}(?:{re.escape(forms.group_mark)}\d{{3}})+)[.]?({forms.ordinals})(?!\w)",
            0,
            self._ordinal,
        )
        yield r"(?<![\w.,])\d+(?:\.\d+){2,}(?!\w|\.\d)", 0, self._version
        yield (
            rf"\b({forms.code_words})([.:]?\s(?:#\s?|(?:is|are|no|es|son|nº)\s)?)(\d[\d-]*)(?![\w.,%/]?\d|\w)",
            ignore,
            self._code_after,
        )
        yield r"(?<![\w-])(?=[A-Z\d-]*\d)(?=[A-Z\d-]*[A-Z])[A-Z\d]{1,5}(?:-?[A-Z\d]+)*(?![\w-])", 0, self._code
        yield r"(?<![\w.,-])\d+(?:-\d+)+(?![\w-])", 0, self._range_or_code
        yield rf"(?<![\w.,])({number})(?:\s?–\s?|-)({number})(?![\w–-])", 0, self._range
        yield r"(?:(?<![\w.,-])|(?<=mid-))['’]?(\d0|\d{3}0)['’]?s(?!\w)", 0, self._decade
        yield rf"(?<![\w.,])([-−])?({number})(?![\w-]|[.,]\d)", 0, self._plain_number
        yield rf"(?<![\w.,-])()({number})(?=-?[^\W\d_])", 0, self._before_word
        yield r"(?<=[^\W\d_])?\d+(?=([^\W\d_])?)", 0, self._stuck
        yield from self._word_rules()

    def _money_rules(self) -> Iterator[tuple[str, int, Handler]]:
        forms = self._forms
        signs = "|".join(re.escape(sign) for sign in sorted(forms.money, key=len, reverse=True))
        large = "|".join(re.escape(word) for word in sorted(forms.large, key=len, reverse=True))
        number = self._number.pattern
        ends = rf"(?:\s?(?P<large>(?i:{large}))\b)?"
        before = rf"(?P<minus>[-−])?(?P<sign>{signs})\s?(?P<one>[-−]?{number})"
        yield (
            rf"(?<!\w){before}(?:\s?(?:-|–|{forms.to})\s?(?:{signs})?(?P<other>{number}))?{ends}",
            0,
            self._money,
        )
        after = rf"(?P<one>[-−]?{number})(?:\s?[-–]\s?(?P<other>{number}))?{ends}\s?(?P<sign>{signs})"
        yield rf"(?<![\w.,]){after}(?!\w)", 0, self._money

    def _word_rules(self) -> Iterator[tuple[str, int, Handler]]:
        forms = self._forms
        dotted = "|".join(
            re.escape(a) for a in sorted(forms.abbreviations, key=len, reverse=True) if a[-1].isalnum()
        )
        yield r"(?<![\w.-])(St|Dr)\.(?=\s|$|,)", 0, self._saint_or_street
        yield rf"(?<![\w.])({dotted})\.(?=[\s,;:)]|$)", re.IGNORECASE, self._abbreviation
        bare = "|".join(re.escape(a) for a in sorted(forms.bare_abbreviations, key=len, reverse=True))
        yield rf"(?<![\w.])({bare})(?!\w)", re.IGNORECASE, self._bare_abbreviation
        yield r"(?<=[^\W_])–(?=[^\W_])", 0, lambda _: f" {forms.to} "
        numbered = "|".join(
            a for a in ("ext", "apt", "rte", "hwy", "bldg", "rm", "vol", "pg") if a in forms.abbreviations
        )
        yield rf"(?<![\w.])({numbered})(?=\s\d)", re.IGNORECASE, lambda m: forms.abbreviations[m[1].lower()]
        yield r"(?<=noon|ight)\s?[–-]\s?(?=\d)", 0, lambda _: f" {forms.to} "
        yield r"(?<![\w-])[A-Z]{2,5}(s?)(?![\w-])", 0, self._initialism
        yield r"(?<![\w.])(?:[A-Z]\.){2,}", 0, lambda m: " ".join(m.group().replace(".", ""))
        per = "|".join(sorted(forms.per, key=len, reverse=True))
        yield rf"\s?/\s?({per})(?!\w)", 0, lambda m: f" {forms.per[m[1]]}"
        yield r"(?<!\w)#(?!\s?\d|\w)", 0, lambda m: forms.hash_key
        signs = "".join(re.escape(sign) for sign in forms.signs)
        yield rf"[{signs}]", 0, lambda m: f" {forms.signs[m.group()]} "
        yield r"(?<=\w)[/_](?=\w)", 0, lambda m: " "

    # -- addresses -------------------------------------------------------------------------------------

    def _email(self, match: re.Match[str]) -> str:
        name, _, host = match.group().partition("@")
        return f"{self._spelled(name)} {self._forms.at} {self._spelled(host)}"

    def _link(self, match: re.Match[str]) -> str:
        bare = re.sub(r"^(?:https?://)?(?:www\.)?", "", match.group(), flags=re.IGNORECASE)
        return self._spelled(bare.split("?")[0].split("#")[0].rstrip("/"))

    def _spelled(self, text: str) -> str:
        forms = self._forms
        signs = {".": forms.dot, "-": forms.dash, "_": forms.underscore, "/": forms.slash, "+": forms.plus}
        parts = re.findall(r"[^\W\d_]+|\d+|.", text)
        return " ".join(self._number.digits(p) if p.isdigit() else signs.get(p, p) for p in parts)

    # -- amounts ---------------------------------------------------------------------------------------

    def _money(self, match: re.Match[str]) -> str | None:
        money, number = self._forms.money[match["sign"]], self._number
        one, other, large = match["one"], match["other"], match["large"]
        if large is not None:
            amount = f"{number.decimal(one)} {self._forms.large[large.lower()]}"
        elif other is not None:
            amount = number.decimal(one)
        else:
            if match.groupdict().get("minus"):
                one = f"-{one.lstrip('-−')}"
            return self._amount(one)(money.one, money.many, money.small_one, money.small_many)
        if other is not None:
            last = number.decimal(other) + (f" {self._forms.large[large.lower()]}" if large else "")
            amount = f"{number.decimal(one)} {self._forms.to} {last}"
        return f"{amount} {money.many}"

    def _amount(self, figure: str) -> Callable[[str, str, str, str], str]:
        negative = figure[0] in "-−"
        whole, part = self._number.parts(figure.lstrip("-−"))

        def worded(one: str, many: str, small_one: str, small_many: str) -> str:
            if len(part) > 2:
                return f"{self._number.decimal(figure)} {many}"
            cents = int((part + "0")[:2]) if part else 0
            number = self._number.before_noun(whole)
            of = "de " if number.endswith(("illón", "illones")) else ""
            said = [f"{number} {of}{one if whole == 1 else many}"] if whole or not cents else []
            if cents:
                said.append(f"{self._number.before_noun(cents)} {small_one if cents == 1 else small_many}")
            text = self._forms.money_and_part.format(whole=said[0], part=said[1]) if len(said) > 1 else said[0]
            return f"{self._forms.minus} {text}" if negative else text

        return worded

    def _percents(self, match: re.Match[str]) -> str:
        figures = [self._number.decimal(figure) for figure in match.groups()]
        return f"{f' {self._forms.to} '.join(figures)} {self._forms.percent}"

    def _unit(self, match: re.Match[str]) -> str | None:
        first, last, sign = match[1], match[2], match[3]
        # "5 m" alone may be a name's initial: only stuck to its figure. 5G is a network.
        apart = match.start(3) > match.end(2) and self._forms.code == "en" and len(last) < 3
        if len(sign) == 1 and ((sign.isupper() and (sign != "L" or apart)) or (sign in "mgl" and apart)):
            return None
        one, many = self._forms.units[sign.casefold()]
        figure = self._number.agreeing(self._number.decimal(last), many)
        noun = one if first is None and self._number.parts(last.lstrip("-−")) == (1, "") else many
        return f"{self._number.decimal(first)} {self._forms.to} {figure} {noun}" if first else f"{figure} {noun}"

    def _fraction(self, match: re.Match[str]) -> str:
        said = self._forms.fractions[match[2]]
        return f"{self._number.cardinal(int(match[1]))} {self._forms.and_} {said}" if match[1] else said

    # -- figures ---------------------------------------------------------------------------------------

    def _phone(self, match: re.Match[str]) -> str | None:
        text = match.group()
        digits = re.sub(r"\D", "", text)
        groups = re.findall(r"\d+", text)
        if not 7 <= len(digits) <= 19 or ". " in text or (len(groups) == 1 and not text.startswith("+")):
            return None
        if re.fullmatch(r"\d{4}\s?-\s?\d{4}", text) and self._is_range(groups):
            return None
        if len(groups) == 1:
            groups = ["1", digits[1:4], digits[4:7], digits[7:]] if is_nanp(text) else _as_dialled(text)
        elif self._number.is_one(text):
            return None
        said = ", ".join(self._number.digits(group) for group in groups)
        return f"{self._forms.plus} {said}" if text.startswith("+") else said

    def _ordinal(self, match: re.Match[str]) -> str:
        figure = match[1].replace(self._forms.group_mark, "")
        said = self._number.ordinal(int(figure)) if len(figure) < 9 else self._number.digits(figure)
        if match[2] in ("ª", "a"):
            return " ".join(word.removesuffix("o") + "a" for word in said.split())
        noun_follows = re.match(r"\s[^\W\d]", match.string[match.end() :])
        return self._number.shortened(said) if noun_follows else said

    def _version(self, match: re.Match[str]) -> str | None:
        if self._number.is_one(match.group()):
            return None
        return f" {self._forms.point} ".join(self._number.digits(part) for part in match.group().split("."))

    def _code_after(self, match: re.Match[str]) -> str | None:
        counts = match[3].endswith("0") and re.match(r"\s[^\W\d]", match.string[match.end() :])
        if len(match[3]) < 3 or (counts and len(match[3]) <= MAX_CARDINAL_DIGITS):
            return None
        groups = (", ").join(self._number.digits(group) for group in re.findall(r"\d+", match[3]))
        link = re.sub(r"n[º°]|\bno\b", self._forms.signs["#"], match[2].strip(" .#:"))
        return f"{match[1]} {link} {groups}".replace("  ", " ")

    def _code(self, match: re.Match[str]) -> str:
        if unit := re.fullmatch(r"(\d{1,2})([A-Z])", match.group()):  # 12B
            return f"{self._number.cardinal(int(unit[1]))} {unit[2]}"
        if word := re.fullmatch(r"([A-Z]*[AEIOU][A-Z]{2,})-(\d{1,2})", match.group()):  # COVID-19
            return f"{word[1]} {self._number.cardinal(int(word[2]))}"
        groups = re.findall(r"[A-Z]+|\d+", match.group())
        return " ".join(self._number.digits(g) if g.isdigit() else " ".join(g) for g in groups)

    def _range_or_code(self, match: re.Match[str]) -> str:
        groups = match.group().split("-")
        if len(groups) == 2 and (all(len(g) <= 2 for g in groups) or self._is_range(groups)):
            return f" {self._forms.to} ".join(self._number.year(int(group)) for group in groups)
        return ", ".join(self._number.digits(group) for group in groups)

    def _is_range(self, groups: list[str]) -> bool:
        """Two round figures or years that rise: 50-100, 2026-2027."""
        first, last = (int(group) for group in groups)
        rises = first < last and "0" not in (groups[0][0], groups[1][0]) and len(groups[1]) <= MAX_CARDINAL_DIGITS
        return rises and ((first in YEARS and last in YEARS) or (first % 5 == 0 and last % 5 == 0))

    def _decade(self, match: re.Match[str]) -> str | None:
        said = self._number.year(int(match[1]))
        return said.removesuffix("y") + ("ies" if said.endswith("y") else "s")

    def _before_word(self, match: re.Match[str]) -> str:
        return self._plain_number(match) + ("" if match.string[match.end()] == "-" else " ")

    def _stuck(self, match: re.Match[str]) -> str:
        before = match.string[match.start() - 1 : match.start()]
        said = self._number.digits(match.group())
        return f"{' ' if before.isalpha() else ''}{said}{' ' if match[1] else ''}"

    def _range(self, match: re.Match[str]) -> str:
        return f"{self._number.figure(match[1])} {self._forms.to} {self._number.figure(match[2])}"

    def _plain_number(self, match: re.Match[str]) -> str:
        figure = match[2]
        code = len(figure) > MAX_CARDINAL_DIGITS and not figure.endswith("000")
        if figure.isdigit() and (code or (len(figure) > 1 and figure[0] == "0")):
            return ", ".join(self._number.digits(group) for group in grouped(figure))
        said = self._number.figure(figure)
        if noun := re.match(r"\s([^\W\d_]{3,})", match.string[match.end() :]):
            said = self._number.agreeing(said, noun[1])
        return f"{self._forms.minus} {said}" if match[1] else said

    # -- words -----------------------------------------------------------------------------------------

    def _abbreviation(self, match: re.Match[str]) -> str | None:
        word, rest = match[1], match.string[match.end() :].lstrip()
        ends = not rest or rest[0] in "\n"
        said = self._forms.abbreviations[word.lower()]
        if word.lower() == "est" and rest[:1].isdigit():
            return said
        if word.lower() in ("no", "co", "est", "min", "max", "ms", "ft", "mt") and not _fits(word, rest):
            return None
        return said + ("." if ends else "")

    def _bare_abbreviation(self, match: re.Match[str]) -> str | None:
        word = match[1]
        if word.lower() not in self._forms.abbreviations or (word.isupper() and len(word) > 1 and word.isalpha()):
            return None
        return self._forms.abbreviations[word.lower()] + (" " if not word[-1].isalnum() else "")

    def _saint_or_street(self, match: re.Match[str]) -> str:
        before = match.string[: match.start()].split()
        follows = match.string[match.end() :].lstrip()
        ends = not follows
        street = (
            bool(before) and before[-1][:1].isupper() and (ends or not follows[:1].isupper() or _named(before))
        )
        closes = ends or follows[:1].isupper()
        title, way = ("Saint", "Street") if match[1] == "St" else (self._forms.abbreviations["dr"], "Drive")
        if self._forms.code != "en":
            return title
        return (way + ("." if closes else "")) if street or (ends and match[1] == "St") else title

    def _initialism(self, match: re.Match[str]) -> str | None:
        word = match.group().removesuffix("s") if match[1] else match.group()
        spelled = word in self._forms.initialisms or not re.search(r"[AEIOUY]", word)
        return " ".join(word) + ("s" if match[1] else "") if spelled and not _shouted(match) else None


def _as_dialled(number: str) -> list[str]:
    """The groups in which a country writes its numbers."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return grouped(number)
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return re.findall(r"\d+", written)


def _tidy(text: str) -> str:
    return re.sub(r"\s+([,.;:!?])", r"\1", " ".join(text.split()))


def _shouted(match: re.Match[str]) -> bool:
    """Whether the words around are in capitals too."""
    words = [w for w in re.findall(r"[^\W\d_]{2,}", match.string) if w != match.group()]
    return bool(words) and all(word.isupper() for word in words)


def _named(before: list[str]) -> bool:
    """Whether the last of these words is a street's name. A sentence's first word is none, nor is "Port"."""
    begins = len(before) < 2 or before[-2][-1] in ".!?:"
    return not begins and before[-1] not in ("Mount", "Port", "Fort", "Lake")


def _fits(word: str, rest: str) -> bool:
    """Whether what follows makes an abbreviation of a word that is one of its own: No. 5, Mt. Hope, Ms. Lee."""
    if word.lower() == "no":
        return rest[:1].isdigit()
    if word.lower() in ("min", "max"):
        return rest[:1].isdigit()
    if word.lower() == "co":
        return word[0].isupper()
    return word[0].isupper() and rest[:1].isupper()


@lru_cache(maxsize=64)
def _rules(forms: SpeechForms, pronunciation: tuple[tuple[str, str], ...]) -> SpeechText:
    return SpeechText(forms, dict(pronunciation))


def speech_text(forms: SpeechForms, pronunciation: Mapping[str, str] | None = None) -> SpeechText:
    """The rules of a language with a scenario's pronunciations, compiled once."""
    return _rules(forms, tuple(sorted((pronunciation or {}).items())))
