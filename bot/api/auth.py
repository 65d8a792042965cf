"""Who may use the API: a holder of one of API_KEYS, or of a session of the pages; everybody when there are none.

Twilio's routes ask for its signature instead and the media socket for its token: neither can send a key.
"""

import time
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from bot.api.lifespan import agent_of
from bot.calls.access import (
    CSRF_HEADER,
    SAFE_METHODS,
    SESSION_COOKIE,
    Session,
    is_one_of,
    key_id,
    same_origin,
    session_of,
)
from bot.calls.idempotency import Asked
from bot.calls.ingress import is_loopback
from bot.errors import UnauthorizedError

bearer_scheme = HTTPBearer(auto_error=False, description="One of API_KEYS.")
header_scheme = APIKeyHeader(name="X-API-Key", auto_error=False, description="One of API_KEYS.")

_OF_PROXIES = ("basic", "digest", "negotiate", "ntlm")


async def require_key(
    request: Request,
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(bearer_scheme)],
    _header: Annotated[str | None, Security(header_scheme)],
) -> None:
    """UnauthorizedError unless the request carries one of the keys or a session, or none is asked for.

    Each key that is sent has to be one: a wrong one beside a right one is a mistake, or a guess.
    """
    check(request, *given_keys(request))


def check(connection: HTTPConnection, *given: str) -> None:
    """`given`: the keys that headers brought. UnauthorizedError."""
    keys, method = _keys(connection), connection.scope.get("method")
    if not keys:
        _refuse_from_outside(connection)
    elif not given:
        session = _session(connection)
        if session is None:
            raise UnauthorizedError("Send one of the API_KEYS as `Authorization: Bearer …` or `X-API-Key: …`.")
        if method is not None and method not in SAFE_METHODS:
            if not is_one_of(connection.headers.get(CSRF_HEADER, ""), [session.csrf]):
                raise UnauthorizedError("A session needs its page's X-CSRF-Token: load the page again.")
            return
        if method is None and not same_origin(connection.headers.get("origin"), connection.headers.get("host")):
            raise UnauthorizedError("A socket with a session has to come from a page of this server.")
    elif not all(is_one_of(key, keys) for key in given):
        where = "This is" if len(given) == 1 else "`Authorization` or `X-API-Key` is"
        raise UnauthorizedError(f"{where} none of the API_KEYS.")


def _refuse_from_outside(connection: HTTPConnection) -> None:
    """A tunnel that was opened after the start must not open the API with it: proxies say whom they carry.

    Nor must another site's page, in a browser of this machine.
    """
    if not agent_of(connection).carrier.simulated and "x-forwarded-for" in connection.headers:
        raise UnauthorizedError("This server has no API_KEYS and takes no requests from outside: set API_KEYS.")
    origin, method = connection.headers.get("origin"), connection.scope.get("method")
    if origin is None or method in SAFE_METHODS:
        return
    ours = same_origin(origin, connection.headers.get("host")) and is_loopback(urlsplit(origin).hostname or "")
    if not ours:
        raise UnauthorizedError("This server has no API_KEYS and takes nothing from other sites' pages.")


KEY_REQUIRED = Depends(require_key)


def key_id_of(request: Request) -> str | None:
    """A short hash of the key that a let-in request came with: what limits by key count. None without one."""
    given = next(iter(given_keys(request)), None)
    if not _keys(request):
        return None
    if not given:
        session = _session(request)
        given = None if session is None else session.key
    return key_id(given) if given else None


def bound_to(connection: HTTPConnection) -> str:
    """What a let-in request and a later one have in common when they are of the same browser, or the same key."""
    given = next(iter(given_keys(connection)), None)
    if given or not _keys(connection):
        return key_id(given) if given else ""
    session = _session(connection)
    return "" if session is None else session.token


def given_keys(connection: HTTPConnection) -> list[str]:
    """All that is sent as a key, right or wrong. What a proxy in front asks for (Basic and the like) is none."""
    said, header = connection.headers.get("authorization"), connection.headers.get("x-api-key")
    given = []
    if said is not None:
        scheme, _, token = said.strip().partition(" ")
        if scheme.lower() not in _OF_PROXIES:
            given.append(token.strip() if scheme.lower() == "bearer" else "")
    if header is not None:
        given.append(header)
    return given


def _keys(connection: HTTPConnection) -> list[str]:
    return [key.get_secret_value() for key in agent_of(connection).settings.api_keys]


def _session(connection: HTTPConnection) -> Session | None:
    return session_of(connection.cookies.get(SESSION_COOKIE), _keys(connection), time.time())


def asked_by(request: Request, idempotency_key: str | None, request_hash: str | None) -> Asked:
    """Whose request it is; the hash is of what was asked for, and counts with an Idempotency-Key alone."""
    if idempotency_key is None:
        return Asked(key_id_of(request))
    secret = agent_of(request).store.database.secret
    return Asked(key_id_of(request), idempotency_key, request_hash, secret)
