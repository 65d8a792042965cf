"""Suites of scenarios: hold their calls, say what was expected and is not so; write a first suite."""

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from bot.cli.audio_cases import run_in_audio
from bot.conversation.scenario.scenario import Scenarios
from bot.errors import ScenarioError
from bot.records import CallRecord
from bot.settings import Settings, load_settings
from bot.store import SqlCallStore, open_database
from bot.suites import clock, reports
from bot.suites.new_suite import first_suite
from bot.suites.players import Models
from bot.suites.run import CaseResult, Find, TextRunner
from bot.suites.suite import FOLDER, Suite, find_suites, load_suite
from bot.suites.text_call import TextRoom


def main(chosen: argparse.Namespace) -> int:
    """0 if every case passes, and nothing got worse than the baseline; 1 otherwise."""
    settings = load_settings()
    scenarios = Scenarios.load(settings.pipelines_dir, settings.compliance_profile)
    if chosen.new:
        return _write_new(chosen.new, scenarios, settings)
    suites = _suites(chosen, scenarios, settings)
    began = time.perf_counter()
    if chosen.audio:
        results = asyncio.run(_in_audio(settings, scenarios, suites, chosen.html))
    else:
        results = clock.run(_in_text(settings, scenarios, suites))
    for line in reports.table(results):
        print(line)
    print(reports.summary(results, time.perf_counter() - began))
    _write(chosen, results, mode="audio" if chosen.audio else "text")
    worse = _compare(chosen.baseline, results)
    return 0 if all(result.passed for result in results) and not worse else 1


def _suites(chosen: argparse.Namespace, scenarios: Scenarios, settings: Settings) -> list[Suite]:
    suites = [load_suite(path, scenarios) for path in find_suites(chosen.suites, settings.pipelines_dir)]
    if not chosen.case:
        return suites
    kept = []
    for suite in suites:
        cases = tuple(case for case in suite.case if chosen.case.lower() in case.name.lower())
        kept += [suite.model_copy(update={"case": cases})] if cases else []
    if not kept:
        names = ", ".join(repr(case.name) for suite in suites for case in suite.case)
        raise ScenarioError(f"no case is called {chosen.case!r}; there are: {names}", code="no_case")
    return kept


async def _in_text(settings: Settings, scenarios: Scenarios, suites: Sequence[Suite]) -> list[CaseResult]:
    room = TextRoom(settings, scenarios)
    await room.open()
    runner = TextRunner(room, Models(room.resources), _finder(settings))
    try:
        return await runner.run(suites)
    finally:
        await room.close()


async def _in_audio(
    settings: Settings, scenarios: Scenarios, suites: Sequence[Suite], page: str | None
) -> list[CaseResult]:
    """Their sound lies beside the HTML page, where one is written."""
    if not any(case.audio for suite in suites for case in suite.case):
        raise ScenarioError("no case here has audio = true", code="no_case")
    sound = None if page is None else Path(page).with_suffix("") / "sound"
    return await run_in_audio(settings, scenarios, suites, _finder(settings), sound)


def _finder(settings: Settings) -> Find:
    async def find(call_id: str) -> CallRecord | None:
        store = SqlCallStore(open_database(settings))
        await store.open()
        try:
            return await store.get(call_id)
        finally:
            await store.close()

    return find


def _write(chosen: argparse.Namespace, results: Sequence[CaseResult], *, mode: str) -> None:
    for path, made in (
        (chosen.junit, reports.as_junit),
        (chosen.json_report, lambda results: reports.as_json(results, mode=mode)),
        (chosen.html, lambda results: reports.as_html(results, mode=mode)),
    ):
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(made(results), encoding="utf-8")


def _compare(baseline: str | None, results: Sequence[CaseResult]) -> bool:
    """Whether something got worse."""
    changes = [] if baseline is None else reports.compared(results, Path(baseline))
    for change in changes:
        print(f"{'worse' if change.worse else 'better'}  {change.case} {change.what}")
    return any(change.worse for change in changes)


def _write_new(name: str, scenarios: Scenarios, settings: Settings) -> int:
    scenario = scenarios.get(name)
    path = settings.pipelines_dir / FOLDER / f"{name}.toml"
    if path.exists():
        raise ScenarioError(
            f"{path} is there already; remove it to have a first suite written", code="suite_exists"
        )
    path.parent.mkdir(exist_ok=True)
    path.write_text(first_suite(scenario), encoding="utf-8")
    print(f"{path}: {len(load_suite(path, scenarios).case)} cases; hold them: phone-agent test {name}")
    return 0
