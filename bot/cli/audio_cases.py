"""The cases of suites in audio: whole calls on the simulated carrier, one after the other."""

import asyncio
import functools
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bot.calls.agent import PhoneAgent
from bot.calls.process import CallListener
from bot.cli.server import serving
from bot.cli.simulate import Wish, call_in, with_example, with_outcome, without_account
from bot.conversation.scenario.scenario import Scenarios
from bot.policy import CallConsent, Terms
from bot.records import CallRecord, Direction
from bot.settings import Settings
from bot.suites.mocks import mocked_tools, rules_of
from bot.suites.players import Models
from bot.suites.run import CaseResult, Find, Prepared, Run, finished, prepare
from bot.suites.suite import Case, Suite
from bot.telephony.simulated.carrier import SimulatedCarrier

LONGEST_SECONDS = 300.0


class _CaseCalls(CallListener):
    """Hears the end of a case's call, and gives it its tools."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def begin(self, case: Case) -> None:
        self.ended.clear()
        self.tools, self.tool_rules = functools.partial(mocked_tools, case.tool), rules_of(case.tool)

    def call_ended(self, call_id: str) -> None:
        self.ended.set()


@dataclass(frozen=True)
class _Kept:
    """Where calls to replay are found, and recordings are copied to."""

    find: Find
    sound: Path | None


async def run_in_audio(
    settings: Settings, scenarios: Scenarios, suites: Sequence[Suite], find: Find, sound: Path | None
) -> list[CaseResult]:
    """Every case that wants audio. `sound`: the folder its recordings are copied to."""
    results = []
    with tempfile.TemporaryDirectory(prefix="test-") as folder:
        for suite in suites:
            cases = [case for case in suite.case if case.audio]
            if cases:
                known = _known(scenarios, suite)
                own = without_account(settings, Path(folder)).model_copy(update={"data_dir": Path(folder)})
                results += await _suite(own, known, suite, cases, _Kept(find, sound))
    return results


def _known(scenarios: Scenarios, suite: Suite) -> Scenarios:
    scenario = scenarios.get(suite.scenario)
    return with_example(scenarios, scenario, Wish()) if scenario.direction == "inbound" else scenarios


async def _suite(
    settings: Settings, scenarios: Scenarios, suite: Suite, cases: Sequence[Case], kept: _Kept
) -> list[CaseResult]:
    calls = _CaseCalls()
    async with serving(settings, scenarios=scenarios, listener=calls) as agent:
        runner = _Runner(agent, calls, kept)
        return [
            CaseResult(
                suite.scenario,
                case,
                [await runner.run(suite.scenario, case) for _ in range(case.runs or suite.runs)],
            )
            for case in cases
        ]


@dataclass(frozen=True)
class _Runner:
    agent: PhoneAgent
    calls: _CaseCalls
    kept: _Kept

    async def run(self, name: str, case: Case) -> Run:
        scenario, carrier = self.agent.planner.scenarios.get(name), self.agent.carrier
        assert isinstance(carrier, SimulatedCarrier)
        models = Models(self.agent.active_calls.resources)
        prepared = await prepare(case, scenario, models, self.kept.find, audio=True)
        carrier.answer_as(prepared.conversation)
        self.calls.begin(case)
        record = await self._held(carrier, prepared)
        run = await finished(case, record, prepared, models, scenario, audio=True)
        recordings = self.agent.settings.data_dir / "recordings"
        return run if self.kept.sound is None else _with_sound(run, recordings, self.kept.sound)

    async def _held(self, carrier: SimulatedCarrier, prepared: Prepared) -> CallRecord:
        agent = self.agent
        if prepared.direction is Direction.INBOUND:
            call_id = await call_in(agent, carrier, agent.planner.scenarios.get(prepared.spec.scenario))
        else:
            # Where the scenario's law wants a consent: nobody's phone rings here.
            consent = CallConsent("simulated", datetime.now(UTC).isoformat(), "phone-agent test")
            call_id = (await agent.placing.place(prepared.spec, Terms(consent=consent))).call_id
        try:
            await asyncio.wait_for(self.calls.ended.wait(), LONGEST_SECONDS)
        except TimeoutError:
            await agent.hang_ups.hang_up(call_id)
        return await with_outcome(agent.store.find, call_id)


def _with_sound(run: Run, recordings: Path, sound: Path) -> Run:
    if not run.record.recording:
        return run
    sound.mkdir(parents=True, exist_ok=True)
    shutil.copy(recordings / run.record.recording, sound / run.record.recording)
    return replace(run, sound=f"{sound.parent.name}/{sound.name}/{run.record.recording}")
