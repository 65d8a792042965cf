"""A whole call's server: our real server on a loopback port, and the vendors it is to reach.

The server is the product's own (PhoneServer, the router, PhoneAgent), listening on a socket bound before its
settings are made, so that PUBLIC_HOST is right. The models are loaded once per process: all servers share
one local voice, which none of them closes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from bot import web
from bot.api import mcp_router, metrics_router, router
from bot.api.answers import as_event
from bot.api.problems import install
from bot.calls.agent import Backends, PhoneAgent
from bot.calls.carriers import build_carrier
from bot.calls.live import EventHub
from bot.calls.live.reporting import LiveStore
from bot.cli.server import PhoneServer
from bot.conversation.scenario.scenario import Scenarios
from bot.pipeline.offline.voice import LocalVoice
from bot.pipeline.resources import Resources
from bot.policy import ProfileName
from bot.settings import Settings
from bot.store import SqlCallStore, open_database
from bot.store.durable.engine import DurableEngine
from bot.telephony.carrier import Carrier
from bot.telephony.simulated.carrier import SimulatedCarrier
from bot.telephony.simulated.script import Conversation
from tests.busy import ANY_CALLS, ANY_LAG_MS
from tests.profiles import held_to
from tests.simulators.anthropic import AnthropicLatency, AnthropicSimulator
from tests.simulators.deepgram import DeepgramSimulator
from tests.simulators.elevenlabs import VOICE, ElevenLabsLatency, ElevenLabsSimulator
from tests.simulators.listen import Query
from tests.simulators.llm_replies import Replies
from tests.simulators.stream_log import StreamLog
from tests.simulators.stt_recogniser import ScriptedRecogniser
from tests.simulators.twilio import OWN_NUMBER, FormantVoice, TwilioSimulator

ROOT = Path(__file__).parents[2]
SCENARIO_FOLDERS = (ROOT / "pipelines", Path(__file__).parent / "pipelines")
CHARACTER_MS = 35
"""Pace of both sides' speech on the vendor path: brisk, so that tests are short."""
TO = "+12025550123"
README_BODY: Mapping[str, Any] = {
    "phone_number": TO,
    "action": "Confirm your dentist appointment Thursday at 2pm",
    "context": "Dr. Smith, Suite 200. Rescheduling available Mon-Fri.",
    "callee_name": "John",
    "agent_name": "Alex",
    "organization": "Downtown Dental",
}
ANSWER_PAUSE_MS = 600
"""How long the callee waits after the agent's last sound."""
POLL_SECONDS = 0.2
"""How often a server of the tests looks at its queues: the product's pace is a tenth of a short call's work."""
LOOK_SECONDS = 0.2
"""Between two looks at a call: each is a request to the process that holds it."""


class KeptVoice(LocalVoice):
    """A voice that outlives the server that thinks it owns it."""

    def close(self) -> None:
        return


@cache
def shared_voice() -> KeptVoice:
    voice = KeptVoice()
    voice.load()
    return voice


def steps(*acts: Mapping[str, Any], ring_ms: int = 200, answer: str = "answered") -> Conversation:
    """A callee as data; `say`, `hear`, `interrupt`, `silence`, `wait` and `hang_up` below make the acts."""
    return Conversation.model_validate(
        {
            "name": "test",
            "description": "A callee of a test.",
            "pickup": {"ring_ms": ring_ms, "answer": answer},
            "steps": list(acts),
            "longest_ms": 60_000,
        }
    )


def say(text: str) -> dict[str, Any]:
    return {"do": "say", "text": text}


def hear(within_ms: int = 8000) -> dict[str, Any]:
    return {"do": "hear", "pause_ms": ANSWER_PAUSE_MS, "within_ms": within_ms}


def interrupt(text: str, after_ms: int) -> dict[str, Any]:
    return {"do": "interrupt", "text": text, "after_ms": after_ms}


def press(digits: str) -> dict[str, Any]:
    return {"do": "press", "digits": digits}


def silence(for_ms: int) -> dict[str, Any]:
    return {"do": "silence", "for_ms": for_ms}


def wait(within_ms: int = 20_000) -> dict[str, Any]:
    return {"do": "wait_for_hang_up", "within_ms": within_ms}


HANG_UP: Mapping[str, Any] = {"do": "hang_up"}


@dataclass
class RunningServer:
    """A running server and a client of its API."""

    url: str
    settings: Settings
    agent: PhoneAgent
    http: httpx.AsyncClient
    http_server: PhoneServer
    serving: asyncio.Task[None]

    @property
    def media_url(self) -> str:
        return f"{self.url.replace('http', 'ws', 1)}/api/phone/media-stream"

    async def call(self, **changes: Any) -> str:
        """POST the README's body with changes (None leaves a key out); the id of the call, which rings.

        A busy server answers before it has dialled (202); tests of several calls count on their order.
        """
        body = {key: value for key, value in {**README_BODY, **changes}.items() if value is not None}
        answer = await self.http.post("/api/phone/call", json=body)
        assert answer.status_code in {201, 202}, answer.text
        call_id = str(answer.json()["call_id"])
        if answer.status_code == 202:
            await self.until(call_id, lambda call: call["status"] != "queued", within=20.0)
        return call_id

    async def read(self, call_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/api/phone/calls/{call_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def until(self, call_id: str, holds: Callable[[dict[str, Any]], bool], within: float) -> dict[str, Any]:
        """The call as the API shows it once `holds`; AssertionError with the call after `within` seconds."""
        deadline = asyncio.get_running_loop().time() + within
        while not holds(found := await self.read(call_id)):
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"not within {within} s: {found}")
            await asyncio.sleep(LOOK_SECONDS)
        return found

    async def ended(self, call_id: str, within: float = 45.0) -> dict[str, Any]:
        return await self.until(call_id, lambda call: call["ended_at"] is not None, within)

    async def talking(self, call_id: str, within: float = 15.0) -> dict[str, Any]:
        """The call once its first words stand in the transcript."""
        return await self.until(call_id, lambda call: len(call["transcript"]) > 0, within)

    async def only_call(self, within: float = 10.0) -> str:
        """The id of the newest call, once there is one."""
        deadline = asyncio.get_running_loop().time() + within
        while not (calls := (await self.http.get("/api/phone/calls")).json()["calls"]):
            assert asyncio.get_running_loop().time() < deadline, "no call came"
            await asyncio.sleep(LOOK_SECONDS)
        return str(calls[0]["call_id"])

    async def all_over(self, within: float = 10.0) -> None:
        """Until no line is taken."""
        deadline = asyncio.get_running_loop().time() + within
        while self.agent.active_calls.slots:
            assert asyncio.get_running_loop().time() < deadline, "a line is still taken"
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """As SIGTERM does."""
        self.http_server.should_exit = True
        await self.serving


@asynccontextmanager
async def running_server(
    data_dir: Path,
    *,
    callees: Callable[[str], Conversation] | None = None,
    more_scenarios: Sequence[Path] = (),
    profile: ProfileName | None = "none",
    **environment: Any,
) -> AsyncIterator[RunningServer]:
    """A server with `environment` as its settings. `callees` by scenario, for the simulated carrier.

    All scenarios are held to `profile`; None: each to its own.
    """
    # asyncio sends at once on sockets that say they are TCP; on others Nagle holds each body for 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        fields = {
            "public_host": url,
            "host": "127.0.0.1",
            "port": port,
            "data_dir": data_dir,
            "max_loop_lag_ms": ANY_LAG_MS,
            "max_calls_per_number": ANY_CALLS,
            **environment,
        }
        settings = Settings(_env_file=None, **fields)
        resources = Resources(settings, voice=shared_voice())
        carrier: Carrier = build_carrier(settings, resources)
        if callees is not None:
            carrier = SimulatedCarrier(
                voice=FormantVoice(character_ms=CHARACTER_MS), listener=resources.scripts, conversations=callees
            )
        files = [path for folder in SCENARIO_FOLDERS for path in sorted(folder.glob("*.toml"))]
        scenarios = Scenarios(held_to(profile, path) for path in [*files, *more_scenarios])
        live = EventHub()
        store = SqlCallStore(open_database(settings), LiveStore(live))
        engine = DurableEngine(store.database.address, poll_seconds=POLL_SECONDS)
        agent = PhoneAgent(Backends(resources, store, carrier, engine, live), scenarios, present=as_event)
        app = _idle_apps.pop() if _idle_apps else _app()
        app.state.agent = agent
        http_server = PhoneServer(app, settings, announcing=False)
        serving = asyncio.create_task(http_server.serve(sockets=[listener]), name="server")
        try:
            while not http_server.started:
                assert not serving.done(), "the server did not start"
                await asyncio.sleep(0.01)
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10.0) as http:
                yield RunningServer(url, settings, agent, http, http_server, serving)
        finally:
            http_server.should_exit = True
            await serving
            _idle_apps.append(app)


_idle_apps: list[FastAPI] = []
"""Of houses that are closed: what FastAPI makes of the routes is a tenth of a short call's work."""


def _app() -> FastAPI:
    """Serves the agent that its state names when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        agent: PhoneAgent = app.state.agent
        await agent.open()
        app.state.phone_agent = agent
        yield
        app.state.phone_agent = None
        await agent.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.phone_agent = None
    app.include_router(router)
    app.include_router(metrics_router)
    app.include_router(mcp_router)
    install(app)
    web.install(app)
    return app


@dataclass
class Vendors:
    """The four simulators of a server that has all vendors' keys."""

    twilio: TwilioSimulator
    deepgram: DeepgramSimulator
    anthropic: AnthropicSimulator
    elevenlabs: ElevenLabsSimulator

    @property
    def stream(self) -> StreamLog:
        return self.twilio.streams[-1]

    def keys(self) -> dict[str, Any]:
        """The environment that leads the server here."""
        return {
            "twilio_account_sid": self.twilio.account_sid,
            "twilio_auth_token": SecretStr(self.twilio.auth_token),
            "twilio_phone_number": OWN_NUMBER,
            "twilio_base_url": self.twilio.url,
            "deepgram_api_key": SecretStr("deepgram-key"),
            "deepgram_base_url": self.deepgram.url,
            "anthropic_api_key": SecretStr("anthropic-key"),
            "anthropic_base_url": self.anthropic.url,
            "elevenlabs_api_key": SecretStr("elevenlabs-key"),
            "elevenlabs_voice_id": VOICE,
            "elevenlabs_base_url": self.elevenlabs.websocket_url,
        }


@asynccontextmanager
async def vendors(
    callee: Conversation,
    replies: Replies,
    *,
    anthropic_latency: AnthropicLatency | None = None,
    elevenlabs_latency: ElevenLabsLatency | None = None,
    then: Sequence[Conversation] = (),
) -> AsyncIterator[Vendors]:
    """The vendors, with the callee that answers, `then` the others; their recogniser knows what they say."""
    voice = FormantVoice(character_ms=CHARACTER_MS)
    said = [
        await voice.speak(text) for text in dict.fromkeys((*callee.texts, *(t for c in then for t in c.texts)))
    ]
    waiting = [callee, *then]

    def recogniser(_query: Query) -> ScriptedRecogniser:
        return ScriptedRecogniser(said)

    async with (
        TwilioSimulator(
            voice=voice, conversations=lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]
        ) as twilio,
        DeepgramSimulator(recogniser, api_key="deepgram-key") as deepgram,
        AnthropicSimulator(
            replies,
            api_key="anthropic-key",
            latency=anthropic_latency or AnthropicLatency(100.0, 150.0, 120.0),
        ) as anthropic,
        ElevenLabsSimulator(
            api_key="elevenlabs-key",
            latency=elevenlabs_latency or ElevenLabsLatency(),
            character_ms=CHARACTER_MS,
        ) as elevenlabs,
    ):
        yield Vendors(twilio, deepgram, anthropic, elevenlabs)


def texts_of(call: Mapping[str, Any], speaker: str) -> list[str]:
    """What one side said, turn by turn."""
    return [turn["text"] for turn in call["transcript"] if turn["speaker"] == speaker]
