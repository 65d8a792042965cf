"""The Anthropic simulator: the Messages API over HTTP and SSE, paced like a model.

messages.py refuses and counts, llm_replies.py answers; this file owns the wire: keys, events, latency, faults,
and the log of what was asked. Text comes a word at a time against an absolute schedule, so that pacing does not
drift with the load of the machine.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from aiohttp import web

from tests.simulators.faults import Plan
from tests.simulators.llm_replies import MessagesRequest, Replies, Reply, ToolUse
from tests.simulators.messages import (
    ERROR_TYPES,
    PromptCache,
    Refused,
    Usage,
    conforms,
    validate,
)
from tests.simulators.pieces import limited, pieces
from tests.simulators.serving import LoopbackServer, reset


@dataclass(frozen=True)
class AnthropicLatency:
    """When the answer comes, in ms from the request, and how fast."""

    headers_ms: float = 200.0
    """Status line and message_start; never after the first token."""
    first_token_ms: float = 300.0
    tokens_per_second: float = 80.0


@dataclass(frozen=True)
class Refuse:
    """An error status instead of an answer: 401, 403, 429, 500, 529 …; `retry_after` in seconds."""

    status: int
    message: str = ""
    retry_after: float | None = None


@dataclass(frozen=True)
class Hang:
    """Not even headers."""


@dataclass(frozen=True)
class ErrorEvent:
    """An `error` event inside the 200 stream, after so many tokens."""

    after_tokens: int = 3
    kind: str = "overloaded_error"
    message: str = "Overloaded"


@dataclass(frozen=True)
class Stall:
    """The stream stays open and says no more, after so many tokens."""

    after_tokens: int = 3


@dataclass(frozen=True)
class Drop:
    """TCP is reset in mid-stream, after so many tokens."""

    after_tokens: int = 3


@dataclass(frozen=True)
class Slow:
    """The first token comes so much later; headers and message_start are in time."""

    seconds: float


@dataclass(frozen=True)
class Garbage:
    """Events that make no sense, after so many tokens; the reply goes on behind them."""

    after_tokens: int = 2
    lines: tuple[str, ...] = (
        "event: content_block_delta\ndata: {not json",
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0}',
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"hum_delta"}}',
        'event: vibe_check\ndata: {"type":"vibe_check","mood":"fine"}',
        "event: content_block_delta\ndata: [1, 2]",
        "garbage",
    )


AnthropicFault = Refuse | Hang | ErrorEvent | Stall | Drop | Slow | Garbage


@dataclass
class Exchange:
    """One POST to /v1/messages, as served."""

    request: MessagesRequest
    fault: AnthropicFault | None
    reply: Reply | None = None
    usage: Usage | None = None
    outcome: Literal["running", "completed", "refused", "broken", "client left"] = "running"
    """`broken` is a fault in or before the stream; `client left` an interruption, or a timeout over there."""
    sent_text: str = ""
    """Text that went out; shorter than the reply's after an interruption."""
    at: float = field(default_factory=time.monotonic)


class AnthropicSimulator(LoopbackServer):
    """`async with AnthropicSimulator(replies) as sim:` serves on `sim.url` (http://127.0.0.1:port).

    `api_key` None lets every key in, but there must be one. `faults` counts POSTs to /v1/messages, retries
    included. `models` are the ones that exist. `prefill` lets a conversation end with the assistant.

    A request for a structured answer (`output_config.format`, or one forced tool) goes to `analyst`, with faults
    and a log of its own, so that what follows a call disturbs no script of it. None: it is refused, and a call's
    outcome stays what it was.
    `strict_tools` False: `strict` is a 400, as before the API had it.
    `structured`: "taken" as the API does; "refused" with a 400, as before it could; "ignored", answered in prose.
    """

    def __init__(
        self,
        replies: Replies,
        *,
        api_key: str | None = None,
        latency: AnthropicLatency | None = None,
        faults: Plan[AnthropicFault] | None = None,
        models: tuple[str, ...] = ("claude-haiku-5-5", "claude-haiku-4-5", "claude-sonnet-4-6"),
        prefill: bool = False,
        cache_minimum_tokens: int = 1024,
        analyst: Replies | None = None,
        analyst_faults: Plan[AnthropicFault] | None = None,
        structured: Literal["taken", "refused", "ignored"] = "taken",
        strict_tools: bool = True,
    ) -> None:
        super().__init__()
        self._replies = replies
        self._api_key = api_key
        self._latency = latency or AnthropicLatency()
        self.faults: Plan[AnthropicFault] = faults or Plan()
        self._models = models
        self._prefill = prefill
        self._cache = PromptCache(minimum_tokens=cache_minimum_tokens)
        self.analyst = analyst
        self.analyst_faults: Plan[AnthropicFault] = analyst_faults or Plan()
        self._structured = structured
        self._strict_tools = strict_tools
        self.exchanges: list[Exchange] = []
        """Requests that were well-formed, in order."""
        self.analyses: list[Exchange] = []
        """Those of them that wanted a structured answer; they are not among the others."""
        self.rejected: list[str] = []
        """Messages of the errors given to requests that were not."""
        self._served = 0

    async def __aenter__(self) -> AnthropicSimulator:
        await self.start()
        return self

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/messages", self._guarded(self._messages)),
            web.post("/v1/messages/count_tokens", self._guarded(self._count_tokens)),
            web.get("/v1/models", self._guarded(self._list_models)),
            web.get("/v1/models/{id}", self._guarded(self._get_model)),
        ]

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                self._check_headers(request)
                return await handler(request)
            except Refused as refused:
                self.rejected.append(refused.message)
                return _error(refused.status, refused.kind, refused.message)

        return handle

    def _check_headers(self, request: web.Request) -> None:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        key = request.headers.get("x-api-key") or bearer
        if not key:
            raise Refused(401, "authentication_error", "x-api-key header is required")
        if self._api_key is not None and key != self._api_key:
            raise Refused(401, "authentication_error", "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            raise Refused(400, "invalid_request_error", "anthropic-version: header is required")

    async def _decode(self, request: web.Request, *, counting: bool = False) -> MessagesRequest:
        try:
            body = json.loads(await request.read())
        except ValueError:
            body = None
        checked = validate(body, counting=counting, prefill=self._prefill, strict_tools=self._strict_tools)
        self._check_model(str(checked["model"]))
        betas = request.headers.get("anthropic-beta", "")
        return MessagesRequest(
            checked,
            beta=request.query.get("beta") == "true",
            betas=tuple(name.strip() for name in betas.split(",") if name.strip()),
        )

    def _check_model(self, model: str) -> None:
        if model not in self._models:
            raise Refused(404, "not_found_error", f"model: {model}")

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        started = asyncio.get_running_loop().time()
        decoded = await self._decode(request)
        if decoded.answer_schema is not None or decoded.forced_tool is not None:
            exchange = Exchange(decoded, self.analyst_faults.nth(len(self.analyses)))
            self.analyses.append(exchange)
            if self.analyst is None:
                exchange.outcome = "refused"
                return _error(400, "invalid_request_error", "structured outputs are not available")
            if decoded.answer_schema is not None and self._structured == "refused":
                exchange.outcome = "refused"
                raise Refused(400, "invalid_request_error", "output_config: Extra inputs are not permitted")
        else:
            fault, self._served = self.faults.nth(self._served), self._served + 1
            exchange = Exchange(decoded, fault)
            if isinstance(fault, Refuse) and fault.status == 401:
                return self._refuse(fault)
            self.exchanges.append(exchange)
        try:
            return await self._answer(request, exchange, started)
        except (asyncio.CancelledError, ConnectionResetError):
            if exchange.outcome == "running":
                exchange.outcome = "client left"
            raise

    async def _answer(self, request: web.Request, exchange: Exchange, started: float) -> web.StreamResponse:
        fault = exchange.fault
        if isinstance(fault, Hang):
            await self.leaving.wait()
            exchange.outcome = "broken"
            return _error(500, "api_error", "the simulator is leaving")
        if isinstance(fault, Refuse):
            exchange.outcome = "refused"
            return self._refuse(fault)
        try:
            reply = self._reply(exchange.request)
        except Exception as error:  # the rim of what a test wrote: its failure must not look like ours
            exchange.outcome = "refused"
            return _error(500, "api_error", f"the replies failed: {error}", retry=False)
        exchange.reply = reply
        exchange.usage = self._cache.account(exchange.request.body)
        if exchange.request.stream:
            return await self._stream(request, exchange, reply, exchange.usage, started)
        return await self._whole(exchange, reply, exchange.usage, started)

    def _reply(self, request: MessagesRequest) -> Reply:
        schema = request.answer_schema
        if schema is None and request.forced_tool is None:
            return _possible(self._replies(request), request)
        if schema is not None and self._structured == "ignored":
            return Reply("Of course! The call went well, and they confirmed.")
        assert self.analyst is not None, "refused before"
        return _structured(self.analyst(request), request)

    def _refuse(self, fault: Refuse) -> web.Response:
        kind = ERROR_TYPES.get(fault.status, "api_error")
        message = fault.message or kind.removesuffix("_error").replace("_", " ").capitalize()
        return _error(fault.status, kind, message, retry_after=fault.retry_after)

    async def _whole(self, exchange: Exchange, reply: Reply, usage: Usage, started: float) -> web.StreamResponse:
        spoken, stop_reason = limited(reply, exchange.request.body["max_tokens"])
        count = sum(piece.tokens for piece in pieces(reply))
        await self._until(started, self._latency.first_token_ms + self._duration_ms(count))
        exchange.sent_text = spoken
        exchange.outcome = "completed"
        content: list[dict[str, Any]] = [{"type": "text", "text": spoken}] if spoken else []
        content += [
            {"type": "tool_use", "id": tool.id, "name": tool.name, "input": dict(tool.input)}
            for tool in (reply.tools if stop_reason != "max_tokens" else ())
        ]
        message = _message(exchange.request, usage, count)
        return web.json_response(message | {"content": content, "stop_reason": stop_reason}, headers=_identity())

    async def _stream(
        self, request: web.Request, exchange: Exchange, reply: Reply, usage: Usage, started: float
    ) -> web.StreamResponse:
        latency = self._latency
        await self._until(started, min(latency.headers_ms, latency.first_token_ms))
        response = web.StreamResponse(headers=_identity() | {"Cache-Control": "no-cache"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(request)
        sse = _Sse(response)
        await sse.send("message_start", message=_message(exchange.request, usage, 1))
        await sse.send("ping")
        spoken, stop_reason = limited(reply, exchange.request.body["max_tokens"])
        if isinstance(exchange.fault, Slow):
            started += exchange.fault.seconds
        sent = 0
        for piece in pieces(Reply(spoken, reply.tools if stop_reason != "max_tokens" else ())):
            await self._until(started, latency.first_token_ms + self._duration_ms(sent))
            if exchange.fault is not None and await self._break(request, exchange, sse, sent):
                return response
            for name, data in piece.events:
                await sse.send(name, **data)
            sent += piece.tokens
            exchange.sent_text += piece.text
        if exchange.fault is not None and await self._break(request, exchange, sse, None):
            return response
        await sse.send(
            "message_delta",
            delta={"stop_reason": stop_reason, "stop_sequence": None},
            usage=_usage(usage, max(sent, 1)),
        )
        await sse.send("message_stop")
        exchange.outcome = "completed"
        await response.write_eof()
        return response

    async def _break(self, request: web.Request, exchange: Exchange, sse: _Sse, sent: int | None) -> bool:
        """Apply a fault of the stream once `sent` tokens are out (None: all of them); True ends the answer."""
        fault = exchange.fault
        if isinstance(fault, Garbage) and sent is not None and sent >= fault.after_tokens:
            exchange.fault = None
            for lines in fault.lines:
                await sse.write(lines)
        if not isinstance(fault, ErrorEvent | Stall | Drop):
            return False
        if sent is not None and sent < fault.after_tokens:
            return False
        exchange.outcome = "broken"
        match fault:
            case ErrorEvent(_, kind, message):
                await sse.send("error", error={"type": kind, "message": message})
            case Stall():
                await self.leaving.wait()
            case Drop():
                reset(request)
        return True

    async def _count_tokens(self, request: web.Request) -> web.Response:
        decoded = await self._decode(request, counting=True)
        total = PromptCache(minimum_tokens=0).account(decoded.body).total
        return web.json_response({"input_tokens": total}, headers=_identity())

    async def _list_models(self, request: web.Request) -> web.Response:
        data = [_model(name) for name in self._models]
        page = {"data": data, "has_more": False, "first_id": self._models[0], "last_id": self._models[-1]}
        return web.json_response(page, headers=_identity())

    async def _get_model(self, request: web.Request) -> web.Response:
        model = request.match_info["id"]
        self._check_model(model)
        return web.json_response(_model(model), headers=_identity())

    def _duration_ms(self, count: int) -> float:
        return count * 1000 / self._latency.tokens_per_second

    async def _until(self, started: float, after_ms: float) -> None:
        await asyncio.sleep(started + after_ms / 1000 - asyncio.get_running_loop().time())


class _Sse:
    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response

    async def send(self, name: str, **data: Any) -> None:
        body = json.dumps({"type": name} | data, separators=(",", ":"))
        await self.write(f"event: {name}\ndata: {body}")

    async def write(self, lines: str) -> None:
        await self._response.write(f"{lines}\n\n".encode())


def _possible(reply: Reply, request: MessagesRequest) -> Reply:
    """The reply within what the request allows. LookupError for a tool that was not offered."""
    choice = request.body.get("tool_choice") or {}
    tools = reply.tools
    if choice.get("type") == "none":
        tools = ()
    if choice.get("disable_parallel_tool_use"):
        tools = tools[:1]
    for tool in tools:
        if tool.name not in request.tool_names:
            raise LookupError(f"the tool {tool.name!r} was not offered, only {list(request.tool_names)}")
    named = tuple(replace(tool, id=tool.id or f"toolu_{uuid4().hex[:24]}") for tool in tools)
    return replace(reply, tools=named)


def _structured(reply: Reply, request: MessagesRequest) -> Reply:
    """A reply's JSON as the API would put it. LookupError where constrained decoding could not have said it."""
    schema, answer = request.answer_schema, json.loads(reply.text)
    if schema is None:
        assert request.forced_tool is not None
        return _possible(Reply(tools=(ToolUse(request.forced_tool, answer),)), request)
    if not conforms(schema, answer):
        raise LookupError(f"{reply.text} does not conform to {json.dumps(schema)}")
    return reply


def _message(request: MessagesRequest, usage: Usage, output_tokens: int) -> dict[str, Any]:
    return {
        "id": f"msg_{uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(usage, output_tokens) | {"service_tier": "standard"},
    }


def _usage(usage: Usage, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_creation_input_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "output_tokens": output_tokens,
    }


def _model(name: str) -> dict[str, Any]:
    created = datetime(2025, 1, 1, tzinfo=UTC).isoformat().replace("+00:00", "Z")
    title = name.replace("-", " ").title()
    return {"type": "model", "id": name, "display_name": title, "created_at": created, "lifecycle": "active"}


def _identity() -> dict[str, str]:
    return {"request-id": f"req_{uuid4().hex[:24]}"}


def _error(
    status: int, kind: str, message: str, *, retry_after: float | None = None, retry: bool | None = None
) -> web.Response:
    identity = _identity()
    headers = dict(identity)
    if retry_after is not None:
        headers["retry-after"] = f"{retry_after:g}"
    if retry is not None:
        headers["x-should-retry"] = "true" if retry else "false"
    body = {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": identity["request-id"],
    }
    return web.json_response(body, status=status, headers=headers)
