"""Who may go from waiting to dialling: once, not when canceled, not against the list, not beyond a day's cap or
the lines of all processes.

The rules in bot.dialling.policy decide on what was read; between that and the dialling another process may
cancel the call, dial the same number or put it on the list. So the step itself is one transaction that looks
again. Two calls to one number take their turns in it: SQLite has one writer; PostgreSQL, whose transactions
would each count the other's call out, has an advisory lock by number that ends with the transaction. So do all
calls where there is a limit of lines, and there too calls that come in are counted.

A decision to dial that was not carried out is taken over by naming it (`dial_again`): of two processes that both
found it, after a crash or because one only lost its database for a while, one gets it.
"""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.records import Direction, EndedReason, Status
from bot.store.calls import count_lines
from bot.store.consents import keep_consent
from bot.store.database import Database
from bot.store.do_not_call import do_not_call
from bot.store.kept_json import as_object
from bot.store.number_key import has_number
from bot.store.schema import calls, on_a_line


class Claim(StrEnum):
    GO = "go"
    """This call, and nobody else's, is dialled now."""
    BEGUN = "begun"
    """It was decided before: the carrier may know the call."""
    OVER = "over"
    """Canceled, dialled, ended, or erased."""
    DO_NOT_CALL = "do_not_call"
    CAPPED = "capped"
    NUMBER_BUSY = "number_busy"
    """As many calls are with the number as may be."""
    FULL = "full"
    """All lines of all processes are taken."""


class SqlClaims:
    """Over the calls of an open database. A method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def dialled_since(self, phone_number: str, since: datetime, scenario: str | None = None) -> int:
        """Calls out to the number, of one scenario or all, that were dialled, or decided to be, since then.

        One that the carrier refused has rung nowhere and does not count.
        """
        async with self._database.reader.connect() as connection:
            return await _dialled(connection, self._has(phone_number), since, scenario)

    def _has(self, phone_number: str) -> sa.ColumnElement[bool]:
        return has_number(phone_number, self._database.secret)

    async def with_number(self, phone_number: str, call_id: str) -> int:
        """Other calls to or from the number, between their dialling and their end."""
        async with self._database.reader.connect() as connection:
            return await _with_number(connection, phone_number, call_id)

    async def begin_dialling(
        self,
        call_id: str,
        *,
        at: datetime,
        since: datetime,
        max_per_day: int | None,
        max_per_subject: int | None = None,
        lines: int | None = None,
        at_once: int | None = None,
    ) -> Claim:
        """Writes `dialling_at` of a waiting call, and its consent. `since` is the begin of the callee's day."""
        query = sa.select(
            *(calls.c.phone_number, calls.c.status, calls.c.dialling_at, calls.c.call_sid),
            *(calls.c.scenario, calls.c.terms),
        )
        async with self._database.writer.begin() as connection:
            this = query.where(calls.c.call_id == call_id).with_for_update()
            row = (await connection.execute(this)).one_or_none()
            if row is None or row.status != Status.QUEUED.value:
                return Claim.OVER
            if row.dialling_at is not None or row.call_sid is not None:
                return Claim.BEGUN
            await _one_at_a_time(connection, row.phone_number)
            listed = sa.select(do_not_call.c.phone_number).where(do_not_call.c.phone_number == row.phone_number)
            if (await connection.execute(listed)).first() is not None:
                return Claim.DO_NOT_CALL
            mine = self._has(row.phone_number)
            if max_per_day is not None and await _dialled(connection, mine, since) >= max_per_day:
                return Claim.CAPPED
            if max_per_subject is not None and max_per_subject <= await _dialled(
                connection, mine, since, row.scenario
            ):
                return Claim.CAPPED
            if at_once is not None and await _with_number(connection, row.phone_number, call_id) >= at_once:
                return Claim.NUMBER_BUSY
            if lines is not None:
                await _one_at_a_time(connection, "lines")
                if await count_lines(connection) >= lines:
                    return Claim.FULL
            begun = await connection.execute(calls.update().where(_waits(call_id)).values(dialling_at=at))
            if begun.rowcount != 1:
                return Claim.OVER
            await keep_consent(
                connection, call_id, row.phone_number, scenario=row.scenario, terms=as_object(row.terms), at=at
            )
            return Claim.GO

    async def dial_again(self, call_id: str, *, decided: datetime, at: datetime) -> bool:
        """Takes over a decision that was not carried out, as it was found; False: another did, or it is over."""
        found = sa.and_(
            calls.c.call_id == call_id,
            calls.c.status == Status.QUEUED.value,
            calls.c.dialling_at == decided,
            calls.c.call_sid.is_(None),
        )
        async with self._database.writer.begin() as connection:
            taken = await connection.execute(calls.update().where(found).values(dialling_at=at))
            return taken.rowcount == 1

    async def cancel_waiting(self, call_id: str, *, at: datetime) -> bool:
        """Cancels a call that was not begun to be dialled; False where it was, or is over, or does not exist."""
        values = {
            "status": Status.CANCELED.value,
            "ended_reason": sa.func.coalesce(calls.c.ended_reason, EndedReason.CANCELED.value),
            "ended_at": sa.func.coalesce(calls.c.ended_at, at),
        }
        async with self._database.writer.begin() as connection:
            canceled = await connection.execute(calls.update().where(_waits(call_id)).values(values))
            return canceled.rowcount == 1


def _waits(call_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        calls.c.call_id == call_id,
        calls.c.status == Status.QUEUED.value,
        calls.c.dialling_at.is_(None),
        calls.c.call_sid.is_(None),
    )


async def _one_at_a_time(connection: AsyncConnection, what: str) -> None:
    """Until the transaction ends; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        lock = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(what, 0))
        await connection.execute(sa.select(lock))


async def _with_number(connection: AsyncConnection, phone_number: str, call_id: str) -> int:
    others = sa.and_(calls.c.phone_number == phone_number, calls.c.call_id != call_id, on_a_line)
    return int((await connection.execute(sa.select(sa.func.count()).where(others))).scalar_one())


async def _dialled(
    connection: AsyncConnection, theirs: sa.ColumnElement[bool], since: datetime, scenario: str | None = None
) -> int:
    refused = sa.and_(calls.c.status == Status.FAILED.value, calls.c.call_sid.is_(None))
    # A call that its owner dials by himself has no dialling_at.
    at = sa.func.coalesce(calls.c.dialling_at, calls.c.started_at)
    query = sa.select(sa.func.count()).where(
        theirs,
        calls.c.direction == Direction.OUTBOUND.value,
        at >= since,
        sa.not_(refused),
    )
    if scenario is not None:
        query = query.where(calls.c.scenario == scenario)
    return int((await connection.execute(query)).scalar_one())
