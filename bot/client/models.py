"""What the API answers, typed. Fields that a newer server adds are kept, too (`model_extra`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class PlacedCall(_Answer):
    """Right after it was asked for: dialled, or `queued` and `waiting_for` something."""

    call_id: str
    call_sid: str | None = None
    status: str
    waiting_for: str | None = None
    opening_preview: str | None = None


class TranscriptTurn(_Answer):
    """A line of the transcript; times in ms on the recording's clock."""

    index: int
    speaker: str
    text: str
    start_ms: int
    end_ms: int | None = None
    interrupted: bool = False
    tools: list[dict[str, Any]] = []


class CallOutcome(_Answer):
    """`evidence`: field to the callee's words; `claimed`: what was recorded without such words."""

    reached_goal: bool
    summary: str
    fields: dict[str, Any]
    evidence: dict[str, list[str]]
    claimed: dict[str, Any] = {}
    unbacked_claims: list[str] = []
    source: str


class PhoneCall(_Answer):
    """A call's record. `transcript` is empty in lists."""

    call_id: str
    status: str
    ended_reason: str | None = None
    error: str | None = None
    phone_number: str
    scenario: str
    action: str
    metadata: dict[str, Any] = {}
    created_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    answered_by: str | None = None
    outcome: CallOutcome | None = None
    costs: dict[str, Any] | None = None
    recording_url: str | None = None
    waiting_for: str | None = None
    retried_as: str | None = None
    transcript: list[TranscriptTurn] = []

    @property
    def finished(self) -> bool:
        return self.ended_at is not None


class Event(_Answer):
    """What happened in a call, as it happens: `words = event.model_extra["text"]`."""

    event: str
    call_id: str
    at: datetime
