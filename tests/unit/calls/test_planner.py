"""What a scenario's profile says before a call is dialled: consent, hours and the count of a day."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.calls.planner import Planner
from bot.conversation.scenario.scenario import Scenario, Scenarios
from bot.errors import RequestError
from bot.policy import CallConsent, CallPurpose, HoursTerms, Terms, Weekday
from bot.records import CallSpec, Direction
from bot.settings import Settings

CONSENT = CallConsent("written", "2026-03-01T09:00:00+00:00", "form 17")


def planner(profile: str, *, simulated: bool = False, tables: dict[str, object] | None = None) -> Planner:
    given = {"name": "s", "description": "d", "instructions": "i", "compliance": {"profile": profile}}
    scenario = Scenario.model_validate(given | (tables or {}))
    settings = Settings(_env_file=None, data_dir=Path("unused"))
    return Planner(Scenarios([scenario]), settings, {}, "twilio", simulated_line=simulated)


def refused(profile: str, terms: Terms) -> bool:
    one = planner(profile)
    try:
        one.check_consent(one.record(CallSpec("+12025550123", "s"), Direction.OUTBOUND, terms))
    except RequestError as e:
        assert (e.code, e.field) == ("consent_missing", "consent")
        return True
    return False


@pytest.mark.parametrize(
    ("profile", "purpose", "needs"),
    [
        ("us_service", None, False),
        ("us_service", CallPurpose.MARKETING, True),
        ("us_marketing", None, True),
        ("us_marketing", CallPurpose.SERVICE, False),
        ("eu", None, False),
        ("eu", CallPurpose.MARKETING, True),
        ("none", CallPurpose.MARKETING, False),
    ],
)
def test_a_marketing_call_needs_consent(profile: str, purpose: CallPurpose | None, needs: bool) -> None:
    terms = Terms(purpose=purpose)
    assert refused(profile, terms) is needs
    assert not refused(profile, replace(terms, consent=CONSENT))


def test_the_hours_of_a_profile_hold_on_a_real_line() -> None:
    assert planner("us_service").hours("s", None).minutes_on(Weekday.SUN) == (8 * 60, 21 * 60)
    assert planner("us_marketing").hours("s", None).minutes_on(Weekday.SUN) == (12 * 60, 20 * 60)
    assert planner("us_service").hours("s", HoursTerms()) == HoursTerms(), "a request's own go before them"


def test_on_the_simulated_line_only_what_was_asked_for_holds() -> None:
    assert planner("us_service", simulated=True).hours("s", None) == HoursTerms()
    own = planner("us_service", simulated=True, tables={"hours": {"start": "10:00"}})
    assert own.hours("s", None).start == "10:00"
    assert planner("us_service", simulated=True).max_per_subject("s") is None


@pytest.mark.parametrize(("profile", "most"), [("us_service", 3), ("us_marketing", 3), ("eu", 3), ("none", None)])
def test_so_many_calls_a_day_about_one_thing(profile: str, most: int | None) -> None:
    assert planner(profile).max_per_subject("s") == most


def test_the_record_shows_the_profile_and_what_was_changed() -> None:
    changed = planner("eu", tables={"compliance": {"profile": "eu", "disclosure": False}})
    record = changed.record(CallSpec("+12025550123", "s"), Direction.OUTBOUND)
    assert record.compliance is not None
    assert record.compliance.profile == "eu"
    assert record.compliance.switched_off == ("compliance.disclosure",)


def test_a_simulated_callee_is_one_that_there_is_and_none_where_a_real_phone_rings() -> None:
    simulated = replace(planner("none", simulated=True), callees=("busy", "voicemail"))
    simulated.check_callee(None)
    simulated.check_callee("busy")
    with pytest.raises(
        RequestError, match=r"no callee 'busi'; did you mean 'busy'\?; there are: busy, voicemail"
    ):
        simulated.check_callee("busi")
    with pytest.raises(RequestError, match="dials real phones with twilio: leave simulated_callee out") as caught:
        planner("none").check_callee("busy")
    assert (caught.value.code, caught.value.field) == ("no_such_callee", "simulated_callee")
    planner("none").check_callee(None)


def test_a_simulated_callee_knows_what_the_call_wants_to_find_out() -> None:
    field = {"name": "meal", "type": "choice", "description": "d", "question": "Which?", "options": ("a", "b")}
    one = planner("none", simulated=True, tables={"outcome": (field,)})
    record = one.record(CallSpec("+12025550123", "s"), Direction.OUTBOUND, Terms(simulated_callee="busy"))
    brief = one.order(one.plan(record), "http://x").brief
    assert brief.callee == "busy"
    assert [(asked.name, asked.options) for asked in brief.fields] == [("meal", ("a", "b"))]
    assert planner("none", tables={"outcome": (field,)}).order(one.plan(record), "http://x").brief.fields == ()


def test_a_callee_without_a_phone_is_called_at_any_hour_and_as_often_as_one_likes() -> None:
    one = planner("us_marketing")
    for number in ("client:browser", "client:hedges.1f"):
        one.check_consent(one.record(CallSpec(number, "s"), Direction.OUTBOUND))
        assert one.hours("s", None, number) == HoursTerms()
        assert one.max_per_subject("s", number) is None
    assert one.hours("s", None, "+12025550123") != HoursTerms()


@pytest.mark.parametrize(
    ("number", "carrier", "stt"),
    [
        ("client:browser", "browser", "pocketsphinx"),
        ("client:typed", "browser", "scripted"),
        ("client:hedges.1f", "simulated", "scripted"),
        ("+12025550123", "twilio", "pocketsphinx"),
    ],
)
def test_who_listens_follows_from_the_number(
    monkeypatch: pytest.MonkeyPatch, number: str, carrier: str, stt: str
) -> None:
    monkeypatch.setattr("bot.calls.planner.moonshine_installed", lambda: False)
    one = planner("none")
    plan = one.plan(one.record(CallSpec(number, "s"), Direction.OUTBOUND))
    assert one.vendors(plan) == {"carrier": carrier, **plan.slots.vendors}
    assert plan.slots.stt.vendor == stt


def test_moonshine_listens_to_a_browser_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.calls.planner.moonshine_installed", lambda: True)
    one = planner("none")
    assert one.slots("s", "client:browser").stt.vendor == "moonshine"
    assert one.slots("s", "client:typed").stt.vendor == "scripted"


def test_words_that_are_given_need_no_recogniser_with_a_key() -> None:
    one = planner("none")
    keyed = replace(one, settings=Settings(_env_file=None, deepgram_api_key=SecretStr("k")))
    assert keyed.slots("s", "client:typed").stt.vendor == "scripted"
    assert keyed.slots("s", "client:browser").stt.vendor == "deepgram"


def test_what_of_a_profile_is_switched_off_stands_in_the_record() -> None:
    off = planner("us_service", tables={"compliance": {"profile": "us_service", "disclosure": False}})
    rules = off.record(CallSpec("+12025550123", "s"), Direction.OUTBOUND).compliance
    assert rules is not None
    assert (rules.profile, rules.switched_off) == ("us_service", ("compliance.disclosure",))
    assert str(rules) == "us_service, switched off: compliance.disclosure", "as the log has it"
