"""What is written of a call whose end no process saw."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.calls.dialling.following import ended_by
from bot.records import AnsweredBy, CallRecord, CallSpec, Direction, EndedReason, Speaker, Status, Turn
from bot.telephony.carrier import CarrierCall

ANSWERED = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LEFT = CallRecord(
    "call-1",
    CallSpec("+12025550123", "s"),
    Direction.OUTBOUND,
    Status.IN_PROGRESS,
    ANSWERED - timedelta(seconds=6),
    answered_at=ANSWERED,
    held_by="process_gone",
)


def turn(speaker: Speaker, text: str, start_ms: int, end_ms: int | None) -> Turn:
    began = ANSWERED + timedelta(milliseconds=500 + start_ms)
    return Turn(start_ms, speaker, text, began, start_ms, end_ms)


TALK = (
    turn(Speaker.AGENT, "Hi, are you coming?", 100, 2100),
    turn(Speaker.CALLEE, "Yes, I am.", 2500, 4000),
)


@pytest.mark.parametrize(
    ("turns", "carrier_seconds", "told_after", "seconds"),
    [
        (TALK, None, None, 4.5),
        (TALK, None, 900.0, 4.5),  # told to the process that was started again
        (TALK, 8.0, None, 8.0),
        (TALK, 4.0, None, 4.5),  # whole seconds; nothing is said after the end
        ((*TALK, turn(Speaker.AGENT, "Then", 6000, None)), None, None, 6.5),
        ((), 8.0, None, 8.0),
        ((), None, 9.0, 9.0),
        ((), None, None, None),
    ],
)
def test_a_call_whose_process_died_ended_when_the_last_was_heard_of_it(
    turns: tuple[Turn, ...], carrier_seconds: float | None, told_after: float | None, seconds: float | None
) -> None:
    told_at = None if told_after is None else ANSWERED + timedelta(seconds=told_after)
    known = None if carrier_seconds is None else CarrierCall("CA7", Status.COMPLETED, carrier_seconds)
    status, change = ended_by(replace(LEFT, turns=turns, carrier_ended_at=told_at), known)
    assert (status, change.ended_reason) == (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN)
    assert change.duration_seconds == seconds
    assert change.ended_at == (None if seconds is None else ANSWERED + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("turns", "kept", "written"),
    [
        (TALK, None, AnsweredBy.PERSON),
        (TALK, AnsweredBy.VOICEMAIL, None),
        (TALK[:1], None, None),
        ((turn(Speaker.CALLEE, " ", 100, 200),), None, None),
    ],
)
def test_who_said_something_is_a_person(
    turns: tuple[Turn, ...], kept: AnsweredBy | None, written: AnsweredBy | None
) -> None:
    _, change = ended_by(replace(LEFT, turns=turns, answered_by=kept), None)
    assert change.answered_by is written


def test_a_call_that_nobody_answered_is_the_carrier_s_to_tell() -> None:
    rang = replace(LEFT, answered_at=None, held_by=None)
    for known, status, reason in (
        (CarrierCall("CA7", Status.BUSY), Status.BUSY, EndedReason.DIAL_BUSY),
        (CarrierCall("CA7", Status.RINGING), Status.NO_ANSWER, EndedReason.DIAL_NO_ANSWER),
        (None, Status.FAILED, EndedReason.DIAL_FAILED),
    ):
        got, change = ended_by(rang, known)
        assert (got, change.ended_reason, change.ended_at, change.answered_by) == (status, reason, None, None)
