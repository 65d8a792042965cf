"""Where a phone number's clock stands: the time zones it may be in, and local times as instants."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from bot.phone_numbers import zones_of_number
from bot.policy import zone_named

Zones = tuple[ZoneInfo, ...]
"""All the zones a callee may be in; empty where nothing is known."""


def zones_of(number: str, override: str | None = None) -> Zones:
    """The zones of an E.164 number by libphonenumber, or the one that the request names (an IANA name).

    A mobile or toll-free number may have all the zones of its country. ValueError on a zone that does not exist.
    """
    if override is not None:
        return (zone_named(override),)
    return tuple(ZoneInfo(name) for name in zones_of_number(number))


def instant(zone: ZoneInfo, day: date, minutes: int) -> datetime:
    """`minutes` after midnight on the wall clock of `day`, in UTC; 1440 is the day's end.

    A time that happens twice is its first; one that is skipped is read by the clock before the change.
    """
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minutes)
    return wall.astimezone(UTC)


def local_day(now: datetime, zones: Zones) -> tuple[datetime, datetime]:
    """Begin and end of the callee's day around `now`; UTC's where no zone is known.

    With several zones it begins with the first of their days that are running, and ends when all have ended.
    """
    days = [(where, now.astimezone(where).date()) for where in zones or (ZoneInfo("UTC"),)]
    begin = min(instant(where, day, 0) for where, day in days)
    return begin, max(instant(where, day + timedelta(days=1), 0) for where, day in days)
