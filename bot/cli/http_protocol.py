"""uvicorn's HTTP connection with an end to requests that are never sent to theirs.

uvicorn 0.54 closes a connection that is idle between two requests, and none that is idle within one: half of
a request holds a socket for ever. So a request's head has to come within HEAD_SECONDS, and its body may not stand
still for BODY_SECONDS.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 20.0
BODY_SECONDS = 30.0
_BODY = b'{"error": {"code": "request_timeout", "message": "The request has no end.", "retryable": true}}'
_TIMEOUT = (
    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    head_seconds, body_seconds = HEAD_SECONDS, BODY_SECONDS
    _bound: asyncio.TimerHandle | None = None
    _in_body = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_body:
            self._expect(self.body_seconds)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect(self.head_seconds)

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._expect(self.body_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._expect(None)
        super().on_message_complete()

    def _expect(self, seconds: float | None) -> None:
        if self._bound is not None:
            self._bound.cancel()
        self._bound = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self.transport.is_closing():
            return
        if not self._in_body:  # else the answer to this request may have begun
            self.transport.write(_TIMEOUT)
        self.transport.close()
