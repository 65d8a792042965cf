"""What bot/ below api/ sees of a WebSocket: no framework's types."""

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
