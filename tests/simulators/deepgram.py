"""The Deepgram simulator: /v1/listen and /v2/listen over real WebSockets, and two cheap GETs.

The sessions (nova.py, flux.py) decide what is said; this file owns the sockets: credentials, refusals,
latency, the idle timeout, faults, and the log of what was received. Served with websockets and not aiohttp
because Flux closes without a status, which aiohttp's server cannot send.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, Literal

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.simulators.faults import Plan
from tests.simulators.flux import FluxOptions, FluxSession
from tests.simulators.listen import Close, Out, Query, Rejected, Send
from tests.simulators.nova import NovaOptions, NovaSession
from tests.simulators.stt_recogniser import Recogniser, Recognition

_IDLE_REASON = "NET-0001: did not receive audio data or a text message within the timeout window"


@dataclass(frozen=True)
class DeepgramLatency:
    """Wall-clock delays in ms, on top of the audio clock the words depend on."""

    connect_ms: float = 0.0
    interim_ms: float = 50.0
    final_ms: float = 100.0


@dataclass(frozen=True)
class Refuse:
    """The handshake is answered with this HTTP status."""

    status: int = 503
    message: str = "Service unavailable"


@dataclass(frozen=True)
class HangConnect:
    """The handshake is never answered."""


@dataclass(frozen=True)
class Drop:
    """TCP is reset once so much audio was received: no close frame."""

    after_audio_ms: float


@dataclass(frozen=True)
class CloseWith:
    """A close frame once so much audio was received."""

    after_audio_ms: float
    code: int = 1011
    reason: str = "Internal server error"


@dataclass(frozen=True)
class FallSilent:
    """Open but mute once so much audio was received; 0: not even Connected."""

    after_audio_ms: float = 0.0


@dataclass(frozen=True)
class Finals:
    """What becomes of the finals, and of Flux's ends of turn: without words, without the last ones, or none."""

    how: Literal["empty", "first word", "missing"]

    def of(self, message: dict[str, Any]) -> dict[str, Any] | None:
        flux = message.get("event") == "EndOfTurn"
        if not (flux or message.get("is_final")):
            return message
        if self.how == "missing":
            return None
        if flux:
            return {**message, "transcript": "", "words": []}
        channel = message["channel"]
        (first,) = channel["alternatives"]
        kept = first["words"][: self.how == "first word"]
        words = " ".join(word.get("punctuated_word", word["word"]) for word in kept)
        cut = {**message, "channel": {**channel, "alternatives": [{**first, "transcript": words, "words": kept}]}}
        # A final says how far it goes: the words behind that are of the next one.
        return {**cut, "duration": kept[-1]["end"] - message["start"]} if kept else cut


@dataclass(frozen=True)
class Babble:
    """These text messages go out with the first audio, whatever they are."""

    messages: tuple[str, ...]


DeepgramFault = Refuse | HangConnect | Drop | CloseWith | FallSilent | Babble | Finals


@dataclass
class ListenLog:
    """What one connection asked for, sent and was sent."""

    query: Query
    authorization: str | None
    fault: DeepgramFault | None
    request_id: str
    audio_bytes: int = 0
    audio_ms: float = 0.0
    audio: bytearray = field(default_factory=bytearray)
    """As received, in the query's encoding; empty with keep_audio off."""
    controls: list[str] = field(default_factory=list)
    """Text messages, as received."""
    sent: list[dict[str, object]] = field(default_factory=list)
    close_code: int | None = None
    """None while open, and after a reset."""

    def control_types(self) -> list[str]:
        return [str(json.loads(text)["type"]) for text in self.controls]


class DeepgramSimulator:
    """`async with DeepgramSimulator(recogniser) as sim:` serves on `sim.url` (ws://127.0.0.1:port).

    `recogniser` is one, or a function that gives each connection its own (calls side by side). `api_key` None
    lets every key in. `faults` counts connections to either endpoint, refused ones included.
    """

    def __init__(
        self,
        recogniser: Recogniser | Callable[[Query], Recogniser],
        *,
        api_key: str | None = None,
        latency: DeepgramLatency | None = None,
        faults: Plan[DeepgramFault] | None = None,
        interim_every_ms: float = 250.0,
        flux_certain_ms: float = 500.0,
        idle_timeout_ms: float = 10_000.0,
        keep_audio: bool = True,
    ) -> None:
        self._recogniser = recogniser
        self._api_key = api_key
        self._latency = latency or DeepgramLatency()
        self.faults: Plan[DeepgramFault] = faults or Plan()
        self._interim_every_ms = interim_every_ms
        self._flux_certain_ms = flux_certain_ms
        self._idle_timeout_ms = idle_timeout_ms
        self._keep_audio = keep_audio
        self.connections: list[ListenLog] = []
        """Every attempt on a listen endpoint that had a valid key, in order."""
        self.refused = 0
        """Attempts turned away for their key or their query."""
        self._server: Server | None = None
        self._accepted: dict[ServerConnection, tuple[ListenLog, NovaOptions | FluxOptions]] = {}
        self._open: set[ServerConnection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._leaving = asyncio.Event()

    @property
    def url(self) -> str:
        assert self._server is not None, "the simulator is not running"
        host, port = next(iter(self._server.sockets)).getsockname()[:2]
        return f"ws://{host}:{port}"

    @property
    def open_connections(self) -> int:
        return len(self._open)

    async def __aenter__(self) -> DeepgramSimulator:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._admit,
            compression=None,
            ping_interval=None,
            open_timeout=None,
            max_size=None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._leaving.set()
        self._server.close()
        await self._server.wait_closed()

    async def all_closed(self) -> None:
        """Until no connection is open and every log is complete."""
        await self._empty.wait()

    def drop_connections(self) -> None:
        """Reset every open socket now."""
        for connection in self._open:
            connection.transport.abort()

    async def say(self, text: str) -> None:
        """Send `text`, whatever it is, on every open socket."""
        for connection in list(self._open):
            with suppress(ConnectionClosed):
                await connection.send(text)

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """None accepts the WebSocket; a response is sent instead of it."""
        query = Query.parse(request.path)
        authorization = request.headers.get("Authorization")
        try:
            self._check_key(authorization)
            if query.path in ("/v1/projects", "/v1/auth/token"):
                return _json(HTTPStatus.OK, {"projects": [{"project_id": "sim", "name": "simulator"}]})
            options = _options(query)
        except Rejected as refused:
            self.refused += 1
            return _refusal(refused, str(uuid.uuid4()))
        fault = self.faults.nth(len(self.connections))
        log = ListenLog(query, authorization, fault, str(uuid.uuid4()))
        self.connections.append(log)
        if isinstance(fault, HangConnect):
            await self._leaving.wait()
        await asyncio.sleep(self._latency.connect_ms / 1000)
        if isinstance(fault, Refuse):
            return _refusal(Rejected(fault.status, "SIMULATED", fault.message), log.request_id)
        self._accepted[connection] = log, options
        return None

    def _check_key(self, authorization: str | None) -> None:
        scheme, _, key = (authorization or "").partition(" ")
        known = self._api_key is None or key.strip() == self._api_key
        if scheme.lower() not in ("token", "bearer") or not key.strip() or not known:
            raise Rejected(401, "INVALID_AUTH", "Invalid credentials.")

    async def _serve(self, connection: ServerConnection) -> None:
        log, options = self._accepted.pop(connection)
        recogniser = self._recogniser(log.query) if callable(self._recogniser) else self._recogniser
        hearing = recogniser.open(options.audio.sample_rate)
        self._open.add(connection)
        self._empty.clear()
        line = _Line(connection, log)
        sender = asyncio.create_task(line.run())
        try:
            await self._receive(connection, log, self._session(options, hearing, log), line)
        except ConnectionClosed:
            pass
        finally:
            sender.cancel()
            with suppress(asyncio.CancelledError):
                await sender
            log.close_code = connection.close_code
            hearing.close()
            self._open.discard(connection)
            if not self._open:
                self._empty.set()

    def _session(
        self, options: NovaOptions | FluxOptions, hearing: Recognition, log: ListenLog
    ) -> NovaSession | FluxSession:
        latency = self._latency
        if isinstance(options, NovaOptions):
            return NovaSession(
                options,
                hearing,
                request_id=log.request_id,
                interim_every_ms=self._interim_every_ms,
                interim_ms=latency.interim_ms,
                final_ms=latency.final_ms,
            )
        return FluxSession(
            options,
            hearing,
            request_id=log.request_id,
            certain_ms=self._flux_certain_ms,
            interim_ms=latency.interim_ms,
            final_ms=latency.final_ms,
        )

    async def _receive(
        self, connection: ServerConnection, log: ListenLog, session: NovaSession | FluxSession, line: _Line
    ) -> None:
        audio = session.audio_format
        bytes_per_ms = audio.sample_rate * (2 if audio.encoding == "linear16" else 1) / 1000
        if not isinstance(log.fault, FallSilent) or log.fault.after_audio_ms > 0:
            line.put(session.opened())
        while not line.closing:
            try:
                async with asyncio.timeout(self._idle_timeout_ms / 1000):
                    message = await connection.recv()
            except TimeoutError:
                line.put([Close(1011, _IDLE_REASON)])
                break
            if isinstance(message, str):
                log.controls.append(message)
                line.put(session.control(message))
                continue
            log.audio_bytes += len(message)
            log.audio_ms = log.audio_bytes / bytes_per_ms
            if self._keep_audio:
                log.audio += message
            line.put(session.audio(message))
            if isinstance(log.fault, Babble) and log.audio_bytes == len(message):
                for nonsense in log.fault.messages:
                    await connection.send(nonsense)
            if self._suffer(connection, log, line):
                return
        await line.closed()

    def _suffer(self, connection: ServerConnection, log: ListenLog, line: _Line) -> bool:
        """Apply the connection's fault when its time has come; True when the connection is over."""
        match log.fault:
            case Drop(after) if log.audio_ms >= after:
                connection.transport.abort()
                return True
            case CloseWith(after, code, reason) if log.audio_ms >= after:
                line.put([Close(code, reason)])
            case FallSilent(after) if log.audio_ms >= after:
                line.mute()
        return False


class _Line:
    """The way out of one connection: in order, each message not before it is due."""

    def __init__(self, connection: ServerConnection, log: ListenLog) -> None:
        self._connection = connection
        self._log = log
        self._queue: asyncio.Queue[tuple[float, Out]] = asyncio.Queue()
        self._muted = False
        self._done = asyncio.Event()
        self.closing = False
        """A close is on its way: no more is read."""

    def put(self, outs: Iterable[Out]) -> None:
        now = asyncio.get_running_loop().time()
        for out in self._faulty(outs):
            if not self._muted:
                self.closing = self.closing or isinstance(out, Close)
                self._queue.put_nowait((now + out.after_ms / 1000, out))

    def _faulty(self, outs: Iterable[Out]) -> Iterable[Out]:
        for out in outs:
            if isinstance(self._log.fault, Finals) and isinstance(out, Send):
                if (changed := self._log.fault.of(out.message)) is not None:
                    yield replace(out, message=changed)
            else:
                yield out

    def mute(self) -> None:
        self._muted = True

    async def closed(self) -> None:
        await self._done.wait()

    async def run(self) -> None:
        try:
            while True:
                due, out = await self._queue.get()
                await asyncio.sleep(due - asyncio.get_running_loop().time())
                if isinstance(out, Close):
                    # None is a close frame without a status; the library sends it, its signature omits it.
                    await self._connection.close(out.code, out.reason)  # type: ignore[arg-type]
                    return
                if not self._muted:
                    self._log.sent.append(out.message)
                    await self._connection.send(json.dumps(out.message))
        except ConnectionClosed:
            return
        finally:
            self._done.set()


def _options(query: Query) -> NovaOptions | FluxOptions:
    if query.path == "/v1/listen":
        return NovaOptions.of(query)
    if query.path == "/v2/listen":
        return FluxOptions.of(query)
    raise Rejected(404, "NOT_FOUND", f"no such endpoint: {query.path}")


def _refusal(refused: Rejected, request_id: str) -> Response:
    body = {"err_code": refused.code, "err_msg": refused.message, "request_id": request_id}
    response = _json(HTTPStatus(refused.status), body)
    response.headers["dg-error"] = refused.message
    response.headers["dg-request-id"] = request_id
    return response


def _json(status: HTTPStatus, body: object) -> Response:
    data = json.dumps(body).encode()
    headers = Headers(
        [("Content-Type", "application/json"), ("Content-Length", str(len(data))), ("Connection", "close")]
    )
    return Response(status.value, status.phrase, headers, data)
