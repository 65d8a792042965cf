"""Which server processes live: each holds a lock that goes with its process, however that ends.

PostgreSQL: a session's advisory lock, seen by the others in pg_locks. SQLite: a locked file beside the
database. Nobody renews anything and no clock is compared; a lock is the database's own (or the operating
system's) word that its holder is there. A process that only lost its connection takes its lock again, so
a process that acts on an absence looks twice, some time apart.
"""

import asyncio
import fcntl
import hashlib
from pathlib import Path
from typing import IO

import asyncpg  # type: ignore[import-untyped]  # ships no types

from bot.store.address import PostgresAddress, SqliteAddress
from bot.store.connections import retry_database
from bot.telemetry.supervisor import watched

_CLASS = 0x70686E65
"""The first key of our advisory locks: "phne"."""
_SECONDS = 10.0


def presence_at(address: SqliteAddress | PostgresAddress) -> "FilePresence | PostgresPresence":
    if isinstance(address, PostgresAddress):
        return PostgresPresence(address.dsn)
    return FilePresence(address.path.with_name(f"{address.path.name}.alive"))


class FilePresence:
    """Processes of one machine: a folder of locked files. PostgreSQL's methods may raise DATABASE_ERRORS."""

    certain = True
    """An absence is final at first sight."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._path: Path | None = None

    async def enter(self, name: str) -> None:
        """From now on `name` lives."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / name
        self._file = self._path.open("ab")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    async def leave(self) -> None:
        if self._file is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    async def absent(self, names: frozenset[str]) -> frozenset[str]:
        """Those of `names` that do not live."""
        return frozenset(name for name in names if not self._lives(name))

    async def others(self) -> bool:
        """Whether another process lives that may take this one's calls."""
        return False  # calls of an SQLite file are one process's

    def _lives(self, name: str) -> bool:
        path = self._folder / name
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
                return False
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True


class PostgresPresence:
    """A connection of its own, kept open and reopened when it is lost."""

    certain = False

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None
        self._asking = asyncio.Lock()  # a connection answers one question at a time
        self._name: str | None = None
        self._reopening: asyncio.Task[None] | None = None

    async def enter(self, name: str) -> None:
        self._name = name
        await self._lock()

    async def leave(self) -> None:
        self._name = None
        if self._reopening is not None:
            self._reopening.cancel()
            await asyncio.gather(self._reopening, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close(timeout=_SECONDS)
            self._connection = None

    async def absent(self, names: frozenset[str]) -> frozenset[str]:
        if not names:
            return frozenset()
        held = await self._held()
        return frozenset(name for name in names if _key(name) not in held)

    async def others(self) -> bool:
        return bool(await self._held() - {_key(self._name or "")})

    async def _held(self) -> set[int]:
        async with self._asking:
            if self._connection is None or self._connection.is_closed():
                raise ConnectionError("the connection that says who lives is lost")
            rows = await self._connection.fetch(
                "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1::int8::oid "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                _CLASS,
                timeout=_SECONDS,
            )
        return {int(row["objid"]) for row in rows}

    async def _lock(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=_SECONDS, command_timeout=_SECONDS)
        try:
            # The two-key form takes signed integers; pg_locks shows them unsigned. The lock may still be held by
            # the connection that was lost: then this waits, and is tried again.
            await connection.execute("SELECT pg_advisory_lock($1, $2)", _CLASS, _signed(_key(self._name or "")))
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        connection.add_termination_listener(self._lost)
        if connection.is_closed():
            raise ConnectionError("the connection was lost at once")

    def _lost(self, _connection: object) -> None:
        if self._name is not None and (self._reopening is None or self._reopening.done()):
            self._reopening = watched(self._reopen(), "the lock of this process")

    async def _reopen(self) -> None:
        # Before the others have looked twice.
        await retry_database(self._lock, longest_pause_seconds=1.0)


def _key(name: str) -> int:
    """The second key, unsigned 32 bits."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])


def _signed(key: int) -> int:
    return key - (1 << 32) if key >= 1 << 31 else key
