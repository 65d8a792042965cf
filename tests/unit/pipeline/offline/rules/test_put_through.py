"""Asked for a person: whom the local LLM puts the call through to."""

from __future__ import annotations

import pytest

from bot.pipeline.offline.rules.menu import put_through

TARGETS = ("front desk", "sales")


@pytest.mark.parametrize(
    ("heard", "target"),
    [
        ("Can I speak to a real person, please?", "front desk"),
        ("Let me talk with someone.", "front desk"),
        ("Put me through to sales.", "sales"),
        ("I'd like to speak with sales", "sales"),
        ("Please transfer me.", "front desk"),
        ("Quiero hablar con una persona.", "front desk"),
        ("¿Me puede comunicar? Páseme con alguien.", "front desk"),
        ("I don't want to talk to a person.", None),
        ("Yes, that works.", None),
        ("How are your sales?", None),
        ("I spoke to someone yesterday.", None),
        ("", None),
    ],
)
def test_a_wish_for_a_person(heard: str, target: str | None) -> None:
    assert put_through(heard, TARGETS) == target


def test_nobody_to_put_through_to() -> None:
    assert put_through("Put me through.", ()) is None
