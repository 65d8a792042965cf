"""The media socket and the echo, on a real server: what bot/ sees of a WebSocket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bot.api import echo as echo_module
from bot.api.websocket import StarletteSocket
from bot.telephony.media import MAX_FRAME_BYTES, ServerLeavesError, SocketClosedError
from tests.unit.api.fake_agent import FakeAgent


@dataclass
class Served:
    url: str
    after_gone: list[str]
    left: asyncio.Event


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@pytest.fixture
async def served(app: FastAPI) -> AsyncIterator[Served]:
    after_gone: list[str] = []
    left = asyncio.Event()

    @app.websocket("/gone")
    async def gone(websocket: WebSocket) -> None:
        """Talks on after the other side has left."""
        ours = StarletteSocket(websocket)
        await ours.accept()
        frame = await ours.receive()
        while frame is not None:
            frame = await ours.receive()
        after_gone.append("None" if await ours.receive() is None else "a frame")
        try:
            await ours.send("anybody there?")
        except SocketClosedError:
            after_gone.append("SocketClosedError")
        await ours.close(1000)
        after_gone.append("closed")
        left.set()

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, ws="websockets-sansio", ws_max_size=MAX_FRAME_BYTES
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    await server.listening.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"ws://127.0.0.1:{port}", after_gone, left)
    server.should_exit = True
    await serving


async def test_a_media_socket_lives_with_the_agent(served: Served, agent: FakeAgent) -> None:
    url = f"{served.url}/api/phone/media-stream?x=%2B"
    async with connect(url, additional_headers={"X-Twilio-Signature": "sig"}) as line:
        await line.send("hello")
        assert await line.recv() == "HELLO"
        await line.send(b"\x00\x01")
        await line.send("bye")
        with pytest.raises(ConnectionClosed):
            await line.recv()
        assert line.close_code == 1000
    assert agent.heard == ["hello", b"\x00\x01", "bye"]
    assert agent.sockets == [("/api/phone/media-stream?x=%2B", "sig", None)]


async def test_the_token_may_be_in_the_path(served: Served, agent: FakeAgent) -> None:
    async with connect(f"{served.url}/api/phone/media-stream/t0k%2Dn") as line:
        await line.send("bye")
        await line.wait_closed()
    assert agent.sockets == [("/api/phone/media-stream/t0k%2Dn", None, "t0k-n")]


async def test_an_agent_that_breaks_closes_only_this_socket(served: Served, agent: FakeAgent) -> None:
    agent.error = ZeroDivisionError()
    async with connect(f"{served.url}/api/phone/media-stream") as line:
        await line.wait_closed()
        assert line.close_code == 1011
    agent.error = None
    async with connect(f"{served.url}/api/phone/media-stream") as line:
        await line.send("a")
        assert await line.recv() == "A"


async def test_without_an_agent_the_handshake_is_refused(app: FastAPI, served: Served) -> None:
    app.state.phone_agent = None
    with pytest.raises(InvalidStatus):
        await connect(f"{served.url}/api/phone/media-stream")


async def test_a_frame_over_the_limit_closes_only_its_socket(served: Served) -> None:
    url = f"{served.url}/api/phone/media-stream"
    async with connect(url) as calm, connect(url) as loud:
        await loud.send("x" * (MAX_FRAME_BYTES + 1))
        await loud.wait_closed()
        assert loud.close_code == 1009
        await calm.send("a")
        assert await calm.recv() == "A"


async def test_a_socket_that_is_gone_says_so(served: Served) -> None:
    async with connect(f"{served.url}/gone") as line:
        await line.send("bye")
    async with asyncio.timeout(5):
        await served.left.wait()
    assert served.after_gone == ["None", "SocketClosedError", "closed"]


async def test_a_socket_our_own_server_closes_says_so(app: FastAPI) -> None:
    ended: list[str] = []
    open_ = asyncio.Event()

    @app.websocket("/held")
    async def held(websocket: WebSocket) -> None:
        ours = StarletteSocket(websocket)
        await ours.accept()
        open_.set()
        try:
            ended.append(repr(await ours.receive()))
        except ServerLeavesError:
            ended.append("the server leaves")

    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="websockets-sansio"))
    serving = asyncio.create_task(server.serve())
    await server.listening.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    async with connect(f"ws://127.0.0.1:{port}/held"):
        await open_.wait()
        server.should_exit = True
        await serving
    assert ended == ["the server leaves"]


class TestEcho:
    async def test_says_back_one_short_text(self, served: Served) -> None:
        async with connect(f"{served.url}/api/phone/echo") as line:
            await line.send("hello")
            assert await line.recv() == "hello"
            await line.wait_closed()
            assert line.close_code == 1000

    @pytest.mark.parametrize("frame", ["x" * (echo_module.MAX_CHARACTERS + 1), b"bytes"])
    async def test_nothing_else(self, served: Served, frame: str | bytes) -> None:
        async with connect(f"{served.url}/api/phone/echo") as line:
            await line.send(frame)
            await line.wait_closed()
            assert line.close_code == 1008

    async def test_it_does_not_wait_for_ever(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(echo_module, "_SECONDS", 0.1)
        async with connect(f"{served.url}/api/phone/echo") as line, asyncio.timeout(3):
            await line.wait_closed()
            assert line.close_code == 1008
