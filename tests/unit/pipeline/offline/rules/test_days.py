"""Days of the calendar, as they are said."""

from __future__ import annotations

from datetime import date

import pytest

from bot.pipeline.offline.rules.words import words_of

MONDAY = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("words", "language", "expected"),
    [
        ("Thursday at two", "en", date(2026, 3, 5)),
        ("next Monday", "en", date(2026, 3, 9)),
        ("tomorrow", "en", date(2026, 3, 3)),
        ("the day after tomorrow", "en-GB", date(2026, 3, 4)),
        ("tonight", "en", MONDAY),
        ("March 5th", "en", date(2026, 3, 5)),
        ("the 1st of February", "en", date(2027, 2, 1)),
        ("February 30", "en", None),
        ("on 2026-04-01", "en", date(2026, 4, 1)),
        ("2026-13-01", "en", None),
        ("at two", "en", None),
        ("el jueves que viene", "es-MX", date(2026, 3, 5)),
        ("pasado mañana", "es", date(2026, 3, 4)),
        ("mañana por la mañana", "es", date(2026, 3, 3)),
        ("por la mañana", "es", None),
        ("el 5 de abril", "es", date(2026, 4, 5)),
        ("Thursday", "fr", date(2026, 3, 5)),
    ],
)
def test_the_day_that_is_meant(words: str, language: str, expected: date | None) -> None:
    assert words_of(language).day(words, MONDAY) == expected
