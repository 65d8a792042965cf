"""The numbers that are never dialled: since when, why, and who put them there."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from bot.store.database import Database, upsert
from bot.store.pages import Page, read_page
from bot.store.rows import storable
from bot.store.schema import UtcDateTime, metadata

do_not_call = sa.Table(
    "do_not_call",
    metadata,
    sa.Column("phone_number", sa.Text, primary_key=True),
    sa.Column("added_at", UtcDateTime, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("call_id", sa.Text),
    sa.Index("do_not_call_by_age", "added_at", "phone_number"),
    sa.Index("do_not_call_by_call", "call_id"),
)


class ListedBy(StrEnum):
    API = "api"
    CALL = "call"
    """The callee asked for it while talking to the agent."""


@dataclass(frozen=True)
class Listed:
    """A number on the list, E.164. `call_id` is the call in which it was asked for; it may be erased by now."""

    phone_number: str
    added_at: datetime
    source: ListedBy = ListedBy.API
    reason: str | None = None
    call_id: str | None = None


class SqlDoNotCallStore:
    """Over an open database. A method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        phone_numbers: Sequence[str],
        *,
        at: datetime,
        source: ListedBy = ListedBy.API,
        reason: str | None = None,
        call_id: str | None = None,
    ) -> int:
        """How many were not on the list before. One that was stays as it was first put there."""
        # One parameter holds them all: ten thousand rows of parameters would keep the event loop for seconds.
        numbers = json.dumps(list(phone_numbers))
        async with self._database.writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                listed = sa.func.json_array_elements_text(sa.cast(sa.literal(numbers, sa.Text), sa.JSON))
            else:
                listed = sa.func.json_each(sa.literal(numbers, sa.Text))
            number = listed.table_valued("value").c.value
            rest = {"added_at": at, "source": source.value, "reason": storable(reason), "call_id": call_id}
            columns = [sa.literal(value, do_not_call.c[name].type) for name, value in rest.items()]
            # In one order: two bulks that share numbers wait for each other's rows, and not in a circle. Without
            # a WHERE, SQLite takes the ON of the conflict for a join's.
            rows = sa.select(number, *columns).where(sa.true()).order_by(number)
            statement = upsert(connection, do_not_call).from_select(["phone_number", *rest], rows)
            unheard_of = statement.on_conflict_do_nothing(index_elements=[do_not_call.c.phone_number])
            return (await connection.execute(unheard_of)).rowcount

    async def remove(self, phone_number: str) -> bool:
        """Whether it was on the list."""
        where = do_not_call.c.phone_number == phone_number
        async with self._database.writer.begin() as connection:
            return (await connection.execute(do_not_call.delete().where(where))).rowcount == 1

    async def get(self, phone_number: str) -> Listed | None:
        query = sa.select(do_not_call).where(do_not_call.c.phone_number == phone_number)
        rows = await self._database.rows(query)
        return _listed(rows[0]) if rows else None

    async def page(self, *, limit: int = 50, cursor: str | None = None) -> Page[Listed]:
        """By `added_at`, newest first. RequestError on a cursor that is not ours."""
        order = (do_not_call.c.added_at, do_not_call.c.phone_number)
        return await read_page(
            self._database.reader, sa.select(do_not_call), order, _listed, limit=limit, cursor=cursor
        )


def _listed(row: sa.RowMapping) -> Listed:
    return Listed(row["phone_number"], row["added_at"], ListedBy(row["source"]), row["reason"], row["call_id"])
