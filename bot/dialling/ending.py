"""How a call ended that nobody of us saw end: the carrier's word, read against the record. Pure."""

from __future__ import annotations

from bot.records import CallRecord, EndedReason, Status
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

    A call that was answered and that no process holds ended with the process that held it.
    """
    answered = record.answered_at is not None
    if answered:
        status = Status.COMPLETED
    elif known is not None and known.status.final:
        status = known.status
    else:
        status = Status.NO_ANSWER if known is not None else Status.FAILED
    reason = BY_STATUS.get(status, EndedReason.SERVER_SHUTDOWN)
    duration = None if known is None else known.duration_seconds
    return status, CallChange(ended_reason=reason, duration_seconds=duration)
