"""A Socket in memory, and the frames Twilio would send through it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from typing import Any

from bot.telephony.media import MediaStream, SocketClosedError
from bot.telephony.twilio import media_streams


class MemorySocket:
    """What the far end sends is put in with `say`; what we send is in `sent`, decoded."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed_with: int | None = None
        self.gate = asyncio.Event()
        """Cleared, it holds every `send` before it goes out."""
        self.gate.set()
        self.broken = False
        self._incoming: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._news = asyncio.Condition()

    # -- the Socket ----------------------------------------------------------------------------------

    async def accept(self) -> None:
        return

    async def receive(self) -> str | bytes | None:
        return await self._incoming.get()

    async def send(self, text: str) -> None:
        if self.broken:
            raise SocketClosedError
        async with self._news:
            self.sent.append(json.loads(text))
            self._news.notify_all()
        await self.gate.wait()

    async def close(self, code: int, reason: str = "") -> None:
        self.closed_with = code
        self._incoming.put_nowait(None)

    # -- the far end ---------------------------------------------------------------------------------

    def say(self, *frames: str | bytes | None) -> None:
        for frame in frames:
            self._incoming.put_nowait(frame)

    def echo(self, name: str) -> None:
        self.say(json.dumps({"event": "mark", "streamSid": "MZ1", "mark": {"name": name}}))

    def hang_up(self) -> None:
        self.say(json.dumps({"event": "stop", "streamSid": "MZ1", "stop": {"callSid": "CA1"}}))

    async def until_sent(self, event: str, count: int = 1) -> None:
        """Until so many of these events went out."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.of(event)) >= count)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["event"] == event]

    @property
    def marks(self) -> list[str]:
        return [message["mark"]["name"] for message in self.of("mark")]

    @property
    def audio(self) -> bytes:
        return b"".join(b64decode(message["media"]["payload"]) for message in self.of("media"))


def stream_on(socket: MemorySocket, stream_id: str = "MZ1") -> MediaStream:
    """A media stream of the call CA1 that was let in."""
    return MediaStream(socket, media_streams, stream_id, "CA1")


def media(mulaw: bytes, at_ms: int | None = None) -> str:
    """One inbound media message."""
    body: dict[str, Any] = {"track": "inbound", "chunk": "1", "payload": b64encode(mulaw).decode()}
    if at_ms is not None:
        body["timestamp"] = str(at_ms)
    return json.dumps({"event": "media", "streamSid": "MZ1", "media": body})
