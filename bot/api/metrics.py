"""GET /metrics, at the root of the app: what this server counts, for Prometheus.

Scrapers sit inside, so a request from a private address that no proxy has passed on needs no key. From outside,
or once METRICS_KEY is set, it takes METRICS_KEY or one of API_KEYS. Asking everybody for one of API_KEYS was
rejected: a scraper would hold a key that can dial.
"""

import asyncio
import ipaddress
import time
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials
from loguru import logger

from bot.api.auth import bearer_scheme, given_keys, header_scheme
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute
from bot.calls.access import is_one_of
from bot.calls.ingress import is_loopback
from bot.errors import UnauthorizedError
from bot.telemetry import metrics

QUEUES_SECONDS = 5.0
"""How old the queues' depths may be: however many scrape, the database is asked no more often."""
QUEUES_PATIENCE_SECONDS = 2.0
"""A slow database delays no scrape for longer; Prometheus waits 10 s by default."""
_FORWARDED = ("forwarded", "via", "x-real-ip", "cf-connecting-ip", "true-client-ip")

router = APIRouter(route_class=ProblemRoute)


async def may_scrape(
    request: Request,
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(bearer_scheme)],
    _header: Annotated[str | None, Security(header_scheme)],
) -> None:
    """UnauthorizedError for a request that needs a key and has none of them."""
    settings = agent_of(request).settings
    if settings.metrics_key is None and is_inside(request, settings.public_host):
        return
    keys = [key.get_secret_value() for key in settings.api_keys]
    if settings.metrics_key is not None:
        keys.append(settings.metrics_key.get_secret_value())
    given = given_keys(request)
    if not given or not all(is_one_of(key, keys) for key in given):
        raise UnauthorizedError("Send METRICS_KEY, or one of API_KEYS, as `Authorization: Bearer …`.")


def is_inside(request: Request, public_url: str | None) -> bool:
    """Whether it comes from this machine or its private network, by itself.

    Proxies say whom they carry; one that does not may still ask for the public name, which no client inside does.
    """
    forwarded = any(name in _FORWARDED or name.startswith("x-forwarded-") for name in request.headers)
    public_host = urlsplit(public_url or "").hostname
    asked_for = request.headers.get("host", "").lower().partition(":")[0]
    by_name = public_host is not None and not is_loopback(public_host) and asked_for == public_host
    if request.client is None or forwarded or by_name:
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_private  # loopback and link-local are, too


@router.get("/metrics", dependencies=[Depends(may_scrape)], include_in_schema=False)
async def scrape(request: Request) -> Response:
    """Prometheus' text format, or OpenMetrics where the Accept header asks for it."""
    await _look_at_queues(request)
    body, content_type = await asyncio.to_thread(metrics.page, request.headers.get("accept", ""))
    return Response(body, headers={"content-type": content_type})


async def _look_at_queues(request: Request) -> None:
    """A database that is away takes nothing from the page but the queues' news."""
    state, now = request.app.state, time.monotonic()
    if now - getattr(state, "queues_seen_at", -QUEUES_SECONDS) < QUEUES_SECONDS:
        return
    state.queues_seen_at = now
    try:
        async with asyncio.timeout(QUEUES_PATIENCE_SECONDS):
            metrics.queues_seen(await agent_of(request).engine.waiting())
    except Exception as e:  # the rim of a scrape
        logger.warning("the queues could not be counted: {}", type(e).__name__)
