"""What stays of a record: a secret planted in every text of it, and looked for afterwards."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot import languages
from bot.conversation.kept import kept
from bot.conversation.scenario.compliance import Storage, storage_of
from bot.policy import CallConsent, CallPurpose, Terms
from bot.records import (
    CallRecord,
    CallSpec,
    ConsentAnswer,
    Direction,
    Outcome,
    RecordingConsent,
    RulesOfCall,
    Speaker,
    Status,
    ToolUse,
    Turn,
)

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NUMBER, NATIONAL = "+12025550123", "202-555-0123"
CARD = "4111 1111 1111 1111"
EN = languages.of("en")
SAID = f"It is {CARD}, call {NATIONAL}."


def record(secret: str = SAID, **changes: Any) -> CallRecord:
    """`secret` stands wherever a record holds words of a client, the callee, a tool, a model or a vendor."""
    given = {"text": secret, "list": [secret], secret: 1, "number": 4111111111111111, "order": 4711}
    tool = ToolUse("look_up", given, {"found": secret}, 900)
    spec = CallSpec(
        phone_number=NUMBER,
        scenario="s",
        action=f"Confirm. {secret}",
        context={"note": secret, "on": "2026-03-02"},
        callee_name=f"John {secret}",
        agent_name=f"Alex {secret}",
        organization=f"Dental {secret}",
        metadata=given,
    )
    outcome = Outcome(
        reached_goal=True,
        summary=f"John confirmed. {secret}",
        fields={"confirmed": True, "note": secret, "day": "2026-03-02", "messages": [{"message": secret}]},
        evidence={"note": [secret]},
        recorded=["note"],
        analysis_error=secret,
        claimed={"note": secret},
        unbacked_claims=[secret],
    )
    whole = CallRecord(
        call_id="call-1",
        spec=spec,
        direction=Direction.OUTBOUND,
        status=Status.COMPLETED,
        created_at=NOON,
        error=f"refused: {secret}",
        turns=(
            Turn(0, Speaker.CALLEE, secret, NOON, 0, 800, tools=(tool,)),
            Turn(1, Speaker.AGENT, f"I heard {secret}", NOON, 1000, 1800),
        ),
        outcome=outcome,
        terms=Terms(purpose=CallPurpose.MARKETING, consent=CallConsent("web_form", "2026-01-01", secret)),
        consent=RecordingConsent("ask", "May I record?", NOON, ConsentAnswer.NO, secret, NOON, "none"),
    )
    return replace(whole, **changes)


def text_of(call: CallRecord) -> str:
    return json.dumps(asdict(call), default=str)


def test_everything_stays_where_all_is_full() -> None:
    assert kept(record(), Storage(), EN) is not None
    assert kept(record(), Storage(), EN) == record()


@pytest.mark.parametrize("transcript", ["redacted", "none"])
def test_no_text_of_a_record_keeps_a_card(transcript: Any) -> None:
    left = kept(record(), Storage(transcript=transcript), EN)
    assert "4111" not in text_of(left)
    assert "0123" not in text_of(replace(left, spec=replace(left.spec, phone_number=""))), "nor a number said"
    assert left.spec.phone_number == NUMBER
    assert left.outcome is not None
    assert (left.outcome.fields["confirmed"], left.outcome.fields["day"]) == (True, "2026-03-02")
    assert left.outcome.reached_goal
    assert left.outcome.summary == "John confirmed. It is [redacted], call [redacted]."
    assert left.spec.metadata["order"] == 4711


def test_redacted_keeps_the_words_around_it() -> None:
    left = kept(record(), Storage(transcript="redacted"), EN)
    assert left.turns[1].text == "I heard It is [redacted], call [redacted]."
    assert left.turns[0].tools[0].arguments["number"] == "[redacted]"
    assert left.spec.action == "Confirm. It is [redacted], call [redacted]."
    assert left.consent is not None
    assert left.consent.words == "It is [redacted], call [redacted]."
    assert left.outcome is not None
    assert left.outcome.evidence == {"note": ["It is [redacted], call [redacted]."]}


def test_none_keeps_no_word_of_the_call() -> None:
    words = "I like the blue door"
    left = kept(record(words), Storage(transcript="none"), EN)
    assert [(turn.text, turn.tools) for turn in left.turns] == [("", ()), ("", ())]
    assert [(turn.start_ms, turn.end_ms) for turn in left.turns] == [(0, 800), (1000, 1800)], "figures stay"
    assert (left.spec.action, left.spec.context) == ("", "")
    assert left.consent == replace(record(words).consent, words=None)  # type: ignore[type-var]
    assert left.outcome is not None
    assert (left.outcome.evidence, left.outcome.unbacked_claims) == ({}, [])
    assert left.outcome.fields["note"] == words, "what the call was to find out is its result"


@pytest.mark.parametrize(("numbers", "shown"), [("redacted", "+1…23"), ("none", "+1")])
def test_the_number_is_masked_wherever_it_stands(numbers: Any, shown: str) -> None:
    left = kept(record(), Storage(numbers=numbers), EN)
    assert left.spec.phone_number == shown
    assert "0123" not in text_of(left)
    assert CARD in left.turns[0].text, "that is the transcript's to say"
    assert (left.spec.callee_name is None) == (numbers == "none")
    assert (left.terms.consent is None) == (numbers == "none"), "a table of its own proves it"
    assert left.terms.purpose is CallPurpose.MARKETING


@pytest.mark.parametrize("number", ["", "+1", "anonymous", "sip:x@y.example"])
def test_what_is_no_number_stays(number: str) -> None:
    call = record(spec=replace(record("").spec, phone_number=number))
    assert kept(call, Storage(numbers="none"), EN).spec.phone_number == number


@pytest.mark.parametrize(
    "storage", [Storage(transcript="redacted"), Storage(transcript="none", numbers="redacted")]
)
def test_twice_is_once(storage: Storage) -> None:
    once = kept(record(), storage, EN)
    assert kept(once, storage, EN) == once


def test_the_rules_are_those_of_the_calls_own_time() -> None:
    assert storage_of(None) == Storage()
    assert storage_of(RulesOfCall("eu")) == Storage(transcript="redacted", recording="redacted")
    changed = {"storage.numbers": "none", "compliance.disclosure": False}
    assert storage_of(RulesOfCall("us_service", changed)) == Storage(numbers="none")
    assert storage_of(RulesOfCall("of another version")) == Storage()
