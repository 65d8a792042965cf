"""A call only moves forward, whatever order and however often the news of it arrives."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.records import Status, may_follow
from bot.store import Database, SqlCallStore
from bot.store.address import parse_database_url
from tests.unit.store.examples import NOON, a_call

NEWS = st.lists(st.sampled_from(Status), max_size=8)


def test_it_agrees_with_may_follow(url: str) -> None:
    with asyncio.Runner() as runner:
        store = SqlCallStore(Database(parse_database_url(url, Path("unused.db"))))
        runner.run(store.open())
        numbers = itertools.count()

        async def in_order(news: list[Status]) -> None:
            call_id = f"call-{next(numbers)}"
            await store.add(a_call(call_id))
            status = Status.QUEUED
            for new in news:
                expected = may_follow(status, new)
                assert await store.advance(call_id, new, at=NOON) is expected
                status = new if expected else status
            kept = await store.get(call_id)
            assert kept is not None
            assert kept.status is status
            assert (kept.ended_at is not None) is status.final

        async def at_once(news: list[Status]) -> None:
            call_id = f"call-{next(numbers)}"
            await store.add(a_call(call_id))
            was_news = await asyncio.gather(*(store.advance(call_id, new, at=NOON) for new in news))
            taken = [new for new, taken in zip(news, was_news, strict=True) if taken]
            assert len(set(taken)) == len(taken)
            assert sum(status.final for status in taken) == any(status.final for status in news)
            kept = await store.get(call_id)
            assert kept is not None
            assert kept.status in taken or not taken
            assert not any(may_follow(kept.status, new) for new in news)

        @settings(max_examples=20, deadline=None)
        @given(news=NEWS)
        def check(news: list[Status]) -> None:
            runner.run(in_order(news))
            runner.run(at_once(news))

        try:
            check()
        finally:
            runner.run(store.close())
