"""Brings a database's schema up to date at the start of the first process.

Everything happens in one transaction that holds a lock before it looks: on SQLite the write lock of BEGIN
IMMEDIATE, on PostgreSQL an advisory lock that ends with the transaction, so that a process killed in mid-way
leaves neither a lock nor half a schema.

A database without tables gets today's at once, where the migrations would make and change them in turn: a quarter
of the time. A test holds both ways to the same schema.
"""

import asyncio
import secrets
from pathlib import Path
from weakref import WeakKeyDictionary

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.store.schema import installation, metadata

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x70686F6E65  # "phone"


_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""alembic's context is a global of its process: of two migrations at once each would write to the other's
database."""


async def migrate(writer: AsyncEngine) -> None:
    """Up to the last revision. alembic's CommandError when the database is newer than this program."""
    turn = _TURNS.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    async with turn, writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        await connection.run_sync(_create_or_upgrade)


def _create_or_upgrade(connection: Connection) -> None:
    if inspect(connection).get_table_names():
        upgrade(connection)
    else:
        metadata.create_all(connection, checkfirst=False)
        MigrationContext.configure(connection).stamp(ScriptDirectory.from_config(_config()), "head")
    if connection.execute(installation.select()).first() is None:
        connection.execute(installation.insert().values(secret=secrets.token_hex(32)))


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, all of them on an empty database."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    # A ConfigParser behind it reads % as the start of a reference.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
