"""HTTP and WebSocket routes below /api/phone, one noun a file; the only place that imports fastapi.

    from fastapi import FastAPI
    from bot.api import router

    app = FastAPI()
    app.include_router(router)

The router brings its own lifespan, which opens the agent that `use` named; an app that puts an agent of its
own into `app.state.phone_agent` during its lifespan keeps that one. `metrics_router` is GET
/metrics, and `mcp_router` /mcp: they stand at the root of an app, not below /api/phone.
"""

from bot.api.lifespan import use
from bot.api.mcp import router as mcp_router
from bot.api.metrics import router as metrics_router
from bot.api.problems import install
from bot.api.routes import router
from bot.calls.agent import PhoneAgent

__all__ = ["PhoneAgent", "install", "mcp_router", "metrics_router", "router", "use"]
