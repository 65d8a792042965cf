"""The Messages API's rules, without I/O: what it refuses, how it counts tokens, what the prompt cache does.

Error texts are the API's own (https://docs.anthropic.com/en/api/errors and what it answers in practice). A
token is four characters: close enough for prices and limits, and stable.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TOP_LEVEL = frozenset(
    {
        *("model", "messages", "max_tokens", "system", "tools", "tool_choice", "stream", "stop_sequences"),
        *("temperature", "top_p", "top_k", "metadata", "thinking", "service_tier", "container", "speed"),
        *("context_management", "mcp_servers", "output_config", "output_format", "inference_geo"),
        *("cache_control", "diagnostics"),
    }
)
_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")
_MAX_CACHE_BREAKPOINTS = 4


class Refused(Exception):
    """The API answers with an error body instead of a message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message


ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def invalid(message: str) -> Refused:
    return Refused(400, "invalid_request_error", message)


def validate(
    body: object, *, counting: bool = False, prefill: bool = False, strict_tools: bool = True
) -> Mapping[str, Any]:
    """The body, if the API would take it. Raises Refused.

    `counting` is count_tokens, which needs no max_tokens. `prefill` is a model that lets the last message be
    the assistant's; current ones do not.
    """
    if not isinstance(body, dict):
        raise invalid("The request body is not valid JSON")
    for name in ("model", "messages") if counting else ("model", "messages", "max_tokens"):
        if name not in body:
            raise invalid(f"{name}: Field required")
    for name in body.keys() - _TOP_LEVEL:
        raise invalid(f"{name}: Extra inputs are not permitted")
    if not counting and (not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1):
        raise invalid("max_tokens: Input should be greater than or equal to 1")
    temperature = body.get("temperature")
    if temperature is not None and not 0 <= temperature <= 1:
        raise invalid("temperature: range: 0..1")
    _check_tools(body, strict=strict_tools)
    _check_format(body)
    _check_messages(body["messages"], prefill=prefill)
    marked = sum("cache_control" in block for _, block in _cacheable(body))
    if marked > _MAX_CACHE_BREAKPOINTS:
        raise invalid(f"A maximum of 4 blocks with cache_control may be provided. Found {marked}.")
    return body


def _check_tools(body: Mapping[str, Any], *, strict: bool) -> None:
    tools = body.get("tools") or []
    for index, tool in enumerate(tools):
        if not _TOOL_NAME.match(tool.get("name", "")):
            raise invalid(f"tools.{index}.custom.name: String should match pattern '{_TOOL_NAME.pattern}'")
        if tool.get("type", "custom") == "custom" and "input_schema" not in tool:
            raise invalid(f"tools.{index}.custom.input_schema: Field required")
        if "strict" in tool and not strict:
            raise invalid(f"tools.{index}.custom.strict: Extra inputs are not permitted")
        if tool.get("strict"):
            _strict(tool["input_schema"])
    held = [tool["input_schema"] for tool in tools if tool.get("strict")]
    if len(held) > _MAX_STRICT_TOOLS:
        raise invalid("Too many strict tools (limit: 20)")
    if sum(len(schema.get("properties", {})) - len(schema.get("required", ())) for schema in held) > 24:
        raise invalid("Schemas contains too many optional parameters (limit: 24)")
    names = [tool["name"] for tool in tools]
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is not None and not tools:
        raise invalid("tool_choice may only be specified while providing tools")
    if choice and choice.get("type") == "tool" and choice.get("name") not in names:
        raise invalid(f"Tool '{choice.get('name')}' not found in provided tools")


_UNSUPPORTED = {
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("minLength", "maxLength", "pattern"),
    "array": ("maxItems", "uniqueItems"),
}
"""What structured outputs do not take, by type (platform.claude.com, "JSON Schema limitations")."""
_MAX_UNIONS = 16
_MAX_STRICT_TOOLS = 20


def _check_format(body: Mapping[str, Any]) -> None:
    """`output_config`: an effort, and the format of a structured answer."""
    config = body.get("output_config")
    if config is None:
        return
    for name in config.keys() - {"effort", "format"}:
        raise invalid(f"output_config.{name}: Extra inputs are not permitted")
    form = config.get("format")
    if form is None:
        return
    if form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict):
        raise invalid("output_config.format: Input should be a json_schema with its schema")
    if _strict(form["schema"]) > _MAX_UNIONS:
        raise invalid("Schemas contains too many parameters with union types (limit: 16)")


def _strict(schema: Any) -> int:
    """Refuses what the grammar compiler does; counts the unions."""
    if not isinstance(schema, dict):
        raise invalid("output_config.format.schema: Input should be a valid dictionary")
    if "anyOf" in schema:
        return 1 + sum(_strict(choice) for choice in schema["anyOf"])
    kind = schema.get("type")
    if kind not in ("object", "array", "string", "integer", "number", "boolean", "null"):
        raise invalid(f"output_config.format.schema: Invalid type {kind!r}")
    for name in _UNSUPPORTED.get(kind, ()):
        if name in schema:
            raise invalid(f"output_config.format.schema: For '{kind}' type, property '{name}' is not supported")
    if kind == "array":
        return _strict(schema.get("items", {"type": "string"}))
    if kind == "object":
        if schema.get("additionalProperties") is not False:
            raise invalid(
                "output_config.format.schema: For 'object' type, 'additionalProperties' must be "
                "explicitly set to false"
            )
        if not set(schema.get("required", ())) <= schema.get("properties", {}).keys():
            raise invalid("output_config.format.schema: 'required' names unknown properties")
        return sum(_strict(inner) for inner in schema.get("properties", {}).values())
    return 0


def conforms(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether constrained decoding could have written `value`."""
    if "anyOf" in schema:
        return any(conforms(choice, value) for choice in schema["anyOf"])
    if "enum" in schema and value not in schema["enum"]:
        return False
    match schema["type"]:
        case "object":
            inner = schema.get("properties", {})
            return (
                isinstance(value, dict)
                and set(schema.get("required", ())) <= value.keys() <= inner.keys()
                and all(conforms(inner[name], one) for name, one in value.items())
            )
        case "array":
            return isinstance(value, list) and all(conforms(schema["items"], one) for one in value)
        case "boolean" | "null" | "string":
            kinds: dict[str, type] = {"boolean": bool, "null": type(None), "string": str}
            return isinstance(value, kinds[schema["type"]])
        case _:
            return isinstance(value, int | float) and not isinstance(value, bool)


def least(schema: Mapping[str, Any]) -> Any:
    """The smallest value that conforms: null where it may be, else empty, zero, false."""
    if "anyOf" in schema:
        return least(min(schema["anyOf"], key=lambda choice: choice.get("type") != "null"))
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "object":
        inner = schema.get("properties", {})
        return {name: least(inner[name]) for name in schema.get("required", ())}
    return {"array": [], "string": "", "boolean": False, "null": None}.get(schema["type"], 0)


def _check_messages(messages: Any, *, prefill: bool) -> None:
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    for index, message in enumerate(messages):
        _check_content(messages, index, message)
    if messages[0]["role"] != "user":
        raise invalid('messages: first message must use the "user" role')
    _check_tool_pairs(_joined(messages))
    if messages[-1]["role"] == "assistant":
        if not prefill:
            raise invalid(
                "This model does not support assistant message prefill. "
                "The conversation must end with a user message."
            )
        texts = [block["text"] for block in blocks_of(messages[-1]) if block["type"] == "text"]
        if texts and texts[-1] != texts[-1].rstrip():
            raise invalid("messages: final assistant content cannot end with trailing whitespace")


def _check_content(messages: Sequence[Any], index: int, message: Any) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    if role == "system":
        raise invalid(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, '
            'not "system" as an input message role.'
        )
    if role not in ("user", "assistant"):
        raise invalid(f"messages.{index}.role: Input should be 'user' or 'assistant'")
    if "content" not in message:
        raise invalid(f"messages.{index}.content: Field required")
    last_assistant = index == len(messages) - 1 and role == "assistant"
    if not message["content"] and not last_assistant:
        raise invalid(
            f"messages.{index}: all messages must have non-empty content "
            "except for the optional final assistant message"
        )
    for block in blocks_of(message):
        if block.get("type") == "text":
            if not block.get("text"):
                raise invalid("messages: text content blocks must be non-empty")
            if not block["text"].strip():
                raise invalid("messages: text content blocks must contain non-whitespace text")


def _joined(messages: Sequence[Mapping[str, Any]]) -> list[tuple[int, str, list[dict[str, Any]]]]:
    """(index of the first, role, blocks) with messages of one role in a row as the one turn they are."""
    turns: list[tuple[int, str, list[dict[str, Any]]]] = []
    for index, message in enumerate(messages):
        if turns and turns[-1][1] == message["role"]:
            turns[-1][2].extend(blocks_of(message))
        else:
            turns.append((index, message["role"], blocks_of(message)))
    return turns


def _check_tool_pairs(turns: Sequence[tuple[int, str, list[dict[str, Any]]]]) -> None:
    """Every tool_use is answered in the next turn, every tool_result answers one in the turn before."""
    seen: set[str] = set()
    open_ids: list[str] = []
    opened_at = 0
    for index, role, blocks in turns:
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        missing = [used for used in open_ids if used not in results]
        if missing:
            raise _unanswered(opened_at, missing)
        for position, block in enumerate(blocks):
            if block["type"] == "tool_result" and block["tool_use_id"] not in open_ids:
                raise invalid(
                    f"messages.{index}.content.{position}: unexpected `tool_use_id` found in "
                    f"`tool_result` blocks: {block['tool_use_id']}. Each `tool_result` block must have "
                    "a corresponding `tool_use` block in the previous message."
                )
        open_ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if role == "user" and open_ids:
            raise invalid(f"messages.{index}: `tool_use` blocks can only be in `assistant` messages")
        if len({*open_ids}) < len(open_ids) or seen & {*open_ids}:
            raise invalid("messages: `tool_use` ids must be unique")
        seen |= {*open_ids}
        opened_at = index
    if open_ids:
        raise _unanswered(opened_at, open_ids)


def _unanswered(index: int, ids: Sequence[str]) -> Refused:
    return invalid(
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(ids)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
        "next message."
    )


def blocks_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A message's content as blocks; a string is one text block."""
    content = message["content"]
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content)


def tokens(text: str) -> int:
    return max(1, -(-len(text) // 4))


@dataclass(frozen=True)
class Usage:
    """Input side of a message's usage; the three add up to the whole prompt."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int

    @property
    def total(self) -> int:
        return self.input_tokens + self.cache_creation_input_tokens + self.cache_read_input_tokens


class PromptCache:
    """Prefixes kept by `cache_control`: the longest known one is read, what lies behind it up to the last
    breakpoint is written. A prefix shorter than `minimum_tokens` is never kept. Nothing expires.
    """

    def __init__(self, *, minimum_tokens: int) -> None:
        self._minimum = minimum_tokens
        self._known: set[str] = set()

    def account(self, body: Mapping[str, Any]) -> Usage:
        """Usage of this request; remembers its prefixes for the next."""
        digest = hashlib.sha256(str(body["model"]).encode())
        position = 0
        prefixes: list[tuple[int, str]] = []
        breakpoints: list[tuple[int, str]] = []
        for part, block in _cacheable(body):
            plain = {key: value for key, value in block.items() if key != "cache_control"}
            encoded = json.dumps([part, plain], sort_keys=True)
            digest.update(encoded.encode())
            position += tokens(encoded)
            prefixes.append((position, digest.hexdigest()))
            if "cache_control" in block and position >= self._minimum:
                breakpoints.append(prefixes[-1])
        last = max((at for at, _ in breakpoints), default=0)
        read = max((at for at, key in prefixes if at <= last and key in self._known), default=0)
        written = last - read
        self._known |= {key for _, key in breakpoints}
        return Usage(position - read - written, written, read)


def _cacheable(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The prompt's blocks in the order of the cache: tools, system, messages."""
    for tool in body.get("tools") or ():
        yield "tool", tool
    system = body.get("system")
    if isinstance(system, str):
        yield "system", {"type": "text", "text": system}
    else:
        for block in system or ():
            yield "system", block
    for message in body["messages"]:
        for block in blocks_of(message):
            yield message["role"], block
