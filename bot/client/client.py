"""The API's requests as methods: `PhoneClient`, and `AsyncPhoneClient`, which is the same with `await`."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from anyio.from_thread import start_blocking_portal
from standardwebhooks import Webhook, WebhookVerificationError

from .models import Event, PhoneCall, PlacedCall

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
STREAM_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
"""The server sends a comment every 15 s where nothing happens."""
LOOK_SECONDS = 1.0
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""Before each repetition of a request that may be repeated."""


class ApiError(Exception):
    """Base of all. `retryable`: the same request may work later."""

    retryable = False


class ServerUnreachableError(ApiError):
    """No answer. A call that was asked for may have been placed: ask again with its idempotency key."""

    retryable = True


class RequestRefusedError(ApiError):
    """An answer of 400 and above: `code` is stable, `field` the one to mend, the message says what to do."""

    def __init__(self, answer: httpx.Response) -> None:
        try:
            problem = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            problem = {}
        super().__init__(problem.get("message") or f"HTTP {answer.status_code}: {answer.text[:200]}")
        self.status_code = answer.status_code
        self.code: str = problem.get("code") or "http_error"
        self.field: str | None = problem.get("field")
        self.retryable = bool(problem.get("retryable", answer.status_code in {429, 502, 503}))


class WebhookError(ApiError):
    """Not sent by the server, changed on its way, or older than five minutes."""


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes | str) -> dict[str, Any]:
    """The event of a webhook; `secret` is WEBHOOK_SECRET. WebhookError where its signature does not hold."""
    try:
        event: dict[str, Any] = Webhook(secret).verify(body, dict(headers))
    except (WebhookVerificationError, ValueError) as e:
        raise WebhookError(str(e)) from e
    return event


def _headers(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _once(key: str | None = None) -> dict[str, str]:
    """Repeated with it, a request is done once."""
    return {"Idempotency-Key": key or uuid.uuid4().hex}


def _call(call_id: str, *parts: str) -> str:
    return "/".join(["/api/phone/calls", quote(call_id, safe=""), *parts])


def _may_wait(method: str, headers: Mapping[str, str], times: int, error: ApiError) -> float | None:
    """Seconds until the request is made again; None: it is not. What could do a thing twice is not repeated."""
    repeatable = method != "POST" or "Idempotency-Key" in headers
    return RETRY_SECONDS[times] if error.retryable and repeatable and times < len(RETRY_SECONDS) else None


class _Reader:
    """Server-sent events, line by line (html.spec.whatwg.org, 9.2)."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self._data: list[str] = []

    def read(self, line: str) -> Event | None:
        """The event that the line ends, if any."""
        if not line:
            text, self._data = "\n".join(self._data), []
            return Event.model_validate(json.loads(text)) if text else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self.last_id = value
        return None

    def headers(self) -> dict[str, str]:
        return {"Last-Event-ID": self.last_id} if self.last_id else {}


class AsyncPhoneClient:
    """One server's. Every method raises RequestRefusedError or ServerUnreachableError."""

    def __init__(
        self, url: str = DEFAULT_URL, key: str | None = None, *, http: httpx.AsyncClient | None = None
    ) -> None:
        self._http = http or httpx.AsyncClient(base_url=url, headers=_headers(key), timeout=TIMEOUT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def place(
        self, phone_number: str, action: str, *, idempotency_key: str | None = None, **more: Any
    ) -> PlacedCall:
        """`more`: the other fields of POST /call: context, callee_name, scenario, schedule_at … Repeated with the
        same key it is the same call, dialled once."""
        body = {"phone_number": phone_number, "action": action, **more}
        placed = await self.request("POST", "/api/phone/call", body, headers=_once(idempotency_key))
        return PlacedCall.model_validate(placed)

    async def get(self, call_id: str) -> PhoneCall:
        return PhoneCall.model_validate(await self.request("GET", _call(call_id)))

    async def wait(self, call_id: str, within_seconds: float = 1800.0) -> PhoneCall:
        """The call once it is over. TimeoutError."""
        async with asyncio.timeout(within_seconds):
            while not (call := await self.get(call_id)).finished:  # noqa: ASYNC110  # the server is elsewhere
                await asyncio.sleep(LOOK_SECONDS)
        return call

    async def events(self, call_id: str) -> AsyncGenerator[Event]:
        """What happened so far and what happens, to the call's end; goes on where a connection was lost."""
        reader, times = _Reader(), 0
        while True:
            try:
                headers = {"Accept": "text/event-stream", **reader.headers()}
                path = _call(call_id, "events")
                async with self._http.stream("GET", path, headers=headers, timeout=STREAM_TIMEOUT) as answer:
                    if answer.status_code == 204:
                        return
                    if answer.is_error:
                        await answer.aread()
                        raise RequestRefusedError(answer)
                    async for line in answer.aiter_lines():
                        if event := reader.read(line):
                            times = 0
                            yield event
                            if event.event == "stream_ended":
                                return
            except httpx.TransportError as e:
                if times == len(RETRY_SECONDS):
                    raise ServerUnreachableError(str(e) or type(e).__name__) from e
            await asyncio.sleep(RETRY_SECONDS[min(times, len(RETRY_SECONDS) - 1)])
            times += 1

    async def list_calls(self, *, limit: int = 50, **where: str) -> list[PhoneCall]:
        """The newest; `where`: status."""
        found = await self.request("GET", "/api/phone/calls", params={"limit": limit, **where})
        return [PhoneCall.model_validate(call) for call in found["calls"]]

    async def hang_up(self, call_id: str) -> PhoneCall:
        return PhoneCall.model_validate(await self.request("POST", _call(call_id, "hangup")))

    async def say(self, call_id: str, text: str, *, now: bool = False) -> str:
        """The agent says it, `now` in the midst of its sentence; what became of it."""
        done = await self.request("POST", _call(call_id, "say"), {"text": text, "now": now}, headers=_once())
        return str(done["result"])

    async def inject(self, call_id: str, fact: str, *, reply: bool = False) -> str:
        """The model knows it, as from the business; with `reply` the agent speaks of it in the next gap."""
        body = {"fact": fact, "reply": reply}
        return str((await self.request("POST", _call(call_id, "inject"), body, headers=_once()))["result"])

    async def recording(self, call_id: str) -> bytes:
        """A stereo WAV, the callee left, the agent right."""
        return (await self.send("GET", _call(call_id, "recording"))).content

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """Any other route: the JSON of its answer, None where it has none."""
        answer = await self.send(method, path, body, headers=headers, params=params)
        return answer.json() if answer.content else None

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """Made again where that can do nothing twice."""
        given = dict(headers or {})
        times = 0
        while True:
            error: ApiError
            try:
                answer = await self._http.request(method, path, json=body, headers=given, params=params)
                if not answer.is_error:
                    return answer
                error = RequestRefusedError(answer)
            except httpx.TransportError as e:
                error = ServerUnreachableError(str(e) or type(e).__name__)
            seconds = _may_wait(method, given, times, error)
            if seconds is None:
                raise error
            await asyncio.sleep(seconds)
            times += 1


class PhoneClient:
    """The same for programs without `await`: an AsyncPhoneClient in a thread of its own."""

    def __init__(self, url: str = DEFAULT_URL, key: str | None = None) -> None:
        self._stack = ExitStack()
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._client = self._portal.call(partial(AsyncPhoneClient, url, key))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.call(self._client.__aexit__, kind, error, trace)
        self._stack.close()

    def place(
        self, phone_number: str, action: str, *, idempotency_key: str | None = None, **more: Any
    ) -> PlacedCall:
        place = partial(self._client.place, idempotency_key=idempotency_key, **more)
        return self._portal.call(place, phone_number, action)

    def get(self, call_id: str) -> PhoneCall:
        return self._portal.call(self._client.get, call_id)

    def wait(self, call_id: str, within_seconds: float = 1800.0) -> PhoneCall:
        return self._portal.call(self._client.wait, call_id, within_seconds)

    def events(self, call_id: str) -> Iterator[Event]:
        events = self._client.events(call_id)
        try:
            while (event := self._portal.call(anext, events, None)) is not None:
                yield event
        finally:
            self._portal.call(events.aclose)

    def list_calls(self, *, limit: int = 50, **where: str) -> list[PhoneCall]:
        return self._portal.call(partial(self._client.list_calls, limit=limit, **where))

    def hang_up(self, call_id: str) -> PhoneCall:
        return self._portal.call(self._client.hang_up, call_id)

    def say(self, call_id: str, text: str, *, now: bool = False) -> str:
        return self._portal.call(partial(self._client.say, call_id, text, now=now))

    def inject(self, call_id: str, fact: str, *, reply: bool = False) -> str:
        return self._portal.call(partial(self._client.inject, call_id, fact, reply=reply))

    def recording(self, call_id: str) -> bytes:
        return self._portal.call(self._client.recording, call_id)

    def request(
        self, method: str, path: str, body: Any = None, *, params: Mapping[str, Any] | None = None
    ) -> Any:
        return self._portal.call(partial(self._client.request, method, path, body, params=params))
