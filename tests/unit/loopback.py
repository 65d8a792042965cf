"""A web server on a loopback port that notes what it is asked, and answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Asked:
    """One request as it came. `path` is raw, with its query; header names are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Loopback:
    """What is answered, and after how long; what was asked."""

    port: int
    status: int = 200
    body: bytes | str = "ok"
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)
    after_seconds: float = 0.0
    requests: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(Asked(request.method, request.raw_path, headers, await request.read()))
        await asyncio.sleep(self.after_seconds)
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return web.Response(status=self.status, body=body, headers=self.headers, content_type=self.content_type)


@asynccontextmanager
async def serving(host: str = "127.0.0.1") -> AsyncIterator[Loopback]:
    """Every method and path, for as long as the block lasts."""
    loopback = Loopback(port=0)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", loopback.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    loopback.port = runner.addresses[0][1]
    try:
        yield loopback
    finally:
        await runner.cleanup()
