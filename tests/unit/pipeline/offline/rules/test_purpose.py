"""Why we call, in Spanish: actions as people write them, and what the callee hears."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pipeline.offline.rules.purpose import Answers, purpose, question, reason
from bot.pipeline.offline.rules.words import words_of
from bot.records import CallSpec

BETTER = "¿Le sigue viniendo bien?"
ACTIONS = [
    # action → what follows "Le llamo para", and the question after it
    ("Confirmar su cita el jueves a las dos", "confirmar su cita el jueves a las dos", BETTER),
    ("Confirme la cita del paciente el jueves.", "confirmar su cita el jueves", BETTER),
    ("Confirma la cita de Juan con la Dra. Pérez", "confirmar su cita con la Dra. Pérez", BETTER),
    ("Por favor, llama a Juan para confirmar tu cita", "confirmar su cita", BETTER),
    ("Necesito que confirmes con el cliente la reserva", "confirmar con usted la reserva", BETTER),
    ("Confirmar que el paciente vendrá", "confirmar que usted vendrá", "¿Es correcto?"),
    ("Preguntar a Juan si vendrá el lunes", "preguntarle si vendrá el lunes", "¿Me lo podría decir?"),
    ("Pregúntele cuándo le viene bien", "preguntarle cuándo le viene bien", "¿Me lo podría decir?"),
    ("Recuérdele al cliente que su coche está listo", "recordarle que su coche está listo", "¿Le parece bien?"),
    ("Dile a Juan que ha ganado", "decirle que ha ganado", "¿Le parece bien?"),
    ("Reprogramar la cita de Juan", "reprogramar su cita", "¿Qué día y a qué hora le vendría bien?"),
    ("Ofrecer al cliente un descuento", "ofrecerle un descuento", "¿Le interesaría?"),
    ("Invite al cliente a la feria", "invitarle a la feria", "¿Le interesaría?"),
    ("Realizar una encuesta de satisfacción", "realizar una encuesta de satisfacción", "¿Tiene un momento?"),
    ("Revisión de la caldera el 4 de mayo", "hablarle de revisión de la caldera el 4 de mayo", BETTER),
    ("Sobre la póliza del coche", "hablarle de la póliza del coche", "¿Tiene un momento?"),
    ("Dr. Gómez: cita el martes", "hablarle de Dr. Gómez: cita el martes", BETTER),
]


def spec(action: str, name: str | None = "Juan") -> CallSpec:
    return CallSpec("+12025550123", "test", action=action, callee_name=name)


@pytest.mark.parametrize(("action", "said", "asked"), ACTIONS)
def test_an_action_becomes_a_reason_and_a_question(action: str, said: str, asked: str) -> None:
    assert reason(spec(action), "es-MX") == said
    assert question(spec(action), "es") == asked


@pytest.mark.parametrize(
    "action", ["", "  ", "Confirm your dentist appointment on Thursday", "Ask John about the car"]
)
def test_no_reason_where_there_is_none_in_spanish(action: str) -> None:
    """The scenario's own fallback stands in; English in a Spanish sentence would be worse."""
    assert reason(spec(action), "es") is None
    assert question(spec(action), "es") is None


def test_the_question_whole_when_it_stands_alone() -> None:
    found = purpose(spec("Preguntar a Juan si vendrá el lunes"), words_of("es"), has_questions=False)
    assert found is not None
    assert (found.ask.question, found.ask.answers) == ("¿Me podría decir si vendrá el lunes?", Answers.EITHER)


def test_a_further_instruction_is_kept() -> None:
    found = purpose(spec("Confirme la cita. Pregúntele si tiene seguro."), words_of("es"), has_questions=False)
    assert found is not None
    assert (found.said, [order.said for order in found.more]) == (
        "para confirmar la cita",
        ["preguntarle si tiene seguro"],
    )


def test_questions_of_the_scenario_ask_for_a_minute_first() -> None:
    found = purpose(spec("Realizar una encuesta"), words_of("es"), has_questions=True)
    assert found is not None
    assert found.ask.answers is found.own.answers is Answers.PERMISSION
    assert found.ask.question == "¿Tiene un minuto para unas preguntas breves?"


def test_english_is_still_english_and_other_languages_say_the_action_as_it_is() -> None:
    english = spec("Confirm your appointment.")
    assert (reason(english, "en-US"), question(english, "en")) == (
        "confirm your appointment",
        "Does that still work for you?",
    )
    french = spec("confirmer votre rendez-vous de jeudi.")
    assert (reason(french, "fr"), question(french, "fr")) == ("confirmer votre rendez-vous de jeudi", None)


@given(st.text(max_size=80), st.none() | st.text(max_size=20))
def test_any_action_can_be_said(action: str, name: str | None) -> None:
    said = reason(spec(action, name), "es")
    assert said is None or said.strip()
    assert said is None or question(spec(action, name), "es")
