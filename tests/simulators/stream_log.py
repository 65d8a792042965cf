"""What went over a media socket, as the far end saw it: every message both ways with its time, and the sound.

The log sits between the simulated exchange and its socket, so it sees the wire and changes nothing on it.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from bot.audio import SAMPLE_RATE


@dataclass(frozen=True)
class Event:
    """A message. `at` is time.monotonic(); `audio` is μ-law of a media message, `name` a mark's."""

    at: float
    kind: str
    audio: bytes = b""
    name: str = ""


@dataclass
class StreamLog:
    """One stream. `received` came from the server, `sent` went to it, media left out."""

    url: str
    opened_at: float
    received: list[Event] = field(default_factory=list)
    sent: list[Event] = field(default_factory=list)
    close_code: int | None = None

    def received_of(self, kind: str) -> list[Event]:
        return [event for event in self.received if event.kind == kind]

    def sent_of(self, kind: str) -> list[Event]:
        return [event for event in self.sent if event.kind == kind]

    @property
    def call_sid(self) -> str:
        return self.sent_of("start")[0].name

    @property
    def audio(self) -> bytes:
        """All μ-law the server sent, played or not."""
        return b"".join(event.audio for event in self.received)

    def played(self, since: float = 0.0, until: float = float("inf")) -> bytes:
        """μ-law that reached the ear, of what was sent in a span of time; silence between bursts left out."""
        chunks: list[tuple[float, int, bytes]] = []
        end = 0
        for event in self.received:
            now = int((event.at - self.opened_at) * SAMPLE_RATE)
            if event.kind == "media":
                start = max(end, now)
                chunks.append((event.at, start, event.audio))
                end = start + len(event.audio)
            elif event.kind == "clear":
                chunks = [(at, start, audio[: max(0, now - start)]) for at, start, audio in chunks]
                end = min(end, now)
        return b"".join(audio for at, _, audio in chunks if since <= at <= until)


class LoggedSocket:
    """The part of aiohttp's client socket that a media stream uses, writing `log` as it goes."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, url: str) -> None:
        self._socket = socket
        self.log = StreamLog(url, time.monotonic())

    async def send_str(self, text: str) -> None:
        if not text.startswith('{"event":"media"'):
            message = orjson.loads(text)
            name = message.get("mark", {}).get("name") or message.get("start", {}).get("callSid") or ""
            self.log.sent.append(Event(time.monotonic(), message["event"], name=name))
        await self._socket.send_str(text)

    async def receive(self) -> aiohttp.WSMessage:
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            self.log.received.append(_event(message.data))
        elif message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
            self.log.close_code = self._socket.close_code
        return message

    async def close(self) -> None:
        await self._socket.close()

    @property
    def raw(self) -> aiohttp.ClientWebSocketResponse:
        """For a test that wants to send what a media stream never would."""
        return self._socket


def _event(text: str) -> Event:
    try:
        message: dict[str, Any] = orjson.loads(text)
        payload = base64.b64decode(message.get("media", {}).get("payload", ""))
        return Event(time.monotonic(), message["event"], payload, message.get("mark", {}).get("name", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Event(time.monotonic(), "malformed")  # the exchange says what is wrong with it
