"""The token of a media stream, and in it the process that expects the stream. Pure.

Any process may get the socket, and only one can hold a call that already has a line. Its address travels in
the token itself: the store keeps a hash of the whole, so an address in a token that burns is one we wrote.
Asking the other processes when the socket comes was rejected: the callee would wait for it at every answer.
"""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass

_HELD, _KEPT = "h", "k"


@dataclass(frozen=True)
class Home:
    """A process's private address (`http://host:port`), and what it has for the call."""

    address: str
    holds: bool
    """The call is on the line there: the stream has to go there. Else a line is kept for it there, and any
    process may take it."""


def new_token(home: Home | None = None) -> str:
    """One-use, unguessable; letters, digits, - _ and . only, so that it is whole in a URL's path too."""
    secret = secrets.token_urlsafe(32)
    if home is None:
        return secret
    address = base64.urlsafe_b64encode(home.address.encode()).decode().rstrip("=")
    return f"{secret}.{_HELD if home.holds else _KEPT}.{address}"


def home_of(token: str) -> Home | None:
    """What a token that held says; None where it says nothing."""
    _, _, rest = token.partition(".")
    kind, _, encoded = rest.partition(".")
    if kind not in (_HELD, _KEPT):
        return None
    try:
        address = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        return None
    return Home(address, kind == _HELD) if address else None


def hashed(token: str) -> str:
    """What is kept of it."""
    return hashlib.sha256(token.encode()).hexdigest()
