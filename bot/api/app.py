"""The server's own app and how it is served: settings, lifespan, routers put together."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import uvicorn
import uvloop
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from loguru import logger

from bot.api.problems import install
from bot.api.routes import router
from bot.errors import PhoneAgentError, SettingsError
from bot.logs import set_up
from bot.phone_agent import PhoneAgent, open_phone_agent
from bot.settings import Settings, load_settings
from bot.stages.media_protocol import MAX_FRAME_BYTES

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
        async with AsyncExitStack() as stack:
            if app.state.phone_agent is None:
                app.state.phone_agent = await stack.enter_async_context(open_phone_agent(settings))
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
    key = ' -H "Authorization: Bearer ONE_OF_API_KEYS"' if settings.api_keys else ""
    body = json.dumps(EXAMPLE)
    logger.info(
        'try      curl -X POST "{}/api/phone/call" -H "Content-Type: application/json"{} -d \'{}\'',
        url,
        key,
        body,
    )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[PhoneAgent]:
    """Our own server, quietly, for as long as the block lasts."""
    async with open_phone_agent(settings) as agent:
        app = create_app(settings)
        app.state.phone_agent = agent
        server = PhoneServer(app, settings, announcing=False)
        running = asyncio.create_task(server.serve(), name="server")
        try:
            while not server.started:
                if running.done():
                    await running
                    raise PhoneAgentError("the server did not start; see the log above")
                await asyncio.sleep(0.05)
            yield agent
        finally:
            server.should_exit = True
            await running


async def serve(settings: Settings) -> None:
    """Serve until a signal. The agent is opened first, so a wrong setting is said before anything listens."""
    _check_port(settings)
    async with open_phone_agent(settings) as agent:
        app = create_app(settings)
        app.state.phone_agent = agent
        await PhoneServer(app, settings).serve()


def _check_port(settings: Settings) -> None:
    """SettingsError when somebody listens there already, before the models are loaded."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as e:
            raise SettingsError(
                f"Cannot listen on {settings.host}:{settings.port} ({e.strerror}). If another server runs there, "
                "stop it or set PORT to another port.",
                field="PORT",
            ) from None


def main() -> None:
    """A setting or scenario that is wrong is said in one line, exit code 1."""
    try:
        settings = load_settings()
        set_up(settings.log_level)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except PhoneAgentError as e:
        raise SystemExit(f"error: {e.message}") from None
    except KeyboardInterrupt:  # uvicorn raises Ctrl-C again once all is closed
        return
