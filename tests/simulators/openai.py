"""The simulator of OpenAI-compatible servers: chat completions over HTTP and SSE, paced like a model.

It refuses what such servers refuse: an unknown model, a call of a tool that nobody answered, a role it does not
know. `style` "ollama" sends each call of a tool whole and numbers all of them 0, as Ollama does; "openai" numbers
them and sends their arguments in parts.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from aiohttp import web

from tests.simulators.anthropic import (
    AnthropicFault,
    AnthropicLatency,
    Drop,
    ErrorEvent,
    Garbage,
    Hang,
    Refuse,
    Slow,
    Stall,
)
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import MessagesRequest, Replies, Reply, ToolUse, text_of
from tests.simulators.messages import tokens
from tests.simulators.pieces import limited, words
from tests.simulators.serving import LoopbackServer, reset

OpenAILatency = AnthropicLatency
OpenAIFault = AnthropicFault
_ROLES = frozenset({"system", "user", "assistant", "tool"})
_FINISH = {"max_tokens": "length", "tool_use": "tool_calls", "end_turn": "stop"}
_GARBAGE = (": a comment", 'data: {"id":"x","choices":[]}', 'data: {"choices":[{"index":0,"delta":{"hum":1}}]}')


@dataclass(frozen=True)
class ChatRequest(MessagesRequest):
    """A decoded request body, with the words of the other simulators."""

    @property
    def system(self) -> str:
        return "\n".join(str(m["content"]) for m in self.messages if m["role"] == "system")

    @property
    def tool_names(self) -> tuple[str, ...]:
        return tuple(str(tool["function"]["name"]) for tool in self.body.get("tools") or ())

    @property
    def answer_schema(self) -> Mapping[str, Any] | None:
        return None

    @property
    def forced_tool(self) -> str | None:
        return None

    @property
    def last_user_text(self) -> str:
        tail: list[str] = []
        for message in reversed(self.messages):
            if message["role"] not in ("user", "tool"):
                break
            tail[:0] = text_of(message["content"])
        return "\n".join(tail)

    @property
    def tool_results(self) -> dict[str, str]:
        return {m["tool_call_id"]: str(m["content"]) for m in self.messages if m["role"] == "tool"}


@dataclass
class ChatExchange:
    """One POST to /v1/chat/completions, as served."""

    request: ChatRequest
    fault: OpenAIFault | None
    reply: Reply | None = None
    prompt_tokens: int = 0
    outcome: Literal["running", "completed", "refused", "broken", "client left"] = "running"
    sent_text: str = ""
    at: float = field(default_factory=time.monotonic)


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, code: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class OpenAISimulator(LoopbackServer):
    """`async with OpenAISimulator(replies) as sim:` serves on `sim.base_url`, which ends with /v1.

    `api_key` None asks for none. `faults` counts well-formed requests, retries included.
    """

    def __init__(
        self,
        replies: Replies,
        *,
        models: Sequence[str] = ("qwen3:4b", "llama3.2"),
        api_key: str | None = None,
        latency: OpenAILatency | None = None,
        faults: Plan[OpenAIFault] | None = None,
        style: Literal["openai", "ollama"] = "openai",
    ) -> None:
        super().__init__()
        self._replies = replies
        self._models = tuple(models)
        self._api_key = api_key
        self._latency = latency or OpenAILatency()
        self.faults: Plan[OpenAIFault] = faults or Plan()
        self._style = style
        self.exchanges: list[ChatExchange] = []
        """Requests that were well-formed, in order."""
        self.rejected: list[str] = []
        """Messages of the errors given to requests that were not."""

    async def __aenter__(self) -> OpenAISimulator:
        await self.start()
        return self

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/chat/completions", self._complete), web.get("/v1/models", self._list)]

    async def _list(self, request: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "library"} for name in self._models]
        return web.json_response({"object": "list", "data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        started = asyncio.get_running_loop().time()
        try:
            body = self._checked(request, await request.read())
        except _RefusedError as e:
            self.rejected.append(str(e))
            return _error(e.status, e.code, str(e))
        exchange = ChatExchange(ChatRequest(body), self.faults.nth(len(self.exchanges)))
        self.exchanges.append(exchange)
        try:
            return await self._answer(request, exchange, started)
        except (asyncio.CancelledError, ConnectionResetError):
            if exchange.outcome == "running":
                exchange.outcome = "client left"
            raise

    def _checked(self, request: web.Request, raw: bytes) -> Mapping[str, Any]:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._api_key is not None and key != self._api_key:
            raise _RefusedError(401, "Incorrect API key provided.", "invalid_api_key")
        try:
            body = json.loads(raw)
        except ValueError:
            raise _RefusedError(400, "We could not parse the JSON body of your request.") from None
        if body.get("model") not in self._models:
            raise _RefusedError(404, f"model {body.get('model')!r} not found", "model_not_found")
        if not isinstance(body.get("max_tokens", 1), int):
            raise _RefusedError(400, "max_tokens has to be an integer")
        _check_tools(body.get("tools"))
        _check_messages(body.get("messages"))
        return dict(body)

    async def _answer(self, request: web.Request, exchange: ChatExchange, started: float) -> web.StreamResponse:
        fault = exchange.fault
        if isinstance(fault, Hang):
            await self.leaving.wait()
            exchange.outcome = "broken"
            return _error(500, "api_error", "the simulator is leaving")
        if isinstance(fault, Refuse):
            exchange.outcome = "refused"
            return _error(fault.status, "server_error", fault.message or "refused", fault.retry_after)
        try:
            reply = self._replies(exchange.request)
            for tool in reply.tools:
                if tool.name not in exchange.request.tool_names:
                    raise LookupError(f"the tool {tool.name!r} was not offered")
        except Exception as e:  # the rim of what a test wrote
            exchange.outcome = "refused"
            return _error(500, "api_error", f"the replies failed: {e}")
        exchange.reply = reply
        exchange.prompt_tokens = tokens(json.dumps(exchange.request.body["messages"]))
        return await self._stream(request, exchange, reply, started)

    async def _stream(
        self, request: web.Request, exchange: ChatExchange, reply: Reply, started: float
    ) -> web.StreamResponse:
        latency, fault = self._latency, exchange.fault
        response = web.StreamResponse(headers={"Cache-Control": "no-cache"})
        response.content_type = "text/event-stream"
        text, stop = limited(reply, exchange.request.body.get("max_tokens", 4096))
        deltas: list[dict[str, Any]] = [{"content": word} for word in words(text)]
        if stop != "max_tokens":
            deltas += self._tool_deltas(reply.tools)
        if isinstance(fault, Slow):
            started += fault.seconds
        stream = _Chunks(response, exchange.request.model)
        sent = 0
        for delta in deltas:
            await self._until(started, latency.first_token_ms + sent * 1000 / latency.tokens_per_second)
            if not sent:
                await response.prepare(request)
                await stream.send({"role": "assistant", "content": ""})
            if await self._break(request, exchange, stream, sent):
                return response
            await stream.send(delta)
            sent += 1
            exchange.sent_text += delta.get("content") or ""
        if not sent:
            await self._until(started, latency.first_token_ms)
            await response.prepare(request)
        if await self._break(request, exchange, stream, None):
            return response
        await stream.send({}, finish=_FINISH.get(stop, stop))
        if (exchange.request.body.get("stream_options") or {}).get("include_usage"):
            prompt = exchange.prompt_tokens
            total = {"prompt_tokens": prompt, "completion_tokens": sent, "total_tokens": prompt + sent}
            await stream.send(None, usage=total)
        await stream.write("data: [DONE]")
        exchange.outcome = "completed"
        await response.write_eof()
        return response

    def _tool_deltas(self, tools: Sequence[ToolUse]) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = []
        for index, tool in enumerate(tools):
            arguments = tool.raw if tool.raw is not None else json.dumps(dict(tool.input))
            call = {"index": index, "id": tool.id or f"call_{uuid4().hex[:8]}", "type": "function"}
            if self._style == "ollama":
                function = {"name": tool.name, "arguments": arguments}
                deltas.append({"tool_calls": [call | {"index": 0, "function": function}]})
                continue
            deltas.append({"tool_calls": [call | {"function": {"name": tool.name, "arguments": ""}}]})
            parts = re.findall(r".{1,12}", arguments, re.DOTALL)
            deltas += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in parts]
        return deltas

    async def _break(
        self, request: web.Request, exchange: ChatExchange, stream: _Chunks, sent: int | None
    ) -> bool:
        """Apply a fault of the stream once `sent` deltas are out (None: all of them); True ends the answer."""
        fault = exchange.fault
        if isinstance(fault, Garbage) and sent is not None and sent >= fault.after_tokens:
            exchange.fault = None
            for line in _GARBAGE:
                await stream.write(line)
        if not isinstance(fault, ErrorEvent | Stall | Drop) or (sent is not None and sent < fault.after_tokens):
            return False
        exchange.outcome = "broken"
        match fault:
            case ErrorEvent(_, kind, message):
                await stream.write("data: " + json.dumps({"error": {"type": kind, "message": message}}))
            case Stall():
                await self.leaving.wait()
            case Drop():
                reset(request)
        return True

    async def _until(self, started: float, after_ms: float) -> None:
        await asyncio.sleep(started + after_ms / 1000 - asyncio.get_running_loop().time())


class _Chunks:
    def __init__(self, response: web.StreamResponse, model: str) -> None:
        self._response = response
        self._head = {"id": f"chatcmpl-{uuid4().hex[:12]}", "object": "chat.completion.chunk", "model": model}

    async def send(
        self,
        delta: Mapping[str, Any] | None,
        *,
        finish: str | None = None,
        usage: Mapping[str, int] | None = None,
    ) -> None:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        chunk = self._head | {"created": 0, "choices": choices} | ({"usage": usage} if usage else {})
        await self.write("data: " + json.dumps(chunk))

    async def write(self, line: str) -> None:
        await self._response.write(f"{line}\n\n".encode())


def _check_tools(tools: Any) -> None:
    for tool in tools or ():
        name = str((tool.get("function") or {}).get("name", ""))
        if tool.get("type") != "function" or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
            raise _RefusedError(400, f"{name!r} is no function")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise _RefusedError(400, "messages has to be a list with messages in it")
    owed: list[str] = []
    for message in messages:
        role = message.get("role")
        if role not in _ROLES:
            raise _RefusedError(400, f"unknown role {role!r}")
        if role == "tool":
            if message.get("tool_call_id") not in owed:
                raise _RefusedError(400, "messages with role 'tool' must follow the call they answer")
            owed.remove(message["tool_call_id"])
            continue
        if owed:
            raise _RefusedError(400, f"these calls have no answer: {', '.join(owed)}")
        owed = [call["id"] for call in message.get("tool_calls") or ()]
        for call in message.get("tool_calls") or ():
            json.loads(call["function"]["arguments"])
    if owed:
        raise _RefusedError(400, f"these calls have no answer: {', '.join(owed)}")


def _error(status: int, code: str, message: str, retry_after: float | None = None) -> web.Response:
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    body = {"error": {"message": message, "type": code, "code": code}}
    return web.json_response(body, status=status, headers=headers)
