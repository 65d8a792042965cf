"""The rules of dialling: hours in the callee's zone, on days of 23 to 25 hours; retries; the one decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.calls.dialling.policy import (
    LONGEST_DELAY_SECONDS,
    Go,
    Number,
    Refuse,
    WaitUntil,
    allowed,
    ending_of,
    may_dial,
    next_allowed,
    next_attempt,
    unlimited,
)
from bot.calls.dialling.time_zones import zones_of
from bot.policy import HoursTerms, RetryOn, RetryTerms, Weekday, minutes_of
from bot.records import AnsweredBy, EndedReason, Status, Wait

NEW_YORK = ZoneInfo("America/New_York")
MADRID = ZoneInfo("Europe/Madrid")
OFFICE = HoursTerms("09:00", "17:30", (Weekday.MON, Weekday.TUE, Weekday.WED, Weekday.THU, Weekday.FRI))
WEEKEND = (Weekday.SAT, Weekday.SUN)
MONDAY_NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
"""12:00 in New York, 18:00 in Madrid."""


def at(zone: ZoneInfo, *clock: int, fold: int = 0) -> datetime:
    """A local time in UTC."""
    year, month, day, hour, minute = clock
    return datetime(year, month, day, hour, minute, tzinfo=zone, fold=fold).astimezone(UTC)


# -- hours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ((2026, 3, 2, 12, 0), (2026, 3, 2, 12, 0)),  # now
        ((2026, 3, 2, 9, 0), (2026, 3, 2, 9, 0)),  # the first minute
        ((2026, 3, 2, 8, 59), (2026, 3, 2, 9, 0)),
        ((2026, 3, 2, 17, 29), (2026, 3, 2, 17, 29)),  # the last minute
        ((2026, 3, 2, 17, 30), (2026, 3, 3, 9, 0)),  # the end is outside
        ((2026, 3, 6, 18, 0), (2026, 3, 9, 9, 0)),  # over a weekend, in which clocks go forward
        ((2026, 10, 31, 12, 0), (2026, 11, 2, 9, 0)),  # and in which they go back
    ],
)
def test_the_next_hour_of_the_week(now: tuple[int, ...], then: tuple[int, ...]) -> None:
    assert next_allowed(at(NEW_YORK, *now), OFFICE, (NEW_YORK,)) == at(NEW_YORK, *then)


def test_the_next_hour_suits_every_zone() -> None:
    # 9 to 17:30 in both is 15:00 to 17:30 in Madrid.
    both = (NEW_YORK, MADRID)
    assert next_allowed(at(MADRID, 2026, 3, 2, 9, 0), OFFICE, both) == at(NEW_YORK, 2026, 3, 2, 9, 0)
    assert next_allowed(at(MADRID, 2026, 3, 2, 17, 30), OFFICE, both) == at(NEW_YORK, 2026, 3, 3, 9, 0)


def test_hours_that_no_minute_of_the_week_has_in_common() -> None:
    far = (ZoneInfo("Asia/Tokyo"), NEW_YORK)
    assert next_allowed(MONDAY_NOON, HoursTerms("09:00", "12:00"), far) is None
    assert next_allowed(MONDAY_NOON, HoursTerms(days=()), (NEW_YORK,)) is None


@pytest.mark.parametrize(
    ("zone", "hours", "now", "then"),
    [
        # New York skips 02:00 to 03:00: hours that begin inside begin at 3.
        (NEW_YORK, HoursTerms("02:30", "04:00"), (2026, 3, 8, 0, 0), (2026, 3, 8, 3, 0)),
        # Hours that lie inside are the next day's.
        (NEW_YORK, HoursTerms("02:10", "02:40"), (2026, 3, 8, 0, 0), (2026, 3, 9, 2, 10)),
        # 01:00 to 02:00 comes twice: hours begin with the first …
        (NEW_YORK, HoursTerms("01:30", "01:45"), (2026, 11, 1, 0, 0), (2026, 11, 1, 1, 30)),
        # Cuba's day has no midnight: its hours begin at one.
        (ZoneInfo("America/Havana"), HoursTerms(days=WEEKEND[1:]), (2026, 3, 7, 9, 0), (2026, 3, 8, 1, 0)),
    ],
)
def test_days_on_which_clocks_change(
    zone: ZoneInfo, hours: HoursTerms, now: tuple[int, ...], then: tuple[int, ...]
) -> None:
    assert next_allowed(at(zone, *now), hours, (zone,)) == at(zone, *then)


def test_an_hour_that_comes_twice_is_allowed_twice() -> None:
    hours = HoursTerms("01:00", "01:30")
    first_over, second = at(NEW_YORK, 2026, 11, 1, 1, 30), at(NEW_YORK, 2026, 11, 1, 1, 0, fold=1)
    assert second - first_over == timedelta(minutes=30)
    assert next_allowed(first_over, hours, (NEW_YORK,)) == second


def test_a_day_that_an_island_left_out() -> None:
    # Samoa crossed the date line: there was no Friday, 30 December 2011.
    apia = ZoneInfo("Pacific/Apia")
    fridays = HoursTerms("09:00", "17:00", (Weekday.FRI,))
    assert next_allowed(at(apia, 2011, 12, 29, 12, 0), fridays, (apia,)) == at(apia, 2012, 1, 6, 9, 0)


ZONES = st.sampled_from(
    [
        ZoneInfo(name)
        for name in (
            "UTC",
            "America/New_York",
            "Europe/Madrid",
            "America/Havana",  # changes clocks at midnight
            "Asia/Beirut",  # likewise
            "Australia/Lord_Howe",  # by half an hour
            "Atlantic/Azores",  # from midnight back to 23:00
            "Asia/Kathmandu",
            "Pacific/Chatham",
            "Africa/Casablanca",  # twice around Ramadan
        )
    ]
)
CLOCKS = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda pair: pair[0] < pair[1])
HOURS = st.builds(
    lambda clock, days: HoursTerms(_clock(clock[0]), _clock(clock[1]), tuple(days)),
    CLOCKS,
    st.sets(st.sampled_from(list(Weekday)), min_size=1),
)
TIMES = st.builds(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds),
    st.integers(0, 6 * 365 * 86400),
)
CHANGES = st.sampled_from(
    [
        datetime(*day, tzinfo=UTC)
        for day in ((2026, 3, 8), (2026, 11, 1), (2026, 3, 29), (2026, 10, 25), (2026, 4, 4), (2026, 10, 3))
    ]
)
AROUND_A_CHANGE = st.builds(
    lambda day, seconds: day + timedelta(seconds=seconds), CHANGES, st.integers(-36 * 3600, 36 * 3600)
)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@settings(deadline=None, max_examples=150)
@given(now=TIMES | AROUND_A_CHANGE, hours=HOURS, zones=st.lists(ZONES, min_size=1, max_size=3))
@example(datetime(2026, 3, 8, tzinfo=UTC), HoursTerms("00:00", "00:01"), [ZoneInfo("America/Havana")])
def test_never_outside_the_hours_of_any_zone(now: datetime, hours: HoursTerms, zones: list[ZoneInfo]) -> None:
    found = next_allowed(now, hours, tuple(zones))
    assert found is None or (found >= now and allowed(found, hours, tuple(zones)))
    if allowed(now, hours, tuple(zones)):
        assert found == now
    elif len(set(zones)) == 1:
        assert found is not None


@settings(deadline=None, max_examples=60)
@given(now=AROUND_A_CHANGE, hours=HOURS, zone=ZONES)
def test_no_minute_before_would_have_done(now: datetime, hours: HoursTerms, zone: ZoneInfo) -> None:
    found = next_allowed(now, hours, (zone,))
    assert found is not None
    minute = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    last = min(found, now + timedelta(days=2))
    while minute < last:
        assert not allowed(minute, hours, (zone,))
        minute += timedelta(minutes=1)


@pytest.mark.parametrize("text", ["9:00", "24:01", "09:60", "0900", "aa:bb", "-1:00", "", "٠٩:٠٠", "09:00:00"])
def test_a_time_of_day_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="like 09:00"):
        minutes_of(text)


def test_hours_without_a_limit_ask_for_no_zone() -> None:
    assert unlimited(HoursTerms())
    assert not unlimited(HoursTerms(end="23:59"))
    assert not unlimited(HoursTerms(days=WEEKEND))


# -- the decision -----------------------------------------------------------------------------------------


def test_nothing_forbids_it() -> None:
    assert may_dial(MONDAY_NOON, Number()) == Go()
    assert may_dial(MONDAY_NOON, Number((NEW_YORK,)), hours=OFFICE) == Go()
    assert may_dial(MONDAY_NOON, Number(), not_before=MONDAY_NOON - timedelta(days=1)) == Go()


def test_a_listed_number_is_refused_whatever_else_there_is() -> None:
    found = may_dial(MONDAY_NOON, Number(do_not_call=True), not_before=MONDAY_NOON + timedelta(days=1))
    assert isinstance(found, Refuse)
    assert (found.code, found.field, found.ended_reason) == (
        "do_not_call",
        "phone_number",
        EndedReason.DO_NOT_CALL,
    )
    assert found.error().code == "do_not_call"


def test_a_time_that_was_asked_for() -> None:
    later = MONDAY_NOON + timedelta(hours=1)
    assert may_dial(MONDAY_NOON, Number(), not_before=later) == WaitUntil(later, Wait.SCHEDULED)


def test_a_time_that_was_asked_for_and_is_outside_the_hours() -> None:
    night = at(NEW_YORK, 2026, 3, 3, 2, 0)
    morning = at(NEW_YORK, 2026, 3, 3, 9, 0)
    found = may_dial(MONDAY_NOON, Number((NEW_YORK,)), hours=OFFICE, not_before=night)
    assert found == WaitUntil(morning, Wait.CALLING_HOURS)


def test_the_cap_of_a_day_is_the_callees_day() -> None:
    number = Number((NEW_YORK,), dialled_today=3)
    assert may_dial(MONDAY_NOON, number, max_per_day=4) == Go()
    midnight = at(NEW_YORK, 2026, 3, 3, 0, 0)
    assert may_dial(MONDAY_NOON, number, max_per_day=3) == WaitUntil(midnight, Wait.DAILY_CAP)
    morning = WaitUntil(at(NEW_YORK, 2026, 3, 3, 9, 0), Wait.CALLING_HOURS)
    assert may_dial(MONDAY_NOON, number, hours=OFFICE, max_per_day=3) == morning
    # A call of tomorrow is not stopped by the calls of today.
    tomorrow = MONDAY_NOON + timedelta(days=1)
    assert may_dial(MONDAY_NOON, number, max_per_day=3, not_before=tomorrow) == WaitUntil(
        tomorrow, Wait.SCHEDULED
    )


def test_the_cap_of_a_number_nobody_knows_the_zone_of() -> None:
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    found = may_dial(MONDAY_NOON, Number(dialled_today=1), max_per_day=1)
    assert found == WaitUntil(midnight, Wait.DAILY_CAP)


def test_hours_without_a_zone_are_refused() -> None:
    found = may_dial(MONDAY_NOON, Number(zones_of("+88213123456")), hours=OFFICE)
    assert isinstance(found, Refuse)
    assert (found.code, found.field) == ("unknown_time_zone", "time_zone")


def test_hours_that_suit_no_zone_of_the_number_are_refused() -> None:
    toll_free = zones_of("+18005550199")
    assert len(toll_free) > 20
    found = may_dial(MONDAY_NOON, Number(toll_free), hours=HoursTerms("09:00", "11:00"))
    assert isinstance(found, Refuse)
    assert (found.code, found.field) == ("no_calling_hours", "hours")


# -- retries ----------------------------------------------------------------------------------------------

R = EndedReason


@pytest.mark.parametrize(
    ("status", "reason", "answered_by", "word"),
    [
        (Status.BUSY, R.DIAL_BUSY, None, RetryOn.BUSY),
        (Status.NO_ANSWER, R.DIAL_NO_ANSWER, None, RetryOn.NO_ANSWER),
        (Status.FAILED, R.DIAL_FAILED, None, RetryOn.FAILED),
        (Status.CANCELED, R.CANCELED, None, None),
        (Status.CANCELED, R.DO_NOT_CALL, None, None),
        (Status.CANCELED, R.SERVER_SHUTDOWN, None, None),
        (Status.COMPLETED, R.VOICEMAIL_REACHED, AnsweredBy.VOICEMAIL, RetryOn.VOICEMAIL),
        (Status.COMPLETED, R.CALLEE_HANGUP, AnsweredBy.VOICEMAIL, RetryOn.VOICEMAIL),
        (Status.COMPLETED, R.MENU_REACHED, AnsweredBy.MENU, RetryOn.MACHINE),
        (Status.COMPLETED, R.SCREENING_UNANSWERED, AnsweredBy.SCREENING, RetryOn.MACHINE),
        (Status.COMPLETED, R.DIAL_BUSY, AnsweredBy.UNAVAILABLE, RetryOn.BUSY),
        (Status.COMPLETED, R.DIAL_NO_ANSWER, AnsweredBy.UNAVAILABLE, RetryOn.NO_ANSWER),
        (Status.COMPLETED, R.SILENCE, AnsweredBy.NOBODY, RetryOn.MACHINE),
        (Status.COMPLETED, R.CALLEE_HANGUP, AnsweredBy.NOBODY, None),
        (Status.COMPLETED, R.AGENT_HANGUP, AnsweredBy.PERSON, None),
        (Status.COMPLETED, R.SILENCE, AnsweredBy.PERSON, None),
        (Status.COMPLETED, R.ERROR_LLM, AnsweredBy.PERSON, None),
        (Status.COMPLETED, R.ERROR_LINE, None, None),
        (Status.COMPLETED, R.TRANSFERRED, AnsweredBy.MENU, None),
        (Status.COMPLETED, None, None, None),
    ],
)
def test_how_a_call_ended_in_the_words_of_a_retry_policy(
    status: Status, reason: EndedReason | None, answered_by: AnsweredBy | None, word: RetryOn | None
) -> None:
    assert ending_of(status, reason, answered_by) is word


def test_every_word_of_a_policy_can_come_about() -> None:
    reached = {
        ending_of(status, reason, answered_by)
        for status in Status
        for reason in (None, *EndedReason)
        for answered_by in (None, *AnsweredBy)
    }
    assert reached == {None, *RetryOn}


def test_attempts_and_their_delays() -> None:
    terms = RetryTerms(attempts=4, delay_seconds=60, backoff=3.0)
    delays = [next_attempt(RetryOn.BUSY, n, terms, MONDAY_NOON) for n in (1, 2, 3, 4)]
    assert delays == [MONDAY_NOON + timedelta(seconds=s) for s in (60, 180, 540)] + [None]


def test_no_attempt_after_what_the_policy_does_not_name() -> None:
    terms = RetryTerms(attempts=10, on=(RetryOn.BUSY,))
    assert next_attempt(RetryOn.NO_ANSWER, 1, terms, MONDAY_NOON) is None
    assert next_attempt(None, 1, terms, MONDAY_NOON) is None
    assert next_attempt(RetryOn.BUSY, 1, None, MONDAY_NOON) is None
    assert next_attempt(RetryOn.BUSY, 1, RetryTerms(), MONDAY_NOON) is None


def test_a_backoff_ends_at_a_week() -> None:
    terms = RetryTerms(attempts=10, delay_seconds=604800, backoff=10.0)
    assert next_attempt(RetryOn.BUSY, 9, terms, MONDAY_NOON) == MONDAY_NOON + timedelta(
        seconds=LONGEST_DELAY_SECONDS
    )
