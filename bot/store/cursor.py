"""Where the next page of a list begins: the moment and id of the last that was shown, opaque to the caller."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from bot.errors import RequestError


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
    if at is None or at.tzinfo is None or not key:
        raise RequestError(
            "cursor is not one this server gave: pass next_cursor of the page before, unchanged.",
            code="bad_cursor",
            field="cursor",
        )
    return at, key
