"""Suite files: what is read, and mistakes that name the file, the key and the line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.conversation.scenario.scenario import Scenarios
from bot.errors import ScenarioError
from bot.suites.new_suite import first_suite
from bot.suites.suite import Case, Expect, Persona, SuiteRequest, find_suites, load_suite
from tests.profiles import held_to

PIPELINES = Path(__file__).parents[3] / "pipelines"
SCENARIOS = Scenarios(held_to("none", path) for path in sorted(PIPELINES.glob("*.toml")))
GOOD = '[[case]]\nname = "a"\ncallee = "busy"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"case: has to be given"),
        ("[[case]\n", r"line 1"),
        ('[[case]]\ncallee = "busy"\n', r"case 1\.name: has to be given"),
        (GOOD + "colour = 1\n", r'case "a"\.colour: there is no such key.*\(line 4\)'),
        (
            '[[case]]\nname = "a"\ncallee = "voicemial"\n',
            r"there is no callee 'voicemial'; did you mean 'voicemail'",
        ),
        (
            GOOD + "[case.expect]\nfields.recomend = true\n",
            r"field 'recomend', which is none; did you mean 'recommend'",
        ),
        (
            GOOD + '[case.expect]\ncalled = ["end_cal"]\n',
            r"tool 'end_cal', which is none; did you mean 'end_call'",
        ),
        (GOOD + '[case.expect]\nended_reason = "agent_hungup"\n', r"ended_reason.*agent_hungup"),
        (GOOD + '[case.expect]\nsaid = ["("]\n', r"is no regular expression.*\(line 5\)"),
        (GOOD + '[[case.tool]]\nname = "slots"\n', r"give result, or error"),
        (GOOD + '[[case.tool]]\nname = "end_call"\nresult = "x"\n', r"'end_call' is a tool of the agent's own"),
        (GOOD + '[[case.tool]]\nname = "x"\nresult = "x"\nsay = "y"\n', r"use and say belong to when"),
        (GOOD + "runs = 2\nmust_pass = 3\n", r"must_pass: 3 of 2 runs cannot pass"),
        (GOOD + GOOD, r"two cases are called 'a'"),
        (
            '[[case]]\nname = "a"\n[case.callee]\nlike = "voicemail"\nlines = ["x"]\n',
            r"'voicemail' has a fixed script",
        ),
        ('scenario = "surveys"\n' + GOOD, r"there is no scenario 'surveys'; did you mean 'survey'"),
    ],
)
def test_mistakes_name_the_file_the_key_and_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "survey.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=rf"survey\.toml: .*{said}"):
        load_suite(path, SCENARIOS)


def test_a_suite_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no suite here; `phone-agent test --new SCENARIO` writes one"):
        find_suites([], tmp_path)
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "survey.toml").write_text(GOOD)
    assert [path.stem for path in find_suites([], tmp_path)] == ["survey"]
    assert [path.stem for path in find_suites([str(tmp_path / "suites" / "survey.toml")], tmp_path)] == ["survey"]
    with pytest.raises(ScenarioError, match=r"no suite 'survy' in .*; did you mean 'survey'\?.*--new survy"):
        find_suites(["survy"], tmp_path)


@pytest.mark.parametrize("name", SCENARIOS.names)
def test_a_first_suite_can_be_read_for_every_scenario(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_text(first_suite(SCENARIOS.get(name)))
    suite = load_suite(path, SCENARIOS)
    names = [case.name for case in suite.case]
    assert names[0] == "goal reached"
    if SCENARIOS.get(name).direction == "outbound":
        assert {"refusal", "wrong person", "voicemail", "angry", "says mhm throughout"} < set(names)


def test_what_stands_behind_the_comment_of_a_first_suite_can_be_read_too(tmp_path: Path) -> None:
    text = first_suite(SCENARIOS.get("survey"))
    at = text.index("# [[case]]")
    path = tmp_path / "survey.toml"
    path.write_text("\n".join(line.removeprefix("#").removeprefix(" ") for line in text[at:].split("\n")))
    (case,) = load_suite(path, SCENARIOS).case
    assert case.judge
    assert not isinstance(case.callee, str)
    assert case.callee.answers


@pytest.mark.parametrize("name", SCENARIOS.names)
def test_every_shipped_scenario_has_a_suite_without_mistakes(name: str) -> None:
    assert load_suite(PIPELINES / "suites" / f"{name}.toml", SCENARIOS).case


def test_the_examples_of_the_documentation_are_cases(tmp_path: Path) -> None:
    text = (PIPELINES.parent / "docs" / "testing.md").read_text()
    blocks = re.findall(r"```toml[^\n]*\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        whole = block if "[[case]]" in block else GOOD + block
        path = tmp_path / "survey.toml"
        path.write_text(whole)
        assert load_suite(path, SCENARIOS).case


def test_every_key_of_a_case_is_explained() -> None:
    text = (PIPELINES.parent / "docs" / "testing.md").read_text()
    for model in (Case, Expect, SuiteRequest, Persona):
        assert [name for name in model.model_fields if f"`{name}`" not in text and f"{name} =" not in text] == []
