"""Who may use the API and the pages: a holder of one of API_KEYS, by the key or by a session begun with it. Pure.

A session is signed with the key that began it. So it holds in every process and after a restart, nothing is kept,
and taking the key out of API_KEYS ends it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SESSION_COOKIE = "phone_session"
SESSION_SECONDS = 12 * 3600
CSRF_HEADER = "x-csrf-token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SIGN_IN_TRIES, SIGN_IN_SECONDS = 10, 60.0
"""Wrong keys of one address, and in how long."""
_REMEMBERED = 1000
"""Addresses."""


def is_one_of(given: str, keys: Iterable[str]) -> bool:
    """Whether `given` is among `keys`, in a time that depends on neither (digests have one length)."""
    digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
    found = False
    for key in keys:
        found |= hmac.compare_digest(digest, hashlib.sha256(key.encode()).digest())
    return found


def key_id(key: str) -> str:
    """A short hash: what limits by key count."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True)
class Session:
    """A signed-in browser's."""

    key: str = field(repr=False)
    token: str = field(repr=False)
    """The cookie's value."""

    @property
    def csrf(self) -> str:
        """What a page sends along with all that changes something: another site's page cannot read it."""
        return _signature(self.key, "csrf", self.token)


def begin_session(key: str, now: float) -> Session:
    """`now`: seconds of the epoch."""
    said = f"{int(now) + SESSION_SECONDS}.{secrets.token_urlsafe(12)}"
    return Session(key, f"{said}.{_signature(key, 'session', said)}")


def session_of(token: str | None, keys: Iterable[str], now: float) -> Session | None:
    """The session of a cookie; None where it is none of ours, has expired, or its key is gone."""
    said, _, signature = (token or "").rpartition(".")
    expiry = said.partition(".")[0]
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) < 12) or int(expiry) <= now:
        return None
    for key in keys:
        if hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(key, "session", said).encode()):
            return Session(key, token or "")
    return None


def _signature(key: str, use: str, said: str) -> str:
    return hmac.new(key.encode(), f"{use}|{said}".encode(), hashlib.sha256).hexdigest()


def same_origin(origin: str | None, host: str | None) -> bool:
    """Whether a request with these headers may come from a page of ours. Programs send no Origin."""
    return origin is None or urlsplit(origin).netloc.lower() == (host or "").lower()


@dataclass
class SignInLimit:
    """Bounds how many keys an address may try; one process's."""

    _wrong: OrderedDict[str, list[float]] = field(default_factory=OrderedDict, init=False)

    def seconds_to_wait(self, address: str, now: float) -> float:
        """0 where it may try."""
        wrong = [at for at in self._wrong.get(address, ()) if now - at < SIGN_IN_SECONDS]
        return 0.0 if len(wrong) < SIGN_IN_TRIES else wrong[-SIGN_IN_TRIES] + SIGN_IN_SECONDS - now

    def was_wrong(self, address: str, now: float) -> None:
        self._wrong[address] = [*self._wrong.pop(address, [])[1 - SIGN_IN_TRIES :], now]
        while len(self._wrong) > _REMEMBERED:
            self._wrong.popitem(last=False)
