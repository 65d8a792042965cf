"""When a call may be dialled, and whether it is tried again: rules, pure, with the time as an argument.

Hours are the callee's. A number that may be in several zones (a mobile, a toll-free one) is called only when
the clocks of all of them allow it. Where hours are asked for and the zone is unknown, or no minute of the week
suits all its zones, the call is refused and `time_zone` asked for: to take UTC instead would ring somebody at
night in the name of a rule that was meant to prevent it. The cap of calls per day needs no such care: there an
unknown zone's day is UTC's.

Hours are looked for interval by interval, not minute by minute, except on the day of a change of clocks, whose
minutes are looked at one by one: that is exact without a case for each way clocks can change.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bot.calls.dialling.time_zones import Zones, instant, local_day
from bot.errors import RequestError
from bot.policy import HoursTerms, RetryOn, RetryTerms, Weekday
from bot.records import AnsweredBy, EndedReason, Status, Wait

ANY_TIME = HoursTerms()
LONGEST_DELAY_SECONDS = 7 * 24 * 3600.0
"""No backoff puts an attempt off longer."""
_WEEKDAYS = tuple(Weekday)
_SEARCHED_DAYS = 15
"""One week holds every kind of day; a second one, a day that a change of clocks leaves without its hours."""
_MINUTE = timedelta(minutes=1)
_NEAR = timedelta(hours=3)
"""No change of clocks shifts a day's beginning or end by more."""


@dataclass(frozen=True)
class Go:
    """Dial now."""


@dataclass(frozen=True)
class WaitUntil:
    """Not before `at` (UTC); then ask again."""

    at: datetime
    why: Wait


@dataclass(frozen=True)
class Refuse:
    """Never, as the call stands. `code` and `field` are for the API, `ended_reason` for a record that waits."""

    code: str
    message: str
    field: str
    ended_reason: EndedReason = EndedReason.CANCELED

    def error(self) -> RequestError:
        """For the request that asked for the call."""
        return RequestError(self.message, code=self.code, field=self.field)


@dataclass(frozen=True)
class Number:
    """What is known of the number to be dialled."""

    zones: Zones = ()
    do_not_call: bool = False
    dialled_today: int = 0
    """Calls since the begin of its `local_day`."""


def may_dial(
    now: datetime,
    number: Number,
    *,
    hours: HoursTerms = ANY_TIME,
    not_before: datetime | None = None,
    max_per_day: int | None = None,
) -> Go | WaitUntil | Refuse:
    """The one decision before a dialling: to be asked when the call is requested, and again right before it.

    `not_before` is the request's schedule_at or the retry's time; a time that has passed means now.
    """
    if number.do_not_call:
        return LISTED
    due = max(now, not_before) if not_before is not None else now
    if due == now and max_per_day is not None and number.dialled_today >= max_per_day:
        return _within(local_day(now, number.zones)[1], number.zones, hours, Wait.DAILY_CAP)
    found = _within(due, number.zones, hours, Wait.SCHEDULED)
    return Go() if isinstance(found, WaitUntil) and found.at == now else found


def _within(due: datetime, zones: Zones, hours: HoursTerms, why: Wait) -> WaitUntil | Refuse:
    """From `due` on, when hours allow it."""
    if unlimited(hours):
        return WaitUntil(due.astimezone(UTC), why)
    if not zones:
        return UNKNOWN_ZONE
    at = next_allowed(due, hours, zones)
    if at is None:
        return NO_COMMON_HOUR
    return WaitUntil(at.astimezone(UTC), why if at == due else Wait.CALLING_HOURS)


LISTED = Refuse(
    code="do_not_call",
    message="This number is on the do-not-call list. DELETE /api/phone/do-not-call/{number} takes it off.",
    field="phone_number",
    ended_reason=EndedReason.DO_NOT_CALL,
)
UNKNOWN_ZONE = Refuse(
    code="unknown_time_zone",
    message="There are calling hours, and nothing is known of this number's time zone: give time_zone.",
    field="time_zone",
)
NO_COMMON_HOUR = Refuse(
    code="no_calling_hours",
    message="No hour of the week is allowed in all the time zones this number may be in: give time_zone, "
    "or wider hours.",
    field="hours",
)

# -- hours ------------------------------------------------------------------------------------------------


def unlimited(hours: HoursTerms) -> bool:
    """Whether they allow every minute of the week, wherever the callee is."""
    return all(hours.minutes_on(day) == (0, 24 * 60) for day in Weekday)


def allowed(at: datetime, hours: HoursTerms, zones: Zones) -> bool:
    """Whether the clocks of all `zones` allow a call."""
    return all(_open(at, hours, zone) for zone in zones)


def next_allowed(now: datetime, hours: HoursTerms, zones: Zones) -> datetime | None:
    """The first time from `now` on that all `zones` allow; `now` itself if it does. None: there is none.

    To the minute on days when clocks change, exact otherwise.
    """
    at, end = now, now + timedelta(days=_SEARCHED_DAYS)
    while at < end:
        # What all allow is not before what the latest of them allows.
        opens = [_next_open(at, hours, zone) for zone in zones]
        if None in opens:
            return None
        latest = max((opening for opening in opens if opening is not None), default=at)
        if latest == at:
            return at
        at = latest
    return None


def _open(at: datetime, hours: HoursTerms, zone: ZoneInfo) -> bool:
    local = at.astimezone(zone)
    start, end = hours.minutes_on(_WEEKDAYS[local.weekday()])
    return start <= local.hour * 60 + local.minute < end


def _next_open(at: datetime, hours: HoursTerms, zone: ZoneInfo) -> datetime | None:
    """`next_allowed` for one zone. `None` where no day of the next two weeks is open for a minute."""
    if _open(at, hours, zone):
        return at
    today = at.astimezone(zone).date()
    for day in (today + timedelta(days=n) for n in range(_SEARCHED_DAYS)):
        start, end = hours.minutes_on(_WEEKDAYS[day.weekday()])
        if start == end:
            continue
        begins, ends = instant(zone, day, 0), instant(zone, day, 24 * 60)
        # A day that begins with the change has its new clock at its first instant already.
        if (begins - _MINUTE).astimezone(zone).utcoffset() != ends.astimezone(zone).utcoffset():
            minute = max(at, begins - _NEAR).replace(second=0, microsecond=0)
            while (minute := minute + _MINUTE) < ends + _NEAR:
                if minute.astimezone(zone).date() == day and _open(minute, hours, zone):
                    return minute
        elif at < instant(zone, day, end):
            return max(at, instant(zone, day, start))
    return None


# -- retries ----------------------------------------------------------------------------------------------


def ending_of(status: Status, ended_reason: EndedReason | None, answered_by: AnsweredBy | None) -> RetryOn | None:
    """The word of a retry policy for how a call ended; None: no policy speaks of it.

    Of the last two words the more particular counts: a call that a mailbox took is "voicemail" although the
    carrier says completed. A person who was there, whatever became of it, is called again by nobody's rule; nor
    is a call that this server broke off or that was canceled.
    """
    if answered_by is AnsweredBy.PERSON or ended_reason in _NOT_AGAIN:
        return None
    if status is not Status.COMPLETED:
        return _BY_STATUS.get(status)
    if answered_by is AnsweredBy.NOBODY and ended_reason is EndedReason.CALLEE_HANGUP:
        return None  # who hangs up without a word is a person
    by_callee = _BY_CALLEE.get(answered_by) if answered_by is not None else None
    return (_BY_REASON.get(ended_reason) if ended_reason is not None else None) or by_callee


_BY_STATUS = {
    Status.BUSY: RetryOn.BUSY,
    Status.NO_ANSWER: RetryOn.NO_ANSWER,
    Status.FAILED: RetryOn.FAILED,
}
_BY_REASON = {
    EndedReason.DIAL_BUSY: RetryOn.BUSY,
    EndedReason.DIAL_NO_ANSWER: RetryOn.NO_ANSWER,
    EndedReason.DIAL_FAILED: RetryOn.FAILED,
    EndedReason.VOICEMAIL_REACHED: RetryOn.VOICEMAIL,
    EndedReason.MENU_REACHED: RetryOn.MACHINE,
    EndedReason.HOLD_TIMEOUT: RetryOn.MACHINE,
    EndedReason.SCREENING_UNANSWERED: RetryOn.MACHINE,
}
"""The dial_* of a completed call: a recording of the network picked up and said so."""
_BY_CALLEE = {
    AnsweredBy.VOICEMAIL: RetryOn.VOICEMAIL,
    AnsweredBy.SCREENING: RetryOn.MACHINE,
    AnsweredBy.MENU: RetryOn.MACHINE,
    AnsweredBy.HOLD: RetryOn.MACHINE,
    AnsweredBy.UNAVAILABLE: RetryOn.MACHINE,
    AnsweredBy.NOBODY: RetryOn.MACHINE,
}
_NOT_AGAIN = frozenset(
    {EndedReason.CANCELED, EndedReason.DO_NOT_CALL, EndedReason.SERVER_SHUTDOWN, EndedReason.TRANSFERRED}
)


def next_attempt(
    ending: RetryOn | None, attempt: int, terms: RetryTerms | None, now: datetime
) -> datetime | None:
    """When to try again after `attempt` (the first is 1) ended so at `now`; None: not again.

    Hours are not looked at: `may_dial` puts the new attempt off to them, as any call.
    """
    if terms is None or ending is None or ending not in terms.on or attempt >= terms.attempts:
        return None
    # Attempts are ten at most, but a backoff of ten to the ninth is no timedelta.
    delay = min(terms.delay_seconds * terms.backoff ** (attempt - 1), LONGEST_DELAY_SECONDS)
    return now + timedelta(seconds=delay)
