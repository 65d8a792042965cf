"""What callers get: the records in JSON. Times are UTC with milliseconds, durations say their unit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from importlib.resources import files
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from bot.calls.costs import total_usd
from bot.policy import CallPurpose
from bot.records import (
    AnsweredBy,
    CallRecord,
    ConsentAnswer,
    CostPart,
    Direction,
    EndedReason,
    FirstSpeaker,
    PricedItems,
    Sentiment,
    Speaker,
    Status,
    Wait,
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


EXAMPLES: Mapping[str, Any] = json.loads(files("bot.api").joinpath("examples.json").read_text("utf-8"))
"""By the name of the model; of errors by their status."""


def _show_example(schema: dict[str, Any], model: type[BaseModel]) -> None:
    if model.__name__ in EXAMPLES:
        schema["examples"] = [EXAMPLES[model.__name__]]


class ApiAnswer(BaseModel):
    """Made from a record of ours by `model_validate`; documented with its example of examples.json."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra=_show_example)


class LatencyAnswer(ApiAnswer):
    """Where a reply's time went; null where the part was not seen."""

    voice_to_voice_ms: float | None
    vad_ms: float | None
    stt_ms: float | None
    turn_ms: float | None
    llm_ms: float | None
    sentence_ms: float | None
    tts_ms: float | None
    line_ms: float | None


class ToolUseAnswer(ApiAnswer):
    name: str
    arguments: dict[str, Any]
    result: Any
    at_ms: int


class TurnAnswer(ApiAnswer):
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
    word_ms: list[int] = Field(
        description="When each word of the agent began to be heard, on the media clock; empty where not known."
    )


class ObservationAnswer(ApiAnswer):
    """What explains a call and is no one's words."""

    at: Time = Field(description="When it was seen.")
    what: str = Field(description="Who was taken to be there, or a vendor's name.")
    why: str = Field(description="What that rests on; or what befell the vendor, such as connection_lost.")
    vendor: bool = Field(description="Whether it is about a vendor.")


class OutcomeAnswer(ApiAnswer):
    reached_goal: bool
    summary: str = Field(description="Two sentences.")
    fields: dict[str, Any] = Field(
        description="The scenario's outcome fields, or those of the request's outcome_schema; null: not known."
    )
    callee_sentiment: Sentiment
    evidence: dict[str, list[str]] = Field(description="Field to the words of the transcript it rests on.")
    source: str = Field(description="rules, tools (recorded during the call) or claude (read afterwards).")
    recorded: list[str] = Field(description="What tools recorded during the call; nothing inferred outranks it.")
    claimed: dict[str, Any] = Field(
        description="What was recorded without the callee's own words: fields that commit them, reached_goal."
    )
    unbacked_claims: list[str] = Field(description="What the agent said it had done, and no tool did.")
    dates: dict[str, dict[str, str]] = Field(
        description="Field, or summary, to words in it that name a day and that day in the callee's time zone."
    )
    analysis_error: str | None = Field(
        description="Why the model has not filled the outcome, where it should have; the rules' word stands."
    )


class CostItemAnswer(ApiAnswer):
    """A line of a vendor's bill."""

    part: CostPart
    vendor: str
    what: str
    quantity: float | None = Field(description="Null where only the vendor can know it.")
    unit: str
    usd: float | None = Field(description="Null where no price is known.")


class CostsAnswer(ApiAnswer):
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


class CallConsentAnswer(ApiAnswer):
    kind: str
    at: str
    source: str


class RulesAnswer(ApiAnswer):
    profile: str
    changed: dict[str, Any] = Field(description="Settings that the scenario has otherwise than the profile.")
    switched_off: list[str] = Field(description="What of the profile is not done.")


class ConsentAnswerBody(ApiAnswer):
    mode: str = Field(description="announce, ask, or silent.")
    said: str | None = Field(description="The agent's sentence; null: the callee spoke of it first.")
    said_at: Time | None
    answer: ConsentAnswer | None = Field(description="unclear counts as no; null: none was asked for, or came.")
    words: str | None = Field(description="The callee's own.")
    answered_at: Time | None
    recording: str = Field(description="kept, stopped (what was recorded until then is kept), deleted, or none.")


class CallSummary(ApiAnswer):
    """A call without its transcript."""

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
    first_speaker: FirstSpeaker | None
    metadata: dict[str, Any]
    created_at: Time
    started_at: Time | None
    answered_at: Time | None
    ended_at: Time | None
    duration_seconds: float | None = Field(description="ApiAnswer to end.")
    answer_to_first_audio_ms: float | None
    interruptions: int
    speculations_kept: int = Field(description="Replies begun before the callee's turn was over, and used.")
    speculations_dropped: int = Field(description="Replies begun early and dropped unheard.")
    answered_by: AnsweredBy | None = Field(
        description="Who or what was there in the end: a person who comes on after a machine counts; "
        "nobody: not a sound was heard. Null: never answered."
    )
    vendors: dict[str, str] = Field(
        description="Slot to the vendor or engine that held this call. llm: the one that stood in, where the "
        "first never replied. stt_fallback, tts_fallback, llm_fallback: who went on where that one was lost."
    )
    outcome: OutcomeAnswer | None
    costs: CostsAnswer | None = Field(description="What it cost so far; null while nothing was counted.")
    recording_url: str | None = Field(description="Path of the recording on this server.")
    scheduled_at: Time | None = Field(
        description="Not dialled before: as asked for, or put off by hours and limits."
    )
    waiting_for: Wait | None = Field(description="Why it is not dialled yet; null once it is.")
    attempt: int = Field(description="Which dialling of one wish this is.")
    first_call_id: str | None = Field(description="The first attempt's call; null for the first itself.")
    retried_as: str | None = Field(description="The next attempt's call.")
    campaign_id: str | None
    contact_id: str | None
    purpose: CallPurpose | None = Field(description="Null: what its profile says.")
    consent_to_call: CallConsentAnswer | None = Field(description="As the request gave it.")
    compliance: RulesAnswer | None = Field(description="Null: a call from before there were profiles.")
    disclosed_at: Time | None = Field(
        description="When the callee had heard, to its end, that an AI assistant speaks."
    )
    consent: ConsentAnswerBody | None = Field(description="To the recording; null: it was never spoken of.")
    hello_to_first_word_ms: float | None = Field(
        description="From the end of the callee's first words to the agent's first."
    )
    abandoned: bool | None = Field(
        description="The callee said hello and heard no word of the agent within two seconds; null: no hello."
    )
    caller_identity: dict[str, str] = Field(
        description="What the carrier reported of how our number was shown, such as StirStatus."
    )

    @classmethod
    def of(cls, record: CallRecord, recording_url: str) -> Self:
        """`recording_url` is where a recording of the call would be."""
        return cls.model_validate(_fields(record, recording_url))


class CallAnswer(CallSummary):
    """A call with its transcript."""

    observations: list[ObservationAnswer] = Field(
        description="Who was taken to be there and why, and vendors' failures; written at the end of the call."
    )
    transcript: list[TurnAnswer]


def as_event(record: CallRecord) -> Any:
    """A call as webhooks send it: as `GET /calls/{call_id}` answers it, a JSON value."""
    recording = f"/api/phone/calls/{record.call_id}/recording"
    return CallAnswer.of(record, recording).model_dump(mode="json")


class PlacedAnswer(ApiAnswer):
    call_id: str
    call_sid: str | None
    status: Status
    waiting_for: Wait | None = Field(description="Why it is not dialled yet; null where it is.")
    opening_preview: str | None = Field(
        description="What the agent says first to a person; null where the model writes it while the phone rings."
    )

    @classmethod
    def of(cls, record: CallRecord, opening_preview: str | None) -> Self:
        return cls(
            call_id=record.call_id,
            call_sid=record.call_sid,
            status=record.status,
            waiting_for=_waiting_for(record),
            opening_preview=opening_preview,
        )


class PageAnswer(ApiAnswer):
    calls: list[CallSummary] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Pass it as `cursor` for the page after; null on the last.")


class RegistrationAnswer(ApiAnswer):
    call_id: str
    voice_url: str = Field(description="What your carrier is to fetch when the callee picks up.")
    status_url: str = Field(description="For your carrier's status callbacks; optional.")
    warning: str | None = Field(description="Why your carrier may not reach these URLs.")
    token_seconds: float = Field(description="How long the one-use media token lives once voice_url was fetched.")
    expires_at: Time = Field(description="Until when the call waits to be dialled.")


class SlotAnswer(ApiAnswer):
    vendor: str
    state: str
    why: str


class HealthAnswer(ApiAnswer):
    ready: bool
    why_not_ready: str | None
    slots: dict[str, SlotAnswer]
    calls_on_line: int
    capacity: int
    version: str


class LiveAnswer(ApiAnswer):
    live: bool = True


def _fields(record: CallRecord, recording_url: str) -> dict[str, Any]:
    return {
        **vars(record.spec),
        **vars(record),
        **vars(record.counts),
        "costs": CostsAnswer.of(record.costs),
        "transcript": record.turns,
        "purpose": record.terms.purpose,
        "consent_to_call": record.terms.consent,
        "recording_url": recording_url if record.recording else None,
        "waiting_for": _waiting_for(record),
    }


def _waiting_for(record: CallRecord) -> Wait | None:
    waits = record.status is Status.QUEUED and record.dialling_at is None
    return record.waiting_for if waits else None
