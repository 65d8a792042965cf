"""The server's own app and how it is served: settings, lifespan, routers put together."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from loguru import logger

from bot.api.lifespan import use
from bot.api.media_stream import MAX_FRAME_BYTES
from bot.api.problems import install
from bot.api.routes import router
from bot.errors import PhoneAgentError
from bot.logs import set_up
from bot.phone_agent import PhoneAgent, open_phone_agent
from bot.settings import Settings, load_settings

EXAMPLE = {
    "phone_number": "+12025550123",
    "action": "Confirm your dentist appointment Thursday at 2pm",
    "context": "Dr. Smith, Suite 200. Rescheduling available Mon-Fri.",
    "callee_name": "John",
    "agent_name": "Alex",
    "organization": "Downtown Dental",
}


def create_app(settings: Settings) -> FastAPI:
    """The product's routes, docs at /docs, the root leading there."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_phone_agent(settings) as agent:
            app.state.phone_agent = agent
            # What is loaded now stays: the collector need not walk it during calls.
            gc.collect()
            gc.freeze()
            yield
            gc.unfreeze()
            app.state.phone_agent = None

    app = FastAPI(
        title="Phone agent",
        description="Places and answers phone calls: one request, one conversation, one record.",
        version="0.1.0",
        lifespan=lifespan,
    )
    app.state.phone_agent = None
    app.include_router(router)
    install(app)

    @app.get("/", include_in_schema=False)
    async def docs() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app


class PhoneServer(uvicorn.Server):
    """uvicorn that ends the calls before it closes their sockets, and says last what is there."""

    def __init__(self, app: FastAPI, settings: Settings, *, announcing: bool = True) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                ws_max_size=MAX_FRAME_BYTES,
                ws_ping_interval=None,
                timeout_graceful_shutdown=10,
            )
        )
        self._app = app
        self._announcing = announcing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        agent = self._app.state.phone_agent
        if agent is not None and self.started and self._announcing:
            announce(agent)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        agent: PhoneAgent | None = self._app.state.phone_agent
        if agent is not None:
            await agent.stop_calls()
        await super().shutdown(sockets)


def announce(agent: PhoneAgent) -> None:
    """Which vendor or engine fills each slot and why, where the docs are, and the line to try."""
    settings = agent.settings
    host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::") else settings.host  # noqa: S104
    url = f"http://{host}:{settings.port}"
    for name, slot in agent.health().slots.items():
        logger.info("{:<8} {:<13} {}{}", name, slot.vendor, slot.why, "" if slot.state == "ready" else " (!)")
    logger.info("docs     {}/docs", url)
    key = ' -H "Authorization: Bearer $API_KEY"' if settings.api_keys else ""
    body = json.dumps(EXAMPLE)
    logger.info(
        'try      curl -X POST "{}/api/phone/call" -H "Content-Type: application/json"{} -d \'{}\'',
        url,
        key,
        body,
    )


def main() -> None:
    """Serve until a signal. A setting or scenario that is wrong is said in one line, exit code 2."""
    try:
        settings = load_settings()
    except PhoneAgentError as e:
        raise SystemExit(f"error: {e.message}") from None
    set_up(settings.log_level)
    use(lambda: open_phone_agent(settings))
    server = PhoneServer(create_app(settings), settings)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises Ctrl-C again once all is closed
        server.run()
    if not server.started:
        raise SystemExit(2)
