"""A phone agent's server in 100 lines, for the carriers' tests: voice webhook, media socket, status webhook.

It notes every message with the time it came and does what its `agent` says.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import WSMsgType, web

from bot.telephony.carrier import ConnectStream, StreamAddress
from bot.telephony.twilio import twiml
from bot.telephony.twilio.signatures import HEADER

BELOW = "/api/phone/twilio"
SignatureHolds = Callable[[str, dict[str, str], str], bool]


async def until(met: Callable[[], bool]) -> None:
    """Look every 5 ms until it is so; TimeoutError after 10 s. What tests wait for are plain lists."""
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@dataclass
class Media:
    """One media socket, as the server saw it."""

    socket: web.WebSocketResponse
    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    close_code: int | None = None

    @property
    def stream_sid(self) -> str:
        return str(self.messages[1][1]["streamSid"])

    def events(self, event: str) -> list[tuple[float, dict[str, Any]]]:
        return [(at, message) for at, message in self.messages if message["event"] == event]

    async def play(self, mulaw: bytes, mark: str | None = None) -> None:
        await self.send("media", media={"payload": base64.b64encode(mulaw).decode()})
        if mark is not None:
            await self.send("mark", mark={"name": mark})

    async def send(self, event: str, **fields: object) -> None:
        await self.socket.send_str(json.dumps({"event": event, "streamSid": self.stream_sid, **fields}))

    async def until(self, event: str, count: int = 1) -> list[tuple[float, dict[str, Any]]]:
        """Wait for the `count`th message of a kind."""
        await until(lambda: len(self.events(event)) >= count)
        return self.events(event)


Agent = Callable[[Media], Awaitable[None]]


async def _listens(media: Media) -> None:
    await media.closed.wait()


@dataclass
class MediaServer:
    """`async with MediaServer(agent) as server:` `holds` checks signatures once the carrier is known."""

    agent: Agent = _listens
    answer: Callable[[str], str] | None = None
    """TwiML for the media URL; a stream with a token by default."""
    voice_status: int = 200
    origin: str = ""
    public_origin: str | None = None
    holds: SignatureHolds | None = None
    voices: list[dict[str, str]] = field(default_factory=list)
    statuses: list[dict[str, str]] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)

    async def __aenter__(self) -> MediaServer:
        app = web.Application()
        app.router.add_post(f"{BELOW}/voice", self._voice)
        app.router.add_post(f"{BELOW}/status", self._status)
        app.router.add_get("/media", self._media)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def voice_url(self) -> str:
        return f"{self.public}{BELOW}/voice?call_id=c1"

    @property
    def status_url(self) -> str:
        return f"{self.public}{BELOW}/status?call_id=c1"

    @property
    def words(self) -> list[str]:
        """Status words as they came."""
        return [form["CallStatus"] for form in self.statuses]

    async def until_over(self) -> dict[str, str]:
        """Wait for the last status callback."""
        await until(lambda: any("CallDuration" in form for form in self.statuses))
        return self.statuses[-1]

    @property
    def public(self) -> str:
        return self.public_origin or self.origin

    async def _voice(self, request: web.Request) -> web.Response:
        self.voices.append(await self._form(request))
        if self.voice_status != 200:
            return web.Response(status=self.voice_status)
        url = f"{self.public}/media".replace("http", "ws", 1)
        document = self.answer(url) if self.answer else twiml.render(ConnectStream(StreamAddress(url, "t-1")))
        return web.Response(text=document, content_type="text/xml")

    async def _status(self, request: web.Request) -> web.Response:
        self.statuses.append(await self._form(request))
        return web.Response(status=204)

    async def _form(self, request: web.Request) -> dict[str, str]:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self._check(f"{self.public}{request.path_qs}", form, request)
        return form

    def _check(self, url: str, form: dict[str, str], request: web.Request) -> None:
        assert self.holds is not None
        if not self.holds(url, form, request.headers.get(HEADER, "")):
            self.unsigned.append(url)

    async def _media(self, request: web.Request) -> web.WebSocketResponse:
        self._check(f"{self.public}{request.path_qs}".replace("http", "ws", 1), {}, request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        media = Media(socket)
        self.media.append(media)
        agent: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    media.raw.append(message.data)
                    media.messages.append((loop.time(), json.loads(message.data)))
                    if len(media.messages) == 2:
                        agent = asyncio.create_task(self._run(media))
        finally:
            media.close_code = socket.close_code
            media.closed.set()
            if agent is not None:
                await agent
        return socket

    async def _run(self, media: Media) -> None:
        await self.agent(media)
