"""Masks of WebSocket frames from a buffer: one system call for a thousand of them.

Each frame that a client sends is masked (RFC 6455, 5.3), and `websockets` asks the system for each mask: 31 times
a second and call for the audio alone, each time giving up the interpreter to a thread that waits for it.
"""

import os
import secrets

from websockets import frames

_BYTES = 4
_MASKS = 1024


class Masks:
    """In the place of `secrets` for `websockets.frames`; its lists are safe between threads."""

    def __init__(self) -> None:
        self._ready: list[bytes] = []

    def token_bytes(self, count: int) -> bytes:
        if count != _BYTES:
            return secrets.token_bytes(count)
        try:
            return self._ready.pop()
        except IndexError:
            fresh = os.urandom(_BYTES * _MASKS)
            self._ready.extend(fresh[at : at + _BYTES] for at in range(_BYTES, len(fresh), _BYTES))
            return fresh[:_BYTES]


def install() -> None:
    """For all connections of the process that `websockets` makes."""
    frames.secrets = Masks()  # type: ignore[attr-defined, assignment]
