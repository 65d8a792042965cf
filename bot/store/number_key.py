"""Calls found by a number that is not kept: by a hash of it, keyed with the database's secret.

A masked call has the hash, and no other has: the day's caps, an erasure on request and a search for the whole
number need it. Who has the database has the key too, and can try all numbers: a pseudonym, not an erasure.
"""

from __future__ import annotations

import hashlib
import hmac

import sqlalchemy as sa

from bot.store.schema import calls


def number_key(phone_number: str, secret: str) -> str:
    """Of an E.164 number; `secret` is the database's."""
    return hmac.new(secret.encode(), phone_number.encode(), hashlib.sha256).hexdigest()


def has_number(phone_number: str, secret: str) -> sa.ColumnElement[bool]:
    """Whether a call is to or from the number, masked or not."""
    return sa.or_(calls.c.phone_number == phone_number, calls.c.number_key == number_key(phone_number, secret))
