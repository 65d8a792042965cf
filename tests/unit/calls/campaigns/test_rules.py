"""What is decided about campaigns: words, numbers, rows, hours, the circuit breaker."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.calls.campaigns.contacts import RawRow
from bot.calls.campaigns.results import safe
from bot.calls.campaigns.rules import (
    BREAKER_CALLS,
    LEAST_TURN_SECONDS,
    LONGEST_TURN_SECONDS,
    Judge,
    abandonment,
    breaker,
    breaker_since,
    check_columns,
    check_texts,
    consent_of,
    filled,
    open_zones,
    spec_for,
    turn_seconds,
)
from bot.errors import RequestError
from bot.policy import CallConsent, HoursTerms, Terms, Weekday
from bot.records import CallSpec, EndedReason, Status
from bot.store.campaign_records import BadRow, Campaign, CampaignStatus, Contact

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
A = "+12025550123"
SPEC = CallSpec(phone_number="", scenario="s", action="Confirm {{date}}")
CAMPAIGN = Campaign("campaign_1", SPEC, CampaignStatus.LOADING, NOON)


# -- words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "text", "missing"),
    [
        ("on {{date}}", "on Friday", []),
        ("on {{ Date }}", "on Friday", []),
        ("{{First Name}}", "Zoë", []),
        ("{{first-name|you}}", "Zoë", []),
        ("{{nobody|you there}}", "you there", []),
        ("{{nobody|}}", "", []),
        ("{{nobody}}", "", ["nobody"]),
        ("{{blank}}", "", ["blank"]),
        ("{{count}} of {{open}}", "5 of true", []),
        ('{"a": 1} {} { {', '{"a": 1} {} { {', []),
        ("{{trap}}", "{{date}}", []),
    ],
)
def test_variables_are_put_into_the_words(template: str, text: str, missing: list[str]) -> None:
    variables = {
        "date": "Friday",
        "first_name": " Zoë ",
        "blank": " ",
        "count": 5,
        "open": True,
        "trap": "{{date}}",
        "nobody": None,
    }
    assert filled(template, variables) == (text, missing)


def test_a_contacts_own_words_go_before_the_campaigns() -> None:
    campaign = replace(
        SPEC,
        context={"note": "{{note}}", "list": ["{{date}}", 5]},
        callee_name="{{name|}}",
        agent_name="Alex",
        metadata={"crm": 1},
    )
    variables = {"date": "Friday", "note": "x", "agent_name": "Sam", "organization": ""}
    spec, missing = spec_for(campaign, A, variables)
    assert missing == []
    assert spec == CallSpec(
        phone_number=A,
        scenario="s",
        action="Confirm Friday",
        context={"note": "x", "list": ["Friday", 5]},
        agent_name="Sam",
        metadata={"crm": 1, "variables": variables},
    )
    own = {"date": "F", "note": "n", "context": {"k": "v"}, "action": "Ask {{date}}"}
    spec, _ = spec_for(campaign, A, own)
    assert (spec.context, spec.action) == ({"k": "v"}, "Ask {{date}}"), "a contact's own words are no templates"


def test_a_column_nobody_has_is_told_once() -> None:
    check_columns(SPEC, ["date"])
    check_columns(replace(SPEC, action=""), ["action"])
    check_columns(replace(SPEC, action="{{when|soon}}"), [])
    for spec, field in ((SPEC, "date"), (replace(SPEC, action=""), "action")):
        with pytest.raises(RequestError) as caught:
            check_columns(spec, ["other"])
        assert caught.value.field == field


@pytest.mark.parametrize(
    "text",
    [
        "Confirm {{date",
        "Confirm {{date on {{doctor}}",
        "{{ date|soon",
        "Confirm date}}",
        "{{date}",
        "{date}",
        "{a|}",
    ],
)
def test_a_placeholder_without_its_other_half_is_told(text: str) -> None:
    for spec, field in (
        (replace(SPEC, action=text), "action"),
        (replace(SPEC, context={"a": [text]}), "context"),
    ):
        with pytest.raises(RequestError) as caught:
            check_texts(spec)
        assert (caught.value.field, caught.value.code) == (field, "broken_placeholder")


@pytest.mark.parametrize(
    "text", ["{{date}}", "{{a|}}", '{"a": {"b": 1}}', "{list: {}}", "{} { {", ":-}", "a < {1"]
)
def test_braces_around_anything_else_are_text(text: str) -> None:
    check_texts(replace(SPEC, action=text, context=text))


# -- rows -------------------------------------------------------------------------------------------------


ALWAYS, OFFICE = HoursTerms(), HoursTerms("09:00", "19:00", tuple(Weekday))


def judged(
    rows: list[RawRow], *, hours: HoursTerms = ALWAYS, country: str | None = None, **changes: Any
) -> list[Contact | BadRow]:
    judge = Judge(replace(CAMPAIGN, **changes), country=country, hours=hours)
    return [judge.judge(row) for row in rows]


def raw(line: int = 2, number: Any = A, **variables: Any) -> RawRow:
    return RawRow(line, f"row {line}", number, {"date": "Friday"} | variables)


def test_good_rows_are_numbered_and_know_their_zone() -> None:
    first, bad, second = judged([raw(2), raw(3, "x"), raw(4, "+442071838750")])
    assert first == Contact("campaign_1", 0, 2, A, {"date": "Friday"}, "America/New_York")
    assert isinstance(bad, BadRow)
    assert second == Contact("campaign_1", 1, 4, "+442071838750", {"date": "Friday"}, "Europe/London")


def test_a_number_is_called_once_however_it_is_written() -> None:
    first, second = judged([raw(2), raw(3, "+1 (202) 555-0123")])
    assert isinstance(first, Contact)
    assert second == BadRow(
        3, "duplicate", "phone_number: the number stands on line 2 already", "phone_number", "row 3"
    )


def test_a_number_of_a_bad_row_may_come_again() -> None:
    bad, good = judged([raw(2, date=""), raw(3)])
    assert isinstance(bad, BadRow)
    assert isinstance(good, Contact)


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        (RawRow(2, "t", problem=("broken_row", "its quotes")), "broken_row", None),
        (raw(number="2025550123"), "bad_phone_number", "phone_number"),
        (raw(date=" "), "missing_variable", "date"),
        (raw(date="x" * 4000), "too_long", "action"),
        (raw(callee_name="x" * 201), "too_long", "callee_name"),
        (raw(notes="x" * 17_000), "too_long", "variables"),
        (raw(time_zone="Mars/Olympus"), "bad_time_zone", "time_zone"),
        (raw(extension="reception"), "bad_extension", "extension"),
    ],
)
def test_bad_rows(row: RawRow, code: str, field: str | None) -> None:
    (bad,) = judged([row])
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.code, bad.field) == (2, code, field)


def test_hours_without_a_zone_are_a_bad_row() -> None:
    assert isinstance(judged([raw(number="+870773111632")])[0], Contact), "a satellite's, anywhere on earth"
    (bad,) = judged([raw(number="+870773111632")], hours=OFFICE)
    assert isinstance(bad, BadRow)
    assert bad.code == "unknown_time_zone"
    (good,) = judged([raw(number="+870773111632", time_zone="UTC")], hours=OFFICE)
    assert isinstance(good, Contact)
    (good,) = judged([raw(number="+870773111632")], hours=OFFICE, terms=Terms(time_zone="Europe/Madrid"))
    assert isinstance(good, Contact)
    assert good.zone == "Europe/Madrid"


@pytest.mark.parametrize("number", ["+18005551234", "+18885550123", "+79161234567"])
def test_a_number_that_no_hour_suits_is_a_bad_row(number: str) -> None:
    (bad,) = judged([raw(number=number)], hours=OFFICE)
    assert isinstance(bad, BadRow)
    assert (bad.code, bad.field) == ("no_calling_hours", "time_zone")
    assert isinstance(judged([raw(number=number)])[0], Contact)
    assert isinstance(judged([raw(number=number, time_zone="America/New_York")], hours=OFFICE)[0], Contact)


def test_a_zone_without_summer_time_is_refused_with_a_hint() -> None:
    (bad,) = judged([raw(time_zone="EST")])
    assert isinstance(bad, BadRow)
    assert bad.code == "bad_time_zone"
    assert "America/New_York" in bad.message


# -- hours ------------------------------------------------------------------------------------------------


def test_zones_that_are_open_and_the_next_that_opens() -> None:
    hours = HoursTerms("09:00", "20:00", tuple(Weekday))
    keys = ["Europe/London", "America/New_York", "America/Los_Angeles,America/New_York", "Asia/Tokyo"]
    found = open_zones(NOON, hours, keys)
    assert found.open == ("Europe/London",)
    assert found.next_open == datetime(2026, 3, 2, 14, 0, tzinfo=UTC), "nine in New York"


# -- the circuit breaker ----------------------------------------------------------------------------------

DONE = (Status.COMPLETED, EndedReason.AGENT_HANGUP)
UNDIALLED = (Status.FAILED, EndedReason.DIAL_FAILED)


@pytest.mark.parametrize(
    ("endings", "breaks"),
    [
        ([], False),
        ([(*UNDIALLED, BREAKER_CALLS - 1)], False),
        ([(*UNDIALLED, BREAKER_CALLS)], True),
        ([(*UNDIALLED, 10), (*DONE, 10)], True),
        ([(*UNDIALLED, 9), (*DONE, 11)], False),
        ([(*UNDIALLED, 10), (*DONE, 11)], False),
        (
            [
                (Status.COMPLETED, EndedReason.ERROR_LLM, 5),
                (Status.COMPLETED, EndedReason.ERROR_TTS, 5),
                (*DONE, 10),
            ],
            True,
        ),
        ([(Status.FAILED, None, 20)], True),
        ([(Status.BUSY, EndedReason.DIAL_BUSY, 15), (Status.NO_ANSWER, EndedReason.DIAL_NO_ANSWER, 15)], False),
        ([(Status.COMPLETED, EndedReason.SERVER_SHUTDOWN, 40)], False),
        ([(*UNDIALLED, 15), (Status.CANCELED, EndedReason.DO_NOT_CALL, 10)], False),
        ([(*UNDIALLED, 20), (Status.CANCELED, EndedReason.CANCELED, 100)], True),
    ],
)
def test_half_of_at_least_twenty_calls(endings: Any, breaks: bool) -> None:
    assert (breaker(endings) is not None) is breaks


def test_the_breaker_says_what_failed_most() -> None:
    why = breaker([(Status.COMPLETED, EndedReason.ERROR_LLM, 4), (*UNDIALLED, 12), (*DONE, 9)])
    assert why is not None
    assert "16 of the 25 calls that ended in the last 2 minutes failed (12 dial_failed, 4 error_llm)" in why


def test_calls_from_before_the_resuming_do_not_count() -> None:
    assert breaker_since(NOON, None) == NOON - timedelta(minutes=2)
    assert breaker_since(NOON, NOON - timedelta(minutes=1)) == NOON - timedelta(minutes=1)
    assert breaker_since(NOON, NOON - timedelta(hours=1)) == NOON - timedelta(minutes=2)


# -- CSV cells --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        ("plain", "plain"),
        ("=1+1", "'=1+1"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\uff1d1", "'\uff1d1"),
        (A, A),
        ("-5.50", "-5.50"),
        ("a=1", "a=1"),
        (-5, "-5"),
        (True, "true"),
        (["=1"], '["=1"]'),
        (NOON, "2026-03-02T12:00:00.000Z"),
        (Status.NO_ANSWER, "no-answer"),
    ],
)
def test_cells_no_spreadsheet_computes(value: Any, cell: str) -> None:
    assert safe(value) == cell


def test_a_call_that_finds_no_place_asks_the_more_seldom_the_more_wait() -> None:
    assert turn_seconds(1, 5, 0.5) == LEAST_TURN_SECONDS
    assert turn_seconds(50, 5, 0.5) == 50.0
    assert (turn_seconds(50, 5, 0.0), turn_seconds(50, 5, 1.0)) == (25.0, 75.0)
    assert turn_seconds(1000, 1, 0.5) == LONGEST_TURN_SECONDS


@pytest.mark.parametrize(
    ("greeted", "abandoned", "most", "pauses"),
    [(49, 49, 3.0, False), (50, 1, 3.0, False), (50, 2, 3.0, True), (100, 3, 3.0, False), (100, 4, 3.0, True)],
)
def test_too_many_abandoned_callees_pause_it(greeted: int, abandoned: int, most: float, pauses: bool) -> None:
    why = abandonment(greeted, abandoned, most)
    assert (why is not None) is pauses
    assert why is None or f"{abandoned} of the {greeted} callees" in why


def test_a_marketing_campaign_needs_the_consent_of_each_contact() -> None:
    judge = Judge(CAMPAIGN, country=None, hours=ALWAYS, needs_consent=True)
    own: dict[str, Any] = {"consent_kind": "web_form", "consent_at": "2026-03-01", "consent_source": "form 17"}
    bad = judge.judge(raw())
    assert isinstance(bad, BadRow)
    assert bad.code == "consent_missing"
    unreadable = judge.judge(raw(**own | {"consent_at": "last week"}))
    assert isinstance(unreadable, BadRow)
    assert unreadable.code == "bad_consent"
    contact = judge.judge(raw(**own))
    assert isinstance(contact, Contact)
    assert consent_of(contact.variables) == CallConsent("web_form", "2026-03-01", "form 17")
    given = Terms(consent=CallConsent("written", "2026-03-01", "contract"))
    of_all = Judge(replace(CAMPAIGN, terms=given), country=None, hours=ALWAYS, needs_consent=True)
    assert isinstance(of_all.judge(raw()), Contact)
