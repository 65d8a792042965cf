"""Calls and turns the store's tests keep."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.records import CallRecord, CallSpec, Direction, Speaker, Status, ToolUse, Turn, TurnLatency

NOON = datetime(2026, 3, 2, 12, 0, 0, 123000, tzinfo=UTC)


def a_call(call_id: str = "call-1", *, minutes: float = 0.0, **changes: Any) -> CallRecord:
    record = CallRecord(
        call_id=call_id,
        spec=CallSpec(
            phone_number="+12025550123",
            scenario="appointment_confirmation",
            action="Confirm the dentist appointment",
            context={"z": 1, "a": ["Dr. Smith", {"suite": 200}]},
            callee_name="Zoë",
            first_speaker=Speaker.CALLEE,
            metadata={"order": [3, 1, 2], "nested": {"b": None, "a": True}, "text": "\u2603 \x00"},
        ),
        direction=Direction.OUTBOUND,
        status=Status.QUEUED,
        created_at=NOON + timedelta(minutes=minutes),
    )
    return replace(record, **changes)


def a_turn(index: int = 0, text: str = "Hello?", **changes: Any) -> Turn:
    turn = Turn(
        index=index,
        speaker=Speaker.AGENT if index % 2 else Speaker.CALLEE,
        text=text,
        started_at=NOON + timedelta(seconds=index),
        start_ms=index * 1000,
        end_ms=index * 1000 + 800,
        latency=TurnLatency(voice_to_voice_ms=612.5, llm_ms=300.0),
        tools=(ToolUse(name="end_call", arguments={"why": "done"}, result={"ok": True}, at_ms=1700),),
    )
    return replace(turn, **changes)
