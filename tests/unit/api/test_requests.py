"""How a request says when, how often and for whose ears: its terms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from bot.api.requests import CallRequest, RegisterRequest
from bot.policy import HoursTerms, RetryOn, RetryTerms, Terms, Weekday
from bot.store.kept_json import read

CALL: dict[str, Any] = {"phone_number": "+12025550123", "action": "Confirm the appointment"}


def terms(**fields: Any) -> Terms:
    return CallRequest.model_validate(CALL | fields).terms()


def wrong(**fields: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        CallRequest.model_validate(CALL | fields)
    error, *_ = refused.value.errors()
    return ".".join(map(str, error["loc"]))


def test_without_a_word_all_is_the_scenarios_to_say() -> None:
    assert terms() == Terms()


def test_all_of_them() -> None:
    found = terms(
        schedule_at="2020-03-02T15:00:00+01:00",
        retry={"attempts": 3, "delay_seconds": 60, "backoff": 2, "on": ["busy", "no-answer", "machine"]},
        hours={"start": "09:00", "end": "17:30", "days": ["sun", "mon"]},
        time_zone="America/New_York",
        extension=", 204",
        webhook_url="https://example.com/calls",
        outcome_schema={"type": "object", "properties": {"ok": {"type": "boolean"}}},
    )
    assert found == Terms(
        schedule_at=datetime(2020, 3, 2, 14, 0, tzinfo=UTC),
        retry=RetryTerms(3, 60.0, 2.0, (RetryOn.BUSY, RetryOn.NO_ANSWER, RetryOn.MACHINE)),
        hours=HoursTerms("09:00", "17:30", (Weekday.MON, Weekday.SUN)),
        time_zone="America/New_York",
        extension="WW204",
        webhook_url="https://example.com/calls",
        outcome_schema={"type": "object", "properties": {"ok": {"type": "boolean"}}},
    )
    assert found.schedule_at is not None
    assert found.schedule_at.tzinfo is UTC
    assert read(Terms, found.to_json()) == found


def test_a_part_of_a_policy_is_a_whole_one() -> None:
    assert terms(retry={"attempts": 2}).retry == RetryTerms(attempts=2)
    assert terms(hours={"days": ["mon"]}).hours == HoursTerms("00:00", "24:00", (Weekday.MON,))
    assert terms(wait=False).wait is False


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"schedule_at": "2020-03-02T15:00:00"}, "schedule_at"),  # of which zone?
        ({"schedule_at": "tomorrow"}, "schedule_at"),
        ({"schedule_at": (datetime.now(UTC) + timedelta(days=367)).isoformat()}, "schedule_at"),
        ({"schedule_at": "9999-12-31T23:59:59-14:00"}, "schedule_at"),
        ({"schedule_at": "0001-01-01T00:00:00+14:00"}, "schedule_at"),
        ({"retry": {}}, "retry.attempts"),
        ({"retry": {"attempts": 11}}, "retry.attempts"),
        ({"retry": {"attempts": 2, "delay_seconds": 604801}}, "retry.delay_seconds"),
        ({"retry": {"attempts": 2, "delay_seconds": "NaN"}}, "retry.delay_seconds"),
        ({"retry": {"attempts": 2, "on": ["completed"]}}, "retry.on.0"),
        ({"retry": {"attempts": 2, "on": []}}, "retry.on"),
        ({"retry": 3}, "retry"),
        ({"extension": "reception"}, "extension"),
        ({"extension": "ww"}, "extension"),
        ({"extension": "w" * 31 + "20"}, "extension"),
        ({"hours": {"start": "9"}}, "hours.start"),
        ({"hours": {"start": "10:00", "end": "10:00"}}, "hours"),
        ({"hours": {"days": ["someday"]}}, "hours.days.0"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../zone"}, "time_zone"),
        ({"webhook_url": "https://" + "x" * 2000}, "webhook_url"),
        ({"outcome_schema": []}, "outcome_schema"),
        ({"outcome_schema": {"type": "object"}}, "outcome_schema"),
        ({"outcome_schema": {"type": "object", "properties": {"a": {"$ref": "#"}}}}, "outcome_schema"),
        ({"outcome_schema": {"x": "y" * 20_000}}, "outcome_schema"),
        ({"wait": False, "schedule_at": "2020-03-02T15:00:00Z"}, ""),
    ],
)
def test_what_is_refused_by_its_name(fields: dict[str, Any], where: str) -> None:
    assert wrong(**fields) == where


def test_who_dials_himself_says_himself_when() -> None:
    call = {"phone_number": "+12025550123", "webhook_url": "https://example.com/calls"}
    assert RegisterRequest.model_validate(call).terms() == Terms(webhook_url="https://example.com/calls")
    for field, value in (("schedule_at", "2030-01-01T00:00:00Z"), ("retry", {"attempts": 2}), ("wait", False)):
        with pytest.raises(ValidationError, match=field):
            RegisterRequest.model_validate(call | {field: value})


@pytest.mark.parametrize("kind", [CallRequest, RegisterRequest])
def test_action_and_task_are_one_field(kind: type[CallRequest | RegisterRequest]) -> None:
    with pytest.raises(ValidationError, match="give action or task, not both"):
        kind.model_validate(CALL | {"task": "Confirm it"})


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("+1555", "is no possible number"),
        ("+1202555012345678", "is no possible number"),
        ("1555", "write it in E.164"),
        ("+12025", "is no possible number"),
        ("+15550000000", "no such number can exist"),
    ],
)
def test_what_is_wrong_with_a_number(number: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CallRequest.model_validate(CALL | {"phone_number": number})
