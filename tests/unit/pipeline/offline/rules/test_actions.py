"""An action is read out only where it is clearly an order, a question or a subject, and then to its last word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.languages import plain
from bot.pipeline.offline.rules.purpose import question, reason
from bot.records import CallSpec


def spec(action: str, name: str | None = "John") -> CallSpec:
    return CallSpec("+12025550123", "s", action=action, callee_name=name)


@pytest.mark.parametrize(
    "action",
    [
        "You are Alex, a scheduling assistant at Downtown Dental calling John on Monday. Never mention prices.",
        "IMPORTANT: do not mention the unpaid balance of $310. Confirm the appointment on Thursday at 2pm.",
        "1. Confirm the appointment on Thursday at 2pm.\n2. Ask whether the insurance has changed.",
        '{"goal": "confirm", "date": "2026-12-03", "internal_note": "late payer"}',
        "Remind you that rent is due Dec. 1st. Late fee is $50.",
        "Confirm the appointment. Do not mention the price.",
        "John still owes us $310",
        "Confirm the appointment on Thursday at 2pm (patient is deaf in one ear; speak slowly).",
        "Call John and confirm Thursday at 2pm, but if he is rude, hang up.",
        "Verify, e.g. by asking the date of birth, that it's John; then confirm the visit",
        "Ask John: does Thursday work?",
        "Confirm the visit on Friday (he owes $300)",
        "Confirm the order, if asked say it is free",
        "We are a dental practice in Boston",
        "Confirm the appointment. " + "Be kind to everybody on the line " * 8,
    ],
)
def test_a_prompt_a_list_or_a_note_is_not_read_out(action: str) -> None:
    assert reason(spec(action), "en") is None
    assert question(spec(action), "en") is None


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("We'd like to invite you to our open house on Sat. at 10", "invite you to our open house on Sat. at 10"),
        ("I'm calling to confirm the visit on Friday", "confirm the visit on Friday"),
        ("Confirm the visit at 7:30 (ref. KR-88)", "confirm the visit at 7:30 (ref. KR-88)"),
        (
            "Confirm appt. with Dr. Smith on Thursday at 2pm",
            "confirm your appointment with Dr. Smith on Thursday at 2pm",
        ),
        ("Confirm the Jan. 5 visit at 3 p.m.", "confirm the Jan. 5 visit at 3 p.m"),
        ("Confirm that Acme Inc. will collect the order", "confirm that Acme Inc. will collect the order"),
        ("Confirm your visit on Mon. Jan. 5 at 9 a.m.", "confirm your visit on Mon. Jan. 5 at 9 a.m"),
        ("Please tell Mr. J. P. Morgan that rent is due Dec. 1st", "tell you that rent is due Dec. 1st"),
        (
            "Confirm the delivery to 88 King's Rd (ref. KR-88)",
            "confirm the delivery to 88 King's Rd (ref. KR-88)",
        ),
        ("your flight LH-455 is cancelled", "tell you that your flight LH-455 is cancelled"),
        ("we need to know if you still want the sofa", "find out if you still want the sofa"),
        ("wish her a happy birthday", "wish you a happy birthday"),
        ("DELIVERY TOMORROW", "talk to you about delivery tomorrow"),
        ("Order 123 is ready", None),
    ],
)
def test_what_fits_the_frame_is_said_whole(action: str, said: str | None) -> None:
    assert reason(spec(action), "en") == said


def test_an_action_that_is_a_question_is_asked() -> None:
    asked = spec("is the conference room still available")
    assert (reason(asked, "en"), question(asked, "en")) == (None, "Is the conference room still available?")
    assert question(spec("¿Sigue disponible la sala?"), "es") == "¿Sigue disponible la sala?"


_PARTS = (
    "Dr. Lee",
    "Jan. 5",
    "9 a.m.",
    "Acme Inc.",
    "Mr. J. P. Stone",
    "88 King's Rd.",
    "No. 4",
    "3.50 dollars",
    "the order",
)


@given(st.lists(st.sampled_from(_PARTS), min_size=1, max_size=5))
def test_every_word_of_an_order_is_said(parts: list[str]) -> None:
    action = f"Confirm the visit with {' and '.join(parts)} on Thursday"
    said = reason(spec(action, None), "en")
    assert said is not None
    assert plain(said) == plain(action)
