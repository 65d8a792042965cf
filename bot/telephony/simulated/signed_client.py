"""Carries a simulated carrier's requests to our server: signed webhooks and media sockets.

A request is signed for its public URL and may be sent to another address of the same server (`local_origin`), as
a proxy in front of it would.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from bot.telephony.twilio import signatures

_WEBHOOK_SECONDS = 15.0
"""Twilio waits so long for an answer."""
_CLOSE_SECONDS = 2.0


@dataclass(frozen=True)
class WebhookAnswer:
    status: int
    body: str


class SignedClient:
    """`open` before use. `post` and `connect` raise aiohttp.ClientError or TimeoutError."""

    def __init__(self, *, auth_token: str, local_origin: str | None = None) -> None:
        self._auth_token = auth_token
        self._local = urlsplit(local_origin) if local_origin else None
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        # A connection for each webhook: one that is kept may be closed by the server just as it is used again.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), headers={"User-Agent": "TwilioProxy/1.1"}
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        self._session = None

    async def post(self, url: str, fields: Mapping[str, str]) -> WebhookAnswer:
        """A webhook: a signed form."""
        signature = signatures.sign(self._auth_token, url, fields)
        async with self._opened.post(
            self.reached_at(url),
            data=dict(fields),
            headers={signatures.HEADER: signature},
            timeout=aiohttp.ClientTimeout(total=_WEBHOOK_SECONDS),
            allow_redirects=False,
        ) as response:
            return WebhookAnswer(response.status, await response.text())

    async def connect(self, url: str) -> aiohttp.ClientWebSocketResponse:
        """A media socket, its handshake signed. WSServerHandshakeError if the server refuses."""
        signature = signatures.sign(self._auth_token, url)
        return await self._opened.ws_connect(
            self.reached_at(url),
            headers={signatures.HEADER: signature},
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
        )

    def reached_at(self, url: str) -> str:
        """Where a request for `url` is sent."""
        if self._local is None:
            return url
        parts = urlsplit(url)
        tls = self._local.scheme in ("https", "wss")
        websocket = parts.scheme in ("ws", "wss")
        scheme = ("wss" if tls else "ws") if websocket else ("https" if tls else "http")
        return urlunsplit((scheme, self._local.netloc, parts.path, parts.query, ""))

    @property
    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("SignedClient is not open")
        return self._session
