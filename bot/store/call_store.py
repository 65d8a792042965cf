"""What is written of a call at once.

Setting the carrier's id, ending a call, its outcome and its vendors are one method, `update`, with a
`CallChange`. One method a field was the other way: it grows with every field of a call, and a call's end
would be four transactions instead of one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.records import (
    AnsweredBy,
    CostPart,
    Counts,
    EndedReason,
    Observation,
    Outcome,
    PricedItems,
    RecordingConsent,
    Status,
    Wait,
)


@dataclass(frozen=True)
class CallChange:
    """Fields to write; None leaves a field as it is.

    The first `ended_reason`, `error` and `ended_at` to be written stand: what comes later (the carrier's
    callback after our own hang-up) is a consequence of the first.
    """

    call_sid: str | None = None
    ended_reason: EndedReason | None = None
    error: str | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    answer_to_first_audio_ms: float | None = None
    recording: str | None = None
    """"": there is none any more."""
    counts: Counts | None = None
    answered_by: AnsweredBy | None = None
    vendors: Mapping[str, str] | None = None
    outcome: Outcome | None = None
    costs: Mapping[CostPart, PricedItems] | None = None
    """Parts to write; the others stay."""
    retried_as: str | None = None
    scheduled_at: datetime | None = None
    waiting_for: Wait | None = None
    followed_by: str | None = None
    held_by: str | None = None
    dialling_at: datetime | None = None
    carrier_ended_at: datetime | None = None
    disclosed_at: datetime | None = None
    consent: RecordingConsent | None = None
    observations: Sequence[Observation] | None = None
    hello_to_first_word_ms: float | None = None
    abandoned: bool | None = None
    caller_identity: Mapping[str, str] | None = None


NO_CHANGE = CallChange()


class StoreListener:
    """What the store has written of calls; this one hears nothing. Called in the event loop."""

    def status_changed(self, call_id: str, status: Status, change: CallChange) -> None:
        """With what was written along with it."""

    def outcome_written(self, call_id: str, outcome: Outcome) -> None:
        """By rules at the end of the call, or by the model later."""
