"""The database connections of one process: one that writes and a few that read.

SQLite takes one writer at a time, so a pool of writers would only wait for each other inside SQLite with a
thread each; one connection behind a queue keeps the order of arrival. It begins with BEGIN IMMEDIATE: a
transaction that starts as a reader and then writes fails at once with SQLITE_BUSY when another process wrote
in between, and no busy_timeout helps it.

synchronous=NORMAL with WAL: a commit is a write() to the WAL file, so it is in the kernel's page cache and
survives a kill of the process at any moment. What it gives up is an fsync for each commit: a power cut can
lose the last commits, but leaves the file whole (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]  # ships no types
from loguru import logger
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_exponential

from bot.store.address import PostgresAddress, SqliteAddress
from bot.store.kept_json import from_json, to_json
from bot.telemetry import metrics

BUSY_SECONDS = 10.0
"""How long one process waits for another's write or migration."""
DATABASE_ERRORS: tuple[type[Exception], ...] = (
    SQLAlchemyError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
)
"""What a database that cannot be opened raises; asyncpg's own errors pass SQLAlchemy unwrapped while
connecting."""
_T = TypeVar("_T")
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
"""Between two tries while the database is away: at first, and at most."""
_READERS = 2
_POSTGRES_POOL = 5
_POSTGRES_BURST = 15
"""More for a moment: each call on the line writes its turns as they are spoken."""
_POSTGRES_SECONDS = 10.0


async def retry_database(
    run: Callable[[], Awaitable[_T]],
    *,
    within_seconds: float = math.inf,
    longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
) -> _T:
    """`run` again for as long as it raises DATABASE_ERRORS; past `within_seconds` it raises them."""
    tries = AsyncRetrying(
        retry=retry_if_exception_type(DATABASE_ERRORS),
        wait=wait_exponential(FIRST_PAUSE_SECONDS, longest_pause_seconds),
        stop=stop_after_delay(within_seconds),
        before_sleep=_log_pause,
        reraise=True,
    )

    async def attempt() -> _T:  # `run` may be a plain function that returns an awaitable
        return await run()

    return await tries(attempt)


def _log_pause(state: RetryCallState) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    logger.warning("the database is away ({}): again in {:.1f} s", type(error).__name__, state.upcoming_sleep)


def _count_errors(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        if not isinstance(context.sqlalchemy_exception, IntegrityError):  # an answer: it is there already
            metrics.database_failed(type(context.original_exception).__name__)


@dataclass(frozen=True)
class Connections:
    """Engines connect when first used. The two are one and the same on PostgreSQL."""

    writer: AsyncEngine
    reader: AsyncEngine

    async def close(self) -> None:
        await self.reader.dispose()
        if self.writer is not self.reader:
            await self.writer.dispose()


async def connect(address: SqliteAddress | PostgresAddress) -> Connections:
    """Engines for `address`. An SQLite file and its folder exist afterwards, in WAL mode."""
    if isinstance(address, PostgresAddress):
        engine = _postgres_engine(address)
        _count_errors(engine)
        return Connections(writer=engine, reader=engine)
    await asyncio.to_thread(_prepare_file, address)
    connections = Connections(
        writer=_sqlite_engine(address, pool_size=1, begin="BEGIN IMMEDIATE", read_only=False),
        reader=_sqlite_engine(address, pool_size=_READERS, begin="BEGIN", read_only=True),
    )
    for engine in (connections.writer, connections.reader):
        _count_errors(engine)
    return connections


def _prepare_file(address: SqliteAddress) -> None:
    """Creates the file in WAL mode, which is a property of the file and stays.

    The switch needs the file for itself and SQLite refuses it without asking the busy handler, so two
    processes that start at once meet here: the loser asks again, at most BUSY_SECONDS long.
    """
    address.path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        connection = sqlite3.connect(address.path, timeout=BUSY_SECONDS)
        try:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            if mode != "wal":
                raise sqlite3.OperationalError(f"no WAL on this file system (journal_mode is {mode})")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() >= deadline:
                raise
            time.sleep(0.02)
        finally:
            connection.close()


def _sqlite_engine(address: SqliteAddress, *, pool_size: int, begin: str, read_only: bool) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(address.path)),
        pool_size=pool_size,
        max_overflow=0,
        json_serializer=to_json,
        json_deserializer=from_json,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come before ours
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")  # what is erased is overwritten, not only unlinked
        cursor.execute(f"PRAGMA query_only={int(read_only)}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgres_engine(address: PostgresAddress) -> AsyncEngine:
    async def open_connection() -> Any:
        return await asyncpg.connect(address.dsn, timeout=_POSTGRES_SECONDS, command_timeout=_POSTGRES_SECONDS)

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=open_connection,
        pool_size=_POSTGRES_POOL,
        max_overflow=_POSTGRES_BURST,
        pool_pre_ping=True,
        json_serializer=to_json,
        json_deserializer=from_json,
        hide_parameters=True,
    )
