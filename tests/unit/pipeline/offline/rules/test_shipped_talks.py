"""The brain in every shipped scenario: with the scenario's own simulated callee, and with other callees.

Talks are held on the level of words: the opening as the scenario words it, then what the callee says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.conversation import prompt
from bot.conversation.scenario.scenario import Scenario
from bot.pipeline.offline.rules.dialogue import Dialogue
from bot.pipeline.offline.rules.state import RuleField
from bot.records import CallSpec
from bot.telephony.simulated.script import conversation_for
from tests.profiles import held_to

PIPELINES = Path(__file__).parents[5] / "pipelines"
REACHED = "The goal of the call was reached."
README = "Dr. Smith, Suite 200. Rescheduling available Mon-Fri."


class Talk:
    """A talk in a scenario; every reply is heard whole unless `say` is told otherwise."""

    def __init__(self, name: str, **request: Any) -> None:
        self.scenario: Scenario = held_to("none", PIPELINES / f"{name}.toml")
        example = self.scenario.example
        fields = {
            "action": example.action,
            "context": example.context,
            "callee_name": example.callee_name if self.scenario.direction == "outbound" else None,
            "organization": example.organization,
        } | request
        spec = prompt.completed(CallSpec("+12025550123", name, **fields), self.scenario)
        self.opening = prompt.opening_text(spec, self.scenario) or ""
        outcome = tuple(
            RuleField(f.name, f.type, f.description, f.question, f.options) for f in self.scenario.outcome
        )
        self.dialogue = Dialogue(spec, outcome, frozenset(self.scenario.tools), self.scenario.goal)
        self.last = self.opening
        self.tools: list[tuple[str, dict[str, Any]]] = []

    def say(self, heard: str, *, spoken: str | None = None) -> str:
        """What the agent answers. `spoken`: how much of its last words was played."""
        reply = self.dialogue.reply(heard, spoken=self.last if spoken is None else spoken)
        self.last = reply.text
        self.tools += [(call.name, dict(call.arguments)) for call in reply.tools]
        return reply.text

    def all(self, lines: Sequence[str]) -> list[str]:
        return [self.say(line) for line in lines]

    def uses(self, tool: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.tools if name == tool]


def after_hello(name: str) -> list[str]:
    """The lines of the scenario's callee that answer something: their hello is answered by the opening."""
    texts = conversation_for(name).texts
    return list(texts if name == "inbound_reception" else texts[1:])


@pytest.mark.parametrize(
    ("name", "said", "fields", "summary"),
    [
        (
            "appointment_confirmation",
            [
                "Great, your dentist appointment Thursday at 2pm is confirmed. You'll find us at Suite 200. "
                "Is there anything else I can help you with?",
                "Yes, rescheduling is available Monday to Friday. Is there anything else?",
                "Thank you, John, and goodbye!",
            ],
            {"confirmed": True},
            f"John confirmed the dentist appointment Thursday at 2pm. {REACHED}",
        ),
        (
            "appointment_reschedule",
            [
                "Thank you. Free times are Friday at 10am and Monday at 3pm. Which day and time would suit you?",
                "Great, so that's Friday at ten in the morning. Is there anything else I can help you with?",
                "Thank you, John, and goodbye!",
            ],
            {"agreed": True, "new_time": "Friday at ten in the morning"},
            f"John agreed to Friday at ten in the morning. {REACHED}",
        ),
        (
            "lead_callback",
            [
                "Thank you. A first consultation is free and takes half an hour. May I ask what you need it for?",
                "All right. When would be a good time for my colleague to call you?",
                "All right, tomorrow afternoon. Is there anything else I can help you with?",
                "Thank you, John, and goodbye!",
            ],
            {"interested": True, "need": "It's for the roof of our house", "best_time": "tomorrow afternoon"},
            "Interested: yes. Need: It's for the roof of our house; Best time: tomorrow afternoon.",
        ),
        (
            "survey",
            [
                "Thank you. From one to five, how satisfied were you?",
                "All right. What did you like best?",
                "Okay, thank you. Would you recommend us to a friend?",
                "Thank you, that was my last question. Is there anything else I can help you with?",
                "Thank you, John, and goodbye!",
            ],
            {
                "satisfaction": 4,
                "best_part": "The staff was friendly, but I had to wait",
                "recommend": True,
                "completed": True,
            },
            "Satisfaction: 4. Best part: The staff was friendly, but I had to wait; Recommend: yes.",
        ),
        (
            "inbound_reception",
            [
                "Downtown Dental is open Monday to Friday from 9am to 5pm. "
                "Is there anything else I can help you with?",
                "Of course, I'll ask someone to call you back. May I have your name, please?",
                "Thank you, John Miller. What number can we reach you on?",
                "That's two zero two, five five five, zero one four three. Is that right?",
                "Thank you, I'll pass your message on. Is there anything else?",
                "Thank you, John Miller, and goodbye!",
            ],
            {
                "helped": True,
                "reason_for_call": "What are your opening hours? Could someone call me back about my bill?",
            },
            f'{REACHED} Message from John Miller, 2025550143: "Could someone call me back about my bill?"',
        ),
    ],
)
def test_the_shipped_callee(name: str, said: list[str], fields: dict[str, Any], summary: str) -> None:
    talk = Talk(name)
    assert talk.all(after_hello(name)) == said
    outcome = talk.dialogue.outcome()
    assert (outcome.reached_goal, outcome.fields, outcome.summary) == (True, fields, summary)
    assert talk.uses("record_outcome")[-1] == fields | {"reached_goal": True, "summary": summary}
    assert [tool for tool, _ in talk.tools].count("end_call") == 1
    assert talk.tools[-1][0] == "end_call"
    assert set(fields) <= {field.name for field in talk.scenario.outcome}


def test_the_message_of_a_caller_holds_name_and_number() -> None:
    talk = Talk("inbound_reception")
    talk.all(after_hello("inbound_reception"))
    message = {
        "message": "Could someone call me back about my bill?",
        "name": "John Miller",
        "phone_number": "2025550143",
    }
    assert talk.uses("take_message") == [message]


def test_a_wrong_readback_is_corrected() -> None:
    talk = Talk("inbound_reception")
    talk.all(["I'd like to leave a message for Dr. Smith about my bill, my name is Ann Lee.", "555 123 4567"])
    assert "four five six eight" in talk.say("No, it's 555 123 4568.")
    talk.say("Yes.")
    assert [message["phone_number"] for message in talk.uses("take_message")] == ["5551234568"]


def test_the_answer_cut_off_by_another_question_is_given_after_it() -> None:
    talk = Talk("appointment_confirmation")
    talk.say("Yes that works for me but where exactly is the office?")
    cut = "Great, your dentist appointment Thursday at 2pm is confirmed. You'll find us at Suite —"
    reply = talk.say("Sorry, one moment, can I reschedule if something comes up?", spoken=cut)
    assert reply.startswith(
        "Yes, rescheduling is available Monday to Friday. And you'll find us at Suite 200. Is there anything"
    )
    assert "Suite" not in talk.say("Who is this?"), "it was heard now"


@pytest.mark.parametrize("heard", ["Sorry, what was that?", "Can you repeat that?", "Hm?"])
def test_what_was_cut_is_repeated(heard: str) -> None:
    talk = Talk("appointment_confirmation")
    talk.say("Where is the office?")
    assert "You'll find us at Suite 200." in talk.say(heard, spoken="You'll find us at Suite —")


def test_hold_on_and_back_again() -> None:
    talk = Talk("appointment_confirmation")
    assert talk.say("One moment, please.") == "Of course, take your time."
    assert talk.say("Okay, I'm back.") == "No problem. So, does that still work for you?"
    assert not talk.dialogue.outcome().reached_goal
    assert talk.say("Hold on, where is it?").startswith("You'll find us at Suite 200.")


def test_great_thank_you_goodbye_confirms_nothing() -> None:
    talk = Talk("appointment_confirmation")
    talk.say("Where is the office?")
    assert talk.say("Great, thank you. Goodbye!") == "Thank you, John, and goodbye!"
    assert not talk.dialogue.outcome().reached_goal


@pytest.mark.parametrize(
    ("name", "lines", "fields"),
    [
        (
            "appointment_confirmation",
            ["No, that doesn't work.", "Friday at 3 pm."],
            {"requested_change": "Friday at 3 pm"},
        ),
        ("lead_callback", ["No, it's not a good time.", "Tomorrow at five."], {"best_time": "tomorrow at five"}),
        ("lead_callback", ["I'm not interested, thanks."], {"interested": False}),
        ("lead_callback", ["Sure.", "No, not any more."], {"interested": False}),
        ("survey", ["No, I have no time."], {"completed": False}),
        (
            "survey",
            ["Sure.", "Five.", "I don't want to answer any more."],
            {"satisfaction": 5, "completed": False},
        ),
        ("appointment_reschedule", ["Yes.", "No, none of them.", "No."], {"agreed": False}),
    ],
)
def test_a_no_is_accepted(name: str, lines: list[str], fields: dict[str, Any]) -> None:
    talk = Talk(name)
    talk.all(lines)
    outcome = talk.dialogue.outcome()
    assert not outcome.reached_goal
    assert fields.items() <= outcome.fields.items()
    assert outcome.summary != "Nothing was settled."


def test_only_offered_times_are_agreed() -> None:
    talk = Talk("appointment_reschedule")
    talk.say("Yes.")
    refusal = "I'm afraid I can only offer Friday at 10am or Monday at 3pm. Would one of those suit you?"
    assert talk.say("How about Tuesday at noon?") == refusal
    assert talk.say("Then the Monday one.").startswith("Great, so that's Monday at 3pm.")
    assert talk.dialogue.outcome().fields == {"agreed": True, "new_time": "Monday at 3pm"}
    stubborn = Talk("appointment_reschedule")
    stubborn.all(["Yes.", "Only Tuesday at noon.", "Tuesday at noon."])
    assert stubborn.dialogue.outcome().fields == {"agreed": False, "new_time": "Tuesday at noon"}


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (
            {"office": {"address": {"street": "12 Main Street", "city": "Springfield"}}},
            "12 Main Street, Springfield",
        ),
        ({"address": "Suite 200", "parking": True, "notes": None, "tags": []}, "The address is Suite 200."),
        ([], "I don't have that information"),
        ("", "I don't have that information"),
        ({}, "I don't have that information"),
    ],
)
def test_odd_contexts(context: Any, expected: str) -> None:
    talk = Talk("appointment_confirmation", context=context)
    assert expected in talk.say("Where is the office?")
    assert "confirmed" in talk.say("Yes, that works.")


@pytest.mark.parametrize(
    "name", ["appointment_confirmation", "appointment_reschedule", "lead_callback", "survey"]
)
def test_nobody_has_to_have_a_name(name: str) -> None:
    talk = Talk(name, callee_name=None, organization=None, agent_name=None, context="")
    assert talk.opening.startswith("Hi there, this is Alex. ")
    said = " ".join(talk.all(["Who is this?", "No, sorry, goodbye."]))
    assert "This is Alex." in said
    assert said.endswith("Thank you, and goodbye!")
    assert "None" not in said + talk.dialogue.outcome().summary


@pytest.mark.parametrize(
    ("action", "opened", "answer", "noted"),
    [
        (
            "Please confirm the appointment on Friday.",
            "I'm calling to confirm the appointment on Friday. Does that still work for you?",
            "Great, the appointment on Friday is confirmed.",
            "John confirmed the appointment on Friday.",
        ),
        (
            "Tell John that his car is ready",
            "I'm calling to tell you that your car is ready. Is that all right with you?",
            "Great, thank you.",
            'John said yes to "Tell John that his car is ready".',
        ),
        (
            "Ask John whether he still needs the parts.",
            "I'm calling to ask you whether you still need the parts. Could you tell me?",
            "Thank you, I'll note that.",
            'Asked "Could you tell me whether you still need the parts?": "Yes, that\'s fine".',
        ),
        (
            "Find out when he can come",
            "I'm calling to find out when you can come. Could you tell me?",
            "Could you tell me when you can come?",
            "Nothing was settled.",
        ),
        (
            "Dental cleaning on Friday",
            "I'm calling to talk to you about dental cleaning on Friday. Does that still work for you?",
            "Great, thank you.",
            'John said yes to "Dental cleaning on Friday".',
        ),
        (
            "Call the customer and remind her to bring her insurance card!",
            "I'm calling to remind you to bring your insurance card. Is that all right with you?",
            "Great, thank you.",
            'John said yes to "Call the customer and remind her to bring her insurance card".',
        ),
        (
            "Could you please check that John received the parcel?",
            "I'm calling to check that you received the parcel. Is that right?",
            "Great, thank you.",
            'John said yes to "Could you please check that John received the parcel?"',
        ),
        (
            "Confirm the appointment and ask if he needs parking",
            "I'm calling to confirm the appointment. Does that still work for you?",
            "Great, the appointment is confirmed. Could you tell me whether you need parking?",
            "John confirmed the appointment.",
        ),
        (
            "Your overdue invoice",
            "I'm calling to talk to you about your overdue invoice. Do you have a moment?",
            "Thank you. Dr. Smith, Suite 200. Rescheduling is available Monday to Friday.",
            "John was told about the overdue invoice.",
        ),
    ],
)
def test_actions_of_every_form(action: str, opened: str, answer: str, noted: str) -> None:
    talk = Talk("appointment_confirmation", action=action, context=README)
    assert talk.opening == f"Hi John, this is Alex calling from Downtown Dental. {opened}"
    assert talk.say("Yes, that's fine.").startswith(answer)
    assert talk.dialogue.outcome().summary.startswith(noted)


def test_an_answer_in_words_is_noted() -> None:
    talk = Talk("appointment_confirmation", action="Ask for the new delivery address")
    talk.all(["Yes, sure.", "It's 12 Main Street."])
    outcome = talk.dialogue.outcome()
    assert outcome.reached_goal
    said = 'Asked "Could you give me the new delivery address?": "It\'s 12 Main Street".'
    assert outcome.summary == f"{said} {REACHED}"


def test_names_in_an_action() -> None:
    def opening(action: str, callee: str | None) -> str:
        return Talk("appointment_confirmation", action=action, callee_name=callee).opening

    assert "ask you if you're coming" in opening("Ask John if he's coming", None)
    assert "remind you that it will rain" in opening("Remind Will that it will rain", "Will")
    assert "confirm your visit to Dr. Smith" in opening("Confirm Mr. Smith's visit to Dr. Smith", "Smith")
