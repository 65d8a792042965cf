"""Claude as a model of the LLM stage: its requests, and what their streams say.

A stream is read leniently: an event that makes no sense is passed over. The SDK's own reader is not used: it
raises on the first `data:` that is not JSON, and the reply is lost with it.
"""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx2
from anthropic import APIError, AsyncAnthropic, AsyncStream, BadRequestError
from loguru import logger
from pipecat.adapters.llm.services.anthropic_adapter import AnthropicLLMAdapter
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.anthropic.llm import _THINKING_DEFAULTS, _model_name

from bot.pipeline.llm.events import (
    Event,
    ReplyEnd,
    Stopped,
    Text,
    Thought,
    ThoughtBegun,
    ThoughtSigned,
    Tokens,
    ToolBegun,
    ToolJson,
)
from bot.pipeline.llm.fallback import AttemptError
from bot.pipeline.llm.request_meter import RequestMeter
from bot.pipeline.llm.strict_tools import strictly, takes_strict
from bot.pipeline.usage import Usage

VENDOR = "anthropic"
ADAPTER = AnthropicLLMAdapter()  # type: ignore[no-untyped-call]  # pipecat's
ENDINGS: Mapping[str, ReplyEnd] = {
    "end_turn": ReplyEnd.WHOLE,
    "tool_use": ReplyEnd.WHOLE,
    "stop_sequence": ReplyEnd.WHOLE,  # no request asks for one
    "max_tokens": ReplyEnd.CUT,
    "pause_turn": ReplyEnd.CUT,  # of tools that run at Anthropic; a call has none
    "compaction": ReplyEnd.CUT,  # the same
    "model_context_window_exceeded": ReplyEnd.FULL,
    "refusal": ReplyEnd.REFUSED,
}
"""By `stop_reason` (platform.claude.com, "Handling stop reasons"). One that is not here ends a whole reply."""
_BETAS = ["interleaved-thinking-2025-05-14"]
"""pipecat's: lets a model that thinks do so between the calls of tools."""
_HOPELESS_KINDS = frozenset(
    {"invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error",
     "request_too_large"}
)  # fmt: skip


@dataclass(frozen=True)
class ClaudeModel:
    """One Claude, with the prompt of its call."""

    name: str
    max_tokens: int
    instructions: str
    client: AsyncAnthropic
    shared: str = ""
    """Stands before `instructions`, as a block of its own that is cached for the next call of the scenario."""
    loose: set[str] = field(default_factory=set)
    """Names of models whose server refused strict tools."""
    vendor: str = VENDOR
    adapter: AnthropicLLMAdapter = ADAPTER

    async def params(self, context: LLMContext) -> dict[str, Any]:
        """The request's, but for what makes its tools strict."""
        return {
            **await self.adapter.get_llm_invocation_params(
                context,
                enable_prompt_caching=True,
                system_instruction=self.instructions,
                # Newer models refuse a request that ends with the assistant.
                ensure_last_message_is_user=True,
            ),
            **({"system": self._blocks()} if self.shared else {}),
            **thinking_default(self.name),
            "model": self.name,
            "max_tokens": self.max_tokens,
        }

    async def ask(self, context: LLMContext, usage: Usage) -> AsyncGenerator[Event, None]:
        params = await self.params(context)
        meter = RequestMeter(usage, VENDOR, self.name, params)
        async with aclosing(meter.ask(self._request(params), read_stream, APIError)) as said:
            async for event in said:
                yield event

    async def _request(self, params: dict[str, Any]) -> AsyncStream[Any]:
        """With strict tools where the model takes them, and without where its server does not."""
        tools = params["tools"]
        if tools and self.name not in self.loose and takes_strict(self.name):
            try:
                return await self._create(params | {"tools": strictly(tools)})
            except BadRequestError as e:
                if not re.search(r"strict|schema|grammar|additionalProperties", str(e), re.IGNORECASE):
                    raise
                logger.warning("{} takes no strict tools here: {}", self.name, e)
                self.loose.add(self.name)
        return await self._create(params)

    async def _create(self, params: dict[str, Any]) -> AsyncStream[Any]:
        stream: AsyncStream[Any] = await self.client.beta.messages.create(stream=True, betas=_BETAS, **params)
        return stream

    def _blocks(self) -> list[dict[str, Any]]:
        """A cache entry is a prefix over tools, system and messages. What differs between calls is cached with
        the messages behind it; a mark of its own would only be written, once a call."""
        first = {"type": "text", "text": self.shared, "cache_control": {"type": "ephemeral"}}
        return [first, {"type": "text", "text": self.instructions}]


def thinking_default(model: str) -> dict[str, Any]:
    """The parameters of a request for as little thinking as the model knows: on a phone, thinking is silence."""
    return dict(_THINKING_DEFAULTS.get(_model_name(model), {}))


async def read_stream(stream: AsyncStream[Any]) -> AsyncGenerator[Event, None]:
    """What `stream` says. AttemptError for an `error` event or a broken connection."""
    dropped = 0
    try:
        async for raw in AsyncStream.raw_events(stream.response):
            if raw.event == "ping" or not raw.data:
                continue
            data = _object(raw.data)
            if raw.event == "error" or (data is not None and data.get("type") == "error"):
                raise _of_the_stream(data)
            event = None if data is None else read(data)
            if event is not None:
                yield event
            elif data is None:
                dropped += 1
    except (APIError, httpx2.HTTPError, httpx2.StreamError, UnicodeDecodeError, OSError) as e:
        raise AttemptError(f"the stream broke: {type(e).__name__} {e}".strip()) from e
    finally:
        if dropped:
            logger.warning("{} events of Claude's stream were not JSON objects and were passed over", dropped)
        await stream.close()


def read(data: Mapping[str, Any]) -> Event | None:
    """One event by its `type`; None for one that says nothing here. Pure."""
    try:
        match data.get("type"):
            case "message_start":
                return _usage(data["message"].get("usage"))
            case "content_block_start":
                return _block(data["index"], data["content_block"])
            case "content_block_delta":
                return _delta(data.get("index"), data["delta"])
            case "message_delta":
                reason, usage = data["delta"].get("stop_reason"), _usage(data.get("usage"))
                ending = ENDINGS.get(str(reason), ReplyEnd.WHOLE)
                return Stopped(str(reason), usage, ending) if reason else usage
            case "message_stop":
                return Stopped("", Tokens())
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        pass
    return None


def _block(index: Any, block: Mapping[str, Any]) -> Event | None:
    match block.get("type"):
        case "tool_use" if isinstance(block.get("name"), str):
            return ToolBegun(int(index), str(block["id"]), block["name"])
        case "thinking":
            return ThoughtBegun(ADAPTER.id_for_llm_specific_messages)
        case "text" if isinstance(block.get("text"), str):
            return Text(block["text"])
    return None


def _delta(index: Any, delta: Mapping[str, Any]) -> Event | None:
    match delta.get("type"):
        case "text_delta" if isinstance(delta["text"], str):
            return Text(delta["text"])
        case "input_json_delta" if isinstance(delta["partial_json"], str):
            return ToolJson(int(index), delta["partial_json"])
        case "thinking_delta":
            return Thought(str(delta["thinking"]))
        case "signature_delta":
            return ThoughtSigned(str(delta["signature"]))
    return None


def _usage(usage: Any) -> Tokens:
    def count(name: str) -> int | None:
        value = usage.get(name) if isinstance(usage, Mapping) else None
        return value if isinstance(value, int) else None

    return Tokens(
        count("input_tokens"),
        count("output_tokens"),
        count("cache_creation_input_tokens"),
        count("cache_read_input_tokens"),
    )


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _of_the_stream(data: Mapping[str, Any] | None) -> AttemptError:
    error = (data or {}).get("error")
    error = error if isinstance(error, Mapping) else {}
    kind = str(error.get("type", "error"))
    return AttemptError(f"{kind}: {error.get('message', '')}", retryable=kind not in _HOPELESS_KINDS)
