"""Records to rows and back: pure, and the one place that knows both shapes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any, overload

from sqlalchemy import RowMapping

from bot.policy import Terms
from bot.records import (
    AnsweredBy,
    CallRecord,
    CallSpec,
    CostItem,
    CostPart,
    Counts,
    Direction,
    EndedReason,
    Outcome,
    PricedItems,
    Sentiment,
    Speaker,
    Status,
    ToolUse,
    Turn,
    TurnLatency,
)
from bot.store.call_store import CallChange

Row = dict[str, Any]


def call_row(record: CallRecord) -> Row:
    spec = record.spec
    return {
        "call_id": record.call_id,
        "call_sid": record.call_sid,
        "direction": record.direction.value,
        "status": record.status.value,
        "phone_number": storable(spec.phone_number),
        "from_number": storable(spec.from_number),
        "scenario": spec.scenario,
        "action": storable(spec.action),
        "context": spec.context,
        "callee_name": storable(spec.callee_name),
        "agent_name": storable(spec.agent_name),
        "organization": storable(spec.organization),
        "first_speaker": None if spec.first_speaker is None else spec.first_speaker.value,
        "metadata": spec.metadata,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "answered_at": record.answered_at,
        "ended_at": record.ended_at,
        "ended_reason": None if record.ended_reason is None else record.ended_reason.value,
        "error": storable(record.error),
        "duration_seconds": record.duration_seconds,
        "answer_to_first_audio_ms": record.answer_to_first_audio_ms,
        "recording": record.recording,
        "vendors": dict(record.vendors),
        "interruptions": record.counts.interruptions,
        "speculations_kept": record.counts.speculations_kept,
        "speculations_dropped": record.counts.speculations_dropped,
        "answered_by": None if record.answered_by is None else record.answered_by.value,
        "outcome": None if record.outcome is None else asdict(record.outcome),
        **{f"cost_{part.value}": _priced_row(record.costs.get(part)) for part in CostPart},
        "terms": record.terms.to_json(),
        "attempt": record.attempt,
        "first_call_id": record.first_call_id,
        "retried_as": record.retried_as,
        "scheduled_at": record.scheduled_at,
        "key_id": record.key_id,
        "campaign_id": record.campaign_id,
        "contact_id": record.contact_id,
        "request_hash": record.request_hash,
        "followed_by": record.followed_by,
        "held_by": record.held_by,
        "dialling_at": record.dialling_at,
        "carrier_ended_at": record.carrier_ended_at,
    }


def turn_row(call_id: str, turn: Turn) -> Row:
    return {
        "call_id": call_id,
        "index": turn.index,
        "speaker": turn.speaker.value,
        "text": storable(turn.text),
        "started_at": turn.started_at,
        "start_ms": turn.start_ms,
        "end_ms": turn.end_ms,
        "interrupted": turn.interrupted,
        "complete": turn.complete,
        "latency": None if turn.latency is None else asdict(turn.latency),
        "tools": [asdict(tool) for tool in turn.tools],
    }


def change_row(change: CallChange) -> Row:
    """Only the columns that `change` writes."""
    row: Row = {
        "call_sid": change.call_sid,
        "ended_reason": None if change.ended_reason is None else change.ended_reason.value,
        "error": storable(change.error),
        "ended_at": change.ended_at,
        "duration_seconds": change.duration_seconds,
        "answer_to_first_audio_ms": change.answer_to_first_audio_ms,
        "recording": change.recording,
        "interruptions": None if change.counts is None else change.counts.interruptions,
        "speculations_kept": None if change.counts is None else change.counts.speculations_kept,
        "speculations_dropped": None if change.counts is None else change.counts.speculations_dropped,
        "answered_by": None if change.answered_by is None else change.answered_by.value,
        "vendors": None if change.vendors is None else dict(change.vendors),
        "outcome": None if change.outcome is None else asdict(change.outcome),
        **{f"cost_{part.value}": _priced_row(priced) for part, priced in (change.costs or {}).items()},
        "retried_as": change.retried_as,
        "scheduled_at": change.scheduled_at,
        "followed_by": change.followed_by,
        "held_by": change.held_by,
        "dialling_at": change.dialling_at,
        "carrier_ended_at": change.carrier_ended_at,
    }
    return {column: value for column, value in row.items() if value is not None}


def call_record(row: RowMapping, turns: Iterable[Turn] = ()) -> CallRecord:
    spec = CallSpec(
        phone_number=row["phone_number"],
        scenario=row["scenario"],
        action=row["action"],
        context=row["context"],
        callee_name=row["callee_name"],
        agent_name=row["agent_name"],
        organization=row["organization"],
        first_speaker=None if row["first_speaker"] is None else Speaker(row["first_speaker"]),
        from_number=row["from_number"],
        metadata=row["metadata"],
    )
    return CallRecord(
        call_id=row["call_id"],
        spec=spec,
        direction=Direction(row["direction"]),
        status=Status(row["status"]),
        created_at=row["created_at"],
        call_sid=row["call_sid"],
        ended_reason=None if row["ended_reason"] is None else EndedReason(row["ended_reason"]),
        error=row["error"],
        started_at=row["started_at"],
        answered_at=row["answered_at"],
        ended_at=row["ended_at"],
        duration_seconds=row["duration_seconds"],
        answer_to_first_audio_ms=row["answer_to_first_audio_ms"],
        recording=row["recording"],
        vendors=row["vendors"],
        turns=tuple(turns),
        counts=Counts(row["interruptions"], row["speculations_kept"], row["speculations_dropped"]),
        answered_by=None if row["answered_by"] is None else AnsweredBy(row["answered_by"]),
        outcome=None if row["outcome"] is None else _outcome(row["outcome"]),
        costs={part: priced for part in CostPart if (priced := _priced(row[f"cost_{part.value}"])) is not None},
        terms=Terms.from_json(row["terms"]),
        attempt=row["attempt"],
        first_call_id=row["first_call_id"],
        retried_as=row["retried_as"],
        scheduled_at=row["scheduled_at"],
        key_id=row["key_id"],
        campaign_id=row["campaign_id"],
        contact_id=row["contact_id"],
        request_hash=row["request_hash"],
        followed_by=row["followed_by"],
        held_by=row["held_by"],
        dialling_at=row["dialling_at"],
        carrier_ended_at=row["carrier_ended_at"],
    )


def turn_record(row: RowMapping) -> Turn:
    return Turn(
        index=row["index"],
        speaker=Speaker(row["speaker"]),
        text=row["text"],
        started_at=row["started_at"],
        start_ms=row["start_ms"],
        end_ms=row["end_ms"],
        interrupted=row["interrupted"],
        complete=row["complete"],
        latency=None if row["latency"] is None else TurnLatency(**row["latency"]),
        tools=tuple(ToolUse(**tool) for tool in row["tools"]),
    )


def _outcome(kept: Mapping[str, Any]) -> Outcome:
    """One kept before outcomes had a sentiment is neutral."""
    return Outcome(**{**kept, "callee_sentiment": Sentiment(kept.get("callee_sentiment", Sentiment.NEUTRAL))})


def _priced_row(priced: PricedItems | None) -> Row | None:
    if priced is None:
        return None
    return {"items": [asdict(item) for item in priced.items], "prices_of": priced.prices_of.isoformat()}


def _priced(kept: Mapping[str, Any] | None) -> PricedItems | None:
    if kept is None:
        return None
    items = tuple(CostItem(**item) for item in kept["items"])
    return PricedItems(items, date.fromisoformat(kept["prices_of"]))


@overload
def storable(text: str) -> str: ...
@overload
def storable(text: str | None) -> str | None: ...
def storable(text: str | None) -> str | None:
    """`text` as both databases can hold it: PostgreSQL's text has no U+0000, UTF-8 no lone surrogates."""
    if text is None:
        return None
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def to_json(value: object) -> str:
    """JSON for a column. What JSON cannot say becomes null (NaN, infinity) or text: no turn is lost to it."""
    try:
        return json.dumps(value, allow_nan=False, default=str)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, default=str)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
