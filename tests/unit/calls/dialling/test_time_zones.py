"""The time zones of numbers, and the callee's day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.calls.dialling.time_zones import instant, local_day, zones_of
from bot.policy import zone

NEW_YORK = ZoneInfo("America/New_York")


def test_a_numbers_zone() -> None:
    assert zones_of("+12025550123") == (NEW_YORK,)
    assert zones_of("+34612345678") == (ZoneInfo("Atlantic/Canary"), ZoneInfo("Europe/Madrid"))


@pytest.mark.parametrize("number", ["+88213123456", "anonymous", ""])
def test_a_number_of_no_known_zone(number: str) -> None:
    assert zones_of(number) == ()


def test_the_requests_zone_counts() -> None:
    assert zones_of("+12025550123", "Asia/Tokyo") == (ZoneInfo("Asia/Tokyo"),)


@pytest.mark.parametrize(
    "name", ["Europe/Atlantis", "", "Europe", "../../etc/passwd", "/etc/localtime", "a\x00b"]
)
def test_a_zone_that_does_not_exist(name: str) -> None:
    with pytest.raises(ValueError, match="no IANA time zone"):
        zone(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("EST", "America/New_York"), ("MST", "America/Denver"), ("HST", "Pacific/Honolulu"), ("PST", "America/Los")],
)
def test_an_abbreviation_is_no_zone(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=meant):
        zone(name)


@pytest.mark.parametrize("name", ["Etc/GMT+5", "GMT-3", "UTC+2", "+02:00", "-0500"])
def test_an_offset_is_no_zone(name: str) -> None:
    with pytest.raises(ValueError, match="never changes to summer time"):
        zone(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("america/new_york", "America/New_York"), ("New York", "America/New_York"), ("Madrid", "Europe/Madrid")],
)
def test_a_zone_that_is_nearly_named_is_told(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"write {meant}"):
        zone(name)


def test_a_zone_that_was_kept_before_stays() -> None:
    assert zones_of("+12025550123", "EST") == (ZoneInfo("EST"),)


def test_a_day_of_one_zone() -> None:
    now = datetime(2026, 3, 8, 20, 0, tzinfo=UTC)
    begin, end = local_day(now, (NEW_YORK,))
    assert begin == datetime(2026, 3, 8, 5, 0, tzinfo=UTC)
    assert end - begin == timedelta(hours=23)
    assert begin == instant(NEW_YORK, date(2026, 3, 8), 0)


def test_a_day_of_several_zones_ends_when_all_of_theirs_have() -> None:
    now = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
    begin, end = local_day(now, (ZoneInfo("UTC"), ZoneInfo("Pacific/Auckland")))
    assert begin == datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
    assert end == datetime(2026, 3, 3, 11, 0, tzinfo=UTC)


def test_a_day_of_nobody_knows_where_is_utcs() -> None:
    now = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
    assert local_day(now, ()) == (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
