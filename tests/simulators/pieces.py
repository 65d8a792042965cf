"""A reply cut into the events of a stream, without I/O: text by words, tool input by fragments of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.simulators.llm_replies import Reply
from tests.simulators.messages import tokens


@dataclass(frozen=True)
class Piece:
    """Events that go out together, what they weigh, and the text in them."""

    events: tuple[tuple[str, dict[str, Any]], ...]
    tokens: int = 0
    text: str = ""


def limited(reply: Reply, max_tokens: int) -> tuple[str, str]:
    """The text that fits into max_tokens, and the stop reason."""
    count = 0
    kept: list[str] = []
    for word in words(reply.text):
        count += tokens(word)
        if count > max_tokens:
            return "".join(kept), "max_tokens"
        kept.append(word)
    return reply.text, reply.stop_reason or ("tool_use" if reply.tools else "end_turn")


def words(text: str) -> list[str]:
    """As a model would stream them: each with the space before it."""
    return re.findall(r"\s*\S+|\s+$", text)


def pieces(reply: Reply) -> Iterator[Piece]:
    """The content blocks of a reply as stream events: text by words, tool input by fragments of JSON."""
    if reply.text:
        block: dict[str, Any] = {"index": 0, "content_block": {"type": "text", "text": ""}}
        opening: tuple[tuple[str, dict[str, Any]], ...] = (("content_block_start", block),)
        for word in words(reply.text):
            delta = {"index": 0, "delta": {"type": "text_delta", "text": word}}
            yield Piece((*opening, ("content_block_delta", delta)), tokens(word), word)
            opening = ()
        yield Piece((("content_block_stop", {"index": 0}),))
    for index, tool in enumerate(reply.tools, start=1 if reply.text else 0):
        block = {"type": "tool_use", "id": tool.id, "name": tool.name, "input": {}}
        empty = {"index": index, "delta": {"type": "input_json_delta", "partial_json": ""}}
        start = ("content_block_start", {"index": index, "content_block": block})
        yield Piece((start, ("content_block_delta", empty)), tokens(tool.name))
        encoded = (json.dumps(tool.input) if tool.input else "") if tool.raw is None else tool.raw
        for at in range(0, len(encoded), 12):
            part = encoded[at : at + 12]
            delta = {"index": index, "delta": {"type": "input_json_delta", "partial_json": part}}
            yield Piece((("content_block_delta", delta),), tokens(part))
        yield Piece((("content_block_stop", {"index": index}),))
