"""The API's documentation, /docs and /redoc, from files of our own; no key is asked for."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from bot.web.page import OpenPage, render

router = APIRouter(route_class=OpenPage, include_in_schema=False)
_POLICY = (
    # Both make style sheets as they run; redoc searches in a worker of its own.
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src 'self' blob:; "
    "font-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


@router.get("/docs")
async def swagger(request: Request) -> Response:
    return _documented(request, "swagger")


@router.get("/redoc")
async def redoc(request: Request) -> Response:
    return _documented(request, "redoc")


def _documented(request: Request, viewer: str) -> Response:
    response = render(request, "docs.html", viewer=viewer, schema=request.app.openapi_url)
    response.headers["Content-Security-Policy"] = _POLICY
    return response
