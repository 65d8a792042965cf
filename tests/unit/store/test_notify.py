"""News between processes: told to all others, asked of them, and again after a lost connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.store import Database
from bot.store.address import SqliteAddress, parse_database_url
from bot.store.notify import News, PostgresNews, open_news
from tests.postgres import PostgresServer
from tests.unit.pipeline.conversation import until

LONG = "☃" * 1000


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_url()


class Noting:
    """A handler that keeps what it hears and answers as told."""

    def __init__(self, answer: Any = None) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.answer = answer

    async def __call__(self, call_id: str, data: Any) -> Any:
        self.heard.append((call_id, data))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@asynccontextmanager
async def process(url: str, **handlers: Noting) -> AsyncIterator[PostgresNews]:
    database = Database(parse_database_url(url, Path("unused.db")))
    await database.open()
    news = open_news(database)
    assert isinstance(news, PostgresNews)
    for kind, handler in handlers.items():
        news.on(kind, handler)
    await news.open()
    try:
        yield news
    finally:
        await news.close()
        await database.close()


async def test_all_others_are_told(url: str) -> None:
    mine, theirs, others = Noting(), Noting(), Noting()
    async with process(url, amd=mine) as one, process(url, amd=theirs), process(url, amd=others):
        await one.send("call-1", "amd", {"answered_by": "human"})
        await one.send("call-1", "unheard_of")
        await until(lambda: bool(theirs.heard and others.heard))
        assert theirs.heard == others.heard == [("call-1", {"answered_by": "human"})]
        assert mine.heard == []


async def test_the_one_who_knows_answers(url: str) -> None:
    unknowing, knowing = Noting(), Noting({"twiml": LONG})
    async with process(url) as one, process(url, transfer=unknowing), process(url, transfer=knowing):
        assert await one.ask("call-1", "transfer", LONG, timeout_seconds=5.0) == {"twiml": LONG}
        assert unknowing.heard == knowing.heard == [("call-1", LONG)]


async def test_nobody_answers(url: str) -> None:
    async with process(url) as one, process(url, hold=Noting()), process(url, hold=Noting(ValueError("broken"))):
        assert await one.ask("call-1", "hold", timeout_seconds=0.2) is None


async def test_schemas_of_a_database_do_not_hear_each_other(url: str, postgres: PostgresServer) -> None:
    stranger = Noting(True)
    async with process(url) as one, process(postgres.new_url(), hold=stranger):
        assert await one.ask("call-1", "hold", timeout_seconds=0.2) is None
        assert stranger.heard == []


async def test_a_lost_ear_is_opened_again(url: str) -> None:
    database = Database(parse_database_url(url, Path("unused.db")))
    await database.open()
    try:
        theirs = Noting(True)
        async with process(url) as one, process(url, hold=theirs) as other:
            async with database.writer.begin() as connection:
                kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                assert len((await connection.execute(sa.text(kill))).all()) == 2
            await until(lambda: not (one._heard.is_set() or other._heard.is_set()))
            await until(lambda: one._heard.is_set() and other._heard.is_set())
            assert await one.ask("call-1", "hold", timeout_seconds=5.0) is True
    finally:
        await database.close()


async def test_alone_there_is_nobody(tmp_path: Path) -> None:
    news = open_news(Database(SqliteAddress(tmp_path / "calls.db")))
    assert type(news) is News
    news.on("hold", Noting(True))
    await news.open()
    await news.send("call-1", "hold")
    assert await news.ask("call-1", "hold", timeout_seconds=60.0) is None
    await news.close()


async def test_what_is_too_long_is_lost_and_said(url: str) -> None:
    theirs = Noting(True)
    async with process(url) as one, process(url, hold=theirs):
        assert await one.ask("call-1", "hold", LONG * 2, timeout_seconds=60.0) is None
        assert theirs.heard == []


async def test_what_is_not_ours_is_no_message(url: str) -> None:
    theirs = Noting(True)
    async with process(url) as one, process(url, hold=theirs) as other:
        for payload in ("", "nonsense", "{", '{"a": 1}', "[]"):
            other._hear(None, 0, "", payload)
        assert await one.ask("call-1", "hold", timeout_seconds=5.0) is True
