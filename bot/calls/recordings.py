"""Where finished recordings are kept: one WAV a call, in a folder of this machine."""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from bot.errors import ConflictError, NotFoundError
from bot.records import CallRecord


@dataclass(frozen=True)
class Recordings:
    """One machine's; other servers of the same database may have folders of their own."""

    folder: Path

    def path(self, call_id: str) -> Path:
        """Where a call's recording is written while the call goes on."""
        return self.folder / f"{call_id}.wav"

    async def find(self, record: CallRecord) -> tuple[Path, os.stat_result]:
        """The file and its size. NotFoundError when the call has none, or has it on another server; ConflictError
        while it is being written."""
        if not record.status.final:
            message = f"Call {record.call_id!r} is not over: its recording is there afterwards."
            raise ConflictError(message, code="not_yet", field="call_id", retryable=True)
        if record.recording is None:
            raise NotFoundError(f"Call {record.call_id!r} has no recording.", field="call_id")
        path = self.folder / record.recording
        try:
            return path, await asyncio.to_thread(os.stat, path)
        except FileNotFoundError:
            message = f"Call {record.call_id!r} has no recording here."
            raise NotFoundError(message, field="call_id") from None

    async def call_ids(self) -> list[str]:
        """The calls whose recordings are here."""
        return await asyncio.to_thread(lambda: sorted(path.stem for path in self.folder.glob("*.wav")))

    async def delete(self, call_ids: Iterable[str]) -> int:
        """How many of them were here."""
        return await asyncio.to_thread(lambda: sum(map(self._unlink, call_ids)))

    def _unlink(self, call_id: str) -> bool:
        try:
            self.path(call_id).unlink()
        except FileNotFoundError:
            return False  # another machine's, or another process of this one was first
        except OSError as e:
            logger.error("the recording of call {} cannot be deleted: {}", call_id, e)
            return False
        return True
