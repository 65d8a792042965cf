"""What is cut out of a transcript, written or dictated, and what stays."""

from __future__ import annotations

import functools

import pytest

from bot import languages
from bot.conversation.masking import Secrets
from bot.conversation.redaction import REDACTED, redacted

EN, ES = languages.of("en"), languages.of("es")


@pytest.mark.parametrize(
    ("language", "text", "kept"),
    [
        (EN, "My card is 4111 1111 1111 1111, thanks.", f"My card is {REDACTED}, thanks."),
        (EN, "It's 4111111111111111.", f"It's {REDACTED}."),
        (EN, "Call me at 202-555-0147 please.", f"Call me at {REDACTED} please."),
        (EN, "My social is 078-05-1120.", f"My social is {REDACTED}."),
        (
            EN,
            "it is four one one one, one one one one, one one one one, one one one one",
            f"it is {REDACTED}",
        ),
        (EN, "Account double oh seven five five five one two three four.", f"Account {REDACTED}."),
        (EN, "forty one eleven twelve thirteen fifteen", REDACTED),
        (EN, "four one one one", REDACTED),
        (EN, "Four, one, um, one, one.", f"{REDACTED}."),
        (EN, "Write to john.smith@example.com today.", f"Write to {REDACTED} today."),
        (EN, "The IBAN is ES91 2100 0418 4502 0005 1332.", f"The IBAN is {REDACTED}."),
        (ES, "Es el cuatro uno uno uno uno uno uno uno uno uno.", f"Es el {REDACTED}."),
        (ES, "cuatro uno uno uno", REDACTED),
        (EN, "four one one two", REDACTED),
        (ES, "cuatro uno uno dos", REDACTED),
        (EN, "Okay, it's four one one one", f"Okay, it's {REDACTED}"),
        (EN, "uh four one one one", f"uh {REDACTED}"),
        (EN, "My number is five five five oh one four seven.", f"My number is {REDACTED}."),
        (EN, "It's 555-0147.", f"It's {REDACTED}."),
        (EN, "The pin is 1234.", f"The pin is {REDACTED}."),
        (EN, "The CVV on it is one two three.", f"The CVV on it is {REDACTED}."),
        (ES, "La clave es uno dos tres cuatro.", f"La clave es {REDACTED}."),
        (EN, "It's john dot smith at example dot com.", f"It's {REDACTED}."),
        (ES, "Es juan punto perez arroba ejemplo punto com.", f"Es {REDACTED}."),
        (ES, "seiscientos doce treinta y cuatro cincuenta y seis setenta y ocho", REDACTED),
        # Check digits, by python-stdnum.
        (EN, "4111/1111/1111/1111", REDACTED),
        (ES, "Mi DNI es 12345678Z, gracias.", f"Mi DNI es {REDACTED}, gracias."),
        (ES, "X1234567L", REDACTED),
        (EN, "My CURP: BOXW310820HNERXN09", f"My CURP: {REDACTED}"),
        (EN, "iban gb82west12345698765432 yes", f"iban {REDACTED} yes"),
    ],
)
def test_long_numbers_and_addresses_are_cut_out(language: languages.Language, text: str, kept: str) -> None:
    assert redacted(text, language, utterance=True) == kept


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (EN, "The appointment is on Thursday at 2:30, Suite 200."),
        (EN, "It costs $1,000,000.50 in all."),
        (EN, "On 2026-03-02 or 03/14/2026."),
        (EN, "At 1430 tomorrow."),
        (EN, "Meet me at noon on the dot."),
        (EN, "Order AB12345678 is ready."),
        (ES, "Mi pedido es 12345678A."),
        (EN, "Thursday at two thirty, or the twenty third."),
        (EN, "One moment, I have two children and one dog."),
        (EN, ""),
        (ES, "El jueves a las dos y media, en la calle Mayor 12."),
    ],
)
def test_dates_times_and_amounts_stay(language: languages.Language, text: str) -> None:
    assert redacted(text, language, utterance=True) == text


@pytest.mark.parametrize("value", ["2026-03-02", "2026-03-02T14:30:00Z", "4711", "Suite 2000"])
def test_what_is_no_utterance_may_be_a_short_number(value: str) -> None:
    assert redacted(value, EN) == value


def test_it_reaches_whatever_is_kept_of_tools_too() -> None:
    secrets = Secrets(functools.partial(redacted, language=EN))
    assert secrets.masked(
        {"note": "card 4111111111111111", "count": 5, "on": "2026-03-02", "card": 4111111111}
    ) == {
        "note": f"card {REDACTED}",
        "count": 5,
        "on": "2026-03-02",
        "card": REDACTED,
    }
