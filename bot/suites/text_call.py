"""One call in text: the conversation of any call, with typed turns in the place of audio.

Context, prompt, tools, LLM, answer detection, silence, goodbye, outcome and its evidence are those of a call on
the telephone; what hears and speaks is not there, nor is a database, a carrier or a server.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loguru import logger

from bot.calls.dialling.following import BY_STATUS
from bot.calls.finish import call_costs, outcome_by_rules
from bot.calls.outcome.analyst import CallReader
from bot.calls.planner import Planner
from bot.conversation.call import Call, CallBackend, CallEnd
from bot.conversation.call_plan import Plan, build_services
from bot.conversation.prompt import opening_text
from bot.conversation.recorder import Recorder
from bot.conversation.reports import NO_REPORTS, CallReports
from bot.conversation.scenario.scenario import Scenario, Scenarios
from bot.conversation.tools import Tool
from bot.conversation.tools.declared.mcp_server import McpServers
from bot.conversation.transfers.transfers import Caller, Transfer, Transfers, Verdict
from bot.pipeline.line.line import Line
from bot.pipeline.line.recording import Recording
from bot.pipeline.offline.rules.tool_rules import ToolRule
from bot.pipeline.resources import Resources
from bot.pipeline.usage import Usage
from bot.policy import DEFAULT_TERMS, Terms
from bot.records import CallRecord, CallSpec, Direction, EndedReason, Status, Turn
from bot.settings import Settings
from bot.suites.text_phone import TextPhone
from bot.suites.typed import WORD_SECONDS, SilentVoice, TypedSpeech
from bot.suites.typed_line import TypedCallee, TypedLine

LONGEST_SECONDS = 900.0
"""Of the call's own clock: beyond any scenario's longest duration that a suite would wait for."""
NUMBER = "+12025550123"


@dataclass(frozen=True)
class TextRoom:
    """What the text calls of one process share. `open` before the first call."""

    settings: Settings
    scenarios: Scenarios
    word_seconds: float = WORD_SECONDS
    """Of the agent's speech."""
    resources: Resources = field(init=False)
    planner: Planner = field(init=False)

    def __post_init__(self) -> None:
        resources = Resources(self.settings, voice=SilentVoice(self.word_seconds))
        typed = Scenarios(_typed(self.scenarios.get(name)) for name in self.scenarios.names)
        planner = Planner(typed, self.settings, resources.environment, "simulated", simulated_line=True)
        object.__setattr__(self, "resources", resources)
        object.__setattr__(self, "planner", planner)

    async def open(self) -> None:
        """Build the clients of the vendors whose keys are set; no model is loaded."""
        await asyncio.to_thread(self.resources.build_clients)

    async def close(self) -> None:
        await self.resources.close()


def _typed(scenario: Scenario) -> Scenario:
    """A scenario whose turns end where they are typed: no melody is heard, no guess begun on half a turn."""
    turn = scenario.turn.model_copy(update={"detector": "timeout", "pause_seconds": 0.1, "early_replies": False})
    return scenario.model_copy(
        update={"turn": turn, "stt": None, "stt_fallback": None, "tts": None, "tts_fallback": None}
    )


@dataclass(frozen=True)
class TextRequest:
    """A call to hold in text."""

    spec: CallSpec
    direction: Direction = Direction.OUTBOUND
    terms: Terms = DEFAULT_TERMS
    pickup: str = "answered"
    """Or `busy`, `no-answer`, `failed`."""
    tools: Callable[[Plan], Iterable[Tool]] | None = None
    """In the place of the scenario's HTTP tools and MCP servers."""
    tool_rules: tuple[ToolRule, ...] = ()
    """When the local LLM calls them."""
    reports: CallReports = NO_REPORTS


async def hold(room: TextRoom, request: TextRequest, callee: TypedCallee) -> CallRecord:
    """The whole call, and its record with the outcome."""
    record = room.planner.record(request.spec, request.direction, request.terms)
    plan = room.planner.plan(record)
    try:
        with logger.contextualize(call_id=record.call_id):
            return await _hold(room, request, record, plan, callee)
    finally:
        room.planner.forget(record.call_id)


async def _hold(
    room: TextRoom, request: TextRequest, record: CallRecord, plan: Plan, callee: TypedCallee
) -> CallRecord:
    begun = time.monotonic()
    if request.pickup != "answered":
        status = Status(request.pickup)
        record = replace(record, status=status, ended_reason=BY_STATUS[status], ended_at=datetime.now(UTC))
        outcome = outcome_by_rules(plan, (), ended_reason=record.ended_reason, answered_by=None)
        return replace(record, outcome=outcome)
    sid = f"CA{record.call_id}"
    far, speech = TextPhone(sid), TypedSpeech()
    line = Line(far.stream(), recording=None if plan.scenario.recording.mode == "off" else _NoTape())
    recorder = Recorder(
        record.call_id,
        _Nowhere(),
        lambda: round((time.monotonic() - begun) * 1000),
        vad_start_ms=200,
        reports=request.reports,
        redact=plan.redact,
    )
    plan = replace(plan, opening_text=opening_text(plan.spec, plan.scenario), tool_rules=request.tool_rules)
    typed = TypedLine(far, speech, lambda: room.resources.scripts.agent_words(sid))
    carrier = _TextCarrier(far, typed)
    backend = CallBackend(
        room.resources,
        McpServers({}),
        carrier,
        carrier,
        _NoList(),
        simulated=True,
        declared=request.tools,
    )
    services = replace(await asyncio.to_thread(build_services, plan, room.resources, sid), vad=speech)
    call = carrier.call = Call(plan, line=line, services=services, recorder=recorder, backend=backend)
    async with AsyncExitStack() as closing:
        keeping = asyncio.create_task(recorder.run(), name=f"recorder {sid}")
        closing.callback(keeping.cancel)
        holding = asyncio.create_task(call.hold(), name=f"call {sid}")
        talking = asyncio.create_task(_talk(callee, typed), name=f"callee {sid}")
        closing.push_async_callback(_end, talking)
        await asyncio.wait({holding}, timeout=LONGEST_SECONDS)
        if not holding.done():
            await call.hang_up(EndedReason.MAX_DURATION)
        end = await holding
        await recorder.close()
        room.resources.scripts.forget(sid)
    if talking.done() and not talking.cancelled() and (failure := talking.exception()) is not None:
        raise failure
    record = _recorded(record, plan, end, recorder, time.monotonic() - begun)
    return replace(record, outcome=await CallReader(room.resources).outcome_of(record, plan, Usage()))


async def _talk(callee: TypedCallee, line: TypedLine) -> None:
    try:
        await callee.talk(line)
    finally:
        line.far.hang_up()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _recorded(record: CallRecord, plan: Plan, end: CallEnd, recorder: Recorder, seconds: float) -> CallRecord:
    # Nothing was spoken, so nothing says how long a voice would have been waited for.
    turns = tuple(replace(turn, latency=None) for turn in recorder.kept_turns())
    begun_at = datetime.now(UTC)
    outcome = outcome_by_rules(
        plan, turns, ended_reason=end.reason, answered_by=end.answered_by, recorded=end.outcome
    )
    return replace(
        record,
        status=Status.COMPLETED,
        ended_reason=end.reason,
        error=end.error,
        answered_at=begun_at,
        ended_at=begun_at + timedelta(seconds=seconds),
        duration_seconds=round(seconds, 3),
        turns=turns,
        counts=recorder.counts,
        answered_by=end.answered_by,
        vendors={**plan.slots.vendors, "llm": end.llm or plan.slots.llm.vendor},
        outcome=outcome,
        costs={part: priced for part, priced in call_costs(plan, 0.0, transferred=False).items() if priced.items},
        disclosed_at=end.disclosed_at,
        consent=end.consent,
    )


class _Nowhere:
    """A text call is kept by who asked for it."""

    async def put_turn(self, call_id: str, turn: Turn) -> None:
        return


class _NoTape(Recording):
    """Obeys the callee's consent, and keeps nothing."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.kept = True

    async def begin(self, at_ms: float) -> None:
        return

    async def stop(self, *, delete: bool) -> None:
        self.kept = self.kept and not delete

    def callee(self, mulaw: bytes, at_ms: float) -> None:
        return

    def agent(self, mulaw: bytes, at_ms: float) -> None:
        return


class _NoList:
    async def asked_for(self, phone_number: str, call_id: str, reason: str | None = None) -> None:
        return


class _TextCarrier(Transfers):
    """Ends the call, presses keys, and puts callees through to a colleague who takes every call."""

    def __init__(self, far: TextPhone, line: TypedLine) -> None:
        self._far, self._typed = far, line
        self.call: Call | None = None

    async def hang_up(self, call_sid: str) -> None:
        self._far.hang_up()

    async def press(self, caller: Caller, digits: str, seconds: float) -> None:
        assert self.call is not None
        self._typed.pressed += digits
        attached = asyncio.ensure_future(self.call.attach(self._far.next_stream()))
        attached.add_done_callback(lambda _done: None)

    async def ring(self, transfer: Transfer) -> None:
        transfer.decide(Verdict.ACCEPTED)

    async def dial_on(self, transfer: Transfer) -> None:
        transfer.decide(Verdict.ACCEPTED)

    async def join(self, transfer: Transfer) -> None:
        transfer.settle(joined=True)

    async def give_up(self, transfer: Transfer) -> None:
        return
