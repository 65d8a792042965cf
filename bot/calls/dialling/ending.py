"""How a call ended that nobody of us saw end: the carrier's word, read against the record. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.records import AnsweredBy, CallRecord, EndedReason, Speaker, Status, Turn
from bot.store import CallChange
from bot.telephony.carrier import CarrierCall

BY_STATUS = {
    Status.BUSY: EndedReason.DIAL_BUSY,
    Status.NO_ANSWER: EndedReason.DIAL_NO_ANSWER,
    Status.FAILED: EndedReason.DIAL_FAILED,
    Status.CANCELED: EndedReason.CANCELED,
}
"""What the carrier's last word says of a call that nobody answered."""


def ended_by(record: CallRecord, known: CarrierCall | None) -> tuple[Status, CallChange]:
    """The final status and what is written with it. `known`: the call as the carrier has it, None if it does not.

    A call that was answered and that no process holds ended with the process that held it: not now, when that is
    noticed, but when the last was heard of it.
    """
    duration = None if known is None else known.duration_seconds
    if record.answered_at is not None:
        ended_at = _ended_at(record, record.answered_at, duration)
        if ended_at is not None:
            duration = round((ended_at - record.answered_at).total_seconds(), 3)
        return Status.COMPLETED, CallChange(
            ended_reason=EndedReason.SERVER_SHUTDOWN,
            ended_at=ended_at,
            duration_seconds=duration,
            answered_by=_answered_by(record),
        )
    if known is not None and known.status.final:
        status = known.status
    else:
        status = Status.NO_ANSWER if known is not None else Status.FAILED
    reason = BY_STATUS.get(status, EndedReason.SERVER_SHUTDOWN)
    return status, CallChange(ended_reason=reason, duration_seconds=duration)


def _ended_at(record: CallRecord, answered_at: datetime, duration: float | None) -> datetime | None:
    """The end of the last kept turn, or later by the carrier's own duration; None: nothing tells.

    When the carrier's word of the end came stands behind both: it may have waited for the next process. A turn
    that was cut off has no end; it counts by its beginning.
    """
    ends = [_end_of(turn) for turn in record.turns]
    if duration is not None:
        ends.append(answered_at + timedelta(seconds=duration))
    if not ends and record.carrier_ended_at is not None:
        ends.append(record.carrier_ended_at)
    return max((answered_at, *ends)) if ends else None


def _end_of(turn: Turn) -> datetime:
    if turn.end_ms is None:
        return turn.started_at
    return turn.started_at + timedelta(milliseconds=turn.end_ms - turn.start_ms)


def _answered_by(record: CallRecord) -> AnsweredBy | None:
    """None: leave what is kept. Who said something and was not found out to be a machine is a person."""
    spoke = any(turn.speaker is Speaker.CALLEE and turn.text.strip() for turn in record.turns)
    return AnsweredBy.PERSON if spoke and record.answered_by is None else None
