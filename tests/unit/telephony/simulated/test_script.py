"""Conversations: what is shipped, and mistakes that name their file and key."""

from __future__ import annotations

import pytest

from bot.errors import RequestError, ScenarioError
from bot.pipeline.offline.rules.words import words_of
from bot.telephony.carrier import CalleeBrief
from bot.telephony.simulated.script import (
    DEFAULT,
    ConverseStep,
    InterruptStep,
    WaitForHangUpStep,
    callee_named,
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
    *("cooperative", "refuses", "stop_calling", "wrong_number", "wants_person", "robot", "call_later", "hedges"),
    *("changes_mind", "elderly", "noisy_car", "angry", "changes_task", "off_topic", "dictates", "mhm"),
}


def test_what_is_shipped() -> None:
    shipped = shipped_conversations()
    assert set(shipped) == SCENARIOS | SMALL
    for name in SCENARIOS:
        assert shipped[name].texts
        assert isinstance(shipped[name].steps[-1], WaitForHangUpStep)


def test_the_callee_of_the_default_scenario_interrupts_once_and_says_goodbye() -> None:
    callee = conversation_for("appointment_confirmation")
    assert sum(isinstance(step, InterruptStep) for step in callee.steps) == 1
    assert callee.texts[0] == "Hello?"
    assert "office" in callee.texts[1]
    assert "," not in callee.texts[1], "the voice's pause at a comma is long enough to end the turn"
    assert "reschedule" in callee.texts[2]
    assert "Goodbye" in callee.texts[-1]


def test_a_scenario_of_ones_own_gets_a_callee_that_follows_it() -> None:
    callee = conversation_for("a scenario of their own")
    assert callee.name == DEFAULT
    assert not any("office" in text or "dentist" in text for text in callee.texts)


@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize("language", ["en", "es-MX"])
def test_a_shipped_callee_speaks_the_language_of_its_call(name: str, language: str) -> None:
    told = shipped_conversations()[name].told(CalleeBrief(language))
    assert not any(text.startswith("{") for text in told.texts)
    if any(step.do == "converse" for step in told.steps):
        assert ("Hello?" in told.texts) is (language == "en")
        assert told.who, "a model that plays it is told who it is"


def test_lines_of_ones_own_are_said_where_the_callee_converses_or_after_its_hello() -> None:
    shipped = shipped_conversations()
    told = shipped["cooperative"].told(CalleeBrief(), ["Mine."])
    assert [step.lines for step in told.steps if isinstance(step, ConverseStep)] == [["Mine."]]
    told = shipped["voicemail_person"].told(CalleeBrief(), ["Mine."])
    assert [step.do for step in told.steps[:3]] == ["say", "converse", "silence"]
    assert told.steps[1].turns == 1  # type: ignore[union-attr]


def test_who_calls_in_waits_to_be_greeted() -> None:
    told = shipped_conversations()["wrong_number"].told(CalleeBrief(calls_in=True))
    assert told.steps[0].do == "hear"


def test_a_callee_nobody_knows_is_told_with_the_nearest_name() -> None:
    with pytest.raises(RequestError, match=r"'voicemial'; did you mean 'voicemail'\?"):
        callee_named("voicemial")


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
