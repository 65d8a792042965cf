"""Consents to be called, each kept beside the call that was dialled under it, and longer.

16 CFR 310.5 wants them kept for five years; the GDPR lets what proves them be kept (Article 17(3)(b) and (e)). So
a table of its own: neither retention nor an erasure empties it, and it holds nothing but what a proof needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.database import upsert
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


async def forget_old_consents(connection: AsyncConnection, now: datetime) -> None:
    """Those whose time is over."""
    await connection.execute(consents.delete().where(consents.c.dialled_at < now - timedelta(days=KEPT_DAYS)))
