"""The server's own app: lifespan and routers put together."""

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from bot.api.answers import as_event
from bot.api.documentation import complete
from bot.api.mcp import router as mcp_router
from bot.api.metrics import router as metrics_router
from bot.api.problems import install
from bot.api.routes import router
from bot.calls.agent import open_phone_agent
from bot.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The product's routes; the pages of bot.web are its caller's to add."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if app.state.phone_agent is None:
                app.state.phone_agent = await stack.enter_async_context(
                    open_phone_agent(settings, present=as_event)
                )
            # What is loaded now stays: the collector need not walk it during calls.
            gc.collect()
            gc.freeze()
            gc.enable()
            yield
            gc.unfreeze()
            app.state.phone_agent = None

    app = FastAPI(
        title="Phone agent",
        description="Places and answers phone calls: one request, one conversation, one record.",
        version="0.1.0",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # FastAPI has spans and exporters of its own by the same variables;
        # a call's trace is made in bot/telemetry/tracing.py.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    app.state.phone_agent = None
    app.include_router(router)
    app.include_router(metrics_router)
    app.include_router(mcp_router)
    install(app)
    complete(app)
    return app
