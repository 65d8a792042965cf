"""When a call's recording can be had."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.calls.recordings import Recordings
from bot.errors import ConflictError, NotFoundError
from bot.records import CallRecord, CallSpec, Direction, Status

RECORD = CallRecord(
    "c_01",
    CallSpec("+12025550123", "s", "Ask"),
    Direction.OUTBOUND,
    Status.COMPLETED,
    datetime(2026, 3, 2, tzinfo=UTC),
    recording="c_01.wav",
)


@pytest.mark.parametrize("status", [status for status in Status if not status.final])
async def test_while_the_call_is_on_it_is_not_there_yet(tmp_path: Path, status: Status) -> None:
    """Whether its file is begun or not: what is being written would be cut short on the way."""
    recordings = Recordings(tmp_path)
    recordings.path("c_01").write_bytes(b"RIFF")
    for named in ("c_01.wav", None):
        with pytest.raises(ConflictError, match="is not over") as raised:
            await recordings.find(replace(RECORD, status=status, recording=named))
        assert (raised.value.code, raised.value.retryable) == ("not_yet", True)


async def test_afterwards_it_is_there_or_was_never_made(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    with pytest.raises(NotFoundError, match="here"):
        await recordings.find(RECORD)
    recordings.path("c_01").write_bytes(b"RIFF")
    path, found = await recordings.find(RECORD)
    assert (path, found.st_size) == (tmp_path / "c_01.wav", 4)
    with pytest.raises(NotFoundError, match="no recording"):
        await recordings.find(replace(RECORD, recording=None))
