"""The ElevenLabs simulator: the multi-context speech WebSocket and the HTTP route that looks a voice up.

contexts.py holds the protocol of a socket, tts_sound.py the sound; this file owns keys, voices, formats, faults,
and the log. Only raw formats are spoken (pcm_*, ulaw_8000): mp3, the service's default, is refused in words.
"""

from __future__ import annotations

import asyncio
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
    parse,
)
from tests.simulators.faults import Plan
from tests.simulators.serving import LoopbackServer, reset
from tests.simulators.tts_sound import CHARACTER_MS

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
        character_ms: int = CHARACTER_MS,
        inactivity_ms: float | None = None,
    ) -> None:
        super().__init__()
        self._api_key = api_key
        self._voices = dict(voices) if voices is not None else {VOICE: "George"}
        self._latency = latency or ElevenLabsLatency()
        self.faults: Plan[SocketFault] = faults or Plan()
        self.context_faults: Plan[ContextFault] = context_faults or Plan()
        self._character_ms = character_ms
        self._inactivity_ms = inactivity_ms
        """None: the query's inactivity_timeout, which is 20 s unless given."""
        self.sockets: list[SocketLog] = []
        self._spoken_contexts = 0
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
        return [
            web.get("/v1/text-to-speech/{voice_id}/multi-stream-input", self._socket),
            web.get("/v1/voices/{voice_id}", self._get_voice),
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

    # What there is

    async def _get_voice(self, request: web.Request) -> web.Response:
        if refusal := self._unauthorised(request):
            return refusal
        voice_id = request.match_info["voice_id"]
        if voice_id not in self._voices:
            return _error(404, "voice_not_found", f"A voice with the voice_id {voice_id} was not found.")
        return web.json_response(_voice(voice_id, self._voices[voice_id]))

    def _unauthorised(self, request: web.Request) -> web.Response | None:
        if self._knows(request.headers.get("xi-api-key")):
            return None
        return _error(401, "invalid_api_key", "Invalid API key")


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
