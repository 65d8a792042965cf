"""docs/compliance.md against the code: what it says of each profile is what the profile does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from bot.conversation.prompt import opening_text
from bot.conversation.scenario.compliance import Compliance, profiles
from bot.conversation.scenario.parts import Hours, Limits
from bot.conversation.scenario.scenario import Scenario
from bot.policy import Weekday
from bot.records import CallSpec
from bot.store.consents import KEPT_DAYS
from tests.markdown import names, read

PAGE = read("docs/compliance.md")
PROFILES = ("us_service", "us_marketing", "eu", "none")
SECTIONS = ("What the agent says", "When it may call", "What is kept")
SETTING = re.compile(r"\[(?P<table>\w+)\](?: (?P<key>\w+))?")
OPENING = "Hi {{callee_name}}, this is {{agent_name}}, calling from {{organization}}. Is Thursday at 2pm fine?"
SPEC = CallSpec("+12025550123", "s", callee_name="John", agent_name="Alex", organization="Downtown Dental")
UNLIMITED = {"max_per_day_and_subject": (0, "any number"), "max_abandoned_percent": (100.0, "never")}


def said_of() -> Mapping[str, list[str]]:
    """Setting → its cells, profile by profile."""
    found: dict[str, list[str]] = {}
    for section in SECTIONS:
        for row in PAGE.rows(section):
            setting = SETTING.fullmatch((names(row[0]) or [""])[-1])
            if setting is not None and len(row) == 1 + len(PROFILES):
                name = ".".join(part for part in setting.groups() if part)
                assert name not in found, name
                found[name] = row[1:]
    return found


def written(name: str, value: Any) -> str:
    unlimited, words = UNLIMITED.get(name, (None, ""))
    if value == unlimited:
        return words
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "max_abandoned_percent":
        return f"{value:g} %"
    return f"`{value}`" if isinstance(value, str) and value else "none" if value == "" else str(value)


def hours(table: Mapping[str, Any]) -> str:
    """Of a profile, as people write them."""
    terms = Hours.model_validate(table).terms

    def clock(minutes: int) -> str:
        return f"{minutes // 60}:{minutes % 60:02}"

    def span(day: Weekday) -> str:
        start, end = terms.minutes_on(day)
        return f"{clock(start)}–{clock(end)}"

    sunday = terms.minutes_on(Weekday.SUN)
    assert len({terms.minutes_on(day) for day in Weekday if day is not Weekday.SUN}) == 1
    if not table:
        return "any time"
    if sunday == terms.minutes_on(Weekday.MON):
        return span(Weekday.MON)
    return f"{span(Weekday.MON)}, " + (
        "Monday to Saturday" if sunday == (0, 0) else f"Sunday {span(Weekday.SUN)}"
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_its_tables_say_what_a_profile_sets(profile: str) -> None:
    column, sets = PROFILES.index(profile), profiles()[profile]
    expected = {
        f"{table}.{key}": written(key, value)
        for table in ("compliance", "recording", "storage")
        for key, value in sets[table].items()
    }
    expected["hours"] = hours(sets["hours"])
    assert {name: cells[column] for name, cells in said_of().items()} == expected


def test_every_setting_has_its_row() -> None:
    assert {name.split(".")[1] for name in said_of() if name.startswith("compliance.")} == (
        set(Compliance.model_fields) - {"profile"}
    )


def test_what_is_heard_first_is_what_it_says() -> None:
    heard = {names(row[0])[0]: row[1] for row in PAGE.rows("What the agent says") if len(row) == 2}
    assert set(heard) == set(PROFILES)
    for profile, said in heard.items():
        scenario = Scenario.model_validate(
            {
                "description": "d",
                "instructions": "i",
                "opening": {"text": OPENING},
                "compliance": {"profile": profile},
            }
        )
        assert opening_text(SPEC, scenario) == said, profile


def test_the_figures_in_its_prose() -> None:
    assert f"`[limits] ring_seconds` is {Limits().ring_seconds}" in PAGE.text
    assert "for five years" in PAGE.text
    assert KEPT_DAYS == 5 * 365 + 2
