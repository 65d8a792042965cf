"""Holds the calls of a suite, many at once, and says of each case whether it passed."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.calls.planner import callee_brief
from bot.conversation.scenario.scenario import Scenario
from bot.errors import ScenarioError
from bot.records import CallRecord, CallSpec, Direction, FirstSpeaker, Speaker
from bot.suites.checks import Check, checked
from bot.suites.mocks import mocked_tools, rules_of
from bot.suites.players import Judged, Models, PlayedCallee, judged
from bot.suites.suite import Case, Persona, Suite
from bot.suites.text_call import NUMBER, TextRequest, TextRoom, hold
from bot.suites.typed_line import ScriptedCallee, TypedCallee, replayed
from bot.telephony.simulated.script import Conversation, ConverseStep, callee_named

_SPEAKERS: dict[str, FirstSpeaker] = {"agent": Speaker.AGENT, "callee": Speaker.CALLEE}
AT_ONCE = 16
"""Calls of one process in text."""


@dataclass(frozen=True)
class Run:
    """One call of a case."""

    record: CallRecord
    checks: Sequence[Check]
    judgements: Sequence[Judged] = ()
    notes: Sequence[str] = ()
    """What was otherwise than the suite asks: a persona that a script stood in for."""
    sound: str | None = None
    """The recording's file, in audio."""

    @property
    def passed(self) -> bool:
        """Nothing that was judged is wrong, and something was judged, or nothing asked for."""
        return all(check.passed is not False for check in self.checks) and all(
            judgement.met is not False for judgement in self.judgements
        )


@dataclass(frozen=True)
class CaseResult:
    suite: str
    case: Case
    runs: Sequence[Run]

    @property
    def passes(self) -> int:
        return sum(run.passed for run in self.runs)

    @property
    def needed(self) -> int:
        return self.case.must_pass or len(self.runs)

    @property
    def passed(self) -> bool:
        return self.passes >= self.needed

    @property
    def not_judged(self) -> int:
        """Criteria and expectations that nobody could judge; they pass nothing."""
        run = self.runs[0]
        return sum(check.passed is None for check in run.checks) + sum(j.met is None for j in run.judgements)


@dataclass(frozen=True)
class Prepared:
    """One call of a case, ready to be held."""

    spec: CallSpec
    direction: Direction
    conversation: Conversation
    callee: TypedCallee
    notes: tuple[str, ...] = ()


Find = Callable[[str], Awaitable[CallRecord | None]]
"""A call that was held for real, to be replayed."""


@dataclass(frozen=True)
class TextRunner:
    """Runs cases in text. `find`: where the calls to replay are kept."""

    room: TextRoom
    models: Models
    find: Find

    async def run(
        self, suites: Sequence[Suite], *, done: Callable[[CaseResult], None] = lambda _result: None
    ) -> list[CaseResult]:
        """Every case of the suites, in their order; `done` hears of each as it is over."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(suite: Suite, case: Case) -> CaseResult:
            runs = case.runs or suite.runs

            async def once() -> Run:
                async with turn:
                    return await self.once(suite, case)

            result = CaseResult(suite.scenario, case, await asyncio.gather(*(once() for _ in range(runs))))
            done(result)
            return result

        cases = [(suite, case) for suite in suites for case in suite.case]
        return list(await asyncio.gather(*(one(suite, case) for suite, case in cases)))

    async def once(self, suite: Suite, case: Case) -> Run:
        scenario = self.room.scenarios.get(suite.scenario)
        prepared = await prepare(case, scenario, self.models, self.find)
        request = TextRequest(
            prepared.spec,
            prepared.direction,
            pickup=prepared.conversation.pickup.answer,
            tools=functools.partial(mocked_tools, case.tool),
            tool_rules=rules_of(case.tool),
        )
        record = await hold(self.room, request, prepared.callee)
        return await finished(case, record, prepared, self.models, scenario)


async def prepare(case: Case, scenario: Scenario, models: Models, find: Find, *, audio: bool = False) -> Prepared:
    """Who picks up, and what the call is about. ScenarioError where the call to replay is not there.

    In audio all that a callee says is spoken beforehand, so a script plays its persona.
    """
    direction = Direction(scenario.direction)
    spec = _spec(case, scenario, direction)
    brief = callee_brief(scenario)
    if case.replay is not None:
        record = await find(case.replay)
        if record is None:
            raise ScenarioError(
                f"case {case.name!r}: there is no call {case.replay!r} to replay in the database of DATABASE_URL",
                code="no_call",
            )
        told = replayed(record.turns).told(brief)
        return Prepared(spec, direction, told, ScriptedCallee(told))
    if isinstance(case.callee, str):
        told = callee_named(case.callee).told(brief)
        return Prepared(spec, direction, told, ScriptedCallee(told))
    persona = case.callee
    if persona.language is not None:
        brief = replace(brief, language=persona.language)
    told = as_scripted(persona).told(brief)
    player = None if audio else models.build_asker(scenario)
    if player is not None and persona.persona:
        return Prepared(spec, direction, told, PlayedCallee(persona, spec, brief.language, player))
    why = "in audio" if audio else "no model to play the persona"
    note = (f"{why}: {persona.like} stood in",) if persona.persona else ()
    return Prepared(spec, direction, told, ScriptedCallee(told), note)


def as_scripted(persona: Persona) -> Conversation:
    """The shipped callee that a persona is like, with its lines, answers and sound."""
    shipped = callee_named(persona.like)
    steps = [
        step.model_copy(
            update={
                "lines": [*persona.lines, *step.lines],
                "answers": [*persona.answers, *step.answers],
            }
        )
        if isinstance(step, ConverseStep)
        else step
        for step in shipped.steps
    ]
    sound: dict[str, Any] = {}
    if "speed" in persona.model_fields_set:
        sound["speed"] = persona.speed
    if "noise_dbfs" in persona.model_fields_set:
        sound["noise_dbfs"] = persona.noise_dbfs
    return shipped.model_copy(update={"steps": steps, **sound})


async def finished(
    case: Case, record: CallRecord, prepared: Prepared, models: Models, scenario: Scenario, *, audio: bool = False
) -> Run:
    """What is to be said of a call that was held."""
    judgements = await judged(
        [judge.criterion for judge in case.judge], record, scenario, models.build_asker(scenario)
    )
    return Run(record, checked(case.expect, record, audio=audio), judgements, prepared.notes)


def _spec(case: Case, scenario: Scenario, direction: Direction) -> CallSpec:
    asked, example = case.request, scenario.example
    outbound = direction is Direction.OUTBOUND
    return CallSpec(
        phone_number=NUMBER,
        scenario=scenario.name,
        action=example.action if asked.action is None else asked.action,
        context=example.context if asked.context is None else asked.context,
        callee_name=asked.callee_name or (example.callee_name if outbound else None),
        agent_name=asked.agent_name,
        organization=asked.organization or example.organization,
        first_speaker=None if asked.first_speaker is None else _SPEAKERS[asked.first_speaker],
        metadata=asked.metadata,
    )
