"""One attempt: a signed POST, what came back, and no more than a few KiB of it.

How many are under way is bounded, in all and by receiver: one that hangs holds its places for the whole
timeout, and must not hold everybody's. Those whose last attempt ran into the timeout share a few places of their
own, so that many of them at once do not either. Waiting for a place is not part of the timeout.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2
from loguru import logger

from bot.calls.webhooks.rules import Signer
from bot.errors import AddressError
from bot.public_http import Outgoing

TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = 4096
_MAX_WORDS = 200
_DRAIN_SECONDS = 1.0
_UNUSABLE = "not sent: the URL cannot be used"
_AT_ONCE = 50
"""Half of the connections of Outgoing, which HTTP tools use too."""
_AT_ONCE_BY_RECEIVER = 20
_AT_ONCE_SILENT = 10
"""To all receivers together that were silent the last time."""
_SILENT_KEPT = 1000


@dataclass(frozen=True)
class Answer:
    """The result of an attempt. `error` is None after a 2xx; `hopeless`: no later attempt can do better."""

    at: datetime
    duration_ms: int
    status_code: int | None = None
    error: str | None = None
    retry_after: str | None = None
    hopeless: bool = False


class Sender:
    """`outgoing` is asked for at each attempt: its owner opens and closes what it gives."""

    def __init__(
        self,
        outgoing: Callable[[], Outgoing],
        signer: Signer,
        *,
        allow_private: bool,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._outgoing = outgoing
        self._signer = signer
        self._allow_private = allow_private
        self._timeout_seconds = timeout_seconds
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._silent_places = asyncio.Semaphore(_AT_ONCE_SILENT)
        self._silent: dict[str, None] = {}
        """Receivers whose last attempt ran into the timeout, the longest known first."""
        self._by_receiver: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    async def send(self, url: str, message_id: str, body: str) -> Answer:
        """Never raises but for cancellation: whatever goes wrong is the answer."""
        if not self._signer:
            return Answer(datetime.now(UTC), 0, error="this server has no WEBHOOK_SECRET")
        try:
            receiver = httpx2.URL(url).netloc.decode()
        except httpx2.InvalidURL:
            return Answer(datetime.now(UTC), 0, error=_UNUSABLE, hopeless=True)
        async with self._place(receiver):
            now, begun = datetime.now(UTC), time.monotonic()
            headers = self._signer.headers(message_id, now, body)
            came = await self._ask(url, headers, body)
            self._remember(receiver, silent=came.silent)
            took = round((time.monotonic() - begun) * 1000)
            return Answer(now, took, came.status_code, came.error, came.retry_after, came.hopeless)

    @asynccontextmanager
    async def _place(self, receiver: str) -> AsyncIterator[None]:
        self._users[receiver] += 1
        mine = self._by_receiver.setdefault(receiver, asyncio.Semaphore(_AT_ONCE_BY_RECEIVER))
        try:
            async with mine, self._silent_places if receiver in self._silent else self._places:
                yield
        finally:
            self._users[receiver] -= 1
            if not self._users[receiver]:
                del self._users[receiver], self._by_receiver[receiver]

    def _remember(self, receiver: str, *, silent: bool) -> None:
        self._silent.pop(receiver, None)
        if silent:
            self._silent[receiver] = None
            if len(self._silent) > _SILENT_KEPT:
                del self._silent[next(iter(self._silent))]

    async def _ask(self, url: str, signature: Mapping[str, str], body: str) -> _Came:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "phone-agent-webhooks",
            "Accept-Encoding": "identity",  # what is small on the wire could unfold to anything
            **signature,
        }
        client = self._outgoing().client(allow_private=self._allow_private)
        begun = time.monotonic()
        try:
            request = client.build_request("POST", url, content=body.encode(), headers=headers)
            async with asyncio.timeout(self._timeout_seconds):
                response = await client.send(request, stream=True)
        except AddressError as e:
            return _Came(error=f"not sent: {e.message}", hopeless=True)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, UnicodeError):
            return _Came(error=_UNUSABLE, hopeless=True)
        except (TimeoutError, httpx2.TimeoutException):
            return _Came(error=f"no answer within {self._timeout_seconds:g} s", silent=True)
        except httpx2.HTTPError as e:
            return _Came(error=f"{type(e).__name__}: {e}"[:_MAX_WORDS])
        except Exception as e:
            logger.opt(exception=e).error("a webhook could not be sent")
            return _Came(error=f"{type(e).__name__} in this server")
        try:
            return await _read(response, max(0.0, begun + self._timeout_seconds - time.monotonic()))
        finally:
            await response.aclose()


@dataclass(frozen=True)
class _Came:
    status_code: int | None = None
    error: str | None = None
    retry_after: str | None = None
    hopeless: bool = False
    silent: bool = False


async def _read(response: httpx2.Response, seconds: float) -> _Came:
    """The status is the answer; the body is only read for its first words, or to use the connection again."""
    code = response.status_code
    words = await _first_words(response, min(seconds, _DRAIN_SECONDS))
    if response.is_success:
        return _Came(code)
    if response.has_redirect_location:
        words = "redirects are not followed"
    error = f"answered {code}: {words}" if words else f"answered {code}"
    return _Came(code, error, response.headers.get("retry-after"))


async def _first_words(response: httpx2.Response, seconds: float) -> str:
    read = b""
    try:
        async with asyncio.timeout(seconds):
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) >= MAX_ANSWER_BYTES:
                    break
    except (TimeoutError, httpx2.HTTPError):
        pass  # a body that does not come changes nothing about the status
    text = read[:MAX_ANSWER_BYTES].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_MAX_WORDS]
