"""What a simulated model answers: replies as data, chosen by count or by what the user said."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ToolUse:
    """A tool the model calls. `id` None: the API makes one up."""

    name: str
    input: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    raw: str | None = None
    """Sent in the place of the input's JSON: arguments that cannot be read."""


@dataclass(frozen=True)
class Reply:
    """What the model says, then the tools it calls, in order. Both empty is a real answer too."""

    text: str = ""
    tools: tuple[ToolUse, ...] = ()
    stop_reason: str | None = None
    """In the place of the one that follows from the reply: "refusal"."""


@dataclass(frozen=True)
class MessagesRequest:
    """A decoded request body; `body` is all of it, as it came."""

    body: Mapping[str, Any]
    beta: bool = False
    betas: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream", False))

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body["messages"])

    @property
    def system(self) -> str:
        """The system prompt's text, blocks joined by newlines."""
        return "\n".join(text_of(self.body.get("system") or ""))

    @property
    def tool_names(self) -> tuple[str, ...]:
        return tuple(str(tool["name"]) for tool in self.body.get("tools") or ())

    @property
    def answer_schema(self) -> Mapping[str, Any] | None:
        """What a structured answer has to conform to, asked for by `output_config.format`."""
        form = (self.body.get("output_config") or {}).get("format")
        return None if form is None else dict(form["schema"])

    @property
    def forced_tool(self) -> str | None:
        """The one tool that has to be called."""
        choice = self.body.get("tool_choice") or {}
        return str(choice["name"]) if choice.get("type") == "tool" else None

    @property
    def last_user_text(self) -> str:
        """What is to be answered: text and tool results of the user messages at the end, by lines."""
        tail: list[str] = []
        for message in reversed(self.messages):
            if message["role"] != "user":
                break
            tail[:0] = text_of(message["content"])
        return "\n".join(tail)

    @property
    def tool_results(self) -> dict[str, str]:
        """tool_use_id → text of the results in the last message."""
        content = self.messages[-1]["content"]
        blocks = [] if isinstance(content, str) else content
        return {
            block["tool_use_id"]: "\n".join(text_of(block.get("content") or ""))
            for block in blocks
            if block["type"] == "tool_result"
        }


def text_of(content: str | Sequence[Mapping[str, Any]]) -> list[str]:
    """The texts of a content, tool results included."""
    if isinstance(content, str):
        return [content]
    texts: list[str] = []
    for block in content:
        if block.get("type") == "text":
            texts.append(str(block["text"]))
        elif block.get("type") == "tool_result":
            texts += text_of(block.get("content") or "")
    return texts


Replies = Callable[[MessagesRequest], Reply]
"""Pure and quick: the simulator adds the latency. An exception becomes a 500 with its text."""


class ScriptedReplies:
    """The nth request gets the nth reply, then `then`; without it a request too many is an error."""

    def __init__(self, replies: Sequence[Reply | str], *, then: Reply | str | None = None) -> None:
        self._replies = [_reply(reply) for reply in replies]
        self._then = None if then is None else _reply(then)
        self.asked = 0

    def __call__(self, request: MessagesRequest) -> Reply:
        index, self.asked = self.asked, self.asked + 1
        if index < len(self._replies):
            return self._replies[index]
        if self._then is None:
            raise LookupError(f"the script has {len(self._replies)} replies, this is request {index + 1}")
        return self._then


class RuleReplies:
    """The first rule whose pattern is found in what is to be answered, ignoring case; else `otherwise`."""

    def __init__(self, rules: Sequence[tuple[str, Reply | str]], *, otherwise: Reply | str) -> None:
        self._rules = [(re.compile(pattern, re.IGNORECASE), _reply(reply)) for pattern, reply in rules]
        self._otherwise = _reply(otherwise)

    def __call__(self, request: MessagesRequest) -> Reply:
        heard = request.last_user_text
        return next((reply for pattern, reply in self._rules if pattern.search(heard)), self._otherwise)


def _reply(reply: Reply | str) -> Reply:
    return Reply(reply) if isinstance(reply, str) else reply
