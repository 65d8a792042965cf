"""One lane of the benchmark: our server, the vendors it reaches, and one call at a time between them.

A lane has simulators of its own, so a vendor's fault belongs to the one call that is on its line; the server
is a process of its own, as it is served. Several lanes may run side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bot.telephony.simulated.callee import SpokenLine
from bot.telephony.simulated.network import SimulatedCall, new_sid
from bot.telephony.simulated.script import CalleePickup, Conversation
from bot.telephony.simulated.stream import SimulatedStream, StreamIds
from tests.benchmarks import voiceprint
from tests.benchmarks.acts import BreakClaude, BreakDeepgram, BreakElevenLabs, Fault, Garbage, SpoilVoice
from tests.benchmarks.evidence import Evidence
from tests.benchmarks.garbage import spill
from tests.benchmarks.phone import Phone
from tests.benchmarks.recogniser import PhoneRecogniser
from tests.benchmarks.servers import Addresses, Server, server
from tests.benchmarks.situations.situation import Situation, going_on
from tests.benchmarks.sounds import SoundMaker
from tests.benchmarks.vendors import LLM_FIRST_TOKEN_MS, STT_FINAL_MS, TOKENS_PER_SECOND, TTS_FIRST_AUDIO_MS
from tests.simulators import contexts, deepgram, elevenlabs
from tests.simulators.anthropic import AnthropicLatency, AnthropicSimulator, Exchange
from tests.simulators.deepgram import DeepgramLatency, DeepgramSimulator
from tests.simulators.elevenlabs import ElevenLabsLatency, ElevenLabsSimulator
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import MessagesRequest, Replies, Reply
from tests.simulators.serving import LoopbackServer
from tests.simulators.twilio import OWN_NUMBER, TwilioSimulator

ROOT = Path(__file__).parents[2]
RING_MS = 1500
"""Long enough to make the opening; a call rings for longer."""
INTERIM_MS = STT_FINAL_MS
"""How far Deepgram's interim results, one every 250 ms, lag behind the audio they are about: as its finals do."""
_CLAUDE = AnthropicLatency(first_token_ms=LLM_FIRST_TOKEN_MS, tokens_per_second=TOKENS_PER_SECOND)
_ORDER: dict[str, Any] = {
    "phone_number": "+12025550123",
    "action": "Confirm your visit on Thursday at two",
    "context": "Dr. Smith, Suite 200. Rescheduling available Mon-Fri.",
    "callee_name": "John",
    "agent_name": "Alex",
    "organization": "Downtown Dental",
}
_RECORD_SECONDS = 8.0


class AimedClaude(AnthropicSimulator):
    """A Claude whose faults can be aimed at what is asked: a reply begun too early uses none of them up."""

    aimed: BreakClaude | None = None
    left: int | None = 0
    """How many more requests suffer; None: all."""

    def aim(self, fault: BreakClaude | None) -> None:
        self.aimed, self.left = fault, fault.times if fault else 0

    async def _answer(self, request: web.Request, exchange: Exchange, started: float) -> web.StreamResponse:
        if self.aimed is not None and self.left != 0 and self.aimed.at in exchange.request.last_user_text:
            exchange.fault = self.aimed.fault
            self.left = None if self.left is None else self.left - 1
        return await super()._answer(request, exchange, started)


@dataclass
class Lane:
    """What runs in a lane. `talk` holds one call with ours, `talk_with_stock` with the stock bot."""

    sound_maker: SoundMaker
    twilio: TwilioSimulator
    deepgram: DeepgramSimulator
    anthropic: AimedClaude
    elevenlabs: ElevenLabsSimulator
    addresses: Addresses
    environment: dict[str, str]
    servers: dict[str, Server] = field(default_factory=dict)
    phone: Phone | None = None
    situation: Situation | None = None
    _timers: list[asyncio.TimerHandle] = field(default_factory=list)
    _spilling: set[asyncio.Task[None]] = field(default_factory=set)

    # A call

    async def talk(self, situation: Situation, *, seed: int = 0) -> Evidence:
        """The situation, held by ours. A trouble of the run itself stands in the evidence."""
        phone = self._phone_of(situation, seed)
        self.twilio.amd = situation.amd
        requests_before, streams_before = len(self.anthropic.exchanges), len(self.twilio.streams)
        evidence = Evidence(phone, ())
        try:
            async with asyncio.timeout(situation.longest_ms / 1000 + 30):
                evidence.record = await self._place(situation)
        except (TimeoutError, aiohttp.ClientError, RuntimeError) as error:
            evidence.trouble = f"{type(error).__name__}: {error}"
        finally:
            await self._heal()
        evidence.streams = self.twilio.streams[streams_before:]
        evidence.requests = self.anthropic.exchanges[requests_before:]
        # Of earlier calls too: the server may keep what it says in every call.
        spoken = [log.text for log in self.elevenlabs.contexts]
        evidence.spoken = [text for text in _PRINTS if any(text in whole for whole in spoken)]
        return evidence

    async def talk_with_stock(self, situation: Situation, *, seed: int = 0) -> Evidence:
        phone = self._phone_of(situation, seed)
        url = f"{self.servers['stock'].origin.replace('http', 'ws')}/ws"
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_close=2.0))
            ids = StreamIds(self.twilio.account_sid, new_sid("CA"), new_sid("MZ"))
            await SimulatedStream(ids=ids, parameters={}, far_end=phone).run(socket)
        self.phone = None
        return Evidence(phone, tuple(_PRINTS))

    def _phone_of(self, situation: Situation, seed: int) -> Phone:
        self.situation = situation
        self.phone = Phone(
            situation.acts,
            self.sound_maker,
            situation.circuit,
            on_fault=self._break,
            seed=seed,
            longest_ms=situation.longest_ms,
        )
        return self.phone

    async def _place(self, situation: Situation) -> dict[str, Any]:
        origin = self.servers["ours"].origin
        order = {
            **_ORDER,
            "scenario": situation.scenario,
            "first_speaker": situation.first_speaker,
            **situation.order,
        }
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{origin}/api/phone/call", json=order) as answer:
                placed = await answer.json()
                if answer.status != 201:
                    raise RuntimeError(f"no call: {answer.status} {placed}")
            call = self.twilio.network.get(placed["call_sid"])
            assert call is not None
            await call.ended.wait()
            return await _record(session, f"{origin}/api/phone/calls/{placed['call_id']}")

    # The vendors' faults

    def _break(self, fault: Fault) -> None:
        """From this moment of the call on."""
        match fault:
            case BreakClaude():
                self.anthropic.aim(fault)
            case BreakDeepgram(outage_ms):
                self.deepgram.faults = Plan(then=deepgram.Refuse(503))
                self.deepgram.drop_connections()
                if outage_ms is not None:
                    self._later(outage_ms, lambda: setattr(self.deepgram, "faults", Plan()))
            case BreakElevenLabs(outage_ms):
                if outage_ms != 0:
                    refused = elevenlabs.Refuse(503, "unavailable", "Service unavailable")
                    self.elevenlabs.faults = Plan(then=refused)
                self.elevenlabs.drop_sockets()
                if outage_ms:
                    self._later(outage_ms, lambda: setattr(self.elevenlabs, "faults", Plan()))
            case SpoilVoice(spoiled, times):
                served = self.elevenlabs._spoken_contexts
                self.elevenlabs.context_faults = Plan((None,) * served + (spoiled,) * times)
            case Garbage(kind):
                task = asyncio.create_task(spill(kind, self.twilio, self.deepgram, self.elevenlabs))
                self._spilling.add(task)

    def _later(self, ms: float, act: Any) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(ms / 1000, act))

    async def _heal(self) -> None:
        """All is well again, for the next call."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        await asyncio.gather(*self._spilling)
        self._spilling.clear()
        self.anthropic.aim(None)
        self.deepgram.faults, self.elevenlabs.faults = Plan(), Plan()
        self.elevenlabs.context_faults = Plan()
        self.phone = None

    # What the simulators ask

    def replies(self, request: MessagesRequest) -> Reply:
        assert self.situation is not None
        return going_on(self.situation.replies)(request)

    def conversation(self, _number: str) -> Conversation:
        """Without steps: the phone brings its own."""
        return Conversation(name="benchmark", description="", pickup=CalleePickup(ring_ms=RING_MS))

    def pick_up(self, _call: SimulatedCall, _lines: dict[str, SpokenLine]) -> Phone:
        assert self.phone is not None
        return self.phone


async def _record(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """The record once it is closed; as it stands after some seconds."""
    record: dict[str, Any] = {}
    for _ in range(int(_RECORD_SECONDS * 10)):
        async with session.get(url) as answer:
            record = await answer.json()
        if record.get("ended_at") is not None:
            break
        await asyncio.sleep(0.1)
    return record


_PRINTS: dict[str, None] = {}
"""Every text the voice has said in this process, in order."""


def _speak(text: str, sample_rate: int, *, character_ms: int = voiceprint.CHARACTER_MS) -> Any:
    _PRINTS.setdefault(text)
    return voiceprint.printed(text, sample_rate, character_ms=character_ms)


def give_voice() -> None:
    """From now on the simulated ElevenLabs of this process speaks with the voice that can be found again."""
    contexts.speak = _speak  # type: ignore[attr-defined, assignment]


@asynccontextmanager
async def lane(sound_maker: SoundMaker, *, names: Sequence[str] = ("ours",)) -> AsyncIterator[Lane]:
    """Simulators, and a server of each of `names` (ours, stock)."""
    give_voice()
    opened: list[Lane] = []

    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        twilio = await enter(TwilioSimulator(max_lines=10))
        listening = PhoneRecogniser(lambda: opened[0].phone)
        stt = await enter(
            DeepgramSimulator(
                lambda _query: listening,
                latency=DeepgramLatency(final_ms=STT_FINAL_MS, interim_ms=INTERIM_MS),
                keep_audio=False,
            )
        )
        llm = AimedClaude(_asked(opened), latency=_CLAUDE)
        await enter(llm)
        tts = await enter(
            ElevenLabsSimulator(
                latency=ElevenLabsLatency(first_audio_ms=TTS_FIRST_AUDIO_MS),
                character_ms=voiceprint.CHARACTER_MS,
            )
        )
        addresses = Addresses(stt.url, llm.url, tts.websocket_url)
        tool_server = await enter(ToolServer())
        folder = Path(await enter(_scenarios(tool_server.url)))
        environment = {
            "TWILIO_ACCOUNT_SID": twilio.account_sid,
            "TWILIO_AUTH_TOKEN": twilio.auth_token,
            "TWILIO_PHONE_NUMBER": OWN_NUMBER,
            "TWILIO_BASE_URL": twilio.url,
            "PIPELINES_DIR": str(folder),
        }
        made = Lane(sound_maker, twilio, stt, llm, tts, addresses, environment)
        opened.append(made)
        twilio.conversations = made.conversation
        twilio.network._callee = made.pick_up  # type: ignore[method-assign, assignment]  # a Callee in all it does
        for name in names:
            made.servers[name] = await enter(server(name, addresses, environment, core=None))
        yield made


def _asked(lanes: Sequence[Lane]) -> Replies:
    """The replies of the call on the first of `lanes`, which need not be there yet."""

    def answer(request: MessagesRequest) -> Reply:
        return lanes[0].replies(request)

    return answer


class ToolServer(LoopbackServer):
    """What the scenario's HTTP tools reach: an answer that takes 2.5 s, and none at all."""

    async def __aenter__(self) -> ToolServer:
        await self.start()
        return self

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/slow", self._slow), web.get("/never", self._never)]

    async def _slow(self, _request: web.Request) -> web.Response:
        await asyncio.sleep(2.5)
        return web.json_response({"free": ["Friday at ten", "Monday at three"]})

    async def _never(self, _request: web.Request) -> web.Response:
        await self.leaving.wait()
        return web.Response(status=503)


@asynccontextmanager
async def _scenarios(tool_server_url: str) -> AsyncIterator[str]:
    """A folder with the shipped scenarios and the benchmark's."""
    with tempfile.TemporaryDirectory() as folder:
        for source in (ROOT / "pipelines", Path(__file__).parent / "pipelines"):
            for path in source.glob("*.toml"):
                text = path.read_text(encoding="utf-8").replace("@DESK@", tool_server_url)
                Path(folder, path.name).write_text(text, encoding="utf-8")
        yield folder
