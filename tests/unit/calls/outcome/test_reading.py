"""What of a model's answer is believed: the object in its text, the quotes that were said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.calls.outcome.reading import Spoken, as_object, outcome_of, quoted
from bot.json_schema import checked
from bot.records import Outcome, Sentiment, Speaker, Turn

FIELDS = checked({"properties": {"confirmed": {"type": "boolean"}, "when": {"type": "string"}}})
TURNS = tuple(
    Turn(n, speaker, text, datetime(2026, 3, 2, tzinfo=UTC), n * 1000)
    for n, (speaker, text) in enumerate(
        [
            (Speaker.AGENT, "Does Thursday still work?"),
            (Speaker.CALLEE, "No, I can’t. Well—maybe"),
            (Speaker.AGENT, "Yes?"),
            (Speaker.CALLEE, "on Friday, señor, at ten."),
        ]
    )
)
OTHERWISE = Outcome(False, "By rules.", {"confirmed": None, "when": None})


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', ' \n{"a": 1}\n', 'Here it is:\n```json\n{"a": 1}\n```\nBye', 'Sure! {"a": 1} Anything else?'],
)
def test_the_object_in_a_text(text: str) -> None:
    assert as_object(text) == {"a": 1}


@pytest.mark.parametrize("text", ["", "no", "[1]", "{", "}{", "{" * 50_000])
def test_no_object_in_a_text(text: str) -> None:
    assert as_object(text) is None


@pytest.mark.parametrize(
    "quote",
    [
        "I can't",
        "NO I CANT",
        "callee: No, I can’t.",
        "maybe on Friday",  # over a turn's break, by one speaker
        "No ... on Friday, senor",
        "“on Friday […] at ten”",
        "Does Thursday still work",
    ],
)
def test_what_was_said_is_a_quote(quote: str) -> None:
    assert Spoken(TURNS).holds(quote)


@pytest.mark.parametrize("quote", ["", "…", "?", "I confirm", "ten on Friday", "Thursday ... Does", "day"])
def test_what_was_not_said_is_none(quote: str) -> None:
    assert not Spoken(TURNS).holds(quote)


def test_quotes_come_in_several_shapes() -> None:
    values = {"when": "Friday", "confirmed": None}
    expected = {"when": ["on Friday"]}
    assert quoted({"when": ["on Friday", "on Monday"], "confirmed": ["No"]}, values, TURNS) == expected
    assert quoted({"when": "on Friday"}, values, TURNS) == expected
    assert quoted([{"field": "when", "quote": "on Friday"}, {"field": "other"}, 3], values, TURNS) == expected
    assert quoted("nothing", values, TURNS) == {}
    assert len(quoted({"when": ["on", "Friday", "at", "ten", "at"]}, values, TURNS)["when"]) == 3


def test_the_goal_is_the_field_that_names_it() -> None:
    told = {
        "fields": {"confirmed": False},
        "reached_goal": True,
        "summary": " One. Two. ",
        "callee_sentiment": "Positive",
    }
    outcome = outcome_of(told, FIELDS, TURNS, goal="confirmed", otherwise=OTHERWISE)
    assert outcome is not None
    assert (outcome.reached_goal, outcome.summary) == (False, "One. Two.")
    assert outcome.callee_sentiment is Sentiment.POSITIVE
    without = outcome_of(told, FIELDS, TURNS, goal=None, otherwise=OTHERWISE)
    assert without is not None
    assert without.reached_goal is True


def test_fields_without_their_table_are_found() -> None:
    outcome = outcome_of(
        {"confirmed": True, "when": 3, "other": 1}, FIELDS, TURNS, goal="confirmed", otherwise=OTHERWISE
    )
    assert outcome is not None
    assert outcome.fields == {"confirmed": True, "when": None}
    assert (outcome.summary, outcome.source) == ("By rules.", "claude")


def test_an_answer_about_something_else_is_none() -> None:
    assert outcome_of({"weather": "fine"}, FIELDS, TURNS, goal="confirmed", otherwise=OTHERWISE) is None
