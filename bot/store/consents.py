"""Consents to be called, each kept beside the call that was dialled under it, and longer.

16 CFR 310.5 wants them kept for five years; the GDPR lets what proves them be kept (Article 17(3)(b) and (e)). So
a table of its own: neither retention nor an erasure empties it, and it holds nothing but what a proof needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.records import CallRecord
from bot.store.database import Database, upsert
from bot.store.rows import storable
from bot.store.schema import UtcDateTime, metadata

KEPT_DAYS = 5 * 365 + 2

consents = sa.Table(
    "consents",
    metadata,
    sa.Column("call_id", sa.Text, primary_key=True),
    sa.Column("phone_number", sa.Text, nullable=False),
    sa.Column("scenario", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("given_at", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("dialled_at", UtcDateTime, nullable=False),
    sa.Index("consents_by_number", "phone_number"),
    sa.Index("consents_by_age", "dialled_at"),
)


@dataclass(frozen=True)
class KeptConsent:
    """What proves that a call was allowed."""

    call_id: str
    phone_number: str
    scenario: str
    purpose: str | None
    kind: str
    given_at: str
    """As the request said it."""
    source: str
    dialled_at: datetime


async def keep_consent(
    connection: AsyncConnection,
    call_id: str,
    phone_number: str,
    *,
    scenario: str,
    terms: Mapping[str, Any],
    at: datetime,
) -> None:
    """What the call's request had of it; nothing where that is nothing."""
    consent = terms.get("consent")
    if not isinstance(consent, Mapping):
        return
    row = {
        "call_id": call_id,
        "phone_number": phone_number,
        "scenario": scenario,
        "purpose": terms.get("purpose"),
        "kind": storable(str(consent.get("kind"))),
        "given_at": str(consent.get("at")),
        "source": storable(str(consent.get("source"))),
        "dialled_at": at,
    }
    await connection.execute(upsert(connection, consents).values(row).on_conflict_do_nothing())


class SqlConsentStore:
    """Of an open database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, record: CallRecord) -> None:
        """That of a call which its owner dials: when, and whether, nobody tells us."""
        spec, terms = record.spec, record.terms.to_json()
        async with self._database.writer.begin() as connection:
            await keep_consent(
                *(connection, record.call_id, spec.phone_number),
                scenario=spec.scenario,
                terms=terms,
                at=record.created_at,
            )

    async def of_number(self, phone_number: str) -> Sequence[KeptConsent]:
        """All that are kept of an E.164 number, newest first."""
        mine = sa.select(consents).where(consents.c.phone_number == phone_number)
        rows = await self._database.rows(mine.order_by(consents.c.dialled_at.desc()))
        return [KeptConsent(**row) for row in rows]


async def forget_old_consents(connection: AsyncConnection, now: datetime) -> None:
    """Those whose time is over."""
    await connection.execute(consents.delete().where(consents.c.dialled_at < now - timedelta(days=KEPT_DAYS)))
