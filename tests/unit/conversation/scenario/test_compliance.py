"""Profiles: what each sets, what a file may change, and what the record shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from bot.conversation.scenario.compliance import Compliance, RecordingRules, Storage, profiles
from bot.conversation.scenario.parts import Hours
from bot.conversation.scenario.scenario import Scenario, Scenarios, load_file
from bot.errors import ScenarioError
from bot.policy import ProfileName, Weekday
from bot.settings import Settings

SHIPPED = Path(__file__).parents[4] / "pipelines"
MINIMAL = 'description = "A test."\ninstructions = "Talk."\n'


def of(tmp_path: Path, text: str = "", profile: ProfileName = "us_service") -> Scenario:
    path = tmp_path / "s.toml"
    path.write_text(MINIMAL + text, encoding="utf-8")
    return load_file(path, profile)


def test_each_profile_is_whole_and_every_setting_is_one_of_a_file() -> None:
    assert set(profiles()) == set(get_args(ProfileName))
    for name, profile in profiles().items():
        assert set(profile) == {"compliance", "recording", "storage", "hours"}, name
        assert set(profile["compliance"]) == set(Compliance.model_fields) - {"profile"}, name
        assert set(profile["recording"]) == set(RecordingRules.model_fields), name
        assert set(profile["storage"]) == set(Storage.model_fields), name
        assert set(profile["hours"]) <= set(Hours.model_fields), name


def test_every_shipped_scenario_names_its_profile() -> None:
    for path in SHIPPED.glob("*.toml"):
        assert "[compliance]\nprofile = " in path.read_text(encoding="utf-8"), path.name
    found = Scenarios.load(SHIPPED, "none")
    assert {found.get(name).compliance.profile for name in found.names} == {"us_service", "us_marketing", "eu"}


@pytest.mark.parametrize(
    ("profile", "disclosure", "recording"),
    [
        ("us_service", True, "announce"),
        ("us_marketing", True, "announce"),
        ("eu", True, "ask"),
        ("none", False, "silent"),
    ],
)
def test_what_each_sets(tmp_path: Path, profile: ProfileName, disclosure: bool, recording: str) -> None:
    scenario = of(tmp_path, profile=profile)
    assert (scenario.compliance.disclosure, scenario.recording.mode) == (disclosure, recording)
    assert scenario.rules.profile == profile
    assert scenario.rules.changed == {}


def test_the_hours_of_each(tmp_path: Path) -> None:
    def minutes(profile: ProfileName, day: Weekday) -> tuple[float, float]:
        start, end = of(tmp_path, profile=profile).hours.terms.minutes_on(day)
        return start / 60, end / 60

    assert [minutes("us_service", day) for day in (Weekday.MON, Weekday.SUN)] == [(8, 21), (8, 21)]
    assert [minutes("us_marketing", day) for day in (Weekday.MON, Weekday.SUN)] == [(9, 20), (12, 20)]
    assert [minutes("eu", day) for day in (Weekday.SAT, Weekday.SUN)] == [(9, 20), (0, 0)]
    assert minutes("none", Weekday.SUN) == (0, 24)


def test_a_file_changes_what_it_says_and_no_more(tmp_path: Path) -> None:
    text = '[compliance]\nprofile = "us_marketing"\ndisclosure = false\n[hours]\nstart = "10:00"\n'
    scenario = of(tmp_path, text, "none")
    assert scenario.compliance.profile == "us_marketing"
    assert not scenario.compliance.disclosure
    assert scenario.recording.mode == "announce"
    assert scenario.has_own_hours
    assert scenario.hours.terms.minutes_on(Weekday.SUN) == (600, 1440), "[hours] count as a whole"
    assert scenario.rules.switched_off == ("compliance.disclosure",)
    assert scenario.rules.changed["hours"]["start"] == "10:00"
    assert str(scenario.rules) == "us_marketing, switched off: compliance.disclosure"


def test_what_a_file_repeats_is_no_change(tmp_path: Path) -> None:
    scenario = of(tmp_path, '[compliance]\ndisclosure = true\n[recording]\nmode = "announce"\n')
    assert scenario.rules.changed == {}
    assert not scenario.has_own_hours


def test_an_unknown_profile_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"compliance\.profile.*us_service"):
        of(tmp_path, '[compliance]\nprofile = "uk"\n')


def test_the_setting_is_for_scenarios_that_name_none() -> None:
    assert Settings(_env_file=None).compliance_profile == "us_service"
    assert Settings(_env_file=None, compliance_profile="eu").compliance_profile == "eu"


def test_no_recording_is_kept_where_none_is_made(tmp_path: Path) -> None:
    assert of(tmp_path, '[storage]\nrecording = "none"\n').recording.mode == "off"
    with pytest.raises(ScenarioError, match=r'storage\.recording: "none" and recording\.mode = "ask"'):
        of(tmp_path, '[storage]\nrecording = "none"\n[recording]\nmode = "ask"\n')


def test_a_recording_is_redacted_by_its_transcript(tmp_path: Path) -> None:
    text = '[storage]\ntranscript = "{}"\nrecording = "redacted"\n'
    assert of(tmp_path, text.format("none")).storage.recording == "redacted"
    with pytest.raises(ScenarioError, match=r'storage\.recording: "redacted"'):
        of(tmp_path, text.format("full"))
    eu = of(tmp_path, '[storage]\ntranscript = "full"\n', "eu")
    assert eu.storage.recording == "full", "the profile's follows"
    assert eu.rules.changed == {"storage.transcript": "full", "storage.recording": "full"}
