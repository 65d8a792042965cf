"""Who gets a line: new calls while there is room and time, those that were answered nearly always."""

from __future__ import annotations

import pytest

from bot.calls.admission import Asking, Load, Refusal, ceiling, refusal

NEW, ANSWERED = Asking.NEW, Asking.ANSWERED


@pytest.mark.parametrize(
    ("asking", "load", "expected"),
    [
        (NEW, Load(0, late=False), None),
        (NEW, Load(19, late=False), None),
        (NEW, Load(20, late=False), Refusal.FULL),
        (NEW, Load(20, late=True), Refusal.FULL),
        (NEW, Load(7, late=True), Refusal.LATE),
        (NEW, Load(0, late=True), None),
        (NEW, Load(0, late=False, draining=True), Refusal.DRAINING),
        (NEW, Load(25, late=True, draining=True), Refusal.DRAINING),
        (ANSWERED, Load(7, late=True), None),
        (ANSWERED, Load(20, late=True), None),
        (ANSWERED, Load(24, late=True, draining=True), None),
        (ANSWERED, Load(25, late=False), Refusal.FULL),
        (ANSWERED, Load(0, late=False, draining=True, closed=True), Refusal.DRAINING),
    ],
)
def test_of_twenty_lines(asking: Asking, load: Load, expected: Refusal | None) -> None:
    assert refusal(asking, load, 20) is expected


def test_one_line_has_room_for_one_that_was_answered() -> None:
    assert [ceiling(lines) for lines in (1, 4, 5, 20)] == [2, 5, 7, 25]
