"""Who is alone with a data folder: only they may settle what a former server left open there.

Every server holds a shared lock on a file of the folder for as long as it lives; whoever can have it
exclusively is alone. The lock is the operating system's and goes with its process, however that ends, so a
killed server never keeps its successor out. Servers that share a PostgreSQL each have a folder of their own;
what belongs to whom is then for the durable engine to say.
"""

from __future__ import annotations

import asyncio
import fcntl
from pathlib import Path
from typing import IO


class HouseLock:
    """`enter`, `share`, `leave`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    async def enter(self) -> bool:
        """True when nobody else is in: call `share` when done with being alone. OSError: no such folder."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab")
        if self._try(fcntl.LOCK_EX):
            return True
        # Somebody settles, for a moment.
        await asyncio.to_thread(fcntl.flock, self._file, fcntl.LOCK_SH)
        return False

    def share(self) -> None:
        """Let others in."""
        self._try(fcntl.LOCK_SH)

    def leave(self) -> None:
        """Go; harmless when not in."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _try(self, kind: int) -> bool:
        assert self._file is not None
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
