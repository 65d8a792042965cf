"""What the local LLM makes of an answer that is neither a yes nor a no."""

from __future__ import annotations

import pytest

from bot.pipeline.offline.rules.dialogue import Dialogue
from bot.pipeline.offline.rules.state import RuleField
from bot.pipeline.offline.rules.words import words_of
from bot.records import CallSpec


@pytest.mark.parametrize(
    ("language", "heard", "confirms"),
    [
        ("en", "I think so.", False),
        ("en", "Probably, yes.", False),
        ("en", "I should be able to.", False),
        ("en", "Yes, unless something comes up.", False),
        ("en", "That should work, let me check with my boss.", False),
        ("en", "Yes, that works.", True),
        ("en", "I think I'm free. Yes, I'll be there.", True),
        ("es", "Creo que sí.", False),
        ("es", "Seguramente sí.", False),
        ("es", "Sí, si no surge nada.", False),
        ("es", "Sí, allí estaré.", True),
    ],
)
def test_nothing_is_called_confirmed_after_a_hedge(language: str, heard: str, confirms: bool) -> None:
    action = {"en": "Confirm the appointment on Thursday at 2pm", "es": "Confirmar la cita del jueves a las 14"}
    talk = Dialogue(CallSpec("+12025550123", "s", action[language]), (), frozenset(), None, language)
    talk.opening()
    said = talk.reply(heard).text.lower()
    assert ("confirm" in said) is confirms, said
    assert talk.outcome().reached_goal is confirms


@pytest.mark.parametrize(
    ("language", "heard", "value"),
    [
        ("en", "No, that's all. Bye.", None),
        ("en", "No, nothing else, thank you.", None),
        ("en", "No.", False),
        ("en", "No thanks, bye.", False),
        ("en", "No, I can't. That's all. Bye.", False),
        ("es", "No, eso es todo. Adiós.", None),
        ("es", "No, nada más, gracias.", None),
        ("es", "No, gracias.", False),
    ],
)
def test_who_has_nothing_more_to_say_refuses_nothing(language: str, heard: str, value: bool | None) -> None:
    field = RuleField("reminder", "boolean", "Whether they want a reminder.", "Would you like a reminder?")
    assert field.parsed(heard, words_of(language)) is value


def test_a_question_that_got_a_hedge_is_not_asked_again_and_records_no_yes() -> None:
    asked = "Does that still work for you?"
    fields = (RuleField("confirmed", "boolean", "Whether they come.", asked),)
    action, tools = "Confirm the appointment on Thursday at 2pm", frozenset({"record_outcome", "end_call"})
    talk = Dialogue(CallSpec("+12025550123", "s", action), fields, tools, "confirmed", "en")
    talk.opening()
    first = talk.reply("Maybe. I would have to check first.")
    assert asked not in first.text
    [use] = [tool for tool in first.tools if tool.name == "record_outcome"]
    assert "confirmed" not in use.arguments
    assert use.arguments["reached_goal"] is False
    assert talk.outcome().fields.get("confirmed") is not True
