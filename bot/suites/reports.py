"""Reports of a run of suites: lines for a terminal, JUnit XML, JSON, an HTML page. Pure but for `write`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from jinja2 import Environment, Template

from bot.calls.costs import total_usd
from bot.errors import ScenarioError
from bot.records import CallRecord, Turn
from bot.suites.checks import p90
from bot.suites.run import CaseResult, Run

SLOWER = 1.2
"""A latency that is so many times the baseline's got worse."""


@dataclass(frozen=True)
class Change:
    """A case that is otherwise than in the baseline."""

    case: str
    worse: bool
    what: str


def table(results: Sequence[CaseResult]) -> list[str]:
    """A line a case, and why each that failed did."""
    widest = max((len(_name(result)) for result in results), default=0)
    lines = []
    for result in results:
        verdict = "pass" if result.passed else "FAIL"
        passes = "" if len(result.runs) == 1 else f"  {result.passes} of {len(result.runs)} runs"
        unjudged = f"  {result.not_judged} not judged" if result.not_judged else ""
        seconds = result.runs[0].record.duration_seconds or 0.0
        lines.append(f"{verdict}  {_name(result):<{widest}}  {seconds:5.1f} s{passes}{unjudged}")
        lines += [f"      {note}" for note in dict.fromkeys(note for run in result.runs for note in run.notes)]
        if not result.passed:
            lines += _why(result)
    return lines


def _why(result: CaseResult) -> list[str]:
    run = next(run for run in result.runs if not run.passed)
    lines = [f"      {problem}" for problem in problems(run)]
    return [*lines, *(f"        {line}" for line in transcript(run.record))]


def problems(run: Run) -> list[str]:
    """What was expected and is not so, and what was there instead."""
    wrong = [f"expected: {check.what}; found: {check.found}" for check in run.checks if check.passed is False]
    return wrong + [f"not met: {j.criterion} ({j.reason})" for j in run.judgements if j.met is False]


def transcript(record: CallRecord) -> list[str]:
    lines = []
    for turn in record.turns:
        cut = "  (interrupted)" if turn.interrupted else ""
        lines.append(f"{turn.start_ms / 1000:6.1f} s  {turn.speaker:<9}  {turn.text}{cut}")
        lines += [f"{'':21}> {use.name} {_json(use.arguments)}: {_json(use.result)}" for use in turn.tools]
    lines.append(f"{'':10}{record.status}, {record.ended_reason}")
    return lines


def summary(results: Sequence[CaseResult], seconds: float) -> str:
    passed = sum(result.passed for result in results)
    unjudged = sum(result.not_judged for result in results)
    more = f", {unjudged} expectations or criteria not judged" if unjudged else ""
    return f"{passed} of {len(results)} cases pass, {seconds:.1f} s{more}"


# -- for programs ---------------------------------------------------------------------------------------------


def as_json(results: Sequence[CaseResult], *, mode: str) -> str:
    """Of a run: what `--baseline` reads."""
    return json.dumps(
        {"mode": mode, "cases": [_case(result) for result in results]}, indent=2, ensure_ascii=False
    )


def _case(result: CaseResult) -> dict[str, Any]:
    return {
        "suite": result.suite,
        "case": result.case.name,
        "passed": result.passed,
        "passes": result.passes,
        "needed": result.needed,
        "not_judged": result.not_judged,
        "latency_p90_ms": _slowest(result),
        "runs": [_run(run) for run in result.runs],
    }


def _run(run: Run) -> dict[str, Any]:
    record, outcome = run.record, run.record.outcome
    return {
        "call_id": record.call_id,
        "passed": run.passed,
        "checks": [{"what": c.what, "passed": c.passed, "found": c.found} for c in run.checks],
        "judgements": [
            {"criterion": j.criterion, "met": j.met, "reason": j.reason, "quote": j.quote} for j in run.judgements
        ],
        "notes": list(run.notes),
        "status": record.status,
        "ended_reason": record.ended_reason,
        "answered_by": record.answered_by,
        "duration_seconds": record.duration_seconds,
        "cost_usd": total_usd(record.costs),
        "interruptions": record.counts.interruptions,
        "outcome": None if outcome is None else {"reached_goal": outcome.reached_goal, "fields": outcome.fields},
        "transcript": [_turn(turn) for turn in record.turns],
    }


def _turn(turn: Turn) -> dict[str, Any]:
    tools = [{"name": use.name, "arguments": use.arguments, "result": use.result} for use in turn.tools]
    return {"speaker": turn.speaker, "text": turn.text, "interrupted": turn.interrupted, "tools": tools}


def as_junit(results: Sequence[CaseResult]) -> str:
    """JUnit's XML, as CI servers read it: a testsuite a suite, a testcase a case."""
    root = ET.Element("testsuites")
    for name in dict.fromkeys(result.suite for result in results):
        own = [result for result in results if result.suite == name]
        failures = str(sum(not result.passed for result in own))
        suite = ET.SubElement(root, "testsuite", name=name, tests=str(len(own)), failures=failures)
        for result in own:
            seconds = sum(run.record.duration_seconds or 0.0 for run in result.runs)
            case = ET.SubElement(suite, "testcase", classname=name, name=result.case.name, time=f"{seconds:.3f}")
            if not result.passed:
                run = next(run for run in result.runs if not run.passed)
                said = problems(run)
                ET.SubElement(case, "failure", message=_xml(said[0])).text = _xml("\n".join(said))
                ET.SubElement(case, "system-out").text = _xml("\n".join(transcript(run.record)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return "".join(c for c in text if c in "\t\n" or (ord(c) >= 0x20 and not 0xD800 <= ord(c) <= 0xDFFF))


def as_html(results: Sequence[CaseResult], *, mode: str) -> str:
    """A page with every transcript, and the sound where there is some; it stands alone."""
    return _page().render(results=results, mode=mode, json=_json)


@cache
def _page() -> Template:
    source = (files("bot.suites") / "report.html").read_text("utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)


# -- a baseline -----------------------------------------------------------------------------------------------


def compared(results: Sequence[CaseResult], baseline: Path) -> list[Change]:
    """What got worse or better since an earlier run's JSON. ScenarioError where it is none."""
    try:
        before = json.loads(baseline.read_text("utf-8"))
        old: Mapping[tuple[str, str], Any] = {(case["suite"], case["case"]): case for case in before["cases"]}
        changes = [change for result in results for change in _changes(result, old)]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ScenarioError(
            f"{baseline}: is no report of `phone-agent test --json-report`", code="bad_baseline"
        ) from e
    known = {(result.suite, result.case.name) for result in results}
    gone = [
        Change(f"{suite}: {case}", True, "is no longer there")
        for suite, case in old
        if (suite, case) not in known
    ]
    return [*changes, *gone]


def _changes(result: CaseResult, old: Mapping[tuple[str, str], Any]) -> list[Change]:
    was, name = old.get((result.suite, result.case.name)), _name(result)
    if was is None:
        return [Change(name, not result.passed, f"is new, and {'passes' if result.passed else 'fails'}")]
    changes = []
    if was["passed"] != result.passed:
        changes.append(
            Change(name, not result.passed, "passes now" if result.passed else "passed before, and fails")
        )
    share_before, share = was["passes"] / max(1, len(was["runs"])), result.passes / len(result.runs)
    if was["passed"] == result.passed and share != share_before:
        what = f"{result.passes} of {len(result.runs)} runs pass; it was {was['passes']} of {len(was['runs'])}"
        changes.append(Change(name, share < share_before, what))
    slow, slow_before = _slowest(result), was.get("latency_p90_ms")
    if slow is not None and slow_before and slow > SLOWER * slow_before:
        changes.append(Change(name, True, f"latency p90 {slow:.0f} ms; it was {slow_before:.0f} ms"))
    return changes


def _slowest(result: CaseResult) -> float | None:
    known = [found for run in result.runs if (found := p90(run.record)) is not None]
    return max(known, default=None)


def _name(result: CaseResult) -> str:
    return f"{result.suite}: {result.case.name}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
