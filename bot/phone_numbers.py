"""Phone numbers: read as people write them, checked, and what libphonenumber knows of them.

A written number never gains or loses a digit: what cannot be read so, or can be read in two ways that are both
valid, is refused, because dialling it would ring a stranger. Spreadsheets are where most of it comes from: a
column of decimal numbers adds ".0", one of large numbers cuts digits into an exponent, one of whole numbers
loses the + and the 0 in front. libphonenumber by itself takes ".0" for one digit more, and `491701234567` in
Germany for the digits of a local number; so it is asked for each reading, and never given a country to guess by.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType, timezone

_NOISE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""What does not show: marks of direction that phones and spreadsheets put around numbers."""
_NUMBER = re.compile(r"\+?[0-9()./\-\u2010-\u2015\s]+")
_EXPONENT = re.compile(r"\+?[0-9]+(?:[.,][0-9]*)?\s*[eE]\s*[+-]?[0-9]+")
_DECIMAL = re.compile(r"[^.,]*[.,](?:[0-9]{0,2}|0+)|.*[.,][0-9]?", re.DOTALL)
"""Groups behind a dot have two digits and more; behind the only dot, three and more."""
_EXTENSION = re.compile(r".*(?:\([0-9\s]*\)|/[0-9\s]{0,4})", re.DOTALL)
_DIGITS = re.compile(r"[0-9]+")
_E164 = re.compile(r"\+[1-9][0-9]*", re.ASCII)
_LENGTHS = range(7, 16)
"""E.164 has 15 digits at most; no number of a country has fewer than 7 with its code."""
_MEXICO = 52
_KINDS = {
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE: "landline",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "",
    PhoneNumberType.TOLL_FREE: "toll-free",
}
_LINES = {PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
_NO_CODE = "has no country code that exists; as in +12025550123"
_NO_NUMBER = "no such number can exist in its country; check the digits after the country code"


CUT = "\u2026"
"""Of a masked number, between its country code and its last two digits."""


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number that exists in its country's plan."""

    e164: str
    country_code: int
    national: str
    """The digits behind the country code."""
    kind: int
    """libphonenumber's PhoneNumberType."""

    @property
    def zones(self) -> tuple[str, ...]:
        """IANA names of the time zones it may be in, sorted; all its country's where it is bound to no place."""
        zero = True if self.national[0] == "0" else None
        parsed = phonenumbers.PhoneNumber(self.country_code, int(self.national), italian_leading_zero=zero)
        if phonenumbers.is_number_type_geographical(self.kind, self.country_code):
            names = timezone.time_zones_for_geographical_number(parsed)
        else:
            names = timezone.time_zones_for_number(parsed)
        return tuple(sorted(name for name in names if name != timezone.UNKNOWN_TIMEZONE))


# -- reading ----------------------------------------------------------------------------------------------


def read_number(given: Any, country: str | None) -> PhoneNumber:
    """The number of a row of an upload; `country`: two letters, where numbers without + are written in its way.

    ValueError says what is wrong with it, in words that follow a field's name.
    """
    if not isinstance(given, str):
        raise ValueError("is no text: write it in quotes, with + and country code")
    text = _NOISE.sub("", given).strip().lstrip("'\u2018\u2019").strip()
    if not text:
        raise ValueError("is empty")
    if _EXPONENT.fullmatch(text):
        raise ValueError("was cut by a spreadsheet: make the column text before the numbers go in")
    if _DECIMAL.fullmatch(text) and _NUMBER.fullmatch(text.replace(",", ".")):
        raise ValueError("was read as a decimal number (.0 behind it): make the column text")
    if not _NUMBER.fullmatch(text) or text == "+":
        raise ValueError("is no phone number")
    if _EXTENSION.fullmatch(text):
        raise ValueError("has digits in brackets or behind a slash at its end: extensions cannot be dialled")
    digits = "".join(_DIGITS.findall(text))
    if text.startswith("+"):
        return _read(digits)
    if country is None:
        raise ValueError("has no + and country code; or give the campaign's country")
    return _read_national(digits, country)


def check_dialled(e164: str) -> str:
    """ValueError for a number that is paid by who calls it."""
    if _read(e164[1:]).kind == PhoneNumberType.PREMIUM_RATE:
        raise ValueError("is a premium-rate number: who calls it pays by the minute, and it is not dialled")
    return e164


def read_e164(value: str) -> str:
    """An E.164 number that exists, as it is dialled: a Mexican one loses its abolished mobile 1. ValueError."""
    if not _E164.fullmatch(value):
        raise ValueError("write it in E.164: +, country code, number, no spaces, as in +12025550123")
    if len(value) - 1 not in _LENGTHS:
        raise ValueError("is no possible number: with its country code it has 7 to 15 digits, as in +12025550123")
    number = _read(value[1:]).e164
    if number != value and not number.startswith(f"+{_MEXICO}"):
        raise ValueError(f"is not dialled so from abroad: write {number}")
    return number


def _read(digits: str) -> PhoneNumber:
    """The number of digits that begin with a country code. ValueError."""
    parsed = _parsed(f"+{digits}")
    if parsed is None:
        raise ValueError(_NO_CODE)
    code, national = parsed.country_code or 0, phonenumbers.national_significant_number(parsed)
    if code == _MEXICO and len(national) == 11 and national[0] == "1":
        return _read(f"{code}{national[1:]}")  # the mobile 1, abolished in 2019, stands in many lists
    # A number without a type is one that is not valid.
    kind = phonenumbers.number_type(parsed)
    if kind == PhoneNumberType.UNKNOWN:
        raise ValueError(_NO_NUMBER)
    written = digits.removeprefix(str(code))
    if written != national and written not in _written_forms(parsed, national):
        raise ValueError("cannot be read digit by digit: write +, country code, number")
    if national[0] == "0" and _zero_too_many(kind, parsed):
        raise ValueError(f"can be read as +{code}{national} or, with a 0 too many, as +{code}{national[1:]}")
    return PhoneNumber(f"+{code}{national}", code, national, kind)


def _read_national(digits: str, country: str) -> PhoneNumber:
    """The number of digits without +, as they are written in a country. ValueError where there are two."""
    code = str(phonenumbers.country_code_for_region(country))
    at_home, own, foreign = _try(f"{code}{digits}"), None, None
    if digits.startswith(code):
        own = _try(digits)
    elif at_home is not None and digits != _national_digits(at_home):
        # Its 0 is missing: as likely the + is, of a number of another country.
        foreign = _try(digits)
    abroad = re.match(_metadata(country).international_prefix or "$", digits)
    called = None if abroad is None else _try(digits[abroad.end() :])
    readings = {number.e164: number for number in (own, at_home, called, foreign) if number is not None}
    if len(readings) > 1:
        ways = " or ".join(readings)
        begins = "begins with the country's own code and " if own is not None else ""
        trunk = _metadata(country).national_prefix
        how = f"+{code}… or {trunk}…" if own is not None and trunk else "it with + and country code"
        raise ValueError(f"{begins}can be read as {ways}: write {how}")
    if not readings or (at_home or own or called) is None:
        raise ValueError("no such number can exist in its country")
    return next(iter(readings.values()))


def _try(digits: str) -> PhoneNumber | None:
    try:
        return _read(digits)
    except ValueError:
        return None


def _zero_too_many(kind: int, parsed: phonenumbers.PhoneNumber) -> bool:
    """Whether a number with a 0 of its own is as well another one, written with a 0 that does not belong there.

    In Italy: +39 0312 345 6789 would be a line of Como with a digit more than usual, and is a mobile without its
    0. Lengths are compared with libphonenumber's examples: its patterns take more than is ever given out.
    """
    shorter = phonenumbers.parse(f"+{parsed.country_code}{parsed.national_number}")
    other = phonenumbers.number_type(shorter)
    unusual = not _usual_length(kind, parsed) or not {kind, other} <= _LINES
    return unusual and _usual_length(other, shorter)


def _usual_length(kind: int, number: phonenumbers.PhoneNumber) -> bool:
    example = phonenumbers.example_number_for_type(phonenumbers.region_code_for_number(number), kind)
    national = phonenumbers.national_significant_number
    return example is not None and len(national(example)) == len(national(number))


def _written_forms(parsed: phonenumbers.PhoneNumber, national: str) -> tuple[str, ...]:
    """How a number may stand behind its country code, beside its bare digits: as in its own country."""
    trunk = _metadata(phonenumbers.region_code_for_number(parsed)).national_prefix or ""
    at_home = "".join(_DIGITS.findall(phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)))
    return (trunk + national, at_home, at_home.removeprefix(trunk))


def _national_digits(number: PhoneNumber) -> str:
    parsed = phonenumbers.parse(number.e164)
    return "".join(_DIGITS.findall(phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)))


def _metadata(region: str | None) -> Any:
    return PhoneMetadata.metadata_for_region(region or "ZZ") or PhoneMetadata(id="001", register=False)


def _parsed(number: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None


# -- addresses that are no number ---------------------------------------------------------------------------

CLIENT = "client:"
"""How an address begins behind which no phone rings, as Twilio writes one."""
BROWSER = "client:browser"
"""A person at a browser, who is heard."""
TYPED = "client:typed"
"""A person at a browser that gives their words beside the sound."""


def is_client(number: str) -> bool:
    """Whether it is a browser's address, or a simulated callee's: `client:` and the callee's name."""
    return number.startswith(CLIENT)


def is_browser(number: str) -> bool:
    """Whether a person is at a browser."""
    return number in (BROWSER, TYPED)


# -- what is known of a number, valid or not --------------------------------------------------------------


def is_e164(number: str) -> bool:
    """Whether a number of a country is written so; it need not exist."""
    parsed = _parsed(number)
    return parsed is not None and phonenumbers.format_number(parsed, PhoneNumberFormat.E164) == number


MAX_EXTENSION = 32
"""Keys of an extension with its waits: Twilio's limit for keys that follow an answer."""


def read_extension(text: str) -> str:
    """Keys to press behind the answer: 0-9, *, #, w for half a second, W for a whole one. ValueError: it is none.

    Written as people write it: spaces count for nothing, a comma is two seconds as in a phone's address book.
    """
    keys = re.sub(r"\s", "", text).replace(",", "WW")
    if not keys.strip("wW") or re.search(r"[^0-9*#wW]", keys):
        raise ValueError(
            f"{text!r} is no extension like ww204: keys are 0-9, * and #, waits are w (half a second), W (one) "
            "and a comma (two)"
        )
    if len(keys) > MAX_EXTENSION:
        raise ValueError(f"has {len(keys)} keys and waits, of {MAX_EXTENSION} at most; a comma counts as two")
    return keys


_HIDDEN = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
"""What Twilio gives for a caller who hides: ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN, UNAVAILABLE on a keypad.
Source: https://help.twilio.com/articles/223179988."""


def can_be_called_back(number: str) -> bool:
    """Whether it is a caller's number: not hidden, no client or SIP address, and as long as its country's are."""
    return number not in _HIDDEN and is_possible(number)


def is_possible(number: str) -> bool:
    """Whether it is E.164 and as long as its country's are; it may be reserved, as those of fiction are."""
    parsed = _parsed(number) if _E164.fullmatch(number) else None
    return parsed is not None and phonenumbers.is_possible_number(parsed)


def country_of(number: str | None) -> str | None:
    """Its country, two letters; None where it is bound to none."""
    found = region_and_kind(number or "")
    return found[0] if found is not None and is_country(found[0]) else None


def is_country(region: str) -> bool:
    """Whether it is a country of two letters, like US."""
    return region in phonenumbers.SUPPORTED_REGIONS


def parts(number: str) -> tuple[str, str] | None:
    """Country code and the digits behind it; None where there is no such code."""
    parsed = _parsed(number)
    if parsed is None:
        return None
    return f"+{parsed.country_code}", phonenumbers.national_significant_number(parsed)


def masked_number(number: str, *, digits: int) -> str:
    """Its country code and its last digits, "+1…23"; without digits "+1". What is no number of a country, or is
    masked already, stays as it is."""
    found = None if CUT in number else parts(number)
    if found is None:
        return number.partition(CUT)[0] if CUT in number and not digits else number
    return f"{found[0]}{CUT}{number[-digits:]}" if digits else found[0]


def region_and_kind(number: str) -> tuple[str, str] | None:
    """As carriers price it: ("US", ""), ("GB", "mobile"), ("unknown", "other"); None where it is no number."""
    parsed = _parsed(number)
    if parsed is None:
        return None
    kind = _KINDS.get(phonenumbers.number_type(parsed), "other")
    return phonenumbers.region_code_for_number(parsed) or "unknown", kind


@lru_cache(maxsize=4096)
def zones_of_number(number: str) -> tuple[str, ...]:
    """IANA names of the time zones an E.164 number may be in; none where nothing is known."""
    try:
        return _read(number.removeprefix("+")).zones
    except ValueError:
        parsed = _parsed(number)
        names = () if parsed is None else timezone.time_zones_for_number(parsed)
        return tuple(sorted(name for name in names if name != timezone.UNKNOWN_TIMEZONE))
