"""Deliveries are kept once, move forward, and go with their call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.errors import ConflictError, NotFoundError, RequestError
from bot.store import Database, SqlCallStore
from bot.store.address import parse_database_url
from bot.store.deliveries import (
    Delivery,
    DeliveryAttempt,
    DeliveryStatus,
    SqlDeliveryStore,
    delivery_attempts,
)
from bot.store.schema import calls
from tests.unit.store.examples import NOON, a_call

DEAD, DELIVERED, PENDING = DeliveryStatus.DEAD, DeliveryStatus.DELIVERED, DeliveryStatus.PENDING


def a_delivery(delivery_id: str = "msg_1", *, minutes: float = 0.0, **changes: Any) -> Delivery:
    delivery = Delivery(
        delivery_id=delivery_id,
        call_id="call-1",
        type="call_ended",
        url="https://crm.example/hook?token=t",
        body='{"type": "call_ended", "data": {"name": "Zo\\u00eb \\u0000"}}',
        created_at=NOON + timedelta(minutes=minutes),
    )
    return replace(delivery, **changes)


def an_attempt(number: int = 1, *, round_: int = 1, **changes: Any) -> DeliveryAttempt:
    at = NOON + timedelta(seconds=number)
    return replace(DeliveryAttempt(round_, number, at, 12, 500, "answered 500"), **changes)


@pytest.fixture
async def kept(store: SqlCallStore) -> AsyncIterator[SqlDeliveryStore]:
    await store.add(a_call())
    await store.add(a_call("call-2"))
    yield SqlDeliveryStore(store.database)


async def test_the_first_body_stands(kept: SqlDeliveryStore) -> None:
    assert await kept.add(a_delivery())
    assert not await kept.add(a_delivery(body="another", url="https://elsewhere.example"))
    assert await kept.get("msg_1") == a_delivery()
    assert await kept.get("msg_2") is None


async def test_a_delivery_needs_its_call(kept: SqlDeliveryStore) -> None:
    with pytest.raises(NotFoundError):
        await kept.add(a_delivery(call_id="nobody"))


async def test_attempts_are_kept_in_order_and_a_repeated_one_once(kept: SqlDeliveryStore) -> None:
    await kept.add(a_delivery())
    soon = NOON + timedelta(minutes=1)
    await kept.note("msg_1", an_attempt(2), status=PENDING, next_attempt_at=soon)
    await kept.note("msg_1", an_attempt(1), status=PENDING, next_attempt_at=soon)
    last = an_attempt(2, status_code=None, error="no answer within 10 s")
    await kept.note("msg_1", last, status=PENDING, next_attempt_at=soon)
    delivery = await kept.get("msg_1")
    assert delivery == a_delivery(next_attempt_at=soon, attempts=(an_attempt(1), last))


async def test_what_is_settled_stays_so(kept: SqlDeliveryStore) -> None:
    await kept.add(a_delivery())
    await kept.note("msg_1", an_attempt(1, status_code=204, error=None), status=DELIVERED)
    await kept.note("msg_1", an_attempt(2), status=PENDING, next_attempt_at=NOON)
    delivery = await kept.get("msg_1")
    assert delivery is not None
    assert (delivery.status, delivery.settled_at) == (DELIVERED, NOON + timedelta(seconds=1))
    assert delivery.next_attempt_at is None


async def test_a_new_round_begins_once(kept: SqlDeliveryStore) -> None:
    await kept.add(a_delivery())
    with pytest.raises(ConflictError):
        await kept.begin_round("msg_1", NOON)
    with pytest.raises(NotFoundError):
        await kept.begin_round("msg_2", NOON)
    await kept.note("msg_1", an_attempt(), status=DEAD)

    async def begin() -> int:
        try:
            return (await kept.begin_round("msg_1", NOON)).round
        except ConflictError:
            return 0

    assert sorted(await asyncio.gather(*(begin() for _ in range(5)))) == [0, 0, 0, 0, 2]
    await kept.note("msg_1", an_attempt(8), status=DEAD)  # of the round before
    delivery = await kept.get("msg_1")
    assert delivery is not None
    assert (delivery.status, delivery.round, delivery.settled_at) == (PENDING, 2, None)
    await kept.note("msg_1", an_attempt(round_=2, error=None, status_code=200), status=DELIVERED)
    delivery = await kept.get("msg_1")
    assert delivery is not None
    assert delivery.status is DELIVERED
    assert [(made.round, made.number) for made in delivery.attempts] == [(1, 1), (1, 8), (2, 1)]


async def test_stranded_is_what_never_reached_the_engine(kept: SqlDeliveryStore) -> None:
    await kept.add(a_delivery("queued"))
    await kept.add(a_delivery("stranded"))
    await kept.add(a_delivery("young", minutes=2))
    await kept.queued("queued", 1)
    later = NOON + timedelta(minutes=1)
    assert [each.delivery_id for each in await kept.stranded(later)] == ["stranded"]
    await kept.note("queued", an_attempt(), status=DEAD)
    await kept.begin_round("queued", NOON + timedelta(hours=1))
    assert [each.delivery_id for each in await kept.stranded(later)] == ["stranded"], "its round is young"
    everything = await kept.stranded(NOON + timedelta(hours=2))
    assert [each.delivery_id for each in everything] == ["queued", "stranded", "young"]
    await kept.queued("queued", 2)
    assert len(await kept.stranded(NOON + timedelta(hours=2), limit=1)) == 1


async def test_pages_by_status_and_call(kept: SqlDeliveryStore) -> None:
    for number in range(5):
        await kept.add(a_delivery(f"msg_{number}", minutes=number // 2))
    await kept.add(a_delivery("other", minutes=9, call_id="call-2"))
    await kept.note("msg_3", an_attempt(), status=DEAD)
    first = await kept.page(limit=2, call_id="call-1")
    assert [each.delivery_id for each in first.items] == ["msg_4", "msg_3"]
    second = await kept.page(limit=3, call_id="call-1", cursor=first.next_cursor)
    assert [each.delivery_id for each in second.items] == ["msg_2", "msg_1", "msg_0"]
    assert second.next_cursor is None
    assert [each.delivery_id for each in (await kept.page(status=DEAD)).items] == ["msg_3"]
    assert [each.delivery_id for each in (await kept.page(call_id="call-2")).items] == ["other"]
    with pytest.raises(RequestError):
        await kept.page(cursor="nonsense")


async def test_a_delivery_goes_with_its_call(kept: SqlDeliveryStore, store: SqlCallStore) -> None:
    await kept.add(a_delivery())
    await kept.add(a_delivery("other", call_id="call-2"))
    await kept.note("msg_1", an_attempt(), status=PENDING)
    await kept.note("other", an_attempt(), status=PENDING)
    async with store.database.writer.begin() as connection:
        await connection.execute(calls.delete().where(calls.c.call_id == "call-1"))
    assert await kept.get("msg_1") is None
    await kept.note("msg_1", an_attempt(2), status=DEAD)  # it was just being sent
    assert [each.delivery_id for each in (await kept.page()).items] == ["other"]
    async with store.database.reader.connect() as connection:
        left = (await connection.execute(sa.select(delivery_attempts.c.delivery_id))).scalars().all()
    assert left == ["other"], "its attempts go with it"


async def test_two_processes_keep_it_once(kept: SqlDeliveryStore, url: str) -> None:
    database = Database(parse_database_url(url, Path("unused.db")))
    await database.open()
    try:
        both = [kept, SqlDeliveryStore(database)]
        added = await asyncio.gather(*(each.add(a_delivery()) for each in both * 4))
        assert sorted(added) == [False] * 7 + [True]
    finally:
        await database.close()
