"""A customer's webhook endpoint on 127.0.0.1: verifies by Standard Webhooks, and fails as it is told.

What it verifies with is the standardwebhooks library as a customer would use it. What fails does so on the
wire: a connection refused, reset or silent, a body that never ends, a redirect.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.simulators.serving import LoopbackServer, reset


class Manner(StrEnum):
    ANSWER = "answer"
    HANG = "hang"
    """Takes the request and says nothing."""
    RESET = "reset"
    """Cuts the connection instead of an answer."""
    STALL = "stall"
    """Sends the headers and then no body."""
    FLOOD = "flood"
    """Sends a body without end."""


@dataclass(frozen=True)
class Reply:
    """How one request is met."""

    status: int = 204
    manner: Manner = Manner.ANSWER
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True)
class Event:
    """One request as it came. `verified`: by how many of the receiver's secrets."""

    path: str
    at: datetime
    headers: Mapping[str, str]
    body: bytes
    verified: int
    under_way: int
    """Requests of the same call that were not answered yet, this one among them."""

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return str(self.json["type"])

    @property
    def call_id(self) -> str:
        return str(self.json["data"]["call_id"])


class WebhookReceiver(LoopbackServer):
    """`replies` are used up in order, then `usual` stands. `events` is every request that came."""

    def __init__(self, secrets: Sequence[str] = (), *, replies: Sequence[Reply] = ()) -> None:
        super().__init__()
        self.replies = list(replies)
        self.usual = Reply()
        self.events: list[Event] = []
        self._secrets = tuple(secrets)
        self._news = asyncio.Condition()
        self._open: Counter[str] = Counter()
        self.flooded_bytes = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self._take)]

    async def go_down(self) -> None:
        """From now on the port refuses connections, as after a crash of the receiver."""
        assert self._runner is not None
        self.leaving.set()
        await self._runner.cleanup()

    async def come_up(self) -> None:
        """On the same port."""
        self.leaving = asyncio.Event()
        app = web.Application(client_max_size=32 * 2**20)
        app.add_routes(self.routes())
        self._runner = web.AppRunner(
            app, handler_cancellation=self.cancels_handlers, access_log=None, shutdown_timeout=2.0
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def until(self, done: Callable[[], bool], *, seconds: float = 20.0) -> None:
        """Until `done` holds, which is asked after each request. TimeoutError says what came instead."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(done)
        except TimeoutError:
            raise TimeoutError(f"came: {[event.type for event in self.events]}") from None

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        call_id = str(json.loads(body)["data"].get("call_id"))
        reply = self.replies.pop(0) if self.replies else self.usual
        async with self._under_way(call_id) as under_way:
            verified = sum(_holds(secret, body, headers) for secret in self._secrets)
            event = Event(request.path_qs, datetime.now(UTC), headers, body, verified, under_way)
            async with self._news:
                self.events.append(event)
                self._news.notify_all()
            return await self._answer(request, reply)

    async def _answer(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        match reply.manner:
            case Manner.ANSWER:
                return web.Response(status=reply.status, headers=reply.headers, text=reply.body or None)
            case Manner.HANG:
                await self.leaving.wait()
            case Manner.STALL:
                response = web.StreamResponse(status=reply.status, headers={"Content-Length": "10"})
                await response.prepare(request)
                await self.leaving.wait()
                return response
            case Manner.FLOOD:
                response = web.StreamResponse(status=reply.status)
                await response.prepare(request)
                while not self.leaving.is_set():
                    await response.write(b"x" * 65536)
                    self.flooded_bytes += 65536
                return response
            case Manner.RESET:
                pass
        reset(request)
        return web.Response()

    @contextlib.asynccontextmanager
    async def _under_way(self, call_id: str) -> AsyncIterator[int]:
        self._open[call_id] += 1
        try:
            yield self._open[call_id]
        finally:
            self._open[call_id] -= 1


def _holds(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        Webhook(secret).verify(body, dict(headers))
    except WebhookVerificationError:
        return False
    return True
