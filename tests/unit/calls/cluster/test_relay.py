"""A media socket passed on: the other process sees it as Twilio's own, and either end ends both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve

from bot.calls.cluster.relay import NOT_REACHED_CLOSE, Relay
from tests.unit.pipeline.conversation import until
from tests.unit.pipeline.memory_socket import MemorySocket

HEADER = "x-signature"
PATH = "/api/phone/media-stream?a=%2Fb"
START = '{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1","customParameters":{"token":"new"}}}'


class CallRunner:
    """The other process: keeps what came, and is told what to do with the socket."""

    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.connection: ServerConnection | None = None
        self.address = ""
        self.gone = asyncio.Event()

    async def __call__(self, connection: ServerConnection) -> None:
        self.connection = connection
        async for frame in connection:
            self.heard.append(frame)
        self.gone.set()


@asynccontextmanager
async def holder() -> AsyncIterator[CallRunner]:
    one = CallRunner()
    async with serve(one, "127.0.0.1", 0) as server:
        one.address = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield one


async def test_frames_go_both_ways_until_the_line_ends() -> None:
    socket, relay = MemorySocket(), Relay()
    async with holder() as other:
        passing = asyncio.create_task(relay.pass_on(socket, START, f"{other.address}{PATH}", {HEADER: "signed"}))
        socket.say("one", "two")
        await until(lambda: len(other.heard) == 3)
        assert other.heard == [START, "one", "two"]
        assert other.connection is not None
        assert other.connection.request is not None
        assert (other.connection.request.path, other.connection.request.headers[HEADER]) == (PATH, "signed")
        await other.connection.send('{"event":"clear"}')
        await until(lambda: bool(socket.sent))
        assert socket.sent == [{"event": "clear"}]
        assert relay.passing == 1
        socket.say(None)
        await passing
        await other.gone.wait()
    assert (socket.closed_with, relay.passing) == (1000, 0)


async def test_the_holder_ends_it() -> None:
    socket, relay = MemorySocket(), Relay()
    async with holder() as other:
        passing = asyncio.create_task(relay.pass_on(socket, START, f"{other.address}{PATH}", {}))
        await until(lambda: bool(other.heard))
        await relay.drain(0.01)
        assert relay.passing == 1
        idle = asyncio.create_task(relay.drain(60.0))
        assert other.connection is not None
        await other.connection.close()
        await asyncio.gather(passing, idle)
    assert socket.closed_with == 1000


async def test_a_line_that_breaks_while_we_send_ends_it() -> None:
    socket = MemorySocket()
    async with holder() as other:
        passing = asyncio.create_task(Relay().pass_on(socket, START, f"{other.address}{PATH}", {}))
        await until(lambda: bool(other.heard))
        socket.broken = True
        assert other.connection is not None
        await other.connection.send('{"event":"clear"}')
        await passing
        await other.gone.wait()


async def test_nobody_is_there(unused_tcp_port: int) -> None:
    socket, relay = MemorySocket(), Relay()
    await relay.pass_on(socket, START, f"ws://127.0.0.1:{unused_tcp_port}{PATH}", {})
    assert (socket.closed_with, relay.passing) == (NOT_REACHED_CLOSE, 0)
