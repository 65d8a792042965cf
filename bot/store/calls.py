"""The store in SQL: one class for SQLite and PostgreSQL, on SQLAlchemy Core.

Core and not its ORM: records are frozen and every write is one statement whose guard (forward only, once
only) must be in the WHERE clause, where two processes cannot both pass it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import ConflictError, NotFoundError
from bot.records import CallRecord, Status, Turn, may_follow
from bot.store.call_store import NO_CHANGE, CallChange, StoreListener
from bot.store.database import Database, upsert
from bot.store.pages import Page, read_page
from bot.store.rows import Row, call_record, call_row, change_row, reply_row, turn_record, turn_row
from bot.store.schema import REPLY_PARTS, calls, held, on_a_line, replies, tokens, turns, unfollowed

_FIRST_STANDS = ("ended_reason", "error", "ended_at")


class SqlCallStore:
    """The calls of a database, which it opens and closes.

    Every method is one transaction: when it returns, what it wrote survives a kill of the process.
    """

    def __init__(self, database: Database, listener: StoreListener | None = None) -> None:
        self.database, self.listener = database, listener or StoreListener()

    async def open(self) -> None:
        """Connects and brings the schema up to date. SettingsError when the database cannot be used."""
        await self.database.open()

    async def close(self) -> None:
        await self.database.close()

    async def add(self, record: CallRecord) -> None:
        """Keeps a new call, with the turns it may have. ConflictError when its id or sid is taken."""
        rows = [turn_row(record.call_id, turn) for turn in record.turns]
        timed = [row for turn in record.turns if (row := reply_row(record.call_id, turn)) is not None]
        try:
            async with self.database.writer.begin() as connection:
                await connection.execute(calls.insert(), call_row(record))
                if rows:
                    await connection.execute(turns.insert(), rows)
                if timed:
                    scenario = {"scenario": record.spec.scenario}
                    await connection.execute(replies.insert(), [row | scenario for row in timed])
        except IntegrityError as error:
            raise ConflictError(f"Call {record.call_id} is kept already.") from error
        self.listener.status_changed(record.call_id, record.status, CallChange(waiting_for=record.waiting_for))

    async def get(self, call_id: str) -> CallRecord | None:
        """The call with its turns."""
        return await self._one(calls.c.call_id == call_id)

    async def find(self, call_id: str) -> CallRecord:
        """NotFoundError."""
        record = await self.get(call_id)
        if record is None:
            raise NotFoundError(f"There is no call {call_id!r}.", field="call_id")
        return record

    async def goes_on(self, call_id: str) -> bool:
        """Whether there is such a call, and it has not ended: for who asks that again and again."""
        return bool(await self._ids(sa.and_(calls.c.call_id == call_id, calls.c.ended_at.is_(None))))

    async def get_by_sid(self, call_sid: str) -> CallRecord | None:
        """The call with its turns, by the carrier's id."""
        return await self._one(calls.c.call_sid == call_sid)

    async def page(
        self, *, status: Status | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[CallRecord]:
        """Calls by `created_at`, newest first. A call added meanwhile moves no other to another page.

        RequestError on a cursor that is not ours.
        """
        query = sa.select(calls)
        if status is not None:
            query = query.where(calls.c.status == status.value)
        order = (calls.c.created_at, calls.c.call_id)
        return await read_page(self.database.reader, query, order, call_record, limit=limit, cursor=cursor)

    async def advance(
        self, call_id: str, status: Status, *, at: datetime, change: CallChange = NO_CHANGE
    ) -> bool:
        """Moves the call forward (`records.may_follow`), atomically; returns whether that was news.

        With it go `started_at` (the first status after queued), `answered_at` (in-progress) and `ended_at`
        (a final one), each at its first writing, and `change`. When it is no news, nothing is written.
        """
        earlier = [old.value for old in Status if may_follow(old, status)]
        columns = _written(change_row(change))
        columns["status"] = status.value
        if not status.final and status is not Status.QUEUED:
            columns["started_at"] = sa.func.coalesce(calls.c.started_at, at)
        if status is Status.IN_PROGRESS:
            columns["answered_at"] = sa.func.coalesce(calls.c.answered_at, at)
        if status.final and change.ended_at is None:
            columns["ended_at"] = sa.func.coalesce(calls.c.ended_at, at)
        where = sa.and_(calls.c.call_id == call_id, calls.c.status.in_(earlier))
        if not await self._update(where, columns):
            return False
        self.listener.status_changed(call_id, status, change)
        self._note_outcome(call_id, change)
        return True

    async def update(self, call_id: str, change: CallChange) -> bool:
        """Writes `change` whatever the status; returns whether there is such a call."""
        columns = _written(change_row(change)) or {"status": calls.c.status}
        known = await self._update(calls.c.call_id == call_id, columns)
        if known:
            self._note_outcome(call_id, change)
        return known

    def _note_outcome(self, call_id: str, change: CallChange) -> None:
        if change.outcome is not None:
            self.listener.outcome_written(call_id, change.outcome)

    async def put_turn(self, call_id: str, turn: Turn) -> None:
        """Writes the turn, or rewrites it: (call_id, index) is its identity.

        A turn that is complete is not reopened by a late writing of its unfinished form.
        NotFoundError when there is no such call.
        """
        row = turn_row(call_id, turn)
        async with self.database.writer.begin() as connection:
            statement = upsert(connection, turns).values(row)
            new = statement.excluded
            statement = statement.on_conflict_do_update(
                index_elements=[turns.c.call_id, turns.c.index],
                set_={column: new[column] for column in row if column not in ("call_id", "index")},
                where=sa.or_(sa.not_(turns.c.complete), new.complete),
            )
            try:
                await connection.execute(statement)
            except IntegrityError as error:
                raise _no_call(call_id) from error
            if (timed := reply_row(call_id, turn)) is not None:
                scenario = sa.select(calls.c.scenario).where(calls.c.call_id == call_id).scalar_subquery()
                reply = upsert(connection, replies).values(timed | {"scenario": scenario})
                measured = {name: reply.excluded[name] for name in REPLY_PARTS}
                keys = [replies.c.call_id, replies.c.index]
                await connection.execute(reply.on_conflict_do_update(index_elements=keys, set_=measured))

    async def issue_token(self, call_id: str, token_hash: str, expires_at: datetime) -> None:
        """Lets the holder of the token open one media socket for the call. Only the hash is kept.

        NotFoundError when there is no such call.
        """
        row = {"token_hash": token_hash, "call_id": call_id, "expires_at": expires_at}
        try:
            async with self.database.writer.begin() as connection:
                await connection.execute(tokens.insert(), row)
        except IntegrityError as error:
            raise _no_call(call_id) from error

    async def burn_token(self, token_hash: str, now: datetime) -> str | None:
        """The token's call, once: of all who ask, in all processes, one gets it. None when expired."""
        mine = sa.and_(tokens.c.token_hash == token_hash, tokens.c.expires_at > now)
        async with self.database.writer.begin() as connection:
            burnt = await connection.execute(tokens.delete().where(mine).returning(tokens.c.call_id))
            call_id = burnt.scalar_one_or_none()
            if call_id is not None:
                await connection.execute(tokens.delete().where(tokens.c.expires_at <= now))
        return call_id

    async def dialling(self, phone_number: str) -> tuple[str, ...]:
        """Ids of open calls to the number that it was decided to dial and whose sid is not known."""
        where = sa.and_(
            calls.c.phone_number == phone_number,
            calls.c.dialling_at.is_not(None),
            calls.c.call_sid.is_(None),
            calls.c.status == Status.QUEUED.value,
        )
        return await self._ids(where)

    async def placed_since(self, key_id: str | None, since: datetime) -> int:
        """How many calls were asked for with the key (None: without one), campaigns' not counted."""
        where = sa.and_(calls.c.created_at >= since, calls.c.key_id == key_id, calls.c.campaign_id.is_(None))
        return int((await self.database.column(sa.select(sa.func.count()).where(where)))[0])

    async def orphans(self, before: datetime) -> tuple[str, ...]:
        """Ids of open calls made before then that nothing follows: their process died at once."""
        return await self._ids(sa.and_(unfollowed, calls.c.created_at < before))

    async def holders(self) -> tuple[str, ...]:
        """The processes that hold open calls."""
        query = sa.select(calls.c.held_by).where(held).distinct()
        return tuple(await self.database.column(query))

    async def held_by(self, process: str) -> tuple[str, ...]:
        """Ids of the open calls that the process holds."""
        return await self._ids(sa.and_(held, calls.c.held_by == process))

    async def follow_first(self, call_id: str, follower: str) -> bool:
        """Names what follows the call, unless something does already; returns whether that was news."""
        return await self._update(
            sa.and_(calls.c.call_id == call_id, calls.c.followed_by.is_(None)), {"followed_by": follower}
        )

    async def lines_taken(self) -> int:
        """Calls between their dialling, or coming in, and their end."""
        async with self.database.reader.connect() as connection:
            return await count_lines(connection)

    async def _ids(self, where: sa.ColumnElement[bool]) -> tuple[str, ...]:
        return tuple(await self.database.column(sa.select(calls.c.call_id).where(where)))

    async def _one(self, where: sa.ColumnElement[bool]) -> CallRecord | None:
        async with self.database.reader.connect() as connection:
            row = (await connection.execute(sa.select(calls).where(where))).mappings().one_or_none()
            return None if row is None else call_record(row, await turns_of(connection, row["call_id"]))

    async def _update(self, where: sa.ColumnElement[bool], columns: Row) -> bool:
        async with self.database.writer.begin() as connection:
            try:
                result = await connection.execute(calls.update().where(where).values(columns))
            except IntegrityError as error:
                raise ConflictError("Another call has this call_sid.") from error
        return result.rowcount == 1


async def count_lines(connection: AsyncConnection) -> int:
    """Calls between their dialling, or coming in, and their end."""
    return int((await connection.execute(sa.select(sa.func.count()).where(on_a_line))).scalar_one())


def _written(row: Row) -> dict[str, Any]:
    """Columns to write, where the first value of some stands."""
    return {
        column: sa.func.coalesce(calls.c[column], value) if column in _FIRST_STANDS else value
        for column, value in row.items()
    }


async def turns_of(connection: AsyncConnection, call_id: str) -> Sequence[Turn]:
    """By index."""
    query = sa.select(turns).where(turns.c.call_id == call_id).order_by(turns.c.index)
    return [turn_record(row) for row in (await connection.execute(query)).mappings()]


def _no_call(call_id: str) -> NotFoundError:
    return NotFoundError(f"There is no call {call_id}.")
