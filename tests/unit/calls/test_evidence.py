"""The evidence gate: tools and models say what was reached, the callee's words decide."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.calls.evidence import as_claimed, gated
from bot.calls.finish import outcome_by_rules
from bot.conversation.call_plan import Plan, choose
from bot.conversation.scenario.parts import OutcomeField
from bot.conversation.scenario.scenario import Scenario
from bot.json_schema import checked
from bot.records import AnsweredBy, CallSpec, Direction, Outcome, Speaker, Turn
from bot.settings import Settings

CONFIRMED = OutcomeField(name="confirmed", type="boolean", description="Whether they come.")
RATING = OutcomeField(name="rating", type="number", description="From 1 to 5.")
ASKED = "I'm calling to confirm your visit on Thursday. Does that work for you?"
QUOTED = Outcome(
    True, "They confirmed.", {"confirmed": True}, "claude", evidence={"confirmed": ["Righty-ho then"]}
)
RECORDED = Outcome(
    True, "All confirmed.", {"confirmed": True}, "tools", recorded=["confirmed", "reached_goal", "summary"]
)


def plan(*fields: OutcomeField, goal: str | None = "confirmed", **more: Any) -> Plan:
    scenario = Scenario(name="s", description="d", instructions="i", goal=goal, outcome=fields or (CONFIRMED,))
    slots = choose(scenario, Settings(_env_file=None), simulated_line=True)
    spec = CallSpec("+12025550123", "s", "Confirm your visit on Thursday")
    return Plan("call-1", spec, Direction.OUTBOUND, scenario, slots, **more)


def talk(*lines: str) -> list[Turn]:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    sides = (Speaker.AGENT, Speaker.CALLEE)
    return [Turn(n, sides[n % 2], text, at, n * 1000, n * 1000 + 900) for n, text in enumerate(lines)]


@pytest.mark.parametrize(
    ("heard", "confirmed"),
    [
        ("Yes, that works.", True),
        ("Should be fine, I'll see.", None),
        ("Yes. Actually, no, I can't.", False),
        ("Okay, bye.", None),
    ],
)
@pytest.mark.parametrize(
    "outcome", [RECORDED, replace(RECORDED, source="claude"), replace(RECORDED, source="rules")]
)
def test_a_word_of_tool_model_or_rules_needs_the_callees(
    outcome: Outcome, heard: str, confirmed: bool | None
) -> None:
    found = gated(outcome, plan(), talk(ASKED, heard), AnsweredBy.PERSON)
    assert found.fields == {"confirmed": confirmed}
    assert found.reached_goal is (confirmed is True)
    if confirmed:
        assert (found.evidence, found.claimed, found.summary) == ({"confirmed": [heard]}, {}, "All confirmed.")
    else:
        assert found.claimed["confirmed"] is True
        assert found.claimed["reached_goal"] is True
        assert "confirmed" not in found.evidence
        assert found.summary.endswith("not reached.")
        assert as_claimed(found).fields == outcome.fields


@pytest.mark.parametrize("who", [AnsweredBy.VOICEMAIL, AnsweredBy.MENU, AnsweredBy.SCREENING])
def test_a_recording_commits_nobody(who: AnsweredBy) -> None:
    found = gated(RECORDED, plan(), talk(ASKED, "Yes, I'll be there."), who)
    assert (found.reached_goal, found.fields) == (False, {"confirmed": None})


@pytest.mark.parametrize(
    ("quote", "heard", "reached"),
    [
        ("Righty-ho then", "Righty-ho then, pop me in.", True),
        ("righty ho, then!", "Righty-ho then, pop me in.", True),
        ("Righty-ho then", "What do you mean?", False),
        ("Does that work for you", "What do you mean?", False),
        ("I suppose that's okay", "I suppose that's okay, pop me in.", False),
    ],
)
def test_a_models_quote_has_to_be_the_callees_and_no_hedge(quote: str, heard: str, reached: bool) -> None:
    outcome = replace(QUOTED, evidence={"confirmed": [quote]})
    found = gated(outcome, plan(), talk("The visit on Thursday, as planned.", heard), AnsweredBy.PERSON)
    assert found.reached_goal is reached
    assert found.evidence == ({"confirmed": [quote]} if reached else {})
    assert found.claimed.get("confirmed") is (None if reached else True)


def test_a_yes_to_another_question_is_none_for_a_model_too() -> None:
    outcome = replace(QUOTED, evidence={"confirmed": ["Yes."]})
    turns = talk(ASKED, "Let me look.", "Can you hear me?", "Yes.")
    assert gated(outcome, plan(), turns, None).claimed["confirmed"] is True


def test_a_field_commits_by_its_name_or_by_the_scenario() -> None:
    for field, commits in (
        (OutcomeField(name="likes_it", type="boolean", description="d"), False),
        (OutcomeField(name="likes_it", type="boolean", description="d", commits=True), True),
        (OutcomeField(name="accepted", type="boolean", description="d"), True),
        (OutcomeField(name="accepted", type="boolean", description="d", commits=False), False),
    ):
        outcome = Outcome(False, "s", {field.name: True}, "tools", recorded=[field.name])
        found = gated(outcome, plan(field, goal=None), talk(ASKED, "Maybe."), None)
        assert (field.name in found.claimed) is commits


def test_what_the_team_has_to_confirm_is_not_agreed() -> None:
    agreed = OutcomeField(name="agreed", type="boolean", description="Whether a new time was agreed.")
    outcome = Outcome(True, "s", {"agreed": True}, "rules")
    turns = talk("Would Friday at nine suit you?", "Yes, that suits me.", "Great.", "Bye.")
    assert gated(outcome, plan(agreed, goal="agreed"), turns, None).reached_goal is True
    turns[2] = replace(turns[2], text="The team will get back to you to confirm it.")
    found = gated(outcome, plan(agreed, goal="agreed"), turns, None)
    assert (found.reached_goal, found.fields["agreed"]) == (False, None)
    looked = talk("I'll check if Friday is free.", "Okay.", "It is. Would it suit you?", "Yes, that suits me.")
    assert gated(outcome, plan(agreed, goal="agreed"), looked, None).reached_goal is True


@pytest.mark.parametrize(
    ("heard", "reached"), [("Great, thank you. Goodbye!", False), ("Four, it was good.", True)]
)
def test_a_goal_that_commits_nobody_needs_words_all_the_same(heard: str, reached: bool) -> None:
    done = OutcomeField(name="completed", type="boolean", description="Whether all was answered.")
    outcome = Outcome(
        True, "s", {"completed": True, "rating": 4}, "tools", recorded=["completed", "reached_goal"]
    )
    found = gated(outcome, plan(done, RATING, goal="completed"), talk("From one to five?", heard), None)
    assert found.reached_goal is reached


def test_a_schema_of_nulls_reaches_nothing() -> None:
    schema = {"type": "object", "properties": {"day": {"type": "string"}}}
    outcome = Outcome(True, "s", {"day": None}, "claude")
    found = gated(outcome, plan(outcome_schema=schema), talk(ASKED, "Yes, that works."), None)
    assert found.reached_goal is False


def test_the_record_says_what_no_tool_has_done() -> None:
    turns = talk(ASKED, "Yes.", "I've booked you in.", "Thanks.")
    assert gated(RECORDED, plan(), turns, None).unbacked_claims == ["I've booked you in."]


def test_a_value_has_the_words_it_came_from() -> None:
    phone = OutcomeField(name="number", type="phone", description="Where to call.")
    outcome = Outcome(False, "s", {"number": "+12025550143"}, "tools", recorded=["number"])
    turns = talk("Which number?", "It's two oh two,", "Yes?", "five five five oh one four three.")
    found = gated(outcome, plan(phone, goal=None), turns, None)
    assert found.evidence == {"number": ["It's two oh two,", "five five five oh one four three."]}


LATE = datetime(2026, 3, 3, 3, 30, tzinfo=UTC)
"""Monday evening in Washington and in Los Angeles, Tuesday morning in Berlin, noon in Tokyo."""


@pytest.mark.parametrize(
    ("zone", "business", "tomorrow", "next_tuesday"),
    [
        (None, None, "2026-03-03", "2026-03-10"),
        (None, "Europe/Berlin", "2026-03-03", "2026-03-10"),
        ("Europe/Berlin", None, "2026-03-04", "2026-03-10"),
        ("Asia/Tokyo", "America/New_York", "2026-03-04", "2026-03-10"),
    ],
)
def test_days_are_counted_where_the_callee_is(
    zone: str | None, business: str | None, tomorrow: str, next_tuesday: str
) -> None:
    """Whatever day it is at the business, and on the day of the call, however late it is judged."""
    its = plan(OutcomeField(name="new_time", type="string", description="d"), goal=None, time_zone=zone)
    its = replace(its, scenario=its.scenario.model_copy(update={"time_zone": business}))
    turns = [replace(turn, started_at=LATE) for turn in talk("When can we call?", "Tomorrow, or next Tuesday.")]
    fields = {
        "new_time": "next Tuesday at three",
        "callback": "tomorrow",
        "messages": [{"message": "She calls on 2026-03-09.", "name": "Ann"}, {"message": "Ring tomorrow."}],
    }
    found = gated(Outcome(False, "Call Ann tomorrow.", fields), its, turns, AnsweredBy.PERSON)
    assert found.dates == {
        "new_time": {"next Tuesday": next_tuesday},
        "callback": {"tomorrow": tomorrow},
        "messages": {"tomorrow": tomorrow},
        "summary": {"tomorrow": tomorrow},
    }
    assert found.fields == fields, "what was kept stands as it was said"


@pytest.mark.parametrize(("zone", "day"), [(None, "2026-03-03"), ("Asia/Tokyo", "2026-03-04")])
def test_a_date_that_is_asked_for_is_the_callees(zone: str | None, day: str) -> None:
    """As a scenario's field, by the rules; and as a property of a request's schema."""
    field = OutcomeField(name="visit", type="date", description="The day.", question="Which day suits you?")
    turns = [replace(turn, started_at=LATE) for turn in talk("Which day suits you?", "Tomorrow.")]
    its = plan(field, goal=None, time_zone=zone)
    judged = functools.partial(outcome_by_rules, ended_reason=None, answered_by=AnsweredBy.PERSON)
    assert judged(its, turns).fields == {"visit": day}
    schema = checked({"type": "object", "properties": {"day": {"type": "string", "format": "date"}}})
    assert judged(replace(its, outcome_schema=schema), turns).fields == {"day": day}
