"""What a callee's words hold as a phone number, an e-mail address, a date …, in one normal form. Pure.

Both ways come here: the words of a callee, as a recogniser writes them ("two oh two, five five five …"), and
what a model makes of them. What cannot be read for certain is refused, so that it is asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from bot.languages import plain
from bot.phone_numbers import read_number
from bot.pipeline.offline.rules.words import Words, capital, words_of

_EMAIL = re.compile(r"[a-z0-9][a-z0-9._%+-]*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}")
_SIGNS = {
    "at": "@", "arroba": "@", "dot": ".", "period": ".", "point": ".", "punto": ".", "underscore": "_",
    "dash": "-", "hyphen": "-", "minus": "-", "guion": "-", "plus": "+", "slash": "/",
}  # fmt: skip
_TIMES = {"double": 2, "doble": 2, "triple": 3, "treble": 3}
_AS_IN = re.compile(r"\b([a-z])(?: as in| like| for| as|, as in| de| como en| como) [a-zñáéíóú]+", re.IGNORECASE)
_LETTERS = """
alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa
quebec romeo sierra tango uniform victor whiskey whisky xray yankee zulu zed zee
"""
_NATO = {word: word[0].upper() for word in _LETTERS.split()}
_CURRENCIES = (
    (r"\$|\bus ?dollars?\b|\bdollars?\b|\bbucks?\b|\busd\b|\bdolares?\b|\bdolar\b", "USD"),
    (r"€|\beuros?\b|\beur\b", "EUR"),
    (r"£|\bpounds?\b|\bquid\b|\bgbp\b|\blibras?\b", "GBP"),
    (r"\bpesos?\b|\bmxn\b", "MXN"),
    (r"\b(cad|aud|chf|jpy|nzd|sek|nok|dkk|brl|inr)\b", ""),
)
MAX_CHARACTERS = 400
_MAX_DIGITS = 15
_AFTERNOON_BEFORE = 7 * 60
"""Nobody who says "at two" means the night."""


@dataclass(frozen=True)
class Frame:
    """What values are read by: the call's day where the callee is, their country, the language."""

    today: date = field(default_factory=lambda: datetime.now(UTC).date())
    country: str | None = None
    language: str = "en"

    @property
    def words(self) -> Words:
        return words_of(self.language)

    def days(self, value: object) -> dict[str, str]:
        """The days that a kept value's words name: those words → ISO 8601. None for what is a date already."""
        if isinstance(value, list | tuple):
            return {words: day for item in value for words, day in self.days(item).items()}
        if isinstance(value, Mapping):
            return self.days(list(value.values()))
        named = self.words.days.named(value, self.today) if isinstance(value, str) else ()
        return {words: day.isoformat() for words, day in named if words != day.isoformat()}


def normalised(kind: str, text: str, frame: Frame) -> str:
    """The value in `text`. ValueError says what it is not."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"too long for a {kind}")
    found = READERS[kind](text.strip(), frame)
    if not found:
        raise ValueError(f"{text!r} holds no {kind}")
    return found


def characters(text: str, words: Words) -> list[str]:
    """A text as it was spelled: single letters, digits and signs, and the words that are none of them."""
    found: list[str] = []
    times = 1
    text = _AS_IN.sub(r"\1", text)
    for token in re.findall(r"[^\W_]+|[@._+/#-]", re.sub(r"['’]", "", text)):
        word = plain(token)
        if word in _TIMES:
            times = _TIMES[word]
            continue
        number = words.numbers.get(word)
        if number is not None and 0 <= number < 100 and not token.isdigit():
            piece = str(number)
        else:
            piece = _SIGNS.get(word, token)
        found += [piece] * times
        times = 1
    return found


def _phone(text: str, frame: Frame) -> str:
    spelled = characters(re.sub(r"\b(?:plus|mas|más)\b", "+", text, flags=re.IGNORECASE), frame.words)
    digits = "".join(piece for piece in spelled if piece.isdigit())
    international = "+" in text or bool(re.search(r"\b(?:plus|mas|más)\b", text, re.IGNORECASE))
    return read_number(("+" if international else "") + digits, None if international else frame.country).e164


def _email(text: str, frame: Frame) -> str:
    bare = re.sub(
        r"^.*\b(?:is|its|it's|be|es|sería|seria)\b\s*:?\s+(?=\S)", "", text.strip(" .!?"), flags=re.IGNORECASE
    )
    joined = re.sub(r"guion bajo|under score", "_", bare, flags=re.IGNORECASE)
    pieces = ["_" if piece == "underscore" else piece for piece in characters(joined, frame.words)]
    found = _EMAIL.search("".join(pieces).lower()) or _EMAIL.search(text.lower())
    return found[0] if found else ""


def _date(text: str, frame: Frame) -> str:
    if numeric := re.search(r"(?<![\d/.-])(\d{1,2})[/.-](\d{1,2})(?:[/.-](\d{2,4}))?\b", text):
        one, two, year = int(numeric[1]), int(numeric[2]), int(numeric[3] or frame.today.year)
        month, day = (
            (one, two) if frame.country in (None, "US", "PH") and frame.language.startswith("en") else (two, one)
        )
        named = date(year + 2000 if year < 100 else year, month, day)
        return (named if numeric[3] or named >= frame.today else named.replace(year=year + 1)).isoformat()
    clauses = frame.words.allowed(text) or [text]
    days = [named.day for clause in clauses for named in frame.words.days.named(clause, frame.today)]
    if not days:
        return ""
    of_year = re.search(r"\b(20\d\d)\b", text)
    return (days[-1].replace(year=int(of_year[1])) if of_year else days[-1]).isoformat()


def _time(text: str, frame: Frame) -> str:
    if clock := re.fullmatch(r"\s*([01]?\d|2[0-3]):([0-5]\d)(?::\d\d)?\s*", text):
        return f"{int(clock[1]):02d}:{clock[2]}"
    said = frame.words.moment(text) or frame.words.moment(f"at {text}")
    if said is None or said.minutes is None:
        return ""
    minutes = said.minutes + (720 if said.vague and said.minutes < _AFTERNOON_BEFORE else 0)
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _amount(text: str, frame: Frame) -> str:
    lowered = plain(text) + " " + "".join(re.findall(r"[$€£]", text))
    code = next(((c or m[1].upper()) for rule, c in _CURRENCIES if (m := re.search(rule, lowered))), "")
    number, rest = _number_in_words(plain(text), frame.words)
    if written := re.search(r"\d[\d.,' ]*", text):
        number, rest = _decimal(written[0].strip(" .,'")), plain(text[written.end() :])
    if number is None or number >= 10**_MAX_DIGITS:
        return ""
    if factor := re.match(r"(thousand|mil|k|million|millones|millon)\b", rest):
        number *= 1000 if factor[1] in ("thousand", "mil", "k") else 1_000_000
    if cents := re.search(r"(?:and|con|y) (\w+(?: \w+)?) (?:cents?|centimos?|centavos?)", plain(text)):
        part = _number_in_words(cents[1], frame.words)[0] or (Decimal(cents[1]) if cents[1].isdigit() else None)
        number += (part or Decimal(0)) / 100
    return f"{number.quantize(Decimal('0.01')) if number % 1 else number.quantize(Decimal(1))} {code}".strip()


def _decimal(written: str) -> Decimal:
    """Digits with marks for thousands or decimals: 1,200.50, 1.200,50, 45,5."""
    last = max(written.rfind("."), written.rfind(","))
    decimals = len(written) - last - 1 if last >= 0 else 0
    if last >= 0 and (decimals != 3 or (written[:last].count(written[last]) == 0 and written[:last] == "0")):
        return Decimal(re.sub(r"\D", "", written[:last]) + "." + re.sub(r"\D", "", written[last:]))
    return Decimal(re.sub(r"\D", "", written))


def _number_in_words(text: str, words: Words) -> tuple[Decimal | None, str]:
    """The first number said in words, and what follows it: "two hundred and fifty" is 250."""
    total, current, seen = 0, 0, False
    tokens = text.split()
    rest = ""
    for at, word in enumerate(tokens):
        value = words.numbers.get(word)
        if word in ("and", "y", "a", "un", "una") and not (word in ("un", "una") and not seen):
            continue
        if value is None and not (seen and word in ("thousand", "mil")):
            if seen:
                rest = " ".join(tokens[at:])
                break
            continue
        if word in ("thousand", "mil"):
            total, current = total + (current or 1) * 1000, 0
        elif value == 100:
            current = (current or 1) * 100
        else:
            current += int(value or 0)
        seen = True
    return (Decimal(total + current) if seen else None), rest


def _name(text: str, frame: Frame) -> str:
    spelled = re.findall(r"(?:\b[^\W\d_]\b[\s.,-]*){3,}", _AS_IN.sub(r"\1", text))
    letters = "".join(re.findall(r"[^\W\d_]", spelled[-1])) if spelled else ""
    before = text[: text.find(spelled[-1])] if spelled and spelled[-1] in text else text if not spelled else ""
    said = frame.words.name(before) if before.strip(" ,.") else None
    if said is None and not letters and re.fullmatch(r"[^\W\d_][^\d@/]{1,60}", before.strip(" .,")):
        said = before.strip(" .,") if len(before.split()) <= 4 else None
    if letters:
        first = said.split()[:-1] if said else []
        # "Smyth, S M Y T H": what is spelled is the last name, or the only one.
        alike = said is not None and len(said.split()) == 1 and said[:1].lower() == letters[:1].lower()
        return " ".join([*([] if alike else first), letters.capitalize()])
    return " ".join(capital(part) for part in said.split()) if said else ""


def _code(text: str, frame: Frame) -> str:
    if re.fullmatch(r"(?=.*\d)[A-Za-z0-9-]{2,40}", text):
        return text.strip("-").upper()
    kept = []
    for piece in characters(text, frame.words):
        letter = _NATO.get(plain(piece))
        if letter or len(piece) == 1 or any(c.isdigit() for c in piece) or (piece.isupper() and len(piece) > 1):
            kept.append(letter or piece.upper())
    found = re.sub(r"[^A-Z0-9-]", "", "".join(kept)).strip("-")
    alone = re.fullmatch(r"[\w-]{2,40}", text.strip())
    return found if sum(c.isalnum() for c in found) >= 2 else text.strip().upper() if alone else ""


READERS: Mapping[str, Callable[[str, Frame], str]] = {
    "phone": _phone,
    "email": _email,
    "date": _date,
    "time": _time,
    "amount": _amount,
    "name": _name,
    "code": _code,
}
