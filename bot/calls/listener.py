"""What a program that holds calls in its own process may hear of them."""

from __future__ import annotations

from typing import Protocol

from bot.records import Turn


class CallListener(Protocol):
    """Called in the event loop; it must not block."""

    def turn_completed(self, call_id: str, turn: Turn) -> None: ...

    def call_ended(self, call_id: str) -> None:
        """The call has its final status, by this process's knowledge. May come twice."""
        ...


class NoCallListener:
    """Hears nothing."""

    def turn_completed(self, call_id: str, turn: Turn) -> None:
        return

    def call_ended(self, call_id: str) -> None:
        return
