"""Phone numbers as people and spreadsheets write them: the right one, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import phonenumbers
import pytest
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType, timezone

from bot.phone_numbers import (
    is_e164,
    is_possible,
    parts,
    read_e164,
    read_extension,
    read_number,
    region_and_kind,
    zones_of_number,
)

A = "+12025550123"
ZONED = [
    *(
        f"+1{area}5550{index:03}"
        for area in (201, 212, 310, 416, 787, 800, 808, 876, 900, 907)
        for index in (1, 9)
    ),
    *("+442071838750", "+447400123456", "+448081570000", "+441534440000", "+447911123456"),
    *("+34612345678", "+34912345678", "+525512345678", "+551123456789", "+5511987654321"),
    *("+74951234567", "+77011234567", "+61212345678", "+61412345678", "+870773111632", "+390612345678"),
]


@pytest.mark.parametrize(
    ("given", "country", "number"),
    [
        (A, None, A),
        ("+1 (202) 555-0123", None, A),
        ("+1.202.555.0123", None, A),
        ("\u202a+1\u00a0202\u2011555\u20110123\u202c", None, A),
        ("'+12025550123", None, A),
        ("\u2019+12025550123", None, A),
        ("(202) 555-0123", "US", A),
        ("1 202 555 0123", "US", A),
        ("390612345678", "IT", "+390612345678"),
        ("0331 234567", "IT", "+390331234567"),
        ("+241 06 03 12 34", None, "+24106031234"),
        ("020 7183 8750", "GB", "+442071838750"),
        ("442071838750", "GB", "+442071838750"),
        ("00442071838750", "DE", "+442071838750"),
        ("+44 (0)20 7183 8750", None, "+442071838750"),
        ("01.23.45.67.00", "FR", "+33123456700"),
        ("030/12345678", "DE", "+493012345678"),
        ("030 123456-78", "DE", "+493012345678"),
        ("011 15-2345-6789", "AR", "+5491123456789"),
        ("+5215512345678", "MX", "+525512345678"),
        ("5215512345679", "MX", "+525512345679"),
        ("+52 1 55 1234 5678", None, "+525512345678"),
    ],
)
def test_numbers_as_people_write_them(given: str, country: str | None, number: str) -> None:
    assert read_number(given, country).e164 == number


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "empty"),
        (" ", "empty"),
        (12025550123, "no text"),
        (None, "no text"),
        ("2025550123", "no + and country code"),
        ("0012025550123", "no + and country code"),
        ("1.20256E+10", "cut by a spreadsheet"),
        ("1,20256E+10", "cut by a spreadsheet"),
        ("+1.20256e10", "cut by a spreadsheet"),
        ("120256E5", "cut by a spreadsheet"),
        ("12025550123.0", "decimal"),
        ("12025550123,00", "decimal"),
        ("+12025550123.", "decimal"),
        ("+1.202.555.0123.0", "decimal"),
        ("+1 800 FLOWERS", "no phone number"),
        ("+12025550123 ext 5", "no phone number"),
        ("+12025550123;+12025550199", "no phone number"),
        ("+4930123456 (12)", "extensions"),
        ("+4930123456/12", "extensions"),
        ("+999123456789", "no country code"),
        ("+1202555012", "no such number"),
        ("+", "no phone number"),
        ("+" + "1" * 5000, "no country code"),
    ],
)
def test_what_is_no_number_is_said_in_words(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("+", r"\+")):
        read_number(given, None)


@pytest.mark.parametrize(
    ("country", "given", "words"),
    [
        ("DE", "491701234567", ["country's own code", "+491701234567", "+49491701234567", "+49… or 0…"]),
        ("DE", "4915112345678", ["country's own code", "+4915112345678", "+494915112345678"]),
        ("DE", "49775591155", ["country's own code", "+49775591155", "+4949775591155"]),
        ("DE", "447400123456", ["+447400123456", "+49447400123456"]),
        ("DE", "4930123456.0", ["decimal"]),
        ("AT", "43512345678.0", ["decimal"]),
        ("IT", "390612345678.0", ["decimal"]),
        ("ID", "+62812345678.0", ["decimal"]),
        ("IT", "+3903123456789", ["+393123456789"]),
    ],
)
def test_what_would_ring_a_stranger_is_refused(country: str, given: str, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_number(given, country)
    for word in words:
        assert word in str(caught.value)


# -- every country ----------------------------------------------------------------------------------------

KINDS = [kind for kind in PhoneNumberType.values() if kind != PhoneNumberType.UNKNOWN]
SPOILED: dict[str, Callable[[str], str]] = {
    ".0": lambda text: f"{text}.0",
    ".00": lambda text: f"{text}.00",
    ",0": lambda text: f"{text},0",
    "E": lambda text: f"{text[:2]}.{text[2:]}E+{len(text) - 1}",
    "x": lambda text: f"{text} x12",
    "ext.": lambda text: f"{text} ext. 12",
    ";ext=": lambda text: f"{text};ext=12",
    "#": lambda text: f"{text}#12",
    "()": lambda text: f"{text} (12)",
    "/": lambda text: f"{text} / 12",
}


def examples(region: str) -> Iterator[phonenumbers.PhoneNumber]:
    for kind in KINDS:
        number = phonenumbers.example_number_for_type(region, kind)
        if number is not None and phonenumbers.is_valid_number(number):
            yield number


def ways(number: phonenumbers.PhoneNumber, region: str) -> dict[str, str]:
    """How it is written: name of the way → text."""
    code, national = number.country_code, phonenumbers.national_significant_number(number)
    metadata = PhoneMetadata.metadata_for_region(region)
    trunk = (metadata and metadata.national_prefix) or ""
    plain = {
        "+ code": f"+{code}{national}",
        "code": f"{code}{national}",
        "alone": national,
        "trunk": f"{trunk}{national}",
        "code trunk": f"{code}{trunk}{national}",
        "+ code trunk": f"+{code}{trunk}{national}",
        "+ code (trunk)": f"+{code} ({trunk}) {national}",
        "+ code 0": f"+{code}0{national}",
        "0": f"0{national}",
        "00": f"00{code}{national}",
        "national": phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL),
        "international": phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL),
    }
    noisy = {f"{name}, spaced": " ".join(plain[name]) for name in ("+ code", "alone")}
    return plain | noisy | {f"{name}, apostrophe": f"'{plain[name]}" for name in ("code", "national")}


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_an_example_number_is_read_right_or_not_at_all(region: str) -> None:
    for number in examples(region):
        e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        if len(e164) > 7:
            assert read_e164(e164) == e164
        for way, text in ways(number, region).items():
            try:
                assert read_number(text, region).e164 == e164, (way, text)
            except ValueError:
                assert not way.startswith(("national", "international")), (way, text)
            for spoiled, spoil in SPOILED.items():
                with pytest.raises(ValueError, match=r"\w"):
                    read_number(spoil(text), region)
                    raise AssertionError(f"{spoiled}: {spoil(text)}")


# -- what is known of a number ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", ZONED)
def test_zones_are_what_the_library_says(number: str) -> None:
    names = timezone.time_zones_for_number(phonenumbers.parse(number))
    assert (
        read_number(number, None).zones
        == zones_of_number(number)
        == tuple(sorted({*names} - {timezone.UNKNOWN_TIMEZONE}))
    )


def test_one_number_of_the_api() -> None:
    assert read_e164("+5215512345678") == "+525512345678"
    for text in ("12025550123", "+1 202 555 0123", "+1202555012", "+999123456789", "+1202", "+12025550123x1"):
        with pytest.raises(ValueError, match=r"\+12025550123|country"):
            read_e164(text)
    with pytest.raises(ValueError, match=r"write \+493012345678"):
        read_e164("+4903012345678")


def test_numbers_that_need_not_exist() -> None:
    assert is_e164("+15005550006")
    assert not is_e164("+1 500 555 0006")
    assert not is_e164("+4903012345678")
    assert is_possible("+15005550006")
    assert not is_possible("+1500")
    assert not is_possible("anonymous")
    assert parts("+442071838750") == ("+44", "2071838750")
    assert parts("anonymous") is None
    assert region_and_kind("+447400123456") == ("GB", "mobile")
    assert region_and_kind("+12025550123") == ("US", "")
    assert region_and_kind("") is None


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        ("204", "204"),
        ("ww204", "ww204"),
        (", 204 #", "WW204#"),
        ("W1w*9", "W1w*9"),
        ("w" * 29 + "2", "w" * 29 + "2"),
    ],
)
def test_extensions_as_people_write_them(written: str, keys: str) -> None:
    assert read_extension(written) == keys


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", "no extension like ww204"),
        ("w,W", "no extension"),
        ("ext. 204", "keys are 0-9"),
        ("204p1", "keys are 0-9"),
        ("٢٠٤", "keys are 0-9"),
        ("," * 15 + "204", "33 keys and waits, of 32"),
    ],
)
def test_what_is_no_extension_is_said_in_words(written: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_extension(written)
