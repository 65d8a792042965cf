"""What the pages ask of the calls: those that fit a filter, page by page, and counts of a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bot.records import CallRecord, Status
from bot.store.database import Database
from bot.store.number_key import number_key
from bot.store.pages import Page, read_page
from bot.store.rows import call_record
from bot.store.schema import calls, is_open, on_a_line


@dataclass(frozen=True)
class CallFilter:
    """Calls that fit all of it; None or empty: any."""

    text: str = ""
    """In the number, the names, the action or the id; a masked number is found by all of it."""
    status: Status | None = None
    live: bool = False
    """Not over yet."""
    reached_goal: bool | None = None
    ended_reason: str | None = None
    scenario: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    def conditions(self, secret: str) -> list[sa.ColumnElement[bool]]:
        """`secret`: the database's."""
        where: list[sa.ColumnElement[bool]] = []
        if self.text:
            searched = ("phone_number", "callee_name", "organization", "action", "call_id")
            found = [calls.c[name].icontains(self.text, autoescape=True) for name in searched]
            where.append(sa.or_(*found, calls.c.number_key == number_key(self.text, secret)))
        if self.status is not None:
            where.append(calls.c.status == self.status.value)
        if self.live:
            where.append(is_open)
        if self.reached_goal is not None:
            where.append(calls.c.outcome["reached_goal"].as_boolean() == sa.literal(self.reached_goal))
        for column, value in (("ended_reason", self.ended_reason), ("scenario", self.scenario)):
            if value:
                where.append(calls.c[column] == value)
        if self.since is not None:
            where.append(calls.c.created_at >= self.since)
        if self.before is not None:
            where.append(calls.c.created_at < self.before)
        return where


@dataclass(frozen=True)
class DayCounts:
    """Calls since the beginning of a day, and those that go on now."""

    placed: int
    answered: int
    reached: int
    on_line: int


class CallSearch:
    """Reads only; every page is served by an index of created_at."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: CallFilter, *, limit: int = 50, cursor: str | None = None) -> Page[CallRecord]:
        """Newest first, without their turns. RequestError on a cursor that is not ours."""
        query = sa.select(calls).where(*wanted.conditions(self._database.secret))
        order = (calls.c.created_at, calls.c.call_id)
        return await read_page(self._database.reader, query, order, call_record, limit=limit, cursor=cursor)

    async def counts(self, since: datetime) -> DayCounts:
        reached = calls.c.outcome["reached_goal"].as_boolean() == sa.true()
        today = sa.select(
            sa.func.count(),
            sa.func.count().filter(calls.c.answered_at.is_not(None)),
            sa.func.count().filter(reached),
        ).where(calls.c.created_at >= since)
        async with self._database.reader.connect() as connection:
            placed, answered, goals = (await connection.execute(today)).one()
            on_line = (await connection.execute(sa.select(sa.func.count()).where(on_a_line))).scalar_one()
        return DayCounts(placed, answered, goals, on_line)
