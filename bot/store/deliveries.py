"""Webhook deliveries: each event with the bytes it is sent as, where it stands, and every attempt made.

Only the settled ones are ever forgotten by age: what is pending is still to be sent. A delivery goes with
its call (ON DELETE CASCADE), because its body holds the number and what was said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError

from bot.errors import ConflictError, NotFoundError
from bot.store.database import Database, upsert
from bot.store.pages import Page, read_page
from bot.store.rows import Row, storable
from bot.store.schema import UtcDateTime, metadata

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("delivery_id", sa.Text, primary_key=True),
    sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("queued_round", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("begun_at", UtcDateTime, nullable=False),
    sa.Column("settled_at", UtcDateTime),
    sa.Column("next_attempt_at", UtcDateTime),
    sa.Index("deliveries_by_age", "created_at", "delivery_id"),
    sa.Index("deliveries_by_status_and_age", "status", "created_at", "delivery_id"),
    sa.Index("deliveries_by_call", "call_id", "created_at", "delivery_id"),
    sa.Index("deliveries_by_settling", "settled_at"),
)

delivery_attempts = sa.Table(
    "delivery_attempts",
    metadata,
    sa.Column(
        "delivery_id", sa.Text, sa.ForeignKey("deliveries.delivery_id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("round", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("duration_ms", sa.Integer, nullable=False),
    sa.Column("status_code", sa.Integer),
    sa.Column("error", sa.Text),
)


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    """To be sent: now, after the event before it, or after a wait."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up; it can be sent again by hand."""


@dataclass(frozen=True)
class DeliveryAttempt:
    """One sending. `number` counts from 1 in its `round`; a round is begun by the event or by hand."""

    round: int
    number: int
    at: datetime
    duration_ms: int
    status_code: int | None = None
    """None: no answer came."""
    error: str | None = None


@dataclass(frozen=True)
class Delivery:
    delivery_id: str
    call_id: str
    type: str
    url: str
    body: str
    """Every attempt sends exactly this, in UTF-8."""
    created_at: datetime
    status: DeliveryStatus = DeliveryStatus.PENDING
    round: int = 1
    settled_at: datetime | None = None
    """Since when it is delivered or dead."""
    next_attempt_at: datetime | None = None
    """When it waits between two attempts."""
    attempts: tuple[DeliveryAttempt, ...] = ()


class SqlDeliveryStore:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, delivery: Delivery) -> bool:
        """Keeps a new delivery; False when it is kept already, whose body then stands.

        NotFoundError when there is no such call.
        """
        row = {
            "delivery_id": delivery.delivery_id,
            "call_id": delivery.call_id,
            "type": delivery.type,
            "url": storable(delivery.url),
            "body": storable(delivery.body),
            "status": delivery.status.value,
            "round": delivery.round,
            "queued_round": 0,
            "created_at": delivery.created_at,
            "begun_at": delivery.created_at,
            "settled_at": delivery.settled_at,
            "next_attempt_at": delivery.next_attempt_at,
        }
        try:
            async with self._database.writer.begin() as connection:
                statement = upsert(connection, deliveries).values(row).on_conflict_do_nothing()
                result = await connection.execute(statement)
        except IntegrityError as error:
            raise NotFoundError(f"There is no call {delivery.call_id}.") from error
        return result.rowcount == 1

    async def get(self, delivery_id: str) -> Delivery | None:
        """With its attempts, oldest first."""
        query = sa.select(deliveries).where(deliveries.c.delivery_id == delivery_id)
        made = (
            sa.select(delivery_attempts)
            .where(delivery_attempts.c.delivery_id == delivery_id)
            .order_by(delivery_attempts.c.round, delivery_attempts.c.number)
        )
        async with self._database.reader.connect() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
            if row is None:
                return None
            return _delivery(row, (await connection.execute(made)).mappings().all())

    async def page(
        self,
        *,
        status: DeliveryStatus | None = None,
        call_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Delivery]:
        """By `created_at`, newest first. RequestError on a cursor that is not ours."""
        table = deliveries.c
        query = sa.select(deliveries)
        if status is not None:
            query = query.where(table.status == status.value)
        if call_id is not None:
            query = query.where(table.call_id == call_id)
        order = (table.created_at, table.delivery_id)
        return await read_page(self._database.reader, query, order, _delivery, limit=limit, cursor=cursor)

    async def note(
        self,
        delivery_id: str,
        attempt: DeliveryAttempt,
        *,
        status: DeliveryStatus,
        next_attempt_at: datetime | None = None,
    ) -> None:
        """Keeps an attempt and where the delivery stands after it; the same attempt again overwrites itself.

        An attempt of a round that is over (a process that came back late) changes no status.
        """
        values = {
            "at": attempt.at,
            "duration_ms": attempt.duration_ms,
            "status_code": attempt.status_code,
            "error": storable(attempt.error),
        }
        settled_at = None if status is DeliveryStatus.PENDING else attempt.at
        here = sa.and_(
            deliveries.c.delivery_id == delivery_id,
            deliveries.c.round == attempt.round,
            deliveries.c.status == DeliveryStatus.PENDING.value,
        )
        changed = {"status": status.value, "settled_at": settled_at, "next_attempt_at": next_attempt_at}
        key = {"delivery_id": delivery_id, "round": attempt.round, "number": attempt.number}
        try:
            async with self._database.writer.begin() as connection:
                statement = upsert(connection, delivery_attempts).values(key | values)
                await connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
                await connection.execute(deliveries.update().where(here).values(changed))
        except IntegrityError:
            return  # its call was erased while it was being sent

    async def begin_round(self, delivery_id: str, now: datetime) -> Delivery:
        """Makes a settled delivery pending again, in its next round. NotFoundError, ConflictError."""
        settled = sa.and_(
            deliveries.c.delivery_id == delivery_id, deliveries.c.status != DeliveryStatus.PENDING.value
        )
        changed = {
            "status": DeliveryStatus.PENDING.value,
            "round": deliveries.c.round + 1,
            "begun_at": now,
            "settled_at": None,
            "next_attempt_at": None,
        }
        async with self._database.writer.begin() as connection:
            statement = deliveries.update().where(settled).values(changed).returning(*deliveries.c)
            row = (await connection.execute(statement)).mappings().one_or_none()
        if row is not None:
            return _delivery(row)
        if await self.get(delivery_id) is None:
            raise NotFoundError(f"There is no delivery {delivery_id}.")
        raise ConflictError("The delivery is still being tried.", code="delivery_pending")

    async def queued(self, delivery_id: str, round_: int) -> None:
        """Notes that the engine has the round: it needs no rescue."""
        async with self._database.writer.begin() as connection:
            where = sa.and_(deliveries.c.delivery_id == delivery_id, deliveries.c.round == round_)
            await connection.execute(deliveries.update().where(where).values(queued_round=round_))

    async def stranded(self, before: datetime, limit: int = 500) -> tuple[Delivery, ...]:
        """Pending rounds begun before then that never reached the engine: their process was killed between."""
        query = (
            sa.select(deliveries)
            .where(
                deliveries.c.status == DeliveryStatus.PENDING.value,
                deliveries.c.queued_round < deliveries.c.round,
                deliveries.c.begun_at < before,
            )
            .order_by(deliveries.c.created_at, deliveries.c.delivery_id)
            .limit(limit)
        )
        return tuple(_delivery(row) for row in await self._database.rows(query))


def _delivery(row: RowMapping, attempts: Sequence[RowMapping] = ()) -> Delivery:
    known: Row = {field.name: row[field.name] for field in fields(Delivery) if field.name != "attempts"}
    made = [{field.name: each[field.name] for field in fields(DeliveryAttempt)} for each in attempts]
    return Delivery(
        **known | {"status": DeliveryStatus(row["status"])},
        attempts=tuple(DeliveryAttempt(**each) for each in made),
    )
