"""The interface of the store: what the rest of the product may ask of it.

Setting the carrier's id, ending a call, its outcome and its vendors are one method, `update`, with a
`CallChange`. One method a field was the other way: it grows with every field of a call, and a call's end
would be four transactions instead of one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.records import (
    AnsweredBy,
    CallRecord,
    CostPart,
    Counts,
    EndedReason,
    Outcome,
    PricedItems,
    RecordingConsent,
    Status,
    Turn,
)
from bot.store.pages import Page


@dataclass(frozen=True)
class CallChange:
    """Fields to write; None leaves a field as it is.

    The first `ended_reason`, `error` and `ended_at` to be written stand: what comes later (the carrier's
    callback after our own hang-up) is a consequence of the first.
    """

    call_sid: str | None = None
    ended_reason: EndedReason | None = None
    error: str | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    answer_to_first_audio_ms: float | None = None
    recording: str | None = None
    """"": there is none any more."""
    counts: Counts | None = None
    answered_by: AnsweredBy | None = None
    vendors: Mapping[str, str] | None = None
    outcome: Outcome | None = None
    costs: Mapping[CostPart, PricedItems] | None = None
    """Parts to write; the others stay."""
    retried_as: str | None = None
    scheduled_at: datetime | None = None
    followed_by: str | None = None
    held_by: str | None = None
    dialling_at: datetime | None = None
    carrier_ended_at: datetime | None = None
    disclosed_at: datetime | None = None
    consent: RecordingConsent | None = None
    hello_to_first_word_ms: float | None = None
    abandoned: bool | None = None
    caller_identity: Mapping[str, str] | None = None


NO_CHANGE = CallChange()


class CallStore(Protocol):
    """Every method is one transaction: when it returns, what it wrote survives a kill of the process."""

    async def open(self) -> None:
        """Connects and brings the schema up to date. SettingsError when the database cannot be used."""

    async def close(self) -> None: ...

    async def add(self, record: CallRecord) -> None:
        """Keeps a new call, with the turns it may have. ConflictError when its id or sid is taken."""

    async def get(self, call_id: str) -> CallRecord | None:
        """The call with its turns."""

    async def get_by_sid(self, call_sid: str) -> CallRecord | None:
        """The call with its turns, by the carrier's id."""

    async def page(
        self, *, status: Status | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[CallRecord]:
        """Calls by `created_at`, newest first. A call added meanwhile moves no other to another page.

        RequestError on a cursor that is not ours.
        """

    async def advance(
        self, call_id: str, status: Status, *, at: datetime, change: CallChange = NO_CHANGE
    ) -> bool:
        """Moves the call forward (`records.may_follow`), atomically; returns whether that was news.

        With it go `started_at` (the first status after queued), `answered_at` (in-progress) and `ended_at`
        (a final one), each at its first writing, and `change`. When it is no news, nothing is written.
        """

    async def update(self, call_id: str, change: CallChange) -> bool:
        """Writes `change` whatever the status; returns whether there is such a call."""

    async def put_turn(self, call_id: str, turn: Turn) -> None:
        """Writes the turn, or rewrites it: (call_id, index) is its identity.

        A turn that is complete is not reopened by a late writing of its unfinished form.
        NotFoundError when there is no such call.
        """

    async def issue_token(self, call_id: str, token_hash: str, expires_at: datetime) -> None:
        """Lets the holder of the token open one media socket for the call. Only the hash is kept.

        NotFoundError when there is no such call.
        """

    async def burn_token(self, token_hash: str, now: datetime) -> str | None:
        """The token's call, once: of all who ask, in all processes, one gets it. None when expired."""

    async def dialling(self, phone_number: str) -> tuple[str, ...]:
        """Ids of open calls to the number that it was decided to dial and whose sid is not known."""

    async def orphans(self, before: datetime) -> tuple[str, ...]:
        """Ids of open calls made before then that nothing follows: their process died at once."""

    async def holders(self) -> tuple[str, ...]:
        """The processes that hold open calls."""

    async def held_by(self, process: str) -> tuple[str, ...]:
        """Ids of the open calls that the process holds."""

    async def follow_first(self, call_id: str, follower: str) -> bool:
        """Names what follows the call, unless something does already; returns whether that was news."""

    async def lines_taken(self) -> int:
        """Calls between their dialling, or coming in, and their end."""
