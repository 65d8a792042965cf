"""A media stream of a call: what it brings, what can be put on it, without a carrier's own messages.

Its socket is a WebSocket as bot/ below api/ sees it: no framework's types.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

MAX_FRAME_BYTES = 1 << 20
"""A larger frame closes its socket, and only that; the server enforces it (ws_max_size)."""


class SocketClosedError(Exception):
    """The other side is gone: nothing can be sent any more."""


class ServerLeavesError(SocketClosedError):
    """Our own server closes its sockets, because it stops."""


class Socket(Protocol):
    """A server-side WebSocket, not yet accepted."""

    async def accept(self) -> None:
        """Finish the handshake."""
        ...

    async def receive(self) -> str | bytes | None:
        """The next frame, None once the socket is closed. ServerLeavesError: by our own server's end."""
        ...

    async def send(self, text: str) -> None:
        """Send a text frame. SocketClosedError when the other side is gone."""
        ...

    async def close(self, code: int, reason: str = "") -> None:
        """Close; harmless on a closed socket."""
        ...


@dataclass(frozen=True)
class StreamConnected:
    """The socket is open; nothing is known yet."""


@dataclass(frozen=True)
class StreamStarted:
    """The stream begins. `token`: what our `StreamAddress` gave it."""

    stream_id: str
    call_sid: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class AudioReceived:
    """The callee's audio. `at_ms` is its place on the media clock, None where the carrier left it out."""

    mulaw: bytes
    at_ms: int | None


@dataclass(frozen=True)
class MarkReached:
    """Playback reached this mark, or a `clear` dropped what stood before it."""

    name: str


@dataclass(frozen=True)
class KeyPressed:
    digit: str


@dataclass(frozen=True)
class StreamStopped:
    """The stream is over: the call ended or left the stream."""


@dataclass(frozen=True)
class MalformedFrame:
    """Not a message of the protocol; `reason` is for one log line."""

    reason: str


MediaEvent = (
    StreamConnected | StreamStarted | AudioReceived | MarkReached | KeyPressed | StreamStopped | MalformedFrame
)


class MediaWire(Protocol):
    """A carrier's messages on a media socket. No I/O."""

    def parse(self, frame: str | bytes) -> MediaEvent:
        """One WebSocket frame. Never raises."""
        ...

    def media(self, stream_id: str, mulaw: bytes) -> str:
        """Audio to play, appended to what the carrier has buffered."""
        ...

    def mark(self, stream_id: str, name: str) -> str:
        """Ask for a `MarkReached` when playback reaches this point. `name`: ASCII without quotes."""
        ...

    def clear(self, stream_id: str) -> str:
        """Drop everything buffered."""
        ...

    def with_token(self, start: str, token: str) -> str:
        """The frame of a `StreamStarted` with another token."""
        ...


@dataclass(eq=False)
class MediaStream:
    """A media stream that was let in. `over` is set when the line has left it: its socket may be closed."""

    socket: Socket
    wire: MediaWire
    id: str
    call_sid: str
    over: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def receive(self) -> MediaEvent | None:
        """The next event, None once the socket is closed. ServerLeavesError: by our own server's end."""
        frame = await self.socket.receive()
        return None if frame is None else self.wire.parse(frame)
