"""What the agent says it has done, and the tool that has to be behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.pipeline.offline.rules.claims import claims_in, unbacked_claims
from bot.records import Speaker, ToolUse, Turn

AT = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "I've booked you in for Friday."),
        ("en", "Okay, I have sent you the confirmation by email."),
        ("en", "You're on the list."),
        ("en", "I've gone ahead and cancelled it."),
        ("en", "Your payment has been processed."),
        ("en", "I just texted you the address."),
        ("en", "You are now booked for Friday."),
        ("es", "Ya le he reservado la mesa."),
        ("es", "Le he enviado un correo."),
        ("es", "Ya está en la lista."),
        ("es", "He cambiado su cita al viernes."),
    ],
)
def test_a_deed(language: str, text: str) -> None:
    assert [sentence for sentence, _ in claims_in(text, language)] == [text]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Your appointment is scheduled for Thursday. Does that work?"),
        ("en", "Once I've booked it, you will get a text."),
        ("en", "Shall I send you the address?"),
        ("en", "I'll send that to the office."),
        ("en", "I haven't booked anything yet."),
        ("en", "Have I booked the right day?"),
        ("en", "You are booked for Thursday at two."),
        ("es", "Su cita es el jueves."),
        ("es", "Cuando lo haya reservado le aviso."),
        ("es", "¿Le he enviado ya el correo?"),
    ],
)
def test_no_deed(language: str, text: str) -> None:
    assert claims_in(text, language) == []


def test_a_deed_that_was_done_before_the_call_is_none() -> None:
    said = "We have scheduled your delivery for Friday."
    assert claims_in(said, "en") != []
    assert claims_in(said, "en", "The delivery is scheduled for Friday.") == []


@pytest.mark.parametrize(
    ("tool", "result", "at_ms", "backed"),
    [
        ("book_slot", {"id": 7}, 900, True),
        ("book_slot", {"id": 7}, 3000, True),
        ("book_slot", {"id": 7}, 9000, False),
        ("book_slot", {"error": "full"}, 900, False),
        ("crm_7", {"ok": True}, 900, True),
        ("look_up", {"ok": True}, 900, False),
        ("schedule_callback", {"status": "noted"}, 900, False),
        ("record_outcome", {"status": "recorded"}, 900, False),
    ],
)
def test_a_tool_has_to_have_done_it(tool: str, result: Any, at_ms: int, backed: bool) -> None:
    said = Turn(0, Speaker.AGENT, "Good. I've booked you in.", AT, 0, 1000)
    later = Turn(1, Speaker.AGENT, "Bye.", AT, 9000, 9500, tools=(ToolUse(tool, {}, result, at_ms),))
    found = unbacked_claims([said, later], "en", described={"crm_7": "Books a slot."})
    assert found == ([] if backed else ["I've booked you in."])
