"""Values as they are said and as a model writes them, in one normal form."""

from __future__ import annotations

from datetime import date

import pytest

from bot.conversation.scenario.parts import OutcomeField
from bot.json_schema import of_field
from bot.pipeline.offline.rules.values import READERS, Frame, normalised

EN = Frame(date(2026, 3, 2), "US", "en")  # a Monday
ES = Frame(date(2026, 3, 2), "ES", "es")
SAID = [
    (EN, "phone", "It's two zero two, five five five, oh one four three.", "+12025550143"),
    (EN, "phone", "(202) 555-0143", "+12025550143"),
    (EN, "phone", "plus four four two oh seven nine four six oh nine five eight", "+442079460958"),
    (EN, "phone", "202 triple five 0143", "+12025550143"),
    (EN, "phone", "+1 202 555 0143", "+12025550143"),
    (ES, "phone", "seis uno dos tres cuatro cinco seis siete ocho", "+34612345678"),
    (EN, "email", "John dot Smith at example dot com.", "john.smith@example.com"),
    (EN, "email", "It's j o h n underscore 4 2 at example dot co dot uk", "john_42@example.co.uk"),
    (EN, "email", "ann.lee@example.com", "ann.lee@example.com"),
    (EN, "email", "My e-mail is M as in Mike, A, X at example dot org", "max@example.org"),
    (ES, "email", "ana punto ruiz arroba ejemplo punto es", "ana.ruiz@ejemplo.es"),
    (EN, "date", "Friday", "2026-03-06"),
    (EN, "date", "tomorrow", "2026-03-03"),
    (EN, "date", "March 14th", "2026-03-14"),
    (EN, "date", "January 5th", "2027-01-05"),
    (EN, "date", "2026-12-03", "2026-12-03"),
    (EN, "date", "3/14/2026", "2026-03-14"),
    (EN, "date", "the 20th", "2026-03-20"),
    (EN, "date", "in two weeks", "2026-03-16"),
    (EN, "date", "Not Thursday, how about Friday?", "2026-03-06"),
    (ES, "date", "el viernes", "2026-03-06"),
    (ES, "date", "14/03/2026", "2026-03-14"),
    (EN, "time", "at half past two", "14:30"),
    (EN, "time", "10:30 am", "10:30"),
    (EN, "time", "14:00", "14:00"),
    (EN, "time", "three p.m.", "15:00"),
    (EN, "time", "noon", "12:00"),
    (EN, "amount", "$45.50", "45.50 USD"),
    (EN, "amount", "forty five dollars and fifty cents", "45.50 USD"),
    (EN, "amount", "1,200 euros", "1200 EUR"),
    (ES, "amount", "1.200,50 €", "1200.50 EUR"),
    (EN, "amount", "two hundred and fifty pounds", "250 GBP"),
    (EN, "amount", "twenty", "20"),
    (EN, "name", "My name is ann lee.", "Ann Lee"),
    (EN, "name", "Smyth, S M Y T H", "Smyth"),
    (EN, "name", "It's John Smyth, S-M-Y-T-H.", "John Smyth"),
    (EN, "name", "Siobhan O'Neil", "Siobhan O'Neil"),
    (EN, "code", "A B one two three four", "AB1234"),
    (EN, "code", "It's alpha bravo double seven", "AB77"),
    (EN, "code", "B as in boy, 4, 2, dash, 9", "B42-9"),
    (EN, "code", "kr-88", "KR-88"),
    (EN, "code", "4711", "4711"),
]


@pytest.mark.parametrize(("frame", "kind", "said", "value"), SAID, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_said_and_what_it_is(frame: Frame, kind: str, said: str, value: str) -> None:
    assert normalised(kind, said, frame) == value
    assert normalised(kind, value, frame) == value, "the normal form is one"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("phone", "I don't have one."),
        ("phone", "five five five"),
        ("phone", "12345678901234567890"),
        ("email", "john at"),
        ("email", "I don't use e-mail."),
        ("date", "I don't know yet."),
        ("date", "2/31/2026"),
        ("time", "in the morning"),
        ("amount", "a lot"),
        ("amount", "1," * 100),
        ("email", "a" * 500 + "@example.com"),
        ("name", "1234"),
        ("code", "I can't find it right now."),
    ],
)
def test_what_cannot_be_read_is_refused(kind: str, said: str) -> None:
    with pytest.raises(ValueError):  # the words are the library's or ours
        normalised(kind, said, EN)


def test_each_kind_is_told_to_the_model() -> None:
    for kind in READERS:
        field = OutcomeField(name="it", type=kind, description="What it is.")
        assert len(of_field(field)["description"]) > 20
