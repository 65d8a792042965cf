"""The store on SQLite and on a real PostgreSQL: every test that takes `store` or `url` runs on both."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot.store import Database, SqlCallStore
from bot.store.address import parse_database_url
from tests.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """URLs of empty databases of one kind."""
    if request.param == "sqlite":
        numbers = itertools.count()
        return lambda: f"sqlite:///{tmp_path / 'data' / f'calls{next(numbers)}.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_url


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlCallStore]:
    store = SqlCallStore(Database(parse_database_url(url, Path("unused.db"))))
    await store.open()
    yield store
    await store.close()
