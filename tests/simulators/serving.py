"""An aiohttp app on a loopback port for as long as a simulator lives."""

from __future__ import annotations

import asyncio
from types import TracebackType

from aiohttp import web


class LoopbackServer:
    """Base of the HTTP simulators: `async with` serves `routes()` on 127.0.0.1, any free port.

    `leaving` is set first when the block ends: handlers that hang on purpose wait for it, so that the server
    goes down without cancelling anything that could finish.
    """

    cancels_handlers = True
    """A handler is cancelled when its client leaves; off for WebSockets, which learn of it by reading."""

    def __init__(self) -> None:
        self.leaving = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._port = 0

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    @property
    def url(self) -> str:
        """http://127.0.0.1:port; WebSocket clients take `websocket_url`."""
        assert self._port, "the simulator is not running"
        return f"http://127.0.0.1:{self._port}"

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http://", "ws://")

    async def start(self) -> None:
        app = web.Application(client_max_size=32 * 2**20)
        app.add_routes(self.routes())
        self._runner = web.AppRunner(
            app, handler_cancellation=self.cancels_handlers, access_log=None, shutdown_timeout=2.0
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.leaving.set()
        assert self._runner is not None
        await self._runner.cleanup()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def reset(request: web.Request) -> None:
    """Cut the request's TCP connection: the client sees a reset, never a proper end."""
    if request.transport is not None:
        request.transport.abort()
