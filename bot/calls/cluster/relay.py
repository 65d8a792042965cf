"""A media socket that came to the wrong process, passed on to the one that holds its call, frame by frame.

The other process sees a media socket like any other, with a token of its own: nothing is trusted because it
comes from inside. A redirect was the other way: Twilio follows none on a media stream.
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import websockets
from loguru import logger
from websockets.asyncio.client import ClientConnection, connect

from bot.telephony.media import MAX_FRAME_BYTES, Socket, SocketClosedError

CONNECT_SECONDS = 3.0
CLOSE_SECONDS = 2.0
NOT_REACHED_CLOSE = 1011


class Relay:
    """The sockets that one process passes on to others."""

    def __init__(self) -> None:
        self.passing = 0
        """How many calls of other processes have their line through this one."""
        self._ended = asyncio.Event()

    async def drain(self, within_seconds: float, hurry: asyncio.Event | None = None) -> None:
        """Until no line goes through here; not longer than so many seconds, or than until `hurry`."""
        idle = asyncio.create_task(self._idle(), name="relay idle")
        hurried = asyncio.create_task((hurry or asyncio.Event()).wait(), name="relay hurry")
        try:
            await asyncio.wait({idle, hurried}, timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (idle, hurried):
                task.cancel()
            await asyncio.gather(idle, hurried, return_exceptions=True)

    async def _idle(self) -> None:
        while self.passing:
            self._ended.clear()
            await self._ended.wait()

    async def pass_on(self, socket: Socket, start: str, url: str, headers: Mapping[str, str]) -> None:
        """Until either side is closed. `start`: the frame that was read already; `url`: the other's socket."""
        self.passing += 1
        try:
            code = await _pass_on(socket, start, url, headers)
        finally:
            self.passing -= 1
            self._ended.set()
        await socket.close(code)


async def _pass_on(socket: Socket, start: str, url: str, headers: Mapping[str, str]) -> int:
    """The code to close with."""
    try:
        peer = await connect(
            url,
            additional_headers=dict(headers),
            max_size=MAX_FRAME_BYTES,
            open_timeout=CONNECT_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=None,
            compression=None,
            proxy=None,
        )
    except (OSError, websockets.WebSocketException) as e:
        logger.error("the process that holds the call cannot be reached at {}: {}", urlsplit(url).netloc, e)
        return NOT_REACHED_CLOSE
    try:
        await peer.send(start)
        await _pump(socket, peer)
    except websockets.ConnectionClosed:
        pass  # whichever side it was, both are to be closed
    finally:
        await peer.close()
    return 1000


async def _pump(socket: Socket, peer: ClientConnection) -> None:
    """Both ways, until one side is over. ConnectionClosed."""
    ways = [
        asyncio.create_task(_to_peer(socket, peer), name="relay in"),
        asyncio.create_task(_from_peer(socket, peer), name="relay out"),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        ended = await asyncio.gather(*ways, return_exceptions=True)
    for failure in ended:
        if isinstance(failure, Exception):
            raise failure


async def _to_peer(socket: Socket, peer: ClientConnection) -> None:
    while (frame := await socket.receive()) is not None:
        await peer.send(frame)


async def _from_peer(socket: Socket, peer: ClientConnection) -> None:
    try:
        async for frame in peer:
            await socket.send(frame if isinstance(frame, str) else frame.decode())
    except SocketClosedError:
        return
