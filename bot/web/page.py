"""What every page has: who may see it, its template, its headers, its errors."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from loguru import logger
from markupsafe import Markup
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bot.calls.access import SESSION_COOKIE, Session, session_of
from bot.calls.agent import PhoneAgent
from bot.calls.ingress import is_loopback
from bot.errors import ConflictError, NotFoundError, PhoneAgentError, RequestError

STAGE_WORDS = {
    "vad": "silence noticed",
    "stt": "words",
    "turn": "turn over",
    "llm": "first token",
    "sentence": "sentence",
    "tts": "voice",
    "line": "line",
}
"""What the pages call each stage of a reply, in order."""
_STATUS = ((NotFoundError, 404), (ConflictError, 409), (RequestError, 422))


def agent_of(connection: HTTPConnection) -> PhoneAgent:
    """The agent of the app. A 503 while there is none."""
    agent = getattr(connection.app.state, "phone_agent", None)
    if agent is None:
        raise HTTPException(503, "The phone agent is starting or stopping; try again in a moment.")
    return cast(PhoneAgent, agent)


def keys_of(connection: HTTPConnection) -> list[str]:
    return [key.get_secret_value() for key in agent_of(connection).settings.api_keys]


def session_in(connection: HTTPConnection) -> Session | None:
    """The session of this browser, if it has signed in."""
    return session_of(connection.cookies.get(SESSION_COOKIE), keys_of(connection), time.time())


def from_this_machine(connection: HTTPConnection) -> bool:
    """Neither from elsewhere, nor through a proxy, nor under another site's name (DNS rebinding)."""
    client = connection.client.host if connection.client is not None else ""
    return (
        is_loopback(client)
        and is_loopback(connection.url.hostname or "")
        and "x-forwarded-for" not in connection.headers
    )


class OpenPage(APIRoute):
    """A page that anybody may see."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            request.state.nonce = secrets.token_urlsafe(16)
            try:
                refused = self.refuse(request)
                response = await handle(request) if refused is None else refused
            except Exception as error:
                response = _failed(request, error)
            return _guarded(request, response)

        return answer

    def refuse(self, request: Request) -> Response | None:
        """What is answered in the place of the page; None: the page."""
        return None


class LockedPage(OpenPage):
    """A page for holders of a session; without API_KEYS, for this machine."""

    def refuse(self, request: Request) -> Response | None:
        if not keys_of(request):
            if from_this_machine(request):
                return None
            words = "This server has no API_KEYS, so its pages answer on this machine alone. Set API_KEYS."
            return _error(request, 403, words)
        if session_in(request) is not None:
            return None
        if "hx-request" in request.headers:
            return Response(status_code=401, headers={"HX-Refresh": "true"})
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(wanted)}", 303)


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A template with what the frame around all pages needs."""
    session = session_in(request) if keys_of(request) else None
    return HTMLResponse(
        _TEMPLATES.get_template(template).render(
            path=request.url.path,
            nonce=request.state.nonce,
            csrf="" if session is None else session.csrf,
            signed_in=session is not None,
            **values,
        ),
        status,
    )


def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError | ValidationError):
        return _error(request, 422, "This address has a part that does not fit: " + str(error.errors()[0]["msg"]))
    if isinstance(error, PhoneAgentError):
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        return _error(request, status, error.message)
    if isinstance(error, HTTPException):
        return _error(request, error.status_code, str(error.detail))
    logger.opt(exception=error).error("{} {} failed", request.method, request.url.path)
    return _error(request, 500, "Something broke on our side; the server's log says what.")


def _error(request: Request, status: int, message: str) -> Response:
    return HTMLResponse(
        _TEMPLATES.get_template("error.html").render(
            path=request.url.path, nonce="", csrf="", signed_in=False, status=status, message=message
        ),
        status,
    )


def _guarded(request: Request, response: Response) -> Response:
    """The headers of a page; one that has a policy of its own keeps it."""
    response.headers.setdefault(
        "Content-Security-Policy",
        # wavesurfer puts a style sheet into its shadow root; it takes the nonce.
        f"default-src 'self'; style-src 'self' 'nonce-{request.state.nonce}'; img-src 'self' data:; "
        "media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


# -- how values are written ------------------------------------------------------------------------------


def _iso(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _utc(moment: datetime | None) -> str:
    """For readers without JavaScript; app.js writes it in the reader's zone."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _seconds(value: float | None) -> str:
    """65 → 1:05"""
    return "–" if value is None else f"{int(value // 60)}:{int(value % 60):02}"


def _words(value: object) -> str:
    """A value of a record as a person reads it."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def _plain(name: object) -> str:
    """callee_hangup → callee hangup"""
    return "–" if name is None else str(name).replace("_", " ").replace("-", " ")


def _day(seconds: int) -> str:
    """Unix time of a day, whatever the zone."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _usd(value: float | None) -> str:
    return "–" if value is None else f"${value:.4f}" if value < 0.1 else f"${value:,.2f}"


def _inline(text: str) -> Markup:
    """A line of Markdown: `code`, and links as their words."""
    plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    parts = plain.split("`")
    return Markup().join(
        Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts)
    )


_TEMPLATES = Environment(
    loader=PackageLoader("bot.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
NAV = (
    ("/", "Calls"),
    ("/phone", "Softphone"),
    ("/campaigns", "Campaigns"),
    ("/scenarios", "Scenarios"),
    ("/figures", "Figures"),
    ("/docs", "API"),
)
"""The pages in the head of each, in order."""
_TEMPLATES.globals["nav_items"] = NAV
_TEMPLATES.globals["stage_words"] = STAGE_WORDS
_TEMPLATES.filters.update(
    iso=_iso,
    utc=_utc,
    seconds=_seconds,
    words=_words,
    plain=_plain,
    usd=_usd,
    inline=_inline,
    day=_day,
    pretty=lambda v: json.dumps(v, indent=2),
)
