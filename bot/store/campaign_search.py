"""What the pages ask of campaigns: how far each of a list is, and results in the order of any column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from bot.store.campaign_records import ContactState, Result
from bot.store.campaign_rows import contacts, read_results
from bot.store.database import Database
from bot.store.rows import word
from bot.store.schema import calls

_ORDERS: Mapping[str, Any] = {
    "line": contacts.c.position,
    "phone_number": contacts.c.phone_number,
    "state": contacts.c.state,
    "attempts": contacts.c.attempts,
    "ended_reason": sa.func.coalesce(contacts.c.ended_reason, contacts.c.status),
    "reached_goal": contacts.c.reached_goal,
    "ended_at": calls.c.ended_at,
    "duration_seconds": calls.c.duration_seconds,
}
ORDERS = tuple(_ORDERS)
"""The columns that results can be sorted by."""


class CampaignSearch:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self, campaign_ids: Sequence[str]) -> Mapping[str, Mapping[ContactState, int]]:
        """How many contacts of each campaign are in each state."""
        table = contacts.c
        query = (
            sa.select(table.campaign_id, table.state, sa.func.count())
            .where(table.campaign_id.in_(campaign_ids))
            .group_by(table.campaign_id, table.state)
        )
        found: defaultdict[str, dict[ContactState, int]] = defaultdict(dict)
        async with self._database.reader.connect() as connection:
            for campaign_id, state, number in await connection.execute(query):
                found[campaign_id][word(ContactState, state) or ContactState.DONE] = number
        return found

    async def results(
        self, campaign_id: str, *, order: str = "line", descending: bool = False, skip: int = 0, limit: int = 50
    ) -> Sequence[Result]:
        """By one of ORDERS, then by line; what has no value comes last. Each with its last call."""
        column = _ORDERS[order]
        query = (
            sa.select(contacts)
            .where(contacts.c.campaign_id == campaign_id)
            .order_by((column.desc() if descending else column.asc()).nulls_last(), contacts.c.position)
            .offset(skip)
            .limit(limit)
        )
        if order in ("ended_at", "duration_seconds"):
            query = query.select_from(contacts.outerjoin(calls, calls.c.call_id == contacts.c.call_id))
        async with self._database.reader.connect() as connection:
            return await read_results(connection, query)
