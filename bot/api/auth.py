"""Who may use the API: a holder of one of API_KEYS; everybody when there are none.

Twilio's routes ask for its signature instead and the media socket for its token: neither can send a key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from bot.api.lifespan import agent_of
from bot.errors import UnauthorizedError

bearer_scheme = HTTPBearer(auto_error=False, description="One of API_KEYS.")
header_scheme = APIKeyHeader(name="X-API-Key", auto_error=False, description="One of API_KEYS.")


async def require_key(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(bearer_scheme)],
    header: Annotated[str | None, Security(header_scheme)],
) -> None:
    """UnauthorizedError unless the request carries one of the keys, or none is asked for."""
    keys = [key.get_secret_value() for key in agent_of(request).settings.api_keys]
    if not keys:
        _refuse_from_outside(request)
        return
    given = bearer.credentials if bearer is not None else header
    if given is None:
        raise UnauthorizedError("Send one of the API_KEYS as `Authorization: Bearer …` or `X-API-Key: …`.")
    if not is_one_of(given, keys):
        raise UnauthorizedError("This is none of the API_KEYS.")


def _refuse_from_outside(request: Request) -> None:
    """A tunnel that was opened after the start must not open the API with it: proxies say whom they carry."""
    if not agent_of(request).carrier.simulated and "x-forwarded-for" in request.headers:
        raise UnauthorizedError("This server has no API_KEYS and takes no requests from outside: set API_KEYS.")


KEY_REQUIRED = Depends(require_key)


def key_id_of(request: Request) -> str | None:
    """A short hash of the key that a let-in request came with: what limits by key count. None without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" and token else request.headers.get("x-api-key")
    if not given or not agent_of(request).settings.api_keys:
        return None
    return hashlib.sha256(given.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def is_one_of(given: str, keys: Iterable[str]) -> bool:
    """Whether `given` is among `keys`, in a time that depends on neither (digests have one length)."""
    digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
    found = False
    for key in keys:
        found |= hmac.compare_digest(digest, hashlib.sha256(key.encode()).digest())
    return found
