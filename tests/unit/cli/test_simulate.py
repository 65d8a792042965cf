"""What `phone-agent simulate` prints of a call."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bot.cli.simulate import summary, tool_line, with_outcome
from bot.records import (
    AnsweredBy,
    CallRecord,
    CallSpec,
    Direction,
    EndedReason,
    Outcome,
    Status,
    ToolUse,
)

BUSY = CallRecord(
    call_id="c_1",
    spec=CallSpec(phone_number="+12025550123", scenario="survey"),
    direction=Direction.OUTBOUND,
    status=Status.BUSY,
    created_at=datetime(2026, 3, 1, tzinfo=UTC),
    ended_reason=EndedReason.DIAL_BUSY,
)


def test_a_call_that_was_never_answered_has_no_length_and_no_recording(tmp_path: Path) -> None:
    assert summary(BUSY, tmp_path) == ["", "call        c_1", "status      busy, dial_busy"]


def test_a_call_that_was_held(tmp_path: Path) -> None:
    held = replace(
        BUSY,
        status=Status.COMPLETED,
        ended_reason=EndedReason.AGENT_HANGUP,
        duration_seconds=12.5,
        answered_by=AnsweredBy.PERSON,
        outcome=Outcome(
            True,
            "They come.",
            {"confirmed": True, "change": None, "messages": [{"message": "Call me.", "name": "John"}]},
        ),
        recording="c_1.wav",
    )
    assert summary(held, tmp_path)[1:] == [
        "call        c_1",
        "status      completed, agent_hangup, 12.5 s",
        "answered by person",
        "outcome     reached: They come.",
        "            confirmed: yes",
        "            message: Call me. (name John)",
        f"recording   {tmp_path.resolve() / 'c_1.wav'}",
    ]


async def test_a_call_that_nobody_answered_is_shown_with_its_outcome() -> None:
    judged = replace(BUSY, outcome=Outcome(False, "Nobody was reached.", {}))
    looks = iter([BUSY, BUSY, judged])

    async def get(_call_id: str) -> CallRecord:
        return next(looks)

    async def never(_call_id: str) -> CallRecord:
        return BUSY

    assert await with_outcome(get, "c_1") is judged
    assert await with_outcome(never, "c_1", within_seconds=0.0) is BUSY


def test_a_tool_is_shown_with_what_came_of_it() -> None:
    use = ToolUse("record_outcome", {"confirmed": True}, {"noted": ["confirmed"]}, 1200)
    assert tool_line(use) == "> record_outcome(confirmed yes): noted confirmed"
    assert len(tool_line(replace(use, result="long " * 100))) <= 160
