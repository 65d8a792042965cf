"""What is kept of a campaign: itself, its contacts, and the rows that could not be taken. No rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.policy import DEFAULT_TERMS, Terms
from bot.records import CallRecord, CallSpec, EndedReason, Status


class CampaignStatus(StrEnum):
    LOADING = "loading"
    """Its contacts are being written; nobody is dialled. What stays there was cut off, and is deleted."""
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELED = "canceled"

    @property
    def over(self) -> bool:
        return self in (CampaignStatus.COMPLETED, CampaignStatus.CANCELED)


class ContactState(StrEnum):
    QUEUED = "queued"
    """Not called yet."""
    RETRY = "retry"
    """Called, and to be called again."""
    CALLING = "calling"
    """Has a call that is not over."""
    DONE = "done"
    """Called, and not called again."""
    LEFT = "left"
    """Never called: the campaign was canceled or came to its end first."""


@dataclass(frozen=True)
class Campaign:
    """One campaign. In the texts of `spec` stand the {variables} of the contacts; its number is empty."""

    campaign_id: str
    spec: CallSpec
    status: CampaignStatus
    created_at: datetime
    name: str | None = None
    concurrency: int = 5
    """Calls under way at most."""
    start_at: datetime | None = None
    end_at: datetime | None = None
    """Nobody is dialled from then on; what is under way goes on."""
    terms: Terms = DEFAULT_TERMS
    """Of every call: retries, hours, time zone, webhook, outcome schema."""
    columns: tuple[str, ...] = ()
    """The variables of its contacts, in the order of the upload."""
    zones: tuple[str, ...] = ()
    """The different `Contact.zone` of its contacts."""
    accepted: int = 0
    rejected: int = 0
    key_id: str | None = None
    request_hash: str | None = None
    touched_at: datetime | None = None
    """When its last contacts were written; None once it is loaded."""
    resumed_at: datetime | None = None
    """Calls that ended before do not count for the circuit breaker."""
    ended_at: datetime | None = None
    why: str | None = None
    """Why it does not dial: paused by whom, waiting for what."""


@dataclass(frozen=True)
class Contact:
    """One to be called. `line` is that of the upload; `position` counts the accepted ones from 0."""

    campaign_id: str
    position: int
    line: int
    phone_number: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    zone: str = ""
    """IANA names of the time zones the number may be in, joined by commas; empty: unknown."""
    state: ContactState = ContactState.QUEUED
    attempts: int = 0
    """Calls begun."""
    call_id: str | None = None
    """The last call begun."""
    next_call_id: str | None = None
    """The call that comes next; None: its id follows from the contact's."""
    due_at: datetime | None = None
    """When to call again."""
    status: Status | None = None
    """Of the last call that ended."""
    ended_reason: EndedReason | None = None
    reached_goal: bool | None = None

    @property
    def contact_id(self) -> str:
        return contact_id_at(self.campaign_id, self.position)


@dataclass(frozen=True)
class BadRow:
    """A row of the upload that is not called, and why. `text` is the row as it was sent, cut short."""

    line: int
    code: str
    message: str
    field: str | None = None
    text: str = ""


@dataclass(frozen=True)
class Result:
    """A contact with the record of its last call, without turns."""

    contact: Contact
    call: CallRecord | None = None


@dataclass(frozen=True)
class Ending:
    """How many contacts came to one end."""

    status: Status | None
    ended_reason: EndedReason | None
    reached_goal: bool | None
    contacts: int


@dataclass(frozen=True)
class Progress:
    """Where the contacts of a campaign stand, in numbers of contacts."""

    queued: int = 0
    waiting: int = 0
    """To be called again, or put off by hours or caps, until there is room."""
    dialling: int = 0
    on_the_line: int = 0
    done: int = 0
    left: int = 0
    endings: tuple[Ending, ...] = ()
    """Of those that are done."""
    said_hello: int = 0
    """Calls, not contacts: those that a person answered with words."""
    abandoned: int = 0
    """Of these: the ones who heard no word within two seconds."""


def contact_id_at(campaign_id: str, position: int) -> str:
    """The id of a campaign's contact, by its place in the upload."""
    return f"{campaign_id}-{position}"


def contact_place(contact_id: str) -> tuple[str, int]:
    """(campaign_id, position) of a contact's id. ValueError when it is none."""
    campaign_id, dash, position = contact_id.rpartition("-")
    if not dash or not position.isdecimal():
        raise ValueError(f"{contact_id!r} is no contact's id")
    return campaign_id, int(position)
