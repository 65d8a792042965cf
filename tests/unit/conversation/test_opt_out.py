"""Not to be called again: by words and by a key, without a model, and never by what only sounds like it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot import languages
from bot.conversation.opt_out import OptOut
from bot.conversation.prompt import opening_text, voicemail_text
from bot.conversation.scenario.scenario import Scenario
from bot.records import CallSpec, EndedReason

EN, ES = languages.of("en"), languages.of("es")

OPTS_OUT = [
    *(
        (EN, text)
        for text in (
            "Stop calling me.",
            "Please stop calling.",
            "Stop calling this number!",
            "Can you stop calling us?",
            "Stop bothering me.",
            "Take me off your list.",
            "Take me off your calling list, please.",
            "Remove my number from your database.",
            "Could you remove me from all your lists?",
            "Do not call again.",
            "Don't call me again.",
            "Never call me again.",
            "Don't ever call this number again.",
            "Please do not call here anymore.",
            "I don't want to be called again.",
            "I don't want you to call me anymore.",
            "I don't want any more calls.",
            "No more calls, please.",
            "Put me on your do not call list.",
            "I want to opt out.",
            "Lose my number.",
            "Unsubscribe.",
            "I asked you to stop calling me.",
        )
    ),
    *(
        (ES, text)
        for text in (
            "No me llame más.",
            "No me llamen más, por favor.",
            "No vuelvan a llamarme.",
            "No me vuelva a llamar.",
            "Deje de llamarme.",
            "Dejen de llamar.",
            "Quíteme de la lista.",
            "Borren mi número de su lista.",
            "No quiero que me llamen más.",
            "No quiero recibir más llamadas.",
            "Quiero darme de baja de esta lista.",
        )
    ),
]
STAYS = [
    *(
        (EN, text)
        for text in (
            "Don't call me before nine.",
            "Don't call me on Thursday, I'm at work.",
            "Call me again tomorrow.",
            "Why did you stop calling me?",
            "Don't stop calling until you reach him.",
            "I will stop calling her.",
            "I'm not interested.",
            "No, thanks.",
            "Take me off hold.",
            "Is he on your list?",
            "Can you take my wife's number?",
            "I do not call that cheap.",
            "Stop.",
            "Please never mind.",
            "I don't want to change it again.",
            "Remove the second appointment from my calendar.",
        )
    ),
    *(
        (ES, text)
        for text in (
            "No me llame antes de las nueve.",
            "Llámeme mañana otra vez.",
            "No quiero que me llamen los lunes.",
            "No, gracias, no me interesa.",
            "No llamo más tarde, ahora está bien.",
            "¿Está en la lista?",
        )
    ),
]


@pytest.mark.parametrize(("language", "text"), OPTS_OUT)
def test_who_says_so_is_not_called_again(language: languages.Language, text: str) -> None:
    assert language.notices.asks_not_to_be_called.found_in(text)


@pytest.mark.parametrize(("language", "text"), STAYS)
def test_what_asks_for_something_else_is_no_opt_out(language: languages.Language, text: str) -> None:
    assert not language.notices.asks_not_to_be_called.found_in(text)


def scenario(**compliance: object) -> Scenario:
    return Scenario.model_validate(
        {
            "description": "A test.",
            "instructions": "Talk.",
            "opening": {"text": "Hi, this is {{agent_name}}. Do you have a minute?"},
            "compliance": compliance,
            "recording": {"mode": "off"},
        }
    )


class Bench:
    """A call of which only the words that end it are looked at."""

    def __init__(
        self, number: str = "+12025550123", *, person: bool = True, listable: bool = True, **compliance: object
    ) -> None:
        self.log: list[tuple[str, str]] = []
        self.listable = listable
        self.opt_out = OptOut(
            cast(Any, SimpleNamespace(scenario=scenario(**compliance), spec=CallSpec(number, "s"))),
            cast(Any, SimpleNamespace(leave=self._leave)),
            at_person=lambda: person,
            never_again=self._list,
        )

    async def _leave(self, reason: EndedReason, text: str) -> None:
        self.log.append((reason.value, text))

    async def _list(self, words: str) -> None:
        if not self.listable:
            raise ConnectionError("no database")
        self.log.append(("listed", words))

    async def hears(self, *pieces: str) -> list[tuple[str, str]]:
        for piece in pieces:
            self.opt_out.note_words(piece, final=True)
            await self.opt_out.attend()
        return self.log


ENDED = ("opted_out", "We won't call you again. Goodbye.")


async def test_the_call_ends_and_the_number_is_listed() -> None:
    assert await Bench().hears("Yes?", "Please stop", "calling me.") == [
        ENDED,
        ("listed", "Yes? Please stop calling me."),
    ]


async def test_a_list_out_of_reach_does_not_keep_the_callee_on_the_line() -> None:
    assert await Bench(listable=False).hears("Stop calling me.") == [ENDED]


async def test_who_hides_their_number_is_left_to_the_model() -> None:
    assert await Bench("+266696687").hears("Stop calling me.") == []


async def test_a_machine_opts_out_of_nothing() -> None:
    assert await Bench(person=False).hears("Do not call again.") == []


@pytest.mark.parametrize("profile", ["us_service", "us_marketing", "eu", "none"])
async def test_it_holds_in_every_profile_but_none(profile: str) -> None:
    assert bool(await Bench(profile=profile).hears("Stop calling me.")) is (profile != "none")


SPEC = CallSpec("+12025550123", "s", agent_name="Kim")


def test_marketing_tells_of_it_and_leaves_a_number() -> None:
    marketing, service = scenario(profile="us_marketing"), scenario(profile="us_service")
    told = 'To not be called again, say "stop calling" or press 9.'
    assert told in (opening_text(SPEC, marketing) or "")
    assert told not in (opening_text(SPEC, service) or "")
    number = "+12025550199"
    assert voicemail_text(SPEC, marketing, number).endswith(
        f"call us back at {number}, also to not be called again."
    )
    assert number not in voicemail_text(SPEC, service, number)
