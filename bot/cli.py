"""phone-agent: hold a call in the terminal, check what a first call needs."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from pydantic import SecretStr

from bot.api.app import PhoneServer, create_app
from bot.doctor import Finding, call_would_work, examine
from bot.errors import PhoneAgentError
from bot.logs import set_up
from bot.phone_agent import STATUS_PATH, VOICE_PATH, PhoneAgent
from bot.public_url import find
from bot.records import CallRecord, CallSpec, Speaker, Turn, TurnLatency
from bot.scenario import DEFAULT_OUTBOUND, Scenario
from bot.settings import Settings, load_settings
from bot.telephony.offline import OfflineCarrier
from bot.telephony.twilio import TwilioCarrier

SIMULATED_NUMBER = "+12025550123"
OUR_NUMBER = "+12025550100"
_LONGEST_SECONDS = 180.0
_MARKS = {True: "ok  ", False: "FAIL"}


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script; its exit code is 0 only if what was asked for worked."""
    parser = argparse.ArgumentParser(prog="phone-agent", description=__doc__)
    parser.add_argument("--log-level", default="WARNING", help="default: WARNING")
    commands = parser.add_subparsers(dest="command", required=True)
    simulate_parser = commands.add_parser("simulate", help="hold a call with a simulated callee")
    simulate_parser.add_argument("scenario", nargs="?", default=DEFAULT_OUTBOUND)
    simulate_parser.add_argument("--action", help="what the agent calls for; default: the scenario's example")
    simulate_parser.add_argument("--context", help="what it may know; default: the scenario's example")
    simulate_parser.add_argument(
        "--callee", help="who picks up: voicemail, silent, busy …; default: the scenario's"
    )
    commands.add_parser("doctor", help="check what a first call needs")
    chosen = parser.parse_args(arguments)
    set_up(chosen.log_level)
    try:
        if chosen.command == "simulate":
            wish = Wish(chosen.scenario, chosen.action, chosen.context, chosen.callee)
            code = asyncio.run(simulate(wish))
        else:
            code = asyncio.run(doctor())
    except PhoneAgentError as e:
        sys.exit(f"error: {e.message}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code)


# -- simulate -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """What to simulate; None: the scenario's own example and callee."""

    scenario: str
    action: str | None = None
    context: str | None = None
    callee: str | None = None


async def simulate(wish: Wish) -> int:
    """Hold one call with a simulated callee; 0 if its outcome was reached."""
    settings = load_settings()
    async with _serving(_without_account(settings)) as agent:
        scenario = agent.scenarios.get(wish.scenario)
        for slot, filled in agent.health().slots.items():
            print(f"{slot:<8} {filled.vendor:<13} {filled.why}")
        print()
        assert isinstance(agent.carrier, OfflineCarrier)
        if wish.callee is not None:
            agent.carrier.answer_with(wish.callee)
        ended: asyncio.Event = asyncio.Event()
        agent.on_turn = lambda _call_id, turn: _print_turn(turn)
        agent.on_ended = lambda _call_id: ended.set()
        call_id = await _begin(agent, agent.carrier, scenario, wish)
        try:
            await asyncio.wait_for(ended.wait(), _LONGEST_SECONDS)
        except TimeoutError:
            await agent.hang_up(call_id)
            print(f"the call was still going on after {_LONGEST_SECONDS:.0f} s")
        record = await agent.get_call(call_id)
        _print_summary(record, str((agent.settings.data_dir / "recordings" / f"{call_id}.wav").resolve()))
    return 0 if record.outcome is not None and record.outcome.reached_goal else 1


async def _begin(agent: PhoneAgent, carrier: OfflineCarrier, scenario: Scenario, wish: Wish) -> str:
    example = scenario.example
    if scenario.direction == "inbound":
        origin = f"http://127.0.0.1:{agent.settings.port}"
        sid = await carrier.call_in(
            voice_url=f"{origin}{VOICE_PATH}",
            status_url=f"{origin}{STATUS_PATH}",
            to=OUR_NUMBER,
            from_number=SIMULATED_NUMBER,
            scenario=scenario.name,
        )
        return await agent.call_id_of(sid)
    spec = CallSpec(
        phone_number=SIMULATED_NUMBER,
        scenario=scenario.name,
        action=example.action if wish.action is None else wish.action,
        context=example.context if wish.context is None else wish.context,
        callee_name=example.callee_name,
        organization=example.organization,
    )
    return (await agent.place_call(spec)).call_id


def _without_account(settings: Settings) -> Settings:
    """The same vendors, the offline carrier, a port and a folder of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return settings.model_copy(
        update={
            "twilio_account_sid": None,
            "twilio_auth_token": None,
            "public_host": None,
            "database_url": None,
            "api_keys": (SecretStr("simulate"),),
            "host": "127.0.0.1",
            "port": port,
            "data_dir": settings.data_dir / "simulated",
        }
    )


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[PhoneAgent]:
    """Our own server on a loopback port, for as long as the block lasts."""
    app = create_app(settings)
    server = PhoneServer(app, settings, announcing=False)
    serving = asyncio.create_task(server.serve(), name="server")
    try:
        while not server.started:
            if serving.done():
                await serving
                raise PhoneAgentError("the server did not start; see the log above")
            await asyncio.sleep(0.05)
        yield app.state.phone_agent
    finally:
        server.should_exit = True
        await serving


def _print_turn(turn: Turn) -> None:
    who = "agent " if turn.speaker is Speaker.AGENT else "callee"
    cut = "  (interrupted)" if turn.interrupted else ""
    print(f"{turn.start_ms / 1000:6.1f} s  {who}  {turn.text}{cut}", flush=True)
    if turn.latency is not None:
        print(f"{'':19}{_latency_line(turn.latency)}", flush=True)


def _latency_line(latency: TurnLatency) -> str:
    parts = ("vad", "stt", "turn", "llm", "sentence", "tts", "line")
    values = [(part, getattr(latency, f"{part}_ms")) for part in parts]
    shown = ", ".join(f"{part} {value:.0f}" for part, value in values if value is not None)
    total = latency.voice_to_voice_ms
    return f"~ voice to voice {total:.0f} ms ({shown})" if total is not None else f"~ {shown}"


def _print_summary(record: CallRecord, recording: str) -> None:
    latencies = [t.latency.voice_to_voice_ms for t in record.turns if t.latency is not None]
    known = [value for value in latencies if value is not None]
    print()
    print(f"status      {record.status}, {record.ended_reason}, {record.duration_seconds} s")
    if record.error:
        print(f"error       {record.error}")
    if known:
        print(f"latency     voice to voice, median {median(known):.0f} ms of {len(known)} replies")
    if record.outcome is not None:
        reached = "reached" if record.outcome.reached_goal else "not reached"
        print(f"outcome     {reached}: {record.outcome.summary}")
        for name, value in record.outcome.fields.items():
            print(f"            {name}: {value}")
    print(f"recording   {recording}")


# -- doctor -------------------------------------------------------------------------------------------


async def doctor() -> int:
    """Say of each thing a first call needs whether it is there; 0 if a call would work."""
    settings = load_settings()
    carrier = None
    if settings.twilio_account_sid and settings.twilio_auth_token:
        carrier = TwilioCarrier.from_settings(settings)
        await carrier.open()
    try:
        public_host = await find(settings)
        if carrier is not None and not await _answers(settings):
            async with _serving(settings):
                findings = await examine(settings, carrier=carrier, public_host=public_host)
        else:
            findings = await examine(settings, carrier=carrier, public_host=public_host)
    finally:
        if carrier is not None:
            await carrier.close()
    for finding in findings:
        _print_finding(finding)
    works = call_would_work(findings)
    print("\nA call would work." if works else "\nA call would fail: see FAIL above.")
    return 0 if works else 1


async def _answers(settings: Settings) -> bool:
    """Whether something listens on our port, the server presumably; else the doctor starts it."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", settings.port)
    except OSError:
        return False
    writer.close()
    return True


def _print_finding(finding: Finding) -> None:
    print(f"{_MARKS[finding.ok]} {finding.name:<15} {finding.message}")
    if finding.fix:
        print(f"{'':20} → {finding.fix}")
