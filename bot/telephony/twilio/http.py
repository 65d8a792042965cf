"""The HTTP client under Twilio's SDK: bounded, retried only where a repeat cannot ring a phone twice.

The SDK lets a client bring its own (http_client=). Its AsyncTwilioHttpClient (twilio 9.13) is not used:
it drops the timeout it is constructed with and sends None, which aiohttp reads as "for ever"; it
authenticates through an argument aiohttp deprecates; and it logs the query string, which holds phone
numbers. The synchronous client in threads was the other choice: a hang-up must not queue behind a pool
of stuck dials.

What may be repeated:
- never reached (no connection), or 429: Twilio has not acted, so every request is repeated;
- no answer, or 5xx: Twilio may have acted. Reading, and setting a call's Status, are repeated; placing a
  call is not, 503 included (a gateway may answer it after the call was placed), nor is a TwiML update,
  which may press keys. A dial lost is mended by the caller; a phone that rings twice is not.
Connections are not kept between requests: a reused one that the far side has just closed cannot be told
from a request that got lost after it was read.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import aiohttp
from loguru import logger

if TYPE_CHECKING:  # imports requests, which only its own client needs
    from twilio.http.response import Response  # type: ignore[import-untyped]  # ships no py.typed

CONNECT_SECONDS = 2.0
TOTAL_SECONDS = 5.0
ATTEMPTS = 3


class Failure(Enum):
    """How a request failed without an HTTP status."""

    UNREACHED = "unreached"
    """Nothing was sent."""
    UNANSWERED = "unanswered"
    """Sent, at least in part; whether it was acted on is unknown."""


class NoAnswerError(Exception):
    """The last attempt got no HTTP answer."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(f"{failure.value}: {detail}")
        self.failure = failure


@dataclass(frozen=True)
class RequestBounds:
    """How often a request is tried, and how long it may take."""

    attempts: int = ATTEMPTS
    base_seconds: float = 0.25
    longest_seconds: float = 4.0
    """A Retry-After beyond this is not waited for: the caller hears the 429."""
    connect_seconds: float = CONNECT_SECONDS
    total_seconds: float = TOTAL_SECONDS


def retry_delay(
    bounds: RequestBounds,
    *,
    attempt: int,
    outcome: Failure | int,
    repeatable: bool,
    retry_after: float | None,
    jitter: float,
) -> float | None:
    """Seconds before the next attempt, or None for no further one.

    `attempt` counts from 1; `outcome` is the HTTP status or the failure; `jitter` is drawn from [0, 1).
    """
    if attempt >= bounds.attempts:
        return None
    untouched = outcome is Failure.UNREACHED or outcome == 429
    unsure = outcome is Failure.UNANSWERED or (isinstance(outcome, int) and outcome >= 500)
    if not (untouched or (unsure and repeatable)):
        return None
    backoff = bounds.base_seconds * 2.0 ** (attempt - 1) * (0.5 + jitter / 2)
    delay = max(backoff, retry_after or 0.0)
    return delay if delay <= bounds.longest_seconds else None


class TwilioHttp:
    """Twilio's http_client: the SDK asks it for `is_async` and `request`, nothing else."""

    is_async = True

    def __init__(self, bounds: RequestBounds) -> None:
        self._bounds = bounds
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=32),
            timeout=aiohttp.ClientTimeout(total=bounds.total_seconds, sock_connect=bounds.connect_seconds),
        )

    async def close(self) -> None:
        await self._session.close()

    async def request(  # noqa: PLR0917 - the SDK's signature
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """One request of the SDK, with its retries. NoAnswerError when the last attempt got no HTTP answer.

        `timeout` and `allow_redirects` are the SDK's; the bounds of this client hold instead.
        """
        sent_headers = dict(headers or {})
        if auth is not None:
            credentials = base64.b64encode(f"{auth[0]}:{auth[1]}".encode()).decode()
            sent_headers["Authorization"] = f"Basic {credentials}"
        query = urlencode(dict(params or {}), doseq=True)
        target = f"{url}?{query}" if query else url
        body = urlencode(dict(data), doseq=True) if data else None
        repeatable = method == "GET" or "Status" in (data or {})
        attempt = 0
        while True:
            attempt += 1
            outcome, response = await self._once(method, target, body, sent_headers)
            retry_after = _seconds(response.headers.get("Retry-After")) if response else None
            delay = retry_delay(
                self._bounds,
                attempt=attempt,
                outcome=outcome.failure if isinstance(outcome, NoAnswerError) else outcome,
                repeatable=repeatable,
                retry_after=retry_after,
                jitter=random.random(),
            )
            if delay is None:
                if isinstance(outcome, NoAnswerError):
                    raise outcome
                return response
            logger.warning(
                "Twilio {} failed ({}), attempt {}; again in {:.2f} s", method, outcome, attempt, delay
            )
            await asyncio.sleep(delay)

    async def _once(
        self, method: str, target: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[NoAnswerError | int, Response | None]:
        try:
            async with self._session.request(
                method, target, data=body, headers=headers, allow_redirects=False
            ) as answer:
                text = await answer.text()
                from twilio.http.response import Response

                return answer.status, Response(answer.status, text, answer.headers)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return NoAnswerError(Failure.UNREACHED, _short(error)), None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return NoAnswerError(Failure.UNANSWERED, _short(error)), None


def _short(error: BaseException) -> str:
    """What failed, without the URL aiohttp likes to add."""
    return type(error).__name__


def _seconds(value: str | None) -> float | None:
    """A Retry-After in seconds; its date form is not one Twilio sends."""
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None
