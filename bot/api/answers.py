"""What callers get: the records in JSON. Times are UTC with milliseconds, durations say their unit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from bot.calls.costs import total_usd
from bot.records import (
    AnsweredBy,
    CallRecord,
    CostPart,
    Direction,
    EndedReason,
    Health,
    PricedItems,
    Registration,
    Sentiment,
    Speaker,
    Status,
)


def iso_milliseconds(moment: datetime) -> str:
    """2026-03-02T12:00:00.123Z"""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


Time = Annotated[
    datetime,
    PlainSerializer(iso_milliseconds, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class LatencyAnswer(_Answer):
    """Where a reply's time went; null where the part was not seen."""

    voice_to_voice_ms: float | None
    vad_ms: float | None
    stt_ms: float | None
    turn_ms: float | None
    llm_ms: float | None
    sentence_ms: float | None
    tts_ms: float | None
    line_ms: float | None


class ToolUseAnswer(_Answer):
    name: str
    arguments: dict[str, Any]
    result: Any
    at_ms: int


class TurnAnswer(_Answer):
    index: int
    speaker: Speaker
    text: str = Field(description="An agent's turn holds exactly the words that were heard.")
    started_at: Time
    start_ms: int = Field(description="On the media clock, which starts with the call's first audio.")
    end_ms: int | None
    interrupted: bool
    complete: bool = Field(description="False while it is still being spoken.")
    latency: LatencyAnswer | None
    tools: list[ToolUseAnswer]
    keys: bool = Field(description="`text` was typed on the telephone; **** where the scenario calls it secret.")


class OutcomeAnswer(_Answer):
    reached_goal: bool
    summary: str = Field(description="Two sentences.")
    fields: dict[str, Any] = Field(
        description="The scenario's outcome fields, or those of the request's outcome_schema; null: not known."
    )
    callee_sentiment: Sentiment
    evidence: dict[str, list[str]] = Field(description="Field to the words of the transcript it rests on.")
    source: str = Field(description="rules, tools (recorded during the call) or claude (read afterwards).")
    recorded: list[str] = Field(description="What tools recorded during the call; nothing inferred outranks it.")
    analysis_error: str | None = Field(
        description="Why the model has not filled the outcome, where it should have; the rules' word stands."
    )


class CostItemAnswer(_Answer):
    """A line of a vendor's bill."""

    part: CostPart
    vendor: str
    what: str
    quantity: float | None = Field(description="Null where only the vendor can know it.")
    unit: str
    usd: float | None = Field(description="Null where no price is known.")


class CostsAnswer(_Answer):
    items: list[CostItemAnswer]
    total_usd: float | None = Field(description="Null where one of the items has no known price.")
    prices_of: date = Field(description="The date of the price table.")

    @classmethod
    def of(cls, costs: Mapping[CostPart, PricedItems]) -> CostsAnswer | None:
        """None while nothing was counted."""
        if not costs:
            return None
        items = [
            CostItemAnswer(part=part, **vars(item)) for part, priced in costs.items() for item in priced.items
        ]
        return cls(
            items=items,
            total_usd=total_usd(costs),
            prices_of=min(priced.prices_of for priced in costs.values()),
        )


_SUMMARY_EXAMPLE: dict[str, Any] = {
    "call_id": "c_01",
    "call_sid": "CA0123456789abcdef0123456789abcdef",
    "direction": "outbound",
    "status": "completed",
    "ended_reason": "agent_hangup",
    "error": None,
    "phone_number": "+12025550123",
    "from_number": None,
    "scenario": "appointment_confirmation",
    "action": "Confirm your dentist appointment Thursday at 2pm",
    "context": "Dr. Smith, Suite 200. Rescheduling available Mon-Fri.",
    "callee_name": "John",
    "agent_name": "Alex",
    "organization": "Downtown Dental",
    "first_speaker": None,
    "metadata": {"crm_id": "A-17"},
    "created_at": "2026-03-02T12:00:00.123Z",
    "started_at": "2026-03-02T12:00:00.310Z",
    "answered_at": "2026-03-02T12:00:06.020Z",
    "ended_at": "2026-03-02T12:00:41.733Z",
    "duration_seconds": 35.7,
    "answer_to_first_audio_ms": 182.0,
    "interruptions": 1,
    "speculations_kept": 3,
    "speculations_dropped": 1,
    "answered_by": "person",
    "vendors": {"carrier": "twilio", "stt": "deepgram", "llm": "anthropic", "tts": "elevenlabs"},
    "outcome": {
        "reached_goal": True,
        "summary": "John confirmed Thursday at 2pm. He asked where to park and was told.",
        "fields": {"confirmed": True, "requested_change": None},
        "callee_sentiment": "positive",
        "evidence": {"confirmed": ["Yes, that works."]},
        "source": "claude",
        "recorded": ["confirmed", "reached_goal"],
        "analysis_error": None,
    },
    "costs": {
        "items": [
            {
                "part": "carrier",
                "vendor": "twilio",
                "what": "outbound US",
                "quantity": 1.0,
                "unit": "minutes",
                "usd": 0.014,
            }
        ],
        "total_usd": 0.014,
        "prices_of": "2026-11-22",
    },
    "recording_url": "/api/phone/calls/c_01/recording",
}
_TURN_EXAMPLE: dict[str, Any] = {
    "index": 0,
    "speaker": "callee",
    "text": "Hello?",
    "started_at": "2026-03-02T12:00:06.420Z",
    "start_ms": 400,
    "end_ms": 880,
    "interrupted": False,
    "complete": True,
    "latency": None,
    "tools": [],
    "keys": False,
}


class CallSummary(_Answer):
    """A call without its transcript."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SUMMARY_EXAMPLE]})

    call_id: str
    call_sid: str | None = Field(description="The carrier's id; null until it was dialled.")
    direction: Direction
    status: Status
    ended_reason: EndedReason | None
    error: str | None = Field(description="The vendor's own words when a vendor ended the call.")
    phone_number: str
    from_number: str | None
    scenario: str
    action: str
    context: str | dict[str, Any]
    callee_name: str | None
    agent_name: str | None
    organization: str | None
    first_speaker: Speaker | None
    metadata: dict[str, Any]
    created_at: Time
    started_at: Time | None
    answered_at: Time | None
    ended_at: Time | None
    duration_seconds: float | None = Field(description="Answer to end.")
    answer_to_first_audio_ms: float | None
    interruptions: int
    speculations_kept: int = Field(description="Replies begun before the callee's turn was over, and used.")
    speculations_dropped: int = Field(description="Replies begun early and dropped unheard.")
    answered_by: AnsweredBy | None = Field(
        description="Who or what was there in the end: a person who comes on after a machine counts; "
        "nobody: not a sound was heard. Null: never answered."
    )
    vendors: dict[str, str] = Field(
        description="Slot to the vendor or engine that held this call. llm: the one that stood in, "
        "where the first never replied."
    )
    outcome: OutcomeAnswer | None
    costs: CostsAnswer | None = Field(description="What it cost so far; null while nothing was counted.")
    recording_url: str | None = Field(description="Path of the recording on this server.")
    scheduled_at: Time | None = Field(
        description="Not dialled before: as asked for, or put off by hours and limits."
    )
    attempt: int = Field(description="Which dialling of one wish this is.")
    first_call_id: str | None = Field(description="The first attempt's call; null for the first itself.")
    retried_as: str | None = Field(description="The next attempt's call.")
    campaign_id: str | None
    contact_id: str | None

    @classmethod
    def of(cls, record: CallRecord, recording_url: str) -> Self:
        """`recording_url` is where a recording of the call would be."""
        return cls.model_validate(_fields(record, recording_url))


class CallAnswer(CallSummary):
    """A call with its transcript."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_SUMMARY_EXAMPLE, "transcript": [_TURN_EXAMPLE]}]}
    )

    transcript: list[TurnAnswer]


def as_event(record: CallRecord) -> Any:
    """A call as webhooks send it: as `GET /calls/{call_id}` answers it, a JSON value."""
    recording = f"/api/phone/calls/{record.call_id}/recording"
    return CallAnswer.of(record, recording).model_dump(mode="json")


class PlacedAnswer(_Answer):
    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "call_id": "c_01",
                    "call_sid": "CA0123456789abcdef0123456789abcdef",
                    "status": "initiated",
                }
            ]
        },
    )

    call_id: str
    call_sid: str | None
    status: Status

    @classmethod
    def of(cls, record: CallRecord) -> Self:
        return cls(call_id=record.call_id, call_sid=record.call_sid, status=record.status)


class PageAnswer(_Answer):
    calls: list[CallSummary] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Pass it as `cursor` for the page after; null on the last.")


class RegistrationAnswer(_Answer):
    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "call_id": "c_01",
                    "voice_url": "https://bot.example.com/api/phone/twilio/voice?call_id=c_01",
                    "status_url": "https://bot.example.com/api/phone/twilio/status?call_id=c_01",
                    "token_seconds": 30.0,
                    "expires_at": "2026-03-02T12:02:00.123Z",
                }
            ]
        },
    )

    call_id: str
    voice_url: str = Field(description="What your carrier is to fetch when the callee picks up.")
    status_url: str = Field(description="For your carrier's status callbacks; optional.")
    token_seconds: float = Field(description="How long the one-use media token lives once voice_url was fetched.")
    expires_at: Time = Field(description="Until when the call waits to be dialled.")

    @classmethod
    def of(cls, registration: Registration) -> Self:
        return cls.model_validate(registration)


class SlotAnswer(_Answer):
    vendor: str
    state: str
    why: str


class HealthAnswer(_Answer):
    ready: bool
    why_not_ready: str | None
    slots: dict[str, SlotAnswer]
    calls_on_line: int
    capacity: int
    version: str

    @classmethod
    def of(cls, health: Health) -> Self:
        return cls.model_validate(health)


class LiveAnswer(_Answer):
    live: bool = True


def _fields(record: CallRecord, recording_url: str) -> dict[str, Any]:
    return {
        **vars(record.spec),
        **vars(record),
        **vars(record.counts),
        "costs": CostsAnswer.of(record.costs),
        "transcript": record.turns,
        "recording_url": recording_url if record.recording else None,
    }
