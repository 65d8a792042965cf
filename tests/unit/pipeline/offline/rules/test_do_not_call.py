"""Who does not want to be called again: the words for it in both languages, and what the rules do about them."""

from __future__ import annotations

import pytest

from bot.pipeline.offline.rules.dialogue import Dialogue
from bot.pipeline.offline.rules.state import RuleReply
from bot.pipeline.offline.rules.words import Intent, words_of
from bot.records import CallSpec

TOOLS = frozenset({"end_call", "record_outcome", "do_not_call"})
ENGLISH_SPEC = CallSpec(
    "+12025550123", "s", action="Confirm your appointment Thursday at 2pm", callee_name="John"
)
SPANISH_SPEC = CallSpec("+34612345678", "s", action="Confirme la cita el jueves a las dos", callee_name="Juan")


@pytest.mark.parametrize(
    "heard",
    [
        "Please don't call me again.",
        "Stop calling me.",
        "Don't ever call here again.",
        "Never call this number again.",
        "Don't call me any more.",
        "Quit calling us.",
        "Please stop calling my house.",
        "I said don't call me.",
        "Take me off your list!",
        "Can you take me off the list?",
        "Remove my number from your list please.",
        "Please delete my number.",
        "Put me on your do not call list.",
        "I don't want you to call me again.",
        "I don't want to be called again.",
        "I don't want any more calls.",
        "I do not want to receive any more calls from you.",
        "No more calls, please.",
        "Stop harassing me.",
    ],
)
def test_english_words_for_it(heard: str) -> None:
    assert Intent.DO_NOT_CALL in words_of("en").meant(heard)


@pytest.mark.parametrize(
    "heard",
    [
        "Don't call me back before five.",
        "Don't call me tomorrow, call me on Friday.",
        "Call me again later.",
        "I'm not interested.",
        "I never got a call again after that.",
        "Could you stop by?",
        "Why did you call me again?",
        "I don't want to change it.",
        "Take my number from the form.",
        "I'd like to remove the second appointment from my calendar.",
        "I don't want to have calls at work, call in the evening.",
    ],
)
def test_english_words_that_mean_something_else(heard: str) -> None:
    assert Intent.DO_NOT_CALL not in words_of("en").meant(heard)


@pytest.mark.parametrize(
    "heard",
    [
        "No me llamen más.",
        "No me vuelva a llamar, por favor.",
        "No vuelvan a llamarme.",
        "Por favor, no vuelva a llamar a este número.",
        "Dejen de llamarme.",
        "Quítenme de su lista.",
        "Sáquenme de la lista.",
        "Borren mi número.",
        "No quiero más llamadas.",
        "No quiero que me llamen.",
        "No quiero que me vuelvan a llamar.",
        "No me llame nunca más.",
        "Nunca más me llamen.",
        "No nos molesten más.",
    ],
)
def test_spanish_words_for_it(heard: str) -> None:
    assert Intent.DO_NOT_CALL in words_of("es").meant(heard)


@pytest.mark.parametrize(
    "heard",
    [
        "Llámeme mañana.",
        "No me llame antes de las cinco.",
        "No me llamen mañana, mejor el viernes.",
        "No, gracias.",
        "No me llamo Juan.",
        "¿Puede llamarme más tarde?",
        "Quiero quitar mi cita.",
    ],
)
def test_spanish_words_that_mean_something_else(heard: str) -> None:
    assert Intent.DO_NOT_CALL not in words_of("es").meant(heard)


def reply_to(heard: str, spec: CallSpec, language: str, tools: frozenset[str] = TOOLS) -> RuleReply:
    brain = Dialogue(spec, (), tools, language=language)
    brain.opening()
    return brain.reply(heard)


def test_the_number_is_listed_and_the_call_ends_politely() -> None:
    reply = reply_to("Don't call me again!", ENGLISH_SPEC, "en")
    assert [tool.name for tool in reply.tools] == ["do_not_call", "record_outcome", "end_call"]
    assert reply.tools[0].arguments == {"reason": "Don't call me again!"}
    assert reply.text == (
        "I'm sorry to have bothered you. I'll make sure you are not called again. Thank you, John, and goodbye!"
    )


def test_in_spanish_too() -> None:
    reply = reply_to("No me llamen más.", SPANISH_SPEC, "es")
    assert [tool.name for tool in reply.tools] == ["do_not_call", "record_outcome", "end_call"]
    assert "no le vuelvan a llamar" in reply.text
    assert reply.text.endswith("y adiós.")


@pytest.mark.parametrize(
    ("heard", "spec", "language"),
    [("Stop calling me!", ENGLISH_SPEC, "en"), ("¡Dejen de llamarme!", SPANISH_SPEC, "es")],
)
def test_as_the_very_first_words(heard: str, spec: CallSpec, language: str) -> None:
    reply = Dialogue(spec, (), TOOLS, language=language).reply(heard)
    assert [tool.name for tool in reply.tools] == ["do_not_call", "record_outcome", "end_call"]


def test_who_calls_us_is_on_no_list_of_ours() -> None:
    reply = reply_to("Don't call me again!", ENGLISH_SPEC, "en", frozenset({"end_call"}))
    assert [tool.name for tool in reply.tools] == ["end_call"]
