"""A whole call with a simulated callee in the terminal: turns as they are spoken, latencies, a summary."""

import argparse
import asyncio
import functools
import json
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from textwrap import shorten
from typing import Any

from pydantic import SecretStr

from bot.api.answers import as_event
from bot.calls.agent import PhoneAgent
from bot.calls.planner import callee_brief
from bot.calls.process import CallListener
from bot.cli.server import serving
from bot.conversation.scenario.scenario import DEFAULT_OUTBOUND, Scenario, Scenarios
from bot.policy import CallConsent, Terms
from bot.records import CallRecord, CallSpec, ToolUse, Turn, TurnLatency
from bot.settings import Settings, load_settings
from bot.suites.mocks import mocked_tools, rules_of
from bot.suites.suite import ToolMock, load_tools
from bot.telephony.simulated.carrier import SimulatedCarrier

SIMULATED_NUMBER = "+12025550123"
OUR_NUMBER = "+12025550100"
_LONGEST_SECONDS = 180.0
_OUTCOME_SECONDS = 5.0
_COMES_IN_SECONDS = 5.0
_WIDTH = 160
"""Characters shown of a tool's use."""


@dataclass(frozen=True)
class Wish:
    """What to simulate; None: the scenario's own example and callee."""

    scenario: str | None = None
    action: str | None = None
    context: str | None = None
    callee: str | None = None
    say: tuple[str, ...] = ()
    callee_name: str | None = None
    organization: str | None = None
    as_json: bool = False
    tools: tuple[ToolMock, ...] = ()


async def run(chosen: argparse.Namespace) -> int:
    """Hold one call with a simulated callee; 0 if its outcome was reached."""
    wish = Wish(
        chosen.scenario,
        chosen.action,
        chosen.context,
        chosen.callee,
        tuple(chosen.say),
        chosen.callee_name,
        chosen.organization,
        chosen.json,
        load_tools(Path(chosen.tools_from)) if chosen.tools_from else (),
    )
    settings = load_settings()
    with tempfile.TemporaryDirectory(prefix="simulate-") as folder:
        return await _simulate(without_account(settings, Path(folder)), wish)


class _Terminal(CallListener):
    """Prints the turns."""

    def __init__(self, wish: Wish) -> None:
        self.ended = asyncio.Event()
        self._silent = wish.as_json
        if wish.tools:
            self.tools, self.tool_rules = functools.partial(mocked_tools, wish.tools), rules_of(wish.tools)

    def turn_completed(self, call_id: str, turn: Turn) -> None:
        if not self._silent:
            print_turn(turn)

    def call_ended(self, call_id: str) -> None:
        self.ended.set()


async def _simulate(settings: Settings, wish: Wish) -> int:
    scenarios = Scenarios.load(settings.pipelines_dir, settings.compliance_profile)
    terminal = _Terminal(wish)
    scenario = scenarios.get(wish.scenario or DEFAULT_OUTBOUND)
    if scenario.direction == "inbound":
        scenarios = with_example(scenarios, scenario, wish)
    async with serving(settings, scenarios=scenarios, listener=terminal) as agent:
        if not wish.as_json:
            _print_slots(agent, scenario)
        assert isinstance(agent.carrier, SimulatedCarrier)
        agent.carrier.answer_with(wish.callee, wish.say)
        call_id = await _begin(agent, agent.carrier, scenario, wish)
        try:
            await asyncio.wait_for(terminal.ended.wait(), _LONGEST_SECONDS)
        except TimeoutError:
            await agent.hang_ups.hang_up(call_id)
            print(f"the call was still going on after {_LONGEST_SECONDS:.0f} s")
        record = await with_outcome(agent.store.find, call_id)
        recordings = agent.settings.data_dir / "recordings"
        for line in [_as_json(record)] if wish.as_json else summary(record, recordings):
            print(line)
    return 0 if record.outcome is not None and record.outcome.reached_goal else 1


def _print_slots(agent: PhoneAgent, scenario: Scenario) -> None:
    for slot, filled in agent.health().slots.items():
        print(f"{slot:<8} {filled.vendor:<13} {filled.why}")
    for stranger in agent.planner.slots(scenario.name).strangers(scenario.language):
        print(f"{'':<8} {stranger:<13} takes {scenario.language} for English")
    print()


def _as_json(record: CallRecord) -> str:
    """As the API answers it."""
    return json.dumps(as_event(record), indent=2, ensure_ascii=False)


async def with_outcome(
    get_call: Callable[[str], Awaitable[CallRecord]], call_id: str, within_seconds: float = _OUTCOME_SECONDS
) -> CallRecord:
    """The call with its outcome, which an unanswered one gets after its end; without it if none comes."""
    deadline = time.monotonic() + within_seconds
    while True:
        record = await get_call(call_id)
        if record.outcome is not None or time.monotonic() >= deadline:
            return record
        await asyncio.sleep(0.05)


async def _begin(agent: PhoneAgent, carrier: SimulatedCarrier, scenario: Scenario, wish: Wish) -> str:
    example = scenario.example
    if scenario.direction == "inbound":
        return await call_in(agent, carrier, scenario)
    spec = CallSpec(
        phone_number=SIMULATED_NUMBER,
        scenario=scenario.name,
        action=example.action if wish.action is None else wish.action,
        context=example.context if wish.context is None else wish.context,
        callee_name=wish.callee_name or example.callee_name,
        organization=wish.organization or example.organization,
    )
    # Where the scenario's law wants a consent: nobody's phone rings here.
    consent = CallConsent("simulated", datetime.now(UTC).isoformat(), "phone-agent simulate")
    return (await agent.placing.place(spec, Terms(consent=consent))).call_id


async def call_in(agent: PhoneAgent, carrier: SimulatedCarrier, scenario: Scenario) -> str:
    """A simulated caller calls our number; the id of the call."""
    sid = await carrier.call_in(
        origin=f"http://127.0.0.1:{agent.settings.port}",
        to=OUR_NUMBER,
        from_number=SIMULATED_NUMBER,
        scenario=scenario.name,
        brief=callee_brief(scenario),
    )
    return await _call_id_of(agent, sid)


async def _call_id_of(agent: PhoneAgent, call_sid: str) -> str:
    """The call of a carrier's id, which comes in within a moment."""
    async with asyncio.timeout(_COMES_IN_SECONDS):
        while (record := await agent.store.get_by_sid(call_sid)) is None:  # noqa: ASYNC110  # a store has no event
            await asyncio.sleep(0.05)
    return record.call_id


def with_example(scenarios: Scenarios, scenario: Scenario, wish: Wish) -> Scenarios:
    """The same scenarios, `scenario` answering our number and knowing what its example says.

    A caller from outside brings no request, so an inbound scenario has to know it by itself.
    """
    example, agent = scenario.example, scenario.agent
    known = {
        "organization": wish.organization or example.organization or agent.organization,
        "context": (example.context if wish.context is None else wish.context) or agent.context,
    }
    filled = scenario.model_copy(update={"numbers": (OUR_NUMBER,), "agent": agent.model_copy(update=known)})
    return Scenarios(filled if name == scenario.name else scenarios.get(name) for name in scenarios.names)


def without_account(settings: Settings, folder: Path) -> Settings:
    """The same vendors, the simulated carrier, a port of its own, and a database in `folder`.

    Its own: another process of the same database would take this call from the queue and dial it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return settings.model_copy(
        update={
            "twilio_account_sid": None,
            "twilio_auth_token": None,
            "public_host": None,
            "database_url": f"sqlite:///{folder / 'calls.db'}",
            "webhook_url": None,
            "workers": 1,
            "api_keys": (SecretStr("simulate"),),
            "host": "127.0.0.1",
            "port": port,
            "data_dir": settings.data_dir / "simulated",
        }
    )


def print_turn(turn: Turn) -> None:
    who = f"{turn.speaker:<6}"
    cut = "  (interrupted)" if turn.interrupted else ""
    print(f"{turn.start_ms / 1000:6.1f} s  {who}  {turn.text}{cut}", flush=True)
    if turn.latency is not None:
        print(f"{'':19}{_latency_line(turn.latency)}", flush=True)
    for use in turn.tools:
        print(f"{'':19}{tool_line(use)}", flush=True)


def tool_line(use: ToolUse) -> str:
    """What the agent did within its turn, and the result."""
    said = f"> {use.name}({plain(use.arguments)}): {plain(use.result)}"
    return shorten(said, _WIDTH, placeholder=" …")


def plain(value: Any) -> str:
    """A value of a record as a person reads it: yes or no, text as it stands; what is not known is left out."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        known = {name: plain(part) for name, part in value.items() if part is not None}
        return ", ".join(f"{name.replace('_', ' ')} {said}" for name, said in known.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(part) for part in value if part is not None)
    return str(value)


def field_lines(fields: Mapping[str, Any]) -> list[str]:
    """The fields that are known, each message on a line of its own."""
    lines = []
    for name, value in fields.items():
        if name == "messages" and isinstance(value, list):
            lines += [f"message: {_message(note)}" for note in value]
        elif value is not None:
            lines.append(f"{name}: {plain(value)}")
    return lines


def _message(note: Any) -> str:
    if not isinstance(note, Mapping):
        return plain(note)
    sender = plain({name: value for name, value in note.items() if name != "message"})
    return f"{note.get('message')}{f' ({sender})' if sender else ''}"


def _latency_line(latency: TurnLatency) -> str:
    parts = ("vad", "stt", "turn", "llm", "sentence", "tts", "line")
    values = [(part, getattr(latency, f"{part}_ms")) for part in parts]
    shown = ", ".join(f"{part} {value:.0f}" for part, value in values if value is not None)
    total = latency.voice_to_voice_ms
    return f"~ voice to voice {total:.0f} ms ({shown})" if total is not None else f"~ {shown}"


def summary(record: CallRecord, recordings: Path) -> list[str]:
    """What is kept of the call, in lines. `recordings` is the folder of its recording, if there is one."""
    latencies = [t.latency.voice_to_voice_ms for t in record.turns if t.latency is not None]
    known = [value for value in latencies if value is not None]
    length = "" if record.duration_seconds is None else f", {record.duration_seconds} s"
    lines = ["", f"call        {record.call_id}", f"status      {record.status}, {record.ended_reason}{length}"]
    if record.answered_by is not None:
        lines.append(f"answered by {record.answered_by}")
    if record.error:
        lines.append(f"error       {record.error}")
    if known:
        lines.append(f"latency     voice to voice, median {median(known):.0f} ms of {len(known)} replies")
    if record.outcome is not None:
        reached = "reached" if record.outcome.reached_goal else "not reached"
        lines.append(f"outcome     {reached}: {record.outcome.summary}")
        lines += [f"            {line}" for line in field_lines(record.outcome.fields)]
    if record.recording is not None:
        lines.append(f"recording   {(recordings / record.recording).resolve()}")
    return lines
