"""Brings a database's schema up to date at the start of the first process.

Everything happens in one transaction that holds a lock before it looks: on SQLite the write lock of BEGIN
IMMEDIATE, on PostgreSQL an advisory lock that ends with the transaction, so that a process killed in mid-way
leaves neither a lock nor half a schema.

A database without tables gets today's at once, where the migrations would make and change them in turn: a quarter
of the time. A test holds both ways to the same schema. alembic itself, half a second of imports, is left to a
database that needs migrating.
"""

import asyncio
import secrets
from pathlib import Path
from weakref import WeakKeyDictionary

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.store.schema import installation, metadata

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x70686F6E65  # "phone"
_REVISIONS = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""As alembic makes it."""


_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""alembic's context is a global of its process: of two migrations at once each would write to the other's
database."""


class NewerSchemaError(Exception):
    """The database is of a revision that this program does not know."""


async def migrate(writer: AsyncEngine) -> None:
    """Up to the last revision. NewerSchemaError when the database is newer than this program."""
    turn = _TURNS.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    async with turn, writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        await connection.run_sync(_create_or_upgrade)


def _create_or_upgrade(connection: Connection) -> None:
    tables = inspect(connection).get_table_names()
    if not tables:
        metadata.create_all(connection, checkfirst=False)
        _REVISIONS.create(connection)
        connection.execute(_REVISIONS.insert().values(version_num=head()))
    elif _REVISIONS.name not in tables or connection.execute(_REVISIONS.select()).scalar() != head():
        upgrade(connection)
    if connection.execute(installation.select()).first() is None:
        connection.execute(installation.insert().values(secret=secrets.token_hex(32)))


def head() -> str:
    """The last revision: the number in its file's name."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("m*.py"))[1:5]


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, all of them on an empty database. NewerSchemaError, as `migrate`."""
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    # A ConfigParser behind it reads % as the start of a reference.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as e:
        raise NewerSchemaError(str(e)) from e
