"""The matter of a call is for the person it is about: what is said and told before they said who they are."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from bot.conversation import prompt
from bot.conversation.call_plan import Plan, choose
from bot.conversation.identity import MOST_QUESTIONS, IdentityTalk
from bot.conversation.scenario.parts import Phrases
from bot.conversation.scenario.scenario import Scenario
from bot.records import CallSpec, Direction
from bot.settings import Settings

SECRET, KNOWN = "Confirm the HIV test on Thursday", "Dr. Lee, room 7, result negative"
SPEC = CallSpec(
    "+12025550123",
    "s",
    action=SECRET,
    context=KNOWN,
    callee_name="John",
    agent_name="Kim",
    organization="Acme",
)
QUESTION = "Am I speaking with John?"
FIRST = "Hello, this is Kim, an AI assistant, calling for Acme."
OPENING = "Hi {{callee_name}}, this is {{agent_name}}. I'm calling to {{reason}}. Does Thursday work?"
MATTER = ("HIV", "Thursday", "Lee", "room 7", "negative")


def scenario(**tables: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "description": "A test.",
            "instructions": "Talk.",
            "opening": {"text": OPENING},
            "recording": {"mode": "off"},
            "privacy": {"until": "identified"},
            "voicemail": {"policy": "leave_message", "message": "It is about {{reason}}."},
            "screening": {"text": "It is about {{action}}."},
            "hold": {"text": "It is about {{action}}."},
        }
        | tables
    )


def plan(**tables: Any) -> Plan:
    held = scenario(**tables)
    slots = choose(held, Settings(_env_file=None), simulated_line=True)
    return Plan("call-1", SPEC, Direction.OUTBOUND, held, slots, opening_text=prompt.opening_text(SPEC, held))


def silent_on(text: str) -> bool:
    return not any(word.lower() in text.lower() for word in MATTER)


def test_nobody_else_and_no_machine_hears_what_it_is_about() -> None:
    held = scenario()
    assert prompt.opening_text(SPEC, held) == f"{FIRST} {QUESTION}"
    assert prompt.hold_text(SPEC, held) == f"{FIRST} {QUESTION}"
    texts = (
        prompt.spare_opening(SPEC, held) or "",
        prompt.voicemail_text(SPEC, held, "+12025550100"),
        prompt.screening_text(SPEC, held),
        prompt.identity_answer(SPEC, held),
        prompt.menu_note(SPEC, held),
        plan().first_brief.prompt,
        plan().first_brief.spec.action,
        str(plan().first_brief.spec.context),
    )
    assert [text for text in texts if not silent_on(text)] == []
    assert "for John" in texts[1]
    assert QUESTION in texts[3]


def test_what_the_file_knows_by_itself_is_held_back_too() -> None:
    held = scenario(agent={"context": KNOWN})
    spec = replace(SPEC, context="")
    slots = choose(held, Settings(_env_file=None), simulated_line=True)
    brief = Plan("call-1", spec, Direction.OUTBOUND, held, slots).first_brief
    assert silent_on(brief.prompt)
    assert (brief.spec.action, brief.spec.context) == ("", "")


def test_the_recording_is_asked_for_first() -> None:
    held = scenario(recording={"mode": "ask"})
    assert prompt.opening_text(SPEC, held) == f"{FIRST} May I record this call?"
    assert prompt.opening_rest(SPEC, held) == QUESTION


def test_nameless_callees_are_asked_for_their_name() -> None:
    nameless = replace(SPEC, callee_name=None)
    assert prompt.identity_question(nameless, scenario()) == "May I ask who I am speaking with?"


def test_only_those_we_call_and_in_languages_we_have_words_for() -> None:
    with pytest.raises(ValidationError, match=r"privacy\.until: nothing is held back from one who calls us"):
        scenario(direction="inbound")
    said: dict[str, Any] = {
        name: "x" for name, phrase in Phrases.model_fields.items() if phrase.annotation is str
    }
    said |= {name: ["x"] for name in ("silence", "fillers", "bridges")}
    with pytest.raises(ValidationError, match=r"privacy\.until: 'de' has no words to ask who is there"):
        scenario(language="de", phrases=said)


@pytest.mark.parametrize(
    ("opening", "said"),
    [
        ({"text": OPENING}, "I'm calling to confirm the HIV test on Thursday. Does Thursday work?"),
        ({"text": "I'm calling to {{reason}}."}, "I'm calling to confirm the HIV test on Thursday."),
        ({}, ""),
    ],
)
def test_then_they_hear_the_rest_of_the_opening(opening: dict[str, str], said: str) -> None:
    assert prompt.matter_text(SPEC, scenario(opening=opening)) == said


class Bench:
    """A call of which only the question is looked at."""

    def __init__(self, **tables: Any) -> None:
        self.said: list[str] = []
        self.noted: list[str] = []
        self.messages: list[list[Any]] = []
        self.models = 0
        self.person = True
        self.user = SimpleNamespace(
            hear_only=self._hear_only, answer_now=self._answer_now, answering=True, asked=f"{FIRST} {QUESTION}"
        )
        stages = SimpleNamespace(
            user=self.user,
            context=SimpleNamespace(set_messages=self.messages.append),
            changed=SimpleNamespace(set=lambda: None),
            llms=(),
            say=self._say,
            note=self.noted.append,
            run_model=self._run,
        )
        self.recording_asked = False
        self.talk = IdentityTalk(
            plan(**tables),
            cast(Any, stages),
            cast(Any, SimpleNamespace(say=self._goodbye)),
            at_person=lambda: self.person,
            otherwise_asked=lambda: self.recording_asked,
        )
        self.ended = ""

    def _hear_only(self) -> None:
        self.user.answering = False

    def _answer_now(self) -> None:
        self.user.answering = True

    async def _say(self, text: str) -> None:
        self.said.append(text)

    async def _run(self) -> None:
        self.models += 1

    async def _goodbye(self, text: str, _reason: Any) -> None:
        self.ended = text

    async def hears(self, text: str) -> None:
        self.talk.note_turn_over(text)
        await self.talk.attend()


async def test_a_yes_tells_the_model_and_goes_on() -> None:
    bench = Bench()
    bench.talk.opening_said()
    assert not bench.user.answering
    await bench.hears("Yes, speaking.")
    assert bench.said == ["I'm calling to confirm the HIV test on Thursday. Does Thursday work?"]
    (note,) = bench.noted
    assert f"<action>\n{SECRET}\n</action>" in note
    assert KNOWN in note
    assert bench.user.answering
    assert not bench.talk.awaiting
    await bench.hears("No.")
    assert not bench.ended


async def test_without_a_text_of_the_scenario_the_model_says_why() -> None:
    bench = Bench(opening={})
    bench.talk.opening_said()
    await bench.hears("This is John.")
    assert (bench.said, bench.models) == ([], 1)
    assert bench.user.answering


async def test_who_asks_is_told_who_calls_and_nothing_more() -> None:
    bench = Bench()
    bench.talk.opening_said()
    await bench.hears("What is this about?")
    assert bench.said == [f"{FIRST} I can only say what it is about to John. {QUESTION}"]
    await bench.hears("Hello?")
    assert bench.said[1:] == [QUESTION]
    assert bench.talk.ask_again() == QUESTION
    assert (bench.noted, bench.models) == ([], 0)


async def test_somebody_else_and_one_who_does_not_say_are_wished_a_good_day() -> None:
    bench = Bench()
    bench.talk.opening_said()
    await bench.hears("No, this is his wife.")
    assert bench.ended == "Thank you, I will try again another time. Goodbye."
    bench = Bench()
    bench.talk.opening_said()
    for _ in range(MOST_QUESTIONS):
        assert not bench.ended
        await bench.hears("Just tell me.")
    assert bench.ended
    assert all(silent_on(text) for text in bench.said)


async def test_a_yes_before_the_question_was_heard_is_none() -> None:
    bench = Bench()
    bench.talk.opening_said()
    bench.user.asked = "Hello, this—"
    await bench.hears("Yes?")
    assert bench.said == [QUESTION]


async def test_what_a_machine_says_identifies_nobody() -> None:
    bench = Bench()
    bench.talk.opening_said()
    bench.person = False
    await bench.hears("Yes, this is John. Leave a message after the tone.")
    bench.person = True
    await bench.talk.attend()
    assert (bench.said, bench.noted) == ([], [])
    await bench.talk.came_back()
    assert bench.said == [QUESTION]


async def test_the_recording_s_question_goes_first() -> None:
    bench = Bench()
    bench.recording_asked = True
    bench.talk.opening_said()
    await bench.hears("Yes.")
    assert (bench.said, bench.noted) == ([], [])


async def test_another_person_is_asked_anew_and_the_talk_before_is_forgotten() -> None:
    bench = Bench()
    bench.talk.opening_said()
    await bench.hears("Yes.")
    bench.talk.opening_said()
    assert bench.messages == [[{"role": "user", "content": prompt.CALL_OPENED}]]
    assert bench.talk.awaiting
    assert not bench.user.answering


async def test_a_scenario_without_it_holds_nothing_back() -> None:
    bench = Bench(privacy={})
    bench.talk.opening_said()
    await bench.hears("Hello?")
    assert (bench.said, bench.talk.awaiting, bench.talk.withheld) == ([], False, False)
    assert bench.user.answering
    assert SECRET in plan(privacy={}).first_brief.prompt
