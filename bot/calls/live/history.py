"""The events of a call as its record tells them: for those who come late, or after its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta

from bot.calls.live.events import (
    AgentWords,
    AnswerDetected,
    CalleeWords,
    LiveEvent,
    OutcomeWritten,
    ReplyTimed,
    StatusChanged,
    ToolUsed,
    TurnCompleted,
    TurnWords,
    VendorTrouble,
    WebhookTried,
    iso,
)
from bot.calls.live.hub import EventId, Stamped, milliseconds
from bot.records import AnsweredBy, CallRecord, Outcome, Speaker, Status, ToolUse, Turn, TurnLatency, may_follow
from bot.store.deliveries import Delivery

ORIGIN = "record"


def history(record: CallRecord, deliveries: Sequence[Delivery] = ()) -> list[Stamped]:
    """In order of time."""
    events = sorted(_events(record, deliveries), key=lambda event: event.at)
    return [
        Stamped(EventId(milliseconds(event.at), number, ORIGIN), event) for number, event in enumerate(events, 1)
    ]


def _events(record: CallRecord, deliveries: Sequence[Delivery]) -> Iterator[LiveEvent]:
    call_id, ended_at = record.call_id, record.ended_at
    yield StatusChanged(
        call_id=call_id,
        at=iso(record.created_at),
        status=Status.QUEUED,
        waiting_for=record.waiting_for if record.status is Status.QUEUED else None,
    )
    if record.started_at is not None:
        yield StatusChanged(call_id=call_id, at=iso(record.started_at), status=Status.INITIATED)
    if record.answered_at is not None:
        yield StatusChanged(call_id=call_id, at=iso(record.answered_at), status=Status.IN_PROGRESS)
    for turn in record.turns:
        yield from _of_turn(call_id, turn)
    for seen in record.observations:
        if seen.vendor:
            yield VendorTrouble(call_id=call_id, at=iso(seen.at), vendor=seen.what, what=seen.why)
        elif seen.what in list(AnsweredBy):
            yield AnswerDetected(
                call_id=call_id, at=iso(seen.at), answered_by=AnsweredBy(seen.what), why=seen.why
            )
    if record.status.final:
        yield StatusChanged(
            call_id=call_id,
            at=iso(ended_at or record.created_at),
            status=record.status,
            ended_reason=record.ended_reason,
        )
    if record.outcome is not None:
        yield outcome_written(call_id, record.outcome, at=iso(ended_at or record.created_at))
    for delivery in deliveries:
        for made in delivery.attempts:
            yield WebhookTried(
                call_id=call_id,
                at=iso(made.at),
                delivery_id=delivery.delivery_id,
                type=delivery.type,
                status="delivered" if 200 <= (made.status_code or 0) < 300 else "pending",
                attempt=made.number,
                status_code=made.status_code,
            )


def _of_turn(call_id: str, turn: Turn) -> Iterator[LiveEvent]:
    def at(ms: int) -> str:
        return iso(turn.started_at + timedelta(milliseconds=max(0, ms - turn.start_ms)))

    if turn.latency is not None:
        yield reply_timed(call_id, turn.latency, at=iso(turn.started_at))
    for use in turn.tools:
        yield tool_used(call_id, use, at=at(use.at_ms))
    if turn.complete:
        yield turn_completed(call_id, turn, at=at(turn.end_ms if turn.end_ms is not None else turn.start_ms))
    else:
        yield words_of(call_id, turn, at=iso(turn.started_at))


def turn_completed(call_id: str, turn: Turn, **when: str) -> TurnCompleted:
    """`when`: `at`; none: now."""
    return TurnCompleted(
        call_id=call_id,
        turn=turn.index,
        speaker=turn.speaker,
        text=turn.text,
        start_ms=turn.start_ms,
        end_ms=turn.end_ms,
        interrupted=turn.interrupted,
        keys=turn.keys,
        **when,
    )


def reply_timed(call_id: str, latency: TurnLatency, **when: str) -> ReplyTimed:
    return ReplyTimed(call_id=call_id, **asdict(latency), **when)


def tool_used(call_id: str, use: ToolUse, **when: str) -> ToolUsed:
    return ToolUsed(
        call_id=call_id, name=use.name, arguments=use.arguments, result=use.result, at_ms=use.at_ms, **when
    )


def outcome_written(call_id: str, outcome: Outcome, **when: str) -> OutcomeWritten:
    return OutcomeWritten(
        call_id=call_id,
        reached_goal=outcome.reached_goal,
        summary=outcome.summary,
        source=outcome.source,
        fields=outcome.fields,
        **when,
    )


def words_of(call_id: str, turn: Turn, **when: str) -> TurnWords:
    """What is known so far of a turn that goes on."""
    kind = AgentWords if turn.speaker is Speaker.AGENT else CalleeWords
    return kind(call_id=call_id, turn=turn.index, text=turn.text, start_ms=turn.start_ms, **when)


def is_told(event: LiveEvent, record: CallRecord) -> bool:
    """Whether the record's history has it already."""
    match event:
        case StatusChanged():
            return not may_follow(record.status, event.status)
        case TurnWords() | TurnCompleted():
            return any(kept.index == event.turn and kept.complete for kept in record.turns)
        case ReplyTimed():
            kept_ms = (kept.latency.voice_to_voice_ms for kept in record.turns if kept.latency is not None)
            return event.voice_to_voice_ms in kept_ms
        case ToolUsed():
            uses = (use for kept in record.turns for use in kept.tools)
            return any((use.name, use.at_ms) == (event.name, event.at_ms) for use in uses)
        case AnswerDetected() | VendorTrouble():
            return any(iso(seen.at) >= event.at for seen in record.observations)
        case OutcomeWritten():
            return record.outcome is not None and record.outcome.source == event.source
        case _:
            return False
