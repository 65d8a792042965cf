"""Suites are held: the shipped ones pass, and a case fails for the right reason."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from loguru import logger

from bot.conversation.scenario.scenario import Scenarios
from bot.errors import ScenarioError
from bot.records import CallRecord, Speaker
from bot.settings import Settings
from bot.suites import clock, reports
from bot.suites.players import Models, judged
from bot.suites.run import CaseResult, TextRunner
from bot.suites.suite import find_suites, load_suite
from bot.suites.text_call import TextRoom

PIPELINES = Path(__file__).parents[3] / "pipelines"
SCENARIOS = Scenarios.load(PIPELINES)
SETTINGS = Settings(_env_file=None)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Hundreds of calls' debug lines would take longer than the calls."""
    for name in ("pipecat", "bot"):
        logger.disable(name)
    yield
    for name in ("pipecat", "bot"):
        logger.enable(name)


def held(*paths: Path, replay: CallRecord | None = None) -> list[CaseResult]:
    async def find(call_id: str) -> CallRecord | None:
        return replay

    async def main() -> list[CaseResult]:
        room = TextRoom(SETTINGS, SCENARIOS)
        try:
            runner = TextRunner(room, Models(room.resources), find)
            return await runner.run([load_suite(path, SCENARIOS) for path in paths])
        finally:
            await room.close()

    return clock.run(main())


def suite(tmp_path: Path, text: str, scenario: str = "survey") -> list[CaseResult]:
    path = tmp_path / f"{scenario}.toml"
    path.write_text(text)
    return held(path)


def test_the_shipped_suites_pass() -> None:
    results = held(*find_suites([], PIPELINES))
    assert len(results) >= 50
    assert [line for result in results if not result.passed for line in reports.table([result])] == []


BOTH = """
[[case]]
name = "passes"
expect.fields.satisfaction = 4

[[case]]
name = "fails"
callee = "refuses"
expect.reached_goal = true
expect.called = ["take_message"]
"""


def test_a_case_that_fails_says_what_was_expected_and_what_was_there(tmp_path: Path) -> None:
    text = BOTH.replace('expect.called = ["take_message"]', 'expect.said = ["Would you recommend us"]')
    results = suite(tmp_path, text)
    assert [result.passed for result in results] == [True, False]
    said = "\n".join(reports.table(results))
    assert "pass  survey: passes" in said
    assert "expected: reached_goal = true; found: not reached: " in said
    assert "expected: says 'Would you recommend us'; found: the agent did not say it" in said
    assert "callee     No, I'm not interested. Goodbye." in said, "the transcript says why"


def test_reports_for_programs_and_people(tmp_path: Path) -> None:
    results = suite(tmp_path, BOTH.replace('expect.called = ["take_message"]', ""))
    (junit,) = ET.fromstring(reports.as_junit(results))
    assert (junit.get("tests"), junit.get("failures")) == ("2", "1")
    (failure,) = junit.iter("failure")
    assert "reached_goal = true" in str(failure.get("message"))
    cases = json.loads(reports.as_json(results, mode="text"))["cases"]
    assert [case["passed"] for case in cases] == [True, False]
    assert cases[0]["runs"][0]["transcript"][0]["text"] == "Hello?"
    page = reports.as_html(results, mode="text")
    assert "I&#39;m not interested" in page, "what callees say is escaped"


def test_a_baseline_says_what_got_worse(tmp_path: Path) -> None:
    results = suite(tmp_path, BOTH.replace('expect.called = ["take_message"]', ""))
    before = json.loads(reports.as_json(results, mode="text"))
    path = tmp_path / "before.json"
    path.write_text(json.dumps(before))
    assert reports.compared(results, path) == []
    before["cases"][1]["passed"] = True
    before["cases"].append(before["cases"][0] | {"case": "gone"})
    path.write_text(json.dumps(before))
    assert [(change.case, change.worse) for change in reports.compared(results, path)] == [
        ("survey: fails", True),
        ("survey: gone", True),
    ]
    path.write_text("[]")
    with pytest.raises(ScenarioError, match="no report of `phone-agent test"):
        reports.compared(results, path)


TOOLS = """
[[case]]
name = "a tool answers"
callee.lines = ["Is there a free time on Friday?"]

[[case.tool]]
name = "free_times"
when = "free time"
use = { day = "friday" }
arguments = { day = { matches = "^fri" } }
result = { times = "nine or eleven" }
say = "On Friday there is {times}. May I begin?"
delay_seconds = 3

[case.expect]
called = [{ name = "free_times", arguments = { day = "friday" }, times = 1 }]
never_called = [{ name = "free_times", arguments = { day = "monday" } }]
said = ["nine or eleven"]

[[case]]
name = "a tool fails"
callee.lines = ["Is there a free time on Friday?"]

[[case.tool]]
name = "free_times"
when = "free time"
error = "The calendar is away."

[case.expect]
called = ["free_times"]
"""


def test_mocked_tools_are_called_answer_and_fail(tmp_path: Path) -> None:
    results = suite(tmp_path, TOOLS)
    assert [line for result in results if not result.passed for line in reports.table([result])] == []
    uses = [use for turn in results[1].runs[0].record.turns for use in turn.tools if use.name == "free_times"]
    assert [use.result for use in uses] == [{"error": "The calendar is away."}]


JUDGED = """
[[case]]
name = "a persona"
runs = 2

[case.callee]
persona = "A nurse."
lines = ["I am a nurse."]

[case.expect]
callee_said = ["I am a nurse"]
latency_p90_ms = 800

[[case.judge]]
criterion = "The agent is polite."
"""


def test_without_a_key_a_script_stands_in_and_nothing_is_judged(tmp_path: Path) -> None:
    (result,) = suite(tmp_path, JUDGED)
    assert result.passed
    assert len(result.runs) == 2
    assert result.not_judged == 2, "the criterion, and a latency that text has none of"
    assert result.runs[0].notes == ("no model to play the persona: cooperative stood in",)
    said = "\n".join(reports.table([result]))
    assert "2 of 2 runs  2 not judged" in said


def test_a_call_is_replayed(tmp_path: Path) -> None:
    record = suite(tmp_path, '[[case]]\nname = "a"\ncallee = "changes_mind"\n')[0].runs[0].record
    path = tmp_path / "survey.toml"
    path.write_text('[[case]]\nname = "again"\nreplay = "call_1"\n')
    (again,) = held(path, replay=record)

    def callee(call: CallRecord) -> list[str]:
        return [turn.text for turn in call.turns if turn.speaker is Speaker.CALLEE]

    assert callee(again.runs[0].record) == callee(record)
    with pytest.raises(ScenarioError, match="there is no call 'call_1' to replay"):
        held(path)


@pytest.mark.parametrize(
    ("verdict", "met", "reason"),
    [
        ({"met": True, "reason": "r", "quote": "May I begin?"}, True, "r"),
        ({"met": False, "reason": "r", "quote": ""}, False, "r"),
        ({"met": True, "reason": "r", "quote": ""}, None, "quotes nothing"),
        ({"met": True, "reason": "r", "quote": "I love you"}, None, "not in the record"),
        ({"reason": "r"}, None, "no verdict"),
    ],
)
async def test_a_judge_quotes_the_record_or_judges_nothing(
    tmp_path: Path, verdict: dict[str, Any], met: bool | None, reason: str
) -> None:
    text = '[[case]]\nname = "a"\n'
    record = (await asyncio.to_thread(suite, tmp_path, text))[0].runs[0].record

    async def ask(system: str, question: str, schema: dict[str, Any]) -> dict[str, Any]:
        assert "record_outcome" in question, "tools and their results are part of what is judged"
        return {"verdicts": [verdict]}

    (judgement,) = await judged(["It asks first."], record, SCENARIOS.get("survey"), ask)
    assert judgement.met is met
    assert reason in judgement.reason
