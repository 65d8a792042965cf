"""The ElevenLabs simulator: the multi-context speech WebSocket and the HTTP routes the SDK uses beside it.

contexts.py holds the protocol of a socket, tts_sound.py the sound; this file owns keys, voices, formats, faults,
and the log. Only raw formats are spoken (pcm_*, ulaw_8000): mp3, the service's default, is refused in words.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.simulators.contexts import (
    ContextFault,
    ContextLog,
    Contexts,
    Delivery,
    Violation,
    alignment,
    parse,
)
from tests.simulators.faults import Plan
from tests.simulators.serving import LoopbackServer, reset
from tests.simulators.tts_sound import CHARACTER_MS, Sound, characters, encode, speak

VOICE = "JBFqnCBsd6RMkjVDRZzb"
_MODELS = ("eleven_flash_v2_5", "eleven_turbo_v2_5", "eleven_multilingual_v2", "eleven_v3")
_FORMAT = re.compile(r"pcm_(8000|16000|22050|24000|32000|44100|48000)|ulaw_8000")


@dataclass(frozen=True)
class ElevenLabsLatency:
    """`first_audio_ms` from a text's arrival to its first chunk; `speed` of delivery over real time."""

    first_audio_ms: float = 120.0
    speed: float = 8.0
    chunk_ms: int = 240


@dataclass(frozen=True)
class Refuse:
    """The handshake, or the request, is answered with this status."""

    status: int = 401
    error: str = "invalid_api_key"
    message: str = "Invalid API key"


@dataclass(frozen=True)
class Drop:
    """TCP is reset once so much audio went out on the socket: no close frame."""

    after_audio_ms: float


@dataclass(frozen=True)
class Say:
    """This message answers the first text; the socket stays open and silent, or is closed with `code`."""

    message: dict[str, Any]
    code: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Babble:
    """These text messages go out before each message with audio."""

    messages: tuple[str, ...]


SocketFault = Refuse | Drop | Babble | Say


@dataclass
class SocketLog:
    """One WebSocket, as it went."""

    voice_id: str
    query: Mapping[str, str]
    fault: SocketFault | None
    messages: list[dict[str, Any]] = field(default_factory=list)
    contexts: list[ContextLog] = field(default_factory=list)
    sent_ms: float = 0.0
    close_code: int | None = None
    """None while open, 1006 after a reset."""


class ElevenLabsSimulator(LoopbackServer):
    """`async with ElevenLabsSimulator() as sim:` serves `sim.websocket_url` and, for HTTP, `sim.url`.

    `api_key` None lets every key in. `voices` maps the ids that exist to their names. `faults` counts
    handshakes, `context_faults` contexts that were given text, `http_faults` requests for speech over HTTP.
    """

    cancels_handlers = False

    def __init__(
        self,
        *,
        api_key: str | None = None,
        voices: Mapping[str, str] | None = None,
        latency: ElevenLabsLatency | None = None,
        faults: Plan[SocketFault] | None = None,
        context_faults: Plan[ContextFault] | None = None,
        http_faults: Plan[Refuse] | None = None,
        character_ms: int = CHARACTER_MS,
        inactivity_ms: float | None = None,
    ) -> None:
        super().__init__()
        self._api_key = api_key
        self._voices = dict(voices) if voices is not None else {VOICE: "George"}
        self._latency = latency or ElevenLabsLatency()
        self.faults: Plan[SocketFault] = faults or Plan()
        self.context_faults: Plan[ContextFault] = context_faults or Plan()
        self.http_faults: Plan[Refuse] = http_faults or Plan()
        self._character_ms = character_ms
        self._inactivity_ms = inactivity_ms
        """None: the query's inactivity_timeout, which is 20 s unless given."""
        self.sockets: list[SocketLog] = []
        self.spoken_over_http: list[str] = []
        """Texts of the HTTP speech requests that were answered."""
        self._spoken_contexts = 0
        self._http_requests = 0
        self._open: dict[web.WebSocketResponse, web.Request] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    async def __aenter__(self) -> ElevenLabsSimulator:
        await self.start()
        return self

    @property
    def contexts(self) -> list[ContextLog]:
        """Of all sockets, in the order they were opened."""
        return [context for socket in self.sockets for context in socket.contexts]

    @property
    def open_sockets(self) -> int:
        return len(self._open)

    async def stop(self) -> None:
        for socket in list(self._open):
            await socket.close(code=1001)
        await super().stop()

    async def all_closed(self) -> None:
        """Until no socket is open and every log is complete."""
        await self._empty.wait()

    def drop_sockets(self) -> None:
        """Reset every open socket now."""
        for request in self._open.values():
            reset(request)

    async def say(self, text: str) -> None:
        """Send `text`, whatever it is, on every open socket."""
        for socket in list(self._open):
            with suppress(ConnectionError):
                await socket.send_str(text)

    def routes(self) -> list[web.RouteDef]:
        speech = "/v1/text-to-speech/{voice_id}"
        return [
            web.get(f"{speech}/multi-stream-input", self._socket),
            web.post(speech, self._whole),
            web.post(f"{speech}/stream", self._streamed),
            web.post(f"{speech}/with-timestamps", self._whole_timed),
            web.post(f"{speech}/stream/with-timestamps", self._streamed_timed),
            web.get("/v1/voices", self._list_voices),
            web.get("/v1/voices/{voice_id}", self._get_voice),
            web.get("/v1/models", self._list_models),
            web.get("/v1/user", self._get_user),
            web.get("/v1/user/subscription", self._get_subscription),
        ]

    # The socket

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("xi-api-key")
        if key is not None and not self._knows(key):
            return _error(401, "invalid_api_key", "Invalid API key")
        fault = self.faults.nth(len(self.sockets))
        log = SocketLog(request.match_info["voice_id"], dict(request.query), fault)
        self.sockets.append(log)
        if isinstance(fault, Refuse):
            return _error(fault.status, fault.error, fault.message)
        try:
            delivery = self._delivery(request.query, request.query.get("model_id"))
        except Violation as violation:
            return _error(403, violation.error, violation.message)
        socket = web.WebSocketResponse(max_msg_size=16 * 2**20, compress=False, timeout=1.0)
        await socket.prepare(request)
        self._open[socket] = request
        self._empty.clear()

        async def send(message: dict[str, Any], audio_ms: float) -> None:
            for nonsense in fault.messages if isinstance(fault, Babble) and audio_ms else ():
                await socket.send_str(nonsense)
            await socket.send_str(json.dumps(message))
            log.sent_ms += audio_ms
            if isinstance(fault, Drop) and log.sent_ms >= fault.after_audio_ms:
                reset(request)
                raise ConnectionResetError

        contexts = Contexts(delivery, send, fault=self._next_context_fault)
        log.contexts = contexts.logs
        try:
            await self._converse(socket, log, contexts, authorised=key is not None)
        finally:
            await contexts.close()
            log.close_code = socket.close_code or 1006
            del self._open[socket]
            if not self._open:
                self._empty.set()
        return socket

    async def _converse(
        self, socket: web.WebSocketResponse, log: SocketLog, contexts: Contexts, *, authorised: bool
    ) -> None:
        patience = self._patience_s(log.query)
        try:
            while True:
                async with asyncio.timeout(patience):
                    received = await socket.receive()
                if received.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    return
                message = parse(received.data)
                log.messages.append(message)
                if not authorised and not self._knows(message.get("xi_api_key") or message.get("xi-api-key")):
                    raise Violation("invalid_api_key", "Invalid API key")
                authorised = True
                if isinstance(log.fault, Say):
                    if message.get("text", "").strip():
                        if log.fault.message:
                            await socket.send_str(json.dumps(log.fault.message))
                        if log.fault.code is not None:
                            await socket.close(code=log.fault.code, message=log.fault.reason.encode()[:123])
                            return
                    continue
                if log.voice_id not in self._voices:
                    raise Violation(
                        "voice_id_does_not_exist", f"A voice with voice_id {log.voice_id} does not exist."
                    )
                if not await contexts.receive(message):
                    await socket.close(code=1000)
                    return
        except TimeoutError:
            violation = Violation(
                "input_timeout_exceeded",
                f"Have not received a new text input within the timeout of {patience:g} seconds. "
                "Streaming input terminated.",
            )
            await _violate(socket, violation)
        except Violation as violation:
            await _violate(socket, violation)

    def _patience_s(self, query: Mapping[str, str]) -> float:
        if self._inactivity_ms is not None:
            return self._inactivity_ms / 1000
        return min(float(query.get("inactivity_timeout", "20")), 180.0)

    def _next_context_fault(self) -> ContextFault | None:
        index, self._spoken_contexts = self._spoken_contexts, self._spoken_contexts + 1
        return self.context_faults.nth(index)

    def _delivery(self, query: Mapping[str, str], model: object) -> Delivery:
        """Raises Violation for a model or format the service, or this simulator, does not speak."""
        if (model or "eleven_multilingual_v2") not in _MODELS:
            raise Violation("model_not_found", f"A model with model ID {model} does not exist.")
        output_format = query.get("output_format", "mp3_44100_128")
        if not _FORMAT.fullmatch(output_format):
            raise Violation("invalid_output_format", f"this simulator does not speak {output_format}")
        return Delivery(
            output_format=output_format,
            character_ms=self._character_ms,
            first_audio_ms=self._latency.first_audio_ms,
            speed=self._latency.speed,
            chunk_ms=self._latency.chunk_ms,
            auto_mode=query.get("auto_mode") == "true",
        )

    def _knows(self, key: object) -> bool:
        return bool(key) and (self._api_key is None or key == self._api_key)

    # Speech over HTTP

    async def _whole(self, request: web.Request) -> web.StreamResponse:
        prepared = await self._prepare(request)
        if isinstance(prepared, web.Response):
            return prepared
        delivery, sound = prepared
        return web.Response(body=encode(sound.pcm, delivery.output_format), content_type="audio/basic")

    async def _whole_timed(self, request: web.Request) -> web.StreamResponse:
        prepared = await self._prepare(request)
        if isinstance(prepared, web.Response):
            return prepared
        delivery, sound = prepared
        return web.json_response(_timed(delivery, sound, 0, len(sound.text)))

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, timed=False)

    async def _streamed_timed(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, timed=True)

    async def _stream(self, request: web.Request, *, timed: bool) -> web.StreamResponse:
        prepared = await self._prepare(request)
        if isinstance(prepared, web.Response):
            return prepared
        delivery, sound = prepared
        response = web.StreamResponse()
        response.content_type = "application/json" if timed else "audio/basic"
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        due = loop.time()
        for first, last in characters(sound, delivery.chunk_ms):
            await asyncio.sleep(due - loop.time())
            if timed:
                await response.write(json.dumps(_timed(delivery, sound, first, last)).encode() + b"\n")
            else:
                await response.write(encode(sound.part(first, last), delivery.output_format))
            due += sum(sound.durations_ms[first:last]) / 1000 / delivery.speed
        await response.write_eof()
        return response

    async def _prepare(self, request: web.Request) -> tuple[Delivery, Sound] | web.Response:
        """What to say, after the latency; or the refusal."""
        fault, self._http_requests = self.http_faults.nth(self._http_requests), self._http_requests + 1
        if refusal := self._unauthorised(request):
            return refusal
        if fault is not None:
            return _error(fault.status, fault.error, fault.message)
        voice_id = request.match_info["voice_id"]
        if voice_id not in self._voices:
            return _error(404, "voice_not_found", f"A voice with the voice_id {voice_id} was not found.")
        try:
            body = parse(await request.text())
            delivery = self._delivery(request.query, body.get("model_id"))
        except Violation as violation:
            return _error(400, violation.error, violation.message)
        text = body.get("text")
        if not isinstance(text, str):
            missing = {"type": "missing", "loc": ["body", "text"], "msg": "Field required"}
            return web.json_response({"detail": [missing]}, status=422)
        sound = await asyncio.to_thread(speak, text, delivery.sample_rate, character_ms=delivery.character_ms)
        await asyncio.sleep(delivery.first_audio_ms / 1000)
        self.spoken_over_http.append(text)
        return delivery, sound

    # What there is

    async def _list_voices(self, request: web.Request) -> web.Response:
        voices = [_voice(voice_id, name) for voice_id, name in self._voices.items()]
        return self._unauthorised(request) or web.json_response({"voices": voices})

    async def _get_voice(self, request: web.Request) -> web.Response:
        if refusal := self._unauthorised(request):
            return refusal
        voice_id = request.match_info["voice_id"]
        if voice_id not in self._voices:
            return _error(404, "voice_not_found", f"A voice with the voice_id {voice_id} was not found.")
        return web.json_response(_voice(voice_id, self._voices[voice_id]))

    async def _list_models(self, request: web.Request) -> web.Response:
        models = [{"model_id": name, "name": name, "can_do_text_to_speech": True} for name in _MODELS]
        return self._unauthorised(request) or web.json_response(models)

    async def _get_user(self, request: web.Request) -> web.Response:
        user = {
            "user_id": "simulated",
            "workspace_id": "simulated",
            "subscription": _SUBSCRIPTION,
            "is_new_user": False,
            "can_use_delayed_payment_methods": False,
            "is_onboarding_completed": True,
            "is_onboarding_checklist_completed": True,
            "created_at": 0,
            "seat_type": "workspace_admin",
        }
        return self._unauthorised(request) or web.json_response(user)

    async def _get_subscription(self, request: web.Request) -> web.Response:
        return self._unauthorised(request) or web.json_response(_SUBSCRIPTION)

    def _unauthorised(self, request: web.Request) -> web.Response | None:
        if self._knows(request.headers.get("xi-api-key")):
            return None
        return _error(401, "invalid_api_key", "Invalid API key")


_SUBSCRIPTION: dict[str, Any] = {
    "tier": "creator",
    "character_count": 1000,
    "character_limit": 100000,
    "max_credit_limit_extension": "unlimited",
    "can_extend_character_limit": True,
    "allowed_to_extend_character_limit": True,
    "voice_slots_used": 1,
    "professional_voice_slots_used": 0,
    "professional_voice_slots_used_in_workspace": 0,
    "voice_limit": 30,
    "voice_add_edit_counter": 0,
    "professional_voice_limit": 1,
    "can_extend_voice_limit": False,
    "can_use_instant_voice_cloning": True,
    "can_use_professional_voice_cloning": True,
    "current_overage": {"amount": "0", "currency": "usd"},
    "status": "active",
}


async def _violate(socket: web.WebSocketResponse, violation: Violation) -> None:
    told = {"message": violation.message, "error": violation.error, "code": 1008}
    try:
        await socket.send_str(json.dumps(told))
    except ConnectionError:
        return
    # A close frame holds 123 bytes of reason: the service's longer texts arrive cut off, here too.
    await socket.close(code=1008, message=violation.message.encode()[:123])


def _error(status: int, error: str, message: str) -> web.Response:
    return web.json_response({"detail": {"status": error, "message": message}}, status=status)


def _voice(voice_id: str, name: str) -> dict[str, Any]:
    return {"voice_id": voice_id, "name": name, "category": "premade", "labels": {}, "available_for_tiers": []}


def _timed(delivery: Delivery, sound: Sound, first: int, last: int) -> dict[str, Any]:
    """A piece of speech as the HTTP routes with timestamps give it: seconds, from the start of the speech."""
    spoken = alignment(sound, first, last)["chars"]
    starts = [sound.starts_ms[index] / 1000 for index in range(first, last)]
    ends = [(sound.starts_ms[index] + sound.durations_ms[index]) / 1000 for index in range(first, last)]
    times = {
        "characters": spoken,
        "character_start_times_seconds": starts,
        "character_end_times_seconds": ends,
    }
    audio = base64.b64encode(encode(sound.part(first, last), delivery.output_format)).decode()
    return {"audio_base64": audio, "alignment": times, "normalized_alignment": times}
