"""Requests that never come to their end are closed; all others are none of its business."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request

from bot.cli.http_protocol import BoundedHttp

app = FastAPI()


@app.post("/slow")
async def slow(request: Request) -> int:
    body = await request.body()
    await asyncio.sleep(0.8)
    return len(body)


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    class Quick(BoundedHttp):
        head_seconds = body_seconds = 0.4

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, http=Quick, log_config=None, access_log=False))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        await running


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b"408"),
        (b"POST /slow HTT", b"408"),
        (b"POST /slow HTTP/1.1\r\nHost: x\r\n", b"408"),
        (b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf", b""),
    ],
)
async def test_a_request_without_an_end_is_closed(sent: bytes, answer: bytes) -> None:
    async with serving() as port, asyncio.timeout(10):
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for _, writer in connections:
            writer.write(sent)
        for reader, writer in connections:
            assert answer in await reader.read()
            writer.close()


async def test_an_answer_may_take_its_time_and_a_body_may_come_in_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b"piece"
            await asyncio.sleep(0.15)

    async with serving() as port, asyncio.timeout(10), httpx.AsyncClient() as client:
        for _ in range(2):  # the second on the same connection
            answer = await client.post(f"http://127.0.0.1:{port}/slow", content=pieces())
            assert answer.json() == 30
