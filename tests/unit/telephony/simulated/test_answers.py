"""What a simulated callee answers to what it is asked."""

from __future__ import annotations

import pytest

from bot.telephony.carrier import AskedField, CalleeBrief
from bot.telephony.simulated.answers import Answers, plausible, words_of

MEAL = AskedField("meal", "choice", "What they eat.", "Which meal would you like?", ("vegetarian", "chicken"))
SEATS = AskedField("seats", "number", "How many seats.", "How many seats do you need?")
RATING = AskedField("rating", "number", "From 1 to 5.", "From one to five, how did you like it?")
COMES = AskedField("comes", "boolean", "Whether they come.", "Will you be on the flight on Monday?")
PHONE = AskedField("phone", "phone", "Where they can be reached.", "What number can we reach you on?")
FLIGHT = CalleeBrief("en", (COMES, MEAL, SEATS, RATING, PHONE))


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("Hi, this is Alex from Air. Will you be on the flight on Monday?", "Yes."),
        ("Great. And will you come on Monday's flight?", "Yes."),
        ("Which meal would you like, vegetarian or chicken?", "Vegetarian, please."),
        ("How many seats shall I book?", "Two."),
        ("On a scale from one to five, how did you like it?", "Four."),
        ("May I have the number to reach you on?", "It's two zero two, five five five, zero one four three."),
        ("Do you have a minute?", "Sure, go ahead."),
        ("Am I speaking with John?", "Yes, speaking."),
        ("Is there anything else I can help you with?", "No, that's all. Goodbye!"),
        ("When would you like to fly back?", "Friday at ten in the morning works for me."),
        ("Could you open the window?", "Yes."),
        ("What colour is the seat of the captain?", "I'm not sure, sorry."),
        ("I have noted that.", "Okay."),
        ("One moment. Let me see.", ""),
        ("Let me see. Do you have a minute?", "Sure, go ahead."),
        ("Thank you, and goodbye!", None),
    ],
)
def test_it_answers_what_is_asked(heard: str, said: str | None) -> None:
    assert Answers(FLIGHT).reply(heard) == said


def test_it_answers_in_the_language_of_the_call() -> None:
    comes = AskedField("viene", "boolean", "Si viene.", "¿Le sigue viniendo bien?")
    answers = Answers(CalleeBrief("es", (comes,)))
    assert answers.reply("¿Me permite grabar esta llamada?") == "Sí, adelante."
    assert answers.reply("Le llamo por su vuelo. ¿Le sigue viniendo bien?") == "Sí."
    assert answers.reply("¿Puedo ayudarle en algo más?") == "No, nada más. ¡Adiós!"
    assert answers.reply("Muchas gracias, y adiós.") is None


def test_a_language_without_a_file_is_answered_in_english() -> None:
    assert Answers(CalleeBrief("fr")).reply("Do you have a minute?") == "Sure, go ahead."


def test_without_words_of_the_agent_it_answers_field_by_field() -> None:
    answers = Answers(FLIGHT)
    assert [answers.reply("") for _ in range(3)] == ["Yes.", "Vegetarian, please.", "Two."]


def test_its_manner() -> None:
    assert Answers(FLIGHT, manner="hedges").reply("Will you be on the flight on Monday?") == (
        "Maybe. I would have to check first."
    )
    assert Answers(FLIGHT, manner="refuses").reply("Do you have a minute?") == "No, I'm not interested. Goodbye."
    assert "..." in str(Answers(FLIGHT, manner="dictates").reply("What number can we reach you on?"))


def test_lines_and_answers_of_its_own_come_first() -> None:
    answers = Answers(FLIGHT, lines=["Is there Wi-Fi?"], own=[("seat", "By the window.")])
    assert answers.reply("Will you be on the flight on Monday?") == "Is there Wi-Fi?"
    assert answers.reply("How many seats do you need?") == "By the window."
    assert answers.reply("Will you be on the flight on Monday?") == "Yes."


def test_all_that_it_may_say_is_known_beforehand() -> None:
    for manner in ("plain", "hedges", "refuses", "dictates"):
        answers = Answers(FLIGHT, manner=manner)
        known = set(answers.texts)
        asked = [field.question or "" for field in FLIGHT.fields]
        assert {said for text in (*asked, "", "Hm?", "Well.", "Well.") if (said := answers.reply(text))} <= known


def test_every_type_has_an_answer_in_every_language() -> None:
    types = ("boolean", "string", "number", "phone", "email", "date", "time", "amount", "name", "code")
    for language in ("en", "es"):
        for kind in types:
            assert plausible(AskedField("x", kind), words_of(language))
