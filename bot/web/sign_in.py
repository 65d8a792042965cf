"""Signing in with one of API_KEYS, and out."""

from __future__ import annotations

import math
import time
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from bot.calls.access import (
    SESSION_COOKIE,
    SESSION_SECONDS,
    SignInLimit,
    begin_session,
    is_one_of,
    same_origin,
)
from bot.web.page import OpenPage, agent_of, keys_of, render, session_in

router = APIRouter(route_class=OpenPage, include_in_schema=False)
LIMIT = SignInLimit()


@router.get("/sign-in")
async def ask(request: Request, next: Annotated[str, Query(max_length=2000)] = "/") -> Response:  # noqa: A002
    if not keys_of(request) or session_in(request) is not None:
        return RedirectResponse(_inside(next), 303)
    return render(request, "sign_in.html", next=_inside(next), problem=None)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    key: Annotated[str, Form(max_length=1000)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
) -> Response:
    address, now = request.client.host if request.client is not None else "", time.time()
    wait = LIMIT.seconds_to_wait(address, now)
    if wait:
        problem = f"Too many wrong keys from this address: try again in {math.ceil(wait)} seconds."
        response: Response = render(request, "sign_in.html", 429, next=_inside(next), problem=problem)
        response.headers["Retry-After"] = str(math.ceil(wait))
        return response
    keys = keys_of(request)
    ours = same_origin(request.headers.get("origin"), request.headers.get("host"))
    found = next_key(key.strip(), keys) if ours else None
    if found is None:
        LIMIT.was_wrong(address, now)
        problem = "This is none of the API_KEYS of this server." if ours else "Sign in from this page itself."
        return render(request, "sign_in.html", 403, next=_inside(next), problem=problem)
    response = RedirectResponse(_inside(next), 303)
    response.set_cookie(
        SESSION_COOKIE,
        begin_session(found, now).token,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=_behind_tls(request),
    )
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Of this browser; SameSite keeps other sites from doing it."""
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(SESSION_COOKIE)
    return response


def next_key(given: str, keys: list[str]) -> str | None:
    """The key that was given, if it is one."""
    return next((key for key in keys if is_one_of(given, [key])), None)


def _inside(target: str) -> str:
    """A path of ours, whatever the link said."""
    parts = urlsplit(target)
    safe = not parts.scheme and not parts.netloc and target.startswith("/") and "\\" not in target
    return target if safe and not target.startswith("//") else "/"


def _behind_tls(request: Request) -> bool:
    """Also where a proxy ends TLS: it says so, or PUBLIC_HOST does for requests under its name."""
    if request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https":
        return True
    public = urlsplit(agent_of(request).settings.public_host or "")
    return public.scheme == "https" and public.hostname == request.url.hostname
