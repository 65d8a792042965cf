"""One process's database: its connections, opened and migrated once, shared by the stores of every noun."""

import os
import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import RowMapping, Select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.schema import Table

from bot.errors import SettingsError
from bot.settings import Settings
from bot.store.address import PostgresAddress, SqliteAddress, parse_database_url
from bot.store.connections import DATABASE_ERRORS, Connections, connect
from bot.store.migrate import NewerSchemaError, migrate
from bot.store.schema import installation

_FIXES = {
    "DATA_DIR": "Set DATA_DIR to a folder that this server may write to.",
    "DATABASE_URL": "Check that it is there, that this server may use it, and that DATABASE_URL is right.",
}


class Database:
    """Closed until `open`. Stores begin their writes on `writer` and read from `reader`."""

    def __init__(self, address: SqliteAddress | PostgresAddress) -> None:
        self.address = address
        self._connections: Connections | None = None
        self.secret = ""
        """Random, of this database; known once it is open."""

    @property
    def shared(self) -> bool:
        """Other machines may use it too."""
        return isinstance(self.address, PostgresAddress)

    async def open(self) -> None:
        """Connects and brings the schema up to date. SettingsError when the database cannot be used."""
        try:
            connections = await connect(self.address)
            try:
                await migrate(connections.writer)
            except BaseException:
                await connections.close()
                raise
        except NewerSchemaError as error:
            raise SettingsError(
                f"{self.address.label} was written by a newer version of this program ({error}). "
                "Start that version, or give another DATABASE_URL.",
                field="DATABASE_URL",
            ) from error
        except DATABASE_ERRORS as error:
            raise SettingsError(
                f"{self.address.setting}: {self.address.label} cannot be used: {_reason(error)}. "
                f"{_FIXES[self.address.setting]}",
                field=self.address.setting,
            ) from error
        self._connections = connections
        (self.secret,) = await self.column(sa.select(installation.c.secret))

    async def close(self) -> None:
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.close()

    @property
    def writer(self) -> AsyncEngine:
        return self._open.writer

    @property
    def reader(self) -> AsyncEngine:
        return self._open.reader

    async def rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        async with self.reader.connect() as connection:
            rows: Sequence[RowMapping] = (await connection.execute(query)).mappings().all()
        return rows

    async def column(self, query: Select[Any]) -> Sequence[Any]:
        """The first column of a query."""
        async with self.reader.connect() as connection:
            values: Sequence[Any] = (await connection.execute(query)).scalars().all()
        return values

    @property
    def _open(self) -> Connections:
        if self._connections is None:
            raise RuntimeError("the database is not open")
        return self._connections


def open_database(settings: Settings) -> Database:
    """The database the settings name, not yet opened. SettingsError on a DATABASE_URL that makes no sense."""
    return Database(parse_database_url(settings.database_url, settings.data_dir / "calls.db"))


def upsert(connection: AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that can say ON CONFLICT: both dialects have it, each in its own class."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _reason(error: Exception) -> str:
    """The database's own words, without the statement, its parameters and the numbers of errors."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    words = re.sub(
        r"\[Errno (\d+)\] Connect call failed \(.*?\)", lambda code: os.strerror(int(code[1])), str(origin)
    )
    words = re.sub(r"\[Errno -?\d+\] ", "", words).strip().removesuffix(".")
    return words or ("it does not answer" if isinstance(origin, TimeoutError) else type(origin).__name__)
