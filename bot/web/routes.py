"""All pages, put into an app."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from bot.web import calls, campaigns, docs, figures, phone, scenarios, sign_in

PARTS = (calls, phone, campaigns, figures, scenarios, sign_in, docs)
STATIC = Path(__file__).parent / "static"


class _Static(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        # Asked for again with If-None-Match: an upgrade of the server is one of its pages, too.
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def install(app: FastAPI) -> None:
    """Adds the pages and /static."""
    for part in PARTS:
        app.include_router(part.router)
    app.mount("/static", _Static(directory=STATIC), name="static")
