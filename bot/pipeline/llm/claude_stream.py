"""What a streamed Messages response says, read leniently: an event that makes no sense is passed over.

The SDK's own reader is not used: it raises on the first `data:` that is not JSON, and the reply is lost with it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from anthropic import APIConnectionError, APIError, APIStatusError, AsyncStream
from loguru import logger

from bot.pipeline.llm.fallback import AttemptError

_HOPELESS = frozenset({400, 401, 403, 404, 413, 422})
"""Statuses the same request gets again."""
_HOPELESS_KINDS = frozenset(
    {"invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error",
     "request_too_large"}
)  # fmt: skip


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class ToolBegun:
    index: int
    call_id: str
    name: str


@dataclass(frozen=True)
class ToolJson:
    """A part of the arguments of the tool of this index."""

    index: int
    json: str


@dataclass(frozen=True)
class ThoughtBegun:
    pass


@dataclass(frozen=True)
class Thought:
    text: str


@dataclass(frozen=True)
class ThoughtSigned:
    signature: str


@dataclass(frozen=True)
class Usage:
    """Tokens of the message so far; None: not said here."""

    input: int | None = None
    output: int | None = None
    cache_creation: int | None = None
    cache_read: int | None = None


@dataclass(frozen=True)
class Stopped:
    """The reply is whole."""

    reason: str
    usage: Usage


Event = Text | ToolBegun | ToolJson | ThoughtBegun | Thought | ThoughtSigned | Usage | Stopped


def speaks(event: Event) -> bool:
    """Whether the model has begun to answer: an empty reply is one, too, a thought is none."""
    return isinstance(event, ToolBegun | Stopped) or (isinstance(event, Text) and bool(event.text))


def ends(event: Event) -> bool:
    return isinstance(event, Stopped)


async def events(stream: AsyncStream[Any]) -> AsyncGenerator[Event, None]:
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
                reason = data["delta"].get("stop_reason")
                return Stopped(str(reason), _usage(data.get("usage"))) if reason else _usage(data.get("usage"))
            case "message_stop":
                return Stopped("", Usage())
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        pass
    return None


def _block(index: Any, block: Mapping[str, Any]) -> Event | None:
    match block.get("type"):
        case "tool_use" if isinstance(block.get("name"), str):
            return ToolBegun(int(index), str(block["id"]), block["name"])
        case "thinking":
            return ThoughtBegun()
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


def _usage(usage: Any) -> Usage:
    def count(name: str) -> int | None:
        value = usage.get(name) if isinstance(usage, Mapping) else None
        return value if isinstance(value, int) else None

    return Usage(
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


def refusal(error: APIError) -> AttemptError:
    """Why a request got no stream."""
    if isinstance(error, APIStatusError):
        status = error.status_code
        body = error.body if isinstance(error.body, Mapping) else {}
        told = body.get("error")
        message = told.get("message") if isinstance(told, Mapping) else None
        return AttemptError(
            f"status {status}: {message or 'no reason given'}",
            retryable=status not in _HOPELESS,
            retry_after=_seconds(error.response.headers.get("retry-after")),
        )
    if isinstance(error, APIConnectionError):
        cause = error.__cause__
        return AttemptError(f"{type(error).__name__}: {type(cause).__name__ if cause else error.message}")
    return AttemptError(f"{type(error).__name__}: {error.message}")


def _seconds(header: str | None) -> float | None:
    """Of a Retry-After header; None where it names a date or nothing."""
    try:
        return None if header is None else float(header)
    except ValueError:
        return None
