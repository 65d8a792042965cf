"""Records to rows and back: pure, and the one place that knows both shapes."""

from collections.abc import Iterable
from dataclasses import asdict, fields
from enum import StrEnum
from typing import Any, TypeVar, overload

from sqlalchemy import RowMapping

from bot.policy import DEFAULT_TERMS, Terms
from bot.records import (
    AnsweredBy,
    CallRecord,
    CallSpec,
    CostPart,
    Counts,
    Direction,
    EndedReason,
    Observation,
    Outcome,
    PricedItems,
    RecordingConsent,
    RulesOfCall,
    Speaker,
    Status,
    ToolUse,
    Turn,
    TurnLatency,
    Wait,
)
from bot.store.call_store import CallChange
from bot.store.kept_json import as_object, read, to_json

Row = dict[str, Any]
_Word = TypeVar("_Word", bound=StrEnum)


_WORDS = ("phone_number", "from_number", "action", "callee_name", "agent_name", "organization")
"""Of a spec: texts of clients."""
_SPEC = (*_WORDS, "scenario", "context", "first_speaker", "metadata")
_RECORD = (
    *("call_id", "call_sid", "direction", "status", "ended_reason", "error", "answered_by"),
    *("created_at", "started_at", "answered_at", "ended_at", "scheduled_at", "dialling_at", "carrier_ended_at"),
    *("duration_seconds", "answer_to_first_audio_ms", "recording", "vendors"),
    *("attempt", "first_call_id", "retried_as", "campaign_id", "contact_id", "waiting_for"),
    *("key_id", "request_hash", "followed_by", "held_by"),
    *("disclosed_at", "hello_to_first_word_ms", "abandoned", "caller_identity"),
)
_TURN = ("index", "speaker", "text", "started_at", "start_ms", "end_ms", "interrupted", "complete", "keys")
_COUNTS = tuple(field.name for field in fields(Counts))


def call_row(record: CallRecord) -> Row:
    return (
        {name: getattr(record, name) for name in _RECORD}
        | {name: getattr(record.spec, name) for name in _SPEC}
        | {name: storable(getattr(record.spec, name)) for name in _WORDS}
        | {
            "error": storable(record.error),
            "vendors": dict(record.vendors),
            "outcome": None if record.outcome is None else asdict(record.outcome),
            "terms": record.terms.to_json(),
            "caller_identity": dict(record.caller_identity),
            "compliance": None if record.compliance is None else asdict(record.compliance),
            "consent": _consent_row(record.consent),
            "observations": _observation_rows(record.observations),
        }
        | asdict(record.counts)
        | {name: value for part in CostPart for name, value in _cost_row(part, record.costs.get(part)).items()}
    )


def turn_row(call_id: str, turn: Turn) -> Row:
    return {name: getattr(turn, name) for name in _TURN} | {
        "call_id": call_id,
        "text": storable(turn.text),
        "latency": None if turn.latency is None else asdict(turn.latency),
        "tools": [asdict(tool) for tool in turn.tools],
        "word_ms": list(turn.word_ms) or None,
    }


def reply_row(call_id: str, turn: Turn) -> Row | None:
    """The reply's latency for figures, without its scenario; None where there is none, or none yet."""
    latency = turn.latency
    if latency is None or latency.voice_to_voice_ms is None or not turn.complete:
        return None
    at = {"call_id": call_id, "index": turn.index, "at_seconds": int(turn.started_at.timestamp())}
    return at | asdict(latency)


def change_row(change: CallChange) -> Row:
    """Only the columns that `change` writes."""
    row: Row = {field.name: getattr(change, field.name) for field in fields(change)}
    row |= {
        "error": storable(change.error),
        "vendors": None if change.vendors is None else dict(change.vendors),
        "outcome": None if change.outcome is None else asdict(change.outcome),
        "consent": _consent_row(change.consent),
        "observations": _observation_rows(change.observations or ()),
        "caller_identity": None if change.caller_identity is None else dict(change.caller_identity),
    }
    counts, costs = row.pop("counts"), row.pop("costs") or {}
    row |= {} if counts is None else asdict(counts)
    for part, priced in costs.items():
        row |= _cost_row(part, priced)
    return {column: value for column, value in row.items() if value is not None}


def call_record(row: RowMapping, turns: Iterable[Turn] = ()) -> CallRecord:
    """Of whatever the row holds, as much as a record can say."""
    spec: Row = {name: row[name] for name in _SPEC}
    known: Row = {name: row[name] for name in _RECORD}
    context = spec["context"]
    return CallRecord(
        **known
        | {
            "spec": CallSpec(
                **spec
                | {
                    "context": context if isinstance(context, str | dict) else to_json(context),
                    "metadata": as_object(spec["metadata"]),
                    "first_speaker": word(Speaker, row["first_speaker"]),
                }
            ),
            "direction": word(Direction, row["direction"]) or Direction.OUTBOUND,
            "status": word(Status, row["status"]) or Status.FAILED,
            "ended_reason": word(EndedReason, row["ended_reason"]),
            "answered_by": word(AnsweredBy, row["answered_by"]),
            "recording": row["recording"] or None,
            "waiting_for": word(Wait, row["waiting_for"]),
            "vendors": {slot: str(vendor) for slot, vendor in as_object(row["vendors"]).items()},
            "turns": tuple(turns),
            "counts": Counts(**{name: row[name] for name in _COUNTS}),
            "outcome": read(Outcome, row["outcome"]),
            "costs": {
                part: priced
                for part in CostPart
                if (priced := read(PricedItems, row[f"cost_{part.value}"])) is not None
            },
            "terms": read(Terms, row["terms"]) or DEFAULT_TERMS,
            "caller_identity": as_object(row["caller_identity"]),
            "compliance": read(RulesOfCall, row["compliance"]),
            "consent": read(RecordingConsent, row["consent"]),
            "observations": tuple(
                seen for one in row["observations"] or () if (seen := read(Observation, one)) is not None
            ),
        }
    )


def turn_record(row: RowMapping) -> Turn:
    known: Row = {name: row[name] for name in _TURN}
    tools = row["tools"] if isinstance(row["tools"], list) else ()
    return Turn(
        **known
        | {
            "speaker": word(Speaker, row["speaker"]) or Speaker.CALLEE,
            "latency": read(TurnLatency, row["latency"]),
            "word_ms": tuple(ms for ms in row["word_ms"] or () if isinstance(ms, int)),
            "tools": tuple(use for tool in tools if (use := read(ToolUse, tool)) is not None),
        }
    )


def word(kind: type[_Word], kept: object) -> _Word | None:
    """None for a word of another version."""
    try:
        return kind(str(kept))
    except ValueError:
        return None


def _observation_rows(observations: Iterable[Observation]) -> list[Row] | None:
    rows = [
        asdict(one) | {"at": one.at.isoformat(), "why": storable(one.why), "what": storable(one.what)}
        for one in observations
    ]
    return rows or None


def _consent_row(consent: RecordingConsent | None) -> Row | None:
    if consent is None:
        return None
    row = asdict(consent)
    times = {name: row[name] and row[name].isoformat() for name in ("said_at", "answered_at")}
    return row | times | {"words": storable(consent.words), "said": storable(consent.said)}


def _cost_row(part: CostPart, priced: PricedItems | None) -> Row:
    kept, usd = f"cost_{part.value}", f"usd_{part.value}"
    if priced is None:
        return {kept: None, usd: None}
    amounts = [item.usd for item in priced.items if item.usd is not None]
    return {
        kept: {"items": [asdict(item) for item in priced.items], "prices_of": priced.prices_of.isoformat()},
        usd: sum(amounts) if len(amounts) == len(priced.items) else None,
    }


@overload
def storable(text: str) -> str: ...
@overload
def storable(text: str | None) -> str | None: ...
def storable(text: str | None) -> str | None:
    """`text` as both databases can hold it: PostgreSQL's text has no U+0000, UTF-8 no lone surrogates."""
    if text is None:
        return None
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
