"""One server at a time settles what a former one left open in a data folder.

A lock of the operating system on a file: it goes with its process, however that ends, so a killed server
never keeps its successor out. Servers that share a PostgreSQL each have a data folder of their own; what
belongs to whom is then for the durable engine to say.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO


class HouseLock:
    """Exclusive while held; not inherited by children that do not share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def take(self) -> bool:
        """False when another process holds it. OSError when the folder cannot be written."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def leave(self) -> None:
        """Let go; harmless when not held."""
        if self._file is not None:
            self._file.close()
            self._file = None
