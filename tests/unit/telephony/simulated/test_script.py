"""Conversations: what is shipped, and mistakes that name their file and key."""

from __future__ import annotations

import pytest

from bot.errors import ScenarioError
from bot.pipeline.offline.rules.words import words_of
from bot.telephony.simulated.script import (
    DEFAULT,
    InterruptStep,
    WaitForHangUpStep,
    conversation_for,
    parse_conversation,
    shipped_conversations,
)

SCENARIOS = {
    "appointment_confirmation",
    "appointment_reschedule",
    "lead_callback",
    "survey",
    "inbound_reception",
    "confirmacion_de_cita",
}
MACHINES = {
    *("voicemail_late_beep", "voicemail_person", "screening", "screening_unanswered", "menu", "unavailable"),
}
SMALL = {
    "silent",
    "hold",
    "voicemail",
    "hangs_up",
    "busy",
    "no_answer",
    "interrupter",
    "transfer_target",
    *MACHINES,
}


def test_what_is_shipped() -> None:
    shipped = shipped_conversations()
    assert set(shipped) == SCENARIOS | SMALL
    for name in SCENARIOS:
        assert shipped[name].texts
        assert isinstance(shipped[name].steps[-1], WaitForHangUpStep)


def test_the_default_interrupts_once_and_says_goodbye() -> None:
    default = conversation_for("a scenario of their own")
    assert default.name == DEFAULT
    assert sum(isinstance(step, InterruptStep) for step in default.steps) == 1
    assert default.texts[0] == "Hello?"
    assert "office" in default.texts[1]
    assert "," not in default.texts[1], "the voice's pause at a comma is long enough to end the turn"
    assert "reschedule" in default.texts[2]
    assert "Goodbye" in default.texts[-1]


def test_the_caller_of_the_reception_leaves_a_name_and_a_number() -> None:
    said = " ".join(shipped_conversations()["inbound_reception"].texts)
    assert words_of("en").name("My name is John Miller.") == "John Miller"
    assert "My name is John Miller." in said
    assert words_of("en").phone(said) == "2025550143"


GOOD = 'name = "x"\ndescription = "y"\n'


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (GOOD + "colour = 1\n", "colour"),
        ('description = "y"\n', "name"),
        (GOOD + '[[steps]]\ndo = "sing"\n', "steps 1"),
        (GOOD + '[[steps]]\ndo = "say"\ntext = "a"\n[[steps]]\ndo = "say"\n', "steps 2.text"),
        (GOOD + '[[steps]]\ndo = "hear"\nwithin_ms = -1\n', "steps 1.within_ms"),
        (GOOD + '[[steps]]\ndo = "press"\ndigits = "abc"\n', "steps 1.digits"),
        (GOOD + '[pickup]\nanswer = "perhaps"\n', "pickup.answer"),
        (GOOD + "longest_ms = 3600000\n", "longest_ms"),
        (GOOD + "[[steps\n", "line 3"),
    ],
)
def test_mistakes_name_the_file_and_the_key(text: str, key: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_conversation(text, file="mine.toml")
    assert caught.value.message.startswith("mine.toml: ")
    assert key in caught.value.message
