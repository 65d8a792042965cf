"""Which key the rules press."""

from __future__ import annotations

import pytest

from bot.pipeline.offline.rules.llm import open_menu
from bot.pipeline.offline.rules.menu import choose_key, goal_of, menu_note, offers_keys

DENTIST = (
    "Thank you for calling Downtown Dental. For opening hours, press 1. For appointments, press two. "
    "To speak to the front desk, press 3. For billing, press star."
)


@pytest.mark.parametrize(
    ("menu", "sought", "key"),
    [
        (DENTIST, "confirm the appointment Thursday", "2"),
        (DENTIST, "ask about the bill, the billing department", "*"),
        (DENTIST, "sell a newspaper", "3"),
        ("Press 4 for sales or press 5 for support.", "get support for a printer", "5"),
        ("For sales, press four.", "anything", "0"),
        ("Para citas, pulse dos. Para pagos, pulse tres.", "confirmar las citas", "2"),
        ("", "anything", "0"),
    ],
)
def test_the_key_whose_words_fit_then_a_person_then_zero(menu: str, sought: str, key: str) -> None:
    assert choose_key(menu, sought) == key


def test_the_note_gives_its_goal_back() -> None:
    assert goal_of(menu_note("the front desk")) == "the front desk"


def test_what_offers_keys() -> None:
    assert offers_keys(DENTIST)
    assert not offers_keys("Front desk, this is Mary. How can I help you?")


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_a_menu_in_the_context_is_answered_with_a_key() -> None:
    note = user(menu_note("the appointments"))
    reply = open_menu([user(DENTIST), note])
    assert reply is not None
    assert (reply.text, [(t.name, t.arguments) for t in reply.tools]) == ("", [("send_digits", {"digits": "2"})])
    assert open_menu([user(DENTIST)]) is None, "nobody said that it is a menu"
    pressed = {"role": "tool", "content": "{}", "tool_call_id": "1"}
    assert open_menu([user(DENTIST), note, pressed, user("Front desk, Mary.")]) is None
    over = user("(The menu is behind you: a person is on the line.)")
    assert open_menu([note, over, user("To confirm, press 1 on your phone, no, I'm joking.")]) is None
