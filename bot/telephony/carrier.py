"""The contract of a carrier: who dials, hangs up and signs its webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from loguru import logger

from bot.records import Status

HANG_UP_SECONDS = 8.0
"""How long a carrier may take to be told; its own retries go on no longer."""


@dataclass(frozen=True)
class DialOrder:
    """One call to place. Numbers are E.164 and stay out of repr, and so out of log lines."""

    to: str = field(repr=False)
    from_number: str | None = field(repr=False)
    """None: the carrier's own default number."""
    voice_url: str
    """Fetched by POST when the callee picks up; answers TwiML."""
    status_url: str
    ring_seconds: int
    time_limit_seconds: int
    """The carrier ends the call after this long, whatever happened to us."""
    scenario: str
    call_id: str
    amd_url: str | None = None
    """Told by POST what the carrier takes the callee for, while the call goes on; None: nobody asks."""


@dataclass(frozen=True)
class CarrierCall:
    """A call as its carrier knows it."""

    call_sid: str
    status: Status
    duration_seconds: float | None = None
    """Answer to end; None before the end and for a call never answered."""
    to: str | None = field(default=None, repr=False)
    from_number: str | None = field(default=None, repr=False)
    created_at: datetime | None = None


class Carrier(Protocol):
    """Dials and carries lines. Every method but `signature_holds` may raise CarrierError."""

    @property
    def vendor(self) -> str: ...

    @property
    def account_sid(self) -> str: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def dial(self, order: DialOrder) -> str:
        """Place the call and return its sid.

        CarrierError carries the carrier's own code and message. DialUnconfirmedError: no answer came, the
        call may exist; do not dial again before `recent_calls` or a status callback has settled it.
        """
        ...

    async def hang_up(self, call_sid: str) -> None:
        """End the call, ringing or answered. A call that is unknown or over counts as done."""
        ...

    @property
    def request_seconds(self) -> float:
        """How long a request can be under way whose sender died: only then does `recent_calls` tell all."""
        ...

    @property
    def default_from(self) -> str | None:
        """The number that calls where an order names none."""
        ...

    async def instruct(self, call_sid: str, twiml: str, *, time_limit_seconds: int | None = None) -> None:
        """Give an answered call a new TwiML document; its media stream ends first.

        `time_limit_seconds`, counted from the call's beginning, replaces the one it was dialled with.
        """
        ...

    async def fetch(self, call_sid: str) -> CarrierCall | None:
        """The call as it stands, or None if the carrier does not know it."""
        ...

    async def recent_calls(self, to: str, since: datetime) -> Sequence[CarrierCall]:
        """Calls to `to` created at or after `since`, newest first: what an unconfirmed dial left behind."""
        ...

    def signature_holds(self, url: str, params: Mapping[str, str], signature: str) -> bool:
        """Whether the carrier signed this request. `params`: its form fields; none for GET and WebSocket."""
        ...


class EndsCalls(Protocol):
    """What of a carrier ends calls."""

    async def hang_up(self, call_sid: str) -> None: ...


async def try_hang_up(carrier: EndsCalls, call_sid: str, within_seconds: float = HANG_UP_SECONDS) -> None:
    """Ends the call; a carrier that cannot be told is logged, and the call's own time limit ends it then."""
    try:
        await asyncio.wait_for(carrier.hang_up(call_sid), within_seconds)
    except Exception as e:
        logger.error("the carrier could not be told to hang up {}: {}", call_sid, e or type(e).__name__)


def masked(number: str | None) -> str:
    """A number for a log line: its first two and last two digits."""
    if number is None:
        return "none"
    return f"{number[:3]}…{number[-2:]}" if len(number) > 7 else "…"
