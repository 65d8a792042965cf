"""Which tools are strict: what the API's grammar compiler takes, within its limits."""

from __future__ import annotations

from typing import Any

import pytest

from bot.conversation.tools import TOOLS
from bot.pipeline.llm.strict_tools import MAX_OPTIONAL, strictly, takes_strict
from tests.simulators.messages import validate


def tool(name: str = "t", required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": "d", "input_schema": schema}


def strict(*tools: dict[str, Any]) -> list[bool]:
    return [one.get("strict", False) for one in strictly(tools)]


@pytest.mark.parametrize(
    ("schema", "held"),
    [
        ({"type": "string"}, True),
        ({"type": "string", "enum": ["a"]}, True),
        ({"type": "array", "items": {"type": "string"}}, True),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, True),
        ({"type": "string", "pattern": "^a$"}, False),
        ({"type": "integer", "minimum": 1}, False),
        ({"type": ["string", "null"]}, False),
        ({"type": "object", "additionalProperties": True}, False),
        ({"description": "anything"}, False),
        ({"type": "array", "items": {"type": "integer", "maximum": 3}}, False),
    ],
)
def test_what_the_grammar_takes(schema: dict[str, Any], held: bool) -> None:
    assert strict(tool(a=schema)) == [held]


def test_objects_are_closed_and_a_tool_beyond_the_limits_stays_as_it_is() -> None:
    many: dict[str, Any] = {f"p{n}": {"type": "string"} for n in range(MAX_OPTIONAL - 1)}
    two = tool("b", x={"type": "string"}, y={"type": "string"})
    first, second, third = strictly([tool("a", **many), two, tool("c")])
    assert first["input_schema"]["additionalProperties"] is False
    assert (first.get("strict"), second.get("strict"), third.get("strict")) == (True, None, True)
    assert second == two
    assert strict(*(tool(f"t{n}") for n in range(22))) == [True] * 20 + [False] * 2


def test_our_own_tools_are_strict_and_the_api_takes_them() -> None:
    ours = [tool(one.name, one.required, **one.parameters) for one in TOOLS.values()]
    held = strictly(ours)
    assert all(one.get("strict") for one in held)
    validate({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}], "tools": held})


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-haiku-5-5", True),
        ("claude-haiku-4-5-20251001", True),
        ("claude-sonnet-4-6", True),
        ("claude-opus-4-1", True),
        ("claude-sonnet-4-20250514", False),
        ("claude-3-5-haiku-latest", False),
        ("qwen3", False),
    ],
)
def test_which_models_know_it(model: str, takes: bool) -> None:
    assert takes_strict(model) is takes
