"""DATABASE_URL, read or refused with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import SettingsError
from bot.store.address import PostgresAddress, SqliteAddress, parse_database_url

DEFAULT = Path("data/calls.db")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (None, "data/calls.db"),
        ("  ", "data/calls.db"),
        ("sqlite:///calls.db", "calls.db"),
        ("sqlite:////var/lib/my%20calls.db", "/var/lib/my calls.db"),
        ("sqlite+aiosqlite:///a/b.db", "a/b.db"),
    ],
)
def test_sqlite(url: str | None, path: str) -> None:
    assert parse_database_url(url, DEFAULT) == SqliteAddress(Path(path))


@pytest.mark.parametrize(
    ("url", "dsn", "label"),
    [
        ("postgres://u:p%40ss@db/calls", "postgresql://u:p%40ss@db/calls", "PostgreSQL at db/calls"),
        ("postgresql+asyncpg://u@db:5433/c", "postgresql://u@db:5433/c", "PostgreSQL at db:5433/c"),
        (
            "postgresql://u:p@db/c?sslmode=require&channel_binding=require",
            "postgresql://u:p@db/c?sslmode=require",
            "PostgreSQL at db/c",
        ),
        (
            "postgresql://u@/c?host=/run/postgresql",
            "postgresql://u@/c?host=%2Frun%2Fpostgresql",
            "PostgreSQL at /run/postgresql/c",
        ),
    ],
)
def test_postgresql(url: str, dsn: str, label: str) -> None:
    address = parse_database_url(url, DEFAULT)
    assert address == PostgresAddress(dsn=dsn, label=label)
    assert "p@" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "calls.db",
        "mysql://u:hush@db/calls",
        "sqlite://calls.db",
        "sqlite:///",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///folder/",
        "postgresql://u:hush@db",
        "postgresql:///calls",
        "postgresql://u:hush@db:port/calls",
        "postgresql://[u:hush/calls",
    ],
)
def test_what_makes_no_sense_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_database_url(url, DEFAULT)
    assert caught.value.field == "DATABASE_URL"
    assert "sqlite:///calls.db" in caught.value.message
    assert "hush" not in caught.value.message
