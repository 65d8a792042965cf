"""Pages of a list, newest first; a cursor is the moment and id of the last that was shown, opaque to clients."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.errors import RequestError

MAX_PAGE = 200
_T = TypeVar("_T")


@dataclass(frozen=True)
class Page(Generic[_T]):
    """Some of a list, newest first; `next_cursor` is None on the last page."""

    items: tuple[_T, ...]
    next_cursor: str | None = None


async def read_page(
    engine: AsyncEngine,
    query: sa.Select[Any],
    order: tuple[sa.Column[Any], sa.Column[Any]],
    record: Callable[[RowMapping], _T],
    *,
    limit: int,
    cursor: str | None,
) -> Page[_T]:
    """The rows of `query` behind the cursor, by the columns of a moment and an id. What is added meanwhile moves
    none to another page. RequestError on a cursor that is not ours."""
    at, key = order
    limit = max(1, min(limit, MAX_PAGE))
    query = query.order_by(at.desc(), key.desc()).limit(limit + 1)
    if cursor is not None:
        moment, last_key = read_cursor(cursor)
        place = sa.tuple_(sa.literal(moment, at.type), sa.literal(last_key, key.type))
        query = query.where(sa.tuple_(at, key) < place)
    async with engine.connect() as connection:
        rows = (await connection.execute(query)).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    next_cursor = None if last is None else make_cursor(last[at], last[key])
    return Page(tuple(record(row) for row in rows[:limit]), next_cursor)


def make_cursor(at: datetime, key: str) -> str:
    """`key` orders what came in the same moment."""
    text = f"{at.isoformat()}|{key}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """The place `make_cursor` named. RequestError when it is not one of ours."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        written, _, key = text.partition("|")
        at = datetime.fromisoformat(written)
    except (ValueError, binascii.Error):
        at, key = None, ""
    if at is None or at.tzinfo is None or not key or "\x00" in key:
        raise RequestError(
            "cursor is not one this server gave: pass next_cursor of the page before, unchanged.",
            code="bad_cursor",
            field="cursor",
        )
    return at, key
