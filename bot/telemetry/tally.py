"""Metrics and trace spans of one call: noted where it is dialled and where it ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.util.types import AttributeValue

from bot.errors import CarrierError, DialUnconfirmedError
from bot.records import CallRecord, EndedReason, Status
from bot.telemetry import metrics, tracing

_FAILURES = frozenset(
    {
        EndedReason.ERROR_STT,
        EndedReason.ERROR_LLM,
        EndedReason.ERROR_TTS,
        EndedReason.ERROR_LINE,
        EndedReason.DIAL_FAILED,
        EndedReason.SERVER_SHUTDOWN,
    }
)


@contextmanager
def dialling(call_id: str, carrier: str) -> Iterator[None]:
    """The carrier is asked to dial within the block, once; its errors pass."""
    with tracing.span("dial", call_id, carrier=carrier):
        try:
            yield
        except DialUnconfirmedError:
            metrics.dialled(carrier, "unconfirmed")
            raise
        except CarrierError:
            metrics.dialled(carrier, "refused")
            raise
    metrics.dialled(carrier, "accepted")


def call_over(record: CallRecord) -> None:
    """The record is final and complete: it counts, and its trace gets its root. Once a call, in any process."""
    metrics.call_ended(
        status=record.status,
        ended_reason=record.ended_reason,
        direction=record.direction,
        scenario=record.spec.scenario,
        duration_seconds=record.duration_seconds,
    )
    reason = record.ended_reason
    failed = record.status is Status.FAILED or reason in _FAILURES
    tracing.call_ended(
        record.call_id,
        begun=record.created_at,
        ended=record.ended_at or record.created_at,
        attributes=_attributes(record),
        failure=(reason or record.status) if failed else None,
    )


def _attributes(record: CallRecord) -> dict[str, AttributeValue | None]:
    """No number, no name, no word of the call."""
    return {
        "call.direction": record.direction,
        "call.status": record.status,
        "call.ended_reason": record.ended_reason,
        "call.scenario": record.spec.scenario,
        "call.attempt": record.attempt,
        "call.answered_by": record.answered_by,
        "call.duration_seconds": record.duration_seconds,
        "call.answer_to_first_audio_ms": record.answer_to_first_audio_ms,
        "call.turns": len(record.turns),
        "call.interruptions": record.counts.interruptions,
        "call.reached_goal": None if record.outcome is None else record.outcome.reached_goal,
        "call.campaign": record.campaign_id,
        **{f"call.vendor.{slot}": vendor for slot, vendor in record.vendors.items()},
    }
