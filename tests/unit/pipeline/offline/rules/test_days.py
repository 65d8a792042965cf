"""Days of the calendar, as they are said."""

from __future__ import annotations

import time
from datetime import date, timedelta

import pytest

from bot.pipeline.offline.rules.words import words_of

MONDAY = date(2026, 3, 2)
TUESDAY, SATURDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=5)
YEARS_END = date(2026, 12, 31)  # a Thursday
JANUARY_31 = date(2027, 1, 31)  # a Sunday

SAID = [
    (MONDAY, "Thursday at two", "en", "2026-03-05"),
    (MONDAY, "next Monday", "en", "2026-03-09"),
    (MONDAY, "tomorrow", "en", "2026-03-03"),
    (MONDAY, "the day after tomorrow", "en-GB", "2026-03-04"),
    (MONDAY, "tonight", "en", "2026-03-02"),
    (MONDAY, "March 5th", "en", "2026-03-05"),
    (MONDAY, "the 1st of February", "en", "2027-02-01"),
    (MONDAY, "February 30", "en", None),
    (MONDAY, "on 2026-04-01", "en", "2026-04-01"),
    (MONDAY, "2026-13-01", "en", None),
    (MONDAY, "at two", "en", None),
    (MONDAY, "Thursday", "fr", "2026-03-05"),
    (MONDAY, "next Tuesday", "en", "2026-03-10"),
    (SATURDAY, "next Tuesday", "en", "2026-03-10"),
    (TUESDAY, "Tuesday", "en", "2026-03-10"),
    (TUESDAY, "this Tuesday", "en", "2026-03-03"),
    (MONDAY, "this coming Friday", "en", "2026-03-06"),
    (MONDAY, "Friday of next week", "en", "2026-03-13"),
    (MONDAY, "next week on Wednesday", "en", "2026-03-11"),
    (MONDAY, "the Tuesday after next", "en", "2026-03-17"),
    (MONDAY, "the week after next, on Monday", "en", "2026-03-16"),
    (MONDAY, "Tuesday week", "en", "2026-03-10"),
    (MONDAY, "a week from Friday", "en", "2026-03-13"),
    (MONDAY, "two weeks from tomorrow", "en", "2026-03-17"),
    (MONDAY, "in two weeks", "en", "2026-03-16"),
    (MONDAY, "in two weeks' time", "en", "2026-03-16"),
    (MONDAY, "in a couple of weeks", "en", "2026-03-16"),
    (MONDAY, "three days from now", "en", "2026-03-05"),
    (MONDAY, "in a fortnight", "en", "2026-03-16"),
    (MONDAY, "in twenty five days", "en", "2026-03-27"),
    (MONDAY, "a week ago", "en", "2026-02-23"),
    (MONDAY, "last Friday", "en", "2026-02-27"),
    (MONDAY, "the day before yesterday", "en", "2026-02-28"),
    (MONDAY, "Thursday the 12th", "en", "2026-03-12"),
    (MONDAY, "the twenty-first of March", "en", "2026-03-21"),
    (MONDAY, "March twenty-second", "en", "2026-03-22"),
    (MONDAY, "May 5, 2028", "en", "2028-05-05"),
    (MONDAY, "the 1st", "en", "2026-04-01"),
    (MONDAY, "the 5th of next month", "en", "2026-04-05"),
    (MONDAY, "the end of the month", "en", "2026-03-31"),
    (MONDAY, "the last day of next month", "en", "2026-04-30"),
    (MONDAY, "the last Friday of the month", "en", "2026-03-27"),
    (MONDAY, "the first Monday of next month", "en", "2026-04-06"),
    (MONDAY, "the second Tuesday in January", "en", "2027-01-12"),
    (MONDAY, "I may first have to check", "en", None),
    (MONDAY, "the second one", "en", None),
    (MONDAY, "within the 24 hours", "en", None),
    (MONDAY, "I saw him next to the bank", "en", None),
    (YEARS_END, "tomorrow", "en", "2027-01-01"),
    (YEARS_END, "next Tuesday", "en", "2027-01-05"),
    (YEARS_END, "in two weeks", "en", "2027-01-14"),
    (YEARS_END, "in a month", "en", "2027-01-31"),
    (YEARS_END, "in two months", "en", "2027-02-28"),
    (YEARS_END, "the 1st", "en", "2027-01-01"),
    (YEARS_END, "the end of next month", "en", "2027-01-31"),
    (YEARS_END, "the 5th of next month", "en", "2027-01-05"),
    (JANUARY_31, "in a month", "en", "2027-02-28"),
    (JANUARY_31, "the 30th", "en", "2027-03-30"),
    (JANUARY_31, "February 29th", "en", "2028-02-29"),
    (date(2028, 2, 28), "tomorrow", "en", "2028-02-29"),
    (date(2028, 2, 29), "in a year", "en", "2029-02-28"),
    (MONDAY, "el jueves que viene", "es-MX", "2026-03-05"),
    (MONDAY, "el próximo martes", "es", "2026-03-03"),
    (MONDAY, "el martes de la semana que viene", "es", "2026-03-10"),
    (MONDAY, "la próxima semana el viernes", "es", "2026-03-13"),
    (TUESDAY, "este martes", "es", "2026-03-03"),
    (TUESDAY, "el martes", "es", "2026-03-10"),
    (MONDAY, "pasado mañana", "es", "2026-03-04"),
    (MONDAY, "mañana por la mañana", "es", "2026-03-03"),
    (MONDAY, "por la mañana", "es", None),
    (MONDAY, "el 5 de abril", "es", "2026-04-05"),
    (MONDAY, "el veintiuno de marzo", "es", "2026-03-21"),
    (MONDAY, "el primero de mayo de 2028", "es", "2028-05-01"),
    (MONDAY, "el jueves 12 de marzo", "es", "2026-03-12"),
    (MONDAY, "el día 20", "es", "2026-03-20"),
    (MONDAY, "dentro de dos semanas", "es", "2026-03-16"),
    (MONDAY, "en quince días", "es", "2026-03-17"),
    (MONDAY, "de hoy en ocho", "es-MX", "2026-03-09"),
    (MONDAY, "en un par de días", "es", "2026-03-04"),
    (MONDAY, "hace tres días", "es", "2026-02-27"),
    (MONDAY, "el viernes pasado", "es", "2026-02-27"),
    (MONDAY, "anteayer", "es", "2026-02-28"),
    (MONDAY, "a fin de mes", "es", "2026-03-31"),
    (MONDAY, "el último viernes del mes", "es", "2026-03-27"),
    (MONDAY, "el primer lunes de abril", "es", "2026-04-06"),
    (MONDAY, "el 5 del mes que viene", "es", "2026-04-05"),
    (YEARS_END, "mañana", "es", "2027-01-01"),
    (YEARS_END, "dentro de dos meses", "es", "2027-02-28"),
    (YEARS_END, "el martes que viene", "es", "2027-01-05"),
    (YEARS_END, "dentro de dos semanas", "es", "2027-01-14"),
]


@pytest.mark.parametrize(("today", "words", "language", "expected"), SAID, ids=str)
def test_the_day_that_is_meant(today: date, words: str, language: str, expected: str | None) -> None:
    assert words_of(language).day(words, today) == (date.fromisoformat(expected) if expected else None)


@pytest.mark.parametrize(
    ("words", "language", "expected"),
    [
        ("Next Tuesday at three, or the 20th.", "en", {"Next Tuesday": "2026-03-10", "the 20th": "2026-03-20"}),
        ("Mañana; si no, el Miércoles.", "es", {"Mañana": "2026-03-03", "el Miércoles": "2026-03-04"}),
        ("On Tuesday, March 10th.", "en", {"Tuesday, March 10th": "2026-03-10"}),
        ("Call me back in two weeks.", "en", {"in two weeks": "2026-03-16"}),
        ("Whenever you like.", "en", {}),
    ],
)
def test_which_words_name_it(words: str, language: str, expected: dict[str, str]) -> None:
    named = words_of(language).days.named(words, MONDAY)
    assert {one.words: one.day.isoformat() for one in named} == expected


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_day_of_years_ends_and_begins_somewhere(language: str) -> None:
    """No day of the calendar, and no count, breaks what is counted from it."""
    said = {
        "en": "tomorrow, in two weeks, in a month, the 31st, the end of next month, next Sunday, 30 months ago",
        "es": "mañana, dentro de dos semanas, en un mes, el día 31, a fin de mes, el domingo, hace 30 meses",
    }[language]
    for n in range(0, 1500, 7):
        today = date(2026, 1, 1) + timedelta(days=n)
        days = [one.day for one in words_of(language).days.named(said, today)]
        assert len(days) == 7
        assert days[0] == today + timedelta(days=1)
        assert days[1] == today + timedelta(days=14)
        assert days[2].month == today.month % 12 + 1
        assert days[3].day == 31
        assert days[5].weekday() == 6


@pytest.mark.parametrize(
    "piece", ["the ", "in two ", "next tuesday the ", "1 ", "a week from ", "el martes de la "]
)
def test_no_words_take_long(piece: str) -> None:
    began = time.process_time()
    for language in ("en", "es"):
        list(words_of(language).days.named(piece * 5000, MONDAY))
    assert time.process_time() - began < 5
