"""Statements that fail are counted by their exception; a row that is there already is an answer."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from bot.store import SqlCallStore
from bot.store.address import SqliteAddress
from tests.unit.telemetry.test_metrics import value


async def test_a_statement_that_fails(store: SqlCallStore) -> None:
    sqlite = isinstance(store.database.address, SqliteAddress)
    kind = "OperationalError" if sqlite else "ProgrammingError"
    before = value("phone_agent_database_errors_total", kind=kind)
    with pytest.raises(DBAPIError):
        async with store.database.reader.begin() as connection:
            await connection.execute(text("SELECT * FROM no_such_table"))
    assert value("phone_agent_database_errors_total", kind=kind) == before + 1


async def test_a_row_that_is_there_already_is_none(store: SqlCallStore) -> None:
    before = value("phone_agent_database_errors_total", kind="IntegrityError")
    with pytest.raises(IntegrityError):
        async with store.database.writer.begin() as connection:
            await connection.execute(text("CREATE TABLE one (id INTEGER PRIMARY KEY)"))
            await connection.execute(text("INSERT INTO one VALUES (1)"))
            await connection.execute(text("INSERT INTO one VALUES (1)"))
    assert value("phone_agent_database_errors_total", kind="IntegrityError") == before
