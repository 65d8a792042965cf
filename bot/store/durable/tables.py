"""The tables of the durable engine: where they are, and what its library has no method for. It all blocks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import sqlalchemy as sa

from bot.store.address import PostgresAddress, SqliteAddress

_FIRST = -1
"""DBOS itself gives 0, its highest, to what comes without a priority."""


def system_url(address: SqliteAddress | PostgresAddress) -> tuple[str, str]:
    """Where DBOS keeps its tables, and their schema.

    On SQLite in a file of their own: its writes come from threads and would wait for the calls' writer. On
    PostgreSQL psycopg takes libpq's parameters, where asyncpg also takes settings: `search_path` becomes a
    schema beside it.
    """
    if isinstance(address, SqliteAddress):
        path = address.path.with_name(f"{address.path.stem}.durable.db")
        return f"sqlite:///{path}", "dbos"
    parts = urlsplit(address.dsn)
    query = dict(parse_qsl(parts.query))
    schema = query.pop("search_path", None)
    url = urlunsplit(("postgresql+psycopg", parts.netloc, parts.path, urlencode(query), ""))
    return url, f"{unquote(schema)}_dbos" if schema else "dbos"


def count_workflows(tables: Any, by: str, statuses: tuple[str, ...]) -> dict[tuple[str | None, str], int]:
    """Workflows of these statuses by a column of theirs and status. `tables`: DBOS's system database."""
    rows = tables.tables.workflow_status
    query = (
        sa.select(rows.c[by], rows.c.status, sa.func.count())
        .where(rows.c.status.in_(statuses), tables._name_filter(rows.c.application_name, tables.app_name))
        .group_by(rows.c[by], rows.c.status)
    )
    with tables.engine.begin() as connection:
        return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def workflow_statuses(tables: Any, ids: Collection[str]) -> dict[str, str]:
    """Of those workflows that there are, how they stand."""
    rows = tables.tables.workflow_status
    query = sa.select(rows.c.workflow_uuid, rows.c.status).where(rows.c.workflow_uuid.in_(list(ids)))
    with tables.engine.begin() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def put_first(tables: Any, processes: frozenset[str]) -> None:
    """What these processes run goes before all that waits, once it is enqueued again.

    It was begun already: behind a campaign, or a thousand calls, its call would be followed by nobody that long.
    """
    rows = tables.tables.workflow_status
    theirs = sa.and_(rows.c.status == "PENDING", rows.c.executor_id.in_(processes))
    with tables.engine.begin() as connection:
        connection.execute(rows.update().where(theirs).values(priority=_FIRST))


def forget_workflows(tables: Any, before: datetime, limit: int) -> int:
    """Delete workflows that ended before then, at most `limit`; how many it were."""
    found = tables.list_workflows(
        status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
        completed_before=before.isoformat(),
        limit=limit,
        load_input=False,
        load_output=False,
    )
    if found:
        tables.delete_workflows([status.workflow_id for status in found])
    return len(found)
