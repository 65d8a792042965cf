"""How a call is to be placed and reported, beside what it is about. Depends on nothing.

What is None here is the scenario's or the settings' to say.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

ProfileName = Literal["us_service", "us_marketing", "eu", "none"]
"""Whose law a call keeps by default: see docs/compliance.md."""
DEFAULT_PROFILE: ProfileName = "us_service"


class RetryOn(StrEnum):
    """Endings after which another attempt may follow."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    VOICEMAIL = "voicemail"
    FAILED = "failed"
    """The carrier could not dial it."""
    MACHINE = "machine"
    """A menu, hold music, a screening nobody answered, a recorded "not available"."""


class Weekday(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


def minutes_of(clock: str) -> int:
    """Minutes since midnight of "HH:MM"; "24:00" is the day's end. ValueError for anything else."""
    hour, colon, minute = clock.partition(":")
    if len(clock) == 5 and colon and clock.isascii() and (hour + minute).isdecimal() and int(minute) < 60:
        minutes = int(hour) * 60 + int(minute)
        if minutes <= 24 * 60:
            return minutes
    raise ValueError(f"{clock!r} is no time of day like 09:00; a day ends at 24:00")


@dataclass(frozen=True)
class RetryTerms:
    """`attempts` counts the first one too."""

    attempts: int = 1
    delay_seconds: float = 1800.0
    backoff: float = 1.0
    """Each further delay is this many times the one before."""
    on: tuple[RetryOn, ...] = (RetryOn.BUSY, RetryOn.NO_ANSWER)


@dataclass(frozen=True)
class HoursTerms:
    """When the callee may be called, in his own local time: `start` ≤ time < `end`, written HH:MM.

    A day ends at 24:00. The default is any time.
    """

    start: str = "00:00"
    end: str = "24:00"
    days: tuple[Weekday, ...] = tuple(Weekday)
    sunday: tuple[str, str] | None = None
    """Start and end of Sundays, where they differ from the other days'."""

    def minutes_on(self, day: Weekday) -> tuple[int, int]:
        """The first minute of the day that is allowed, and the first that is too late; equal: none is."""
        if day not in self.days:
            return 0, 0
        start, end = self.sunday if self.sunday is not None and day is Weekday.SUN else (self.start, self.end)
        return minutes_of(start), minutes_of(end)


class CallPurpose(StrEnum):
    """What a call is for, as the law tells calls apart."""

    SERVICE = "service"
    """About something the callee has with us: an appointment, an order."""
    MARKETING = "marketing"
    """An offer, or a sale."""


@dataclass(frozen=True)
class CallConsent:
    """The callee's consent to be called, as the request gives it."""

    kind: str
    """Such as `written`, `oral`, `web_form`."""
    at: str
    """When it was given, ISO 8601."""
    source: str
    """Where it can be found: a form's address, a contract's number."""


@dataclass(frozen=True)
class Terms:
    """Of one request; kept with the call and with every retry of it."""

    schedule_at: datetime | None = None
    """Not before; UTC."""
    retry: RetryTerms | None = None
    hours: HoursTerms | None = None
    time_zone: str | None = None
    """IANA name; None: the number says."""
    wait: bool = True
    """False: refuse the request rather than queue it."""
    extension: str | None = field(default=None, repr=False)
    """Keys pressed once the call is answered, as `bot.phone_numbers.read_extension` gives them."""
    webhook_url: str | None = None
    outcome_schema: dict[str, Any] | None = None
    """JSON Schema of `outcome.fields`, instead of the scenario's fields."""
    purpose: CallPurpose | None = None
    """None: its profile says."""
    consent: CallConsent | None = None
    simulated_callee: str | None = None
    """Who picks up on the simulated line."""

    def to_json(self) -> dict[str, Any]:
        """Only what is not the default."""
        said = {name: value for name, value in asdict(self).items() if value != getattr(DEFAULT_TERMS, name)}
        if self.schedule_at is not None:
            said["schedule_at"] = self.schedule_at.isoformat()
        return said


DEFAULT_TERMS = Terms()


_ABBREVIATIONS = {
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MST": "America/Denver, or America/Phoenix",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "HST": "Pacific/Honolulu",
    "BST": "Europe/London",
    "CEST": "Europe/Berlin",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "AEST": "Australia/Sydney",
}


def zone(name: str) -> ZoneInfo:
    """ValueError where there is no such zone, or where it is an abbreviation: EST knows no summer time."""
    if (meant := _ABBREVIATIONS.get(name.upper())) is not None:
        raise ValueError(
            f"{name!r} is an abbreviation, and its clock never changes to summer time: write {meant}"
        )
    if re.fullmatch(r"(?:Etc/)?(?:GMT|UTC)?[+-]\d{1,2}(?::?\d\d)?", name):
        raise ValueError(
            f"{name!r} is an offset, and its clock never changes to summer time: write a place, as Europe/Madrid"
        )
    return zone_named(name)


def zone_named(name: str) -> ZoneInfo:
    """ValueError where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        # An OSError is a name that leads to a folder of the database ("Europe").
        wanted = "_".join(name.casefold().split())
        near = sorted(known for known in available_timezones() if wanted in (known.casefold(), _city(known)))
        hint = f": write {near[0]}" if wanted and near else ""
        raise ValueError(f"{name!r} is no IANA time zone like Europe/Madrid{hint}") from None


def _city(zone: str) -> str:
    return zone.rpartition("/")[2].casefold()
