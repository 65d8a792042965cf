"""Structured answers of the Anthropic simulator, asked for by the real SDK."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from tests.simulators.llm_replies import Reply, ScriptedReplies
from tests.simulators.messages import Refused, conforms, least, validate
from tests.simulators.test_anthropic import HELLO, MODEL, served

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "ok": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "mood": {"enum": ["a"], "type": "string"},
    },
    "required": ["ok", "mood"],
    "additionalProperties": False,
}
FORMAT: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}


def body(schema: Any) -> dict[str, Any]:
    form = {"type": "json_schema", "schema": schema}
    return {"model": "m", "max_tokens": 9, "messages": HELLO, "output_config": {"format": form}}


async def test_the_answer_is_json_and_no_part_of_the_conversation() -> None:
    async with served(ScriptedReplies([]), analyst=lambda _: Reply('{"ok": true, "mood": "a"}')) as (sim, client):
        message = await client.messages.create(model=MODEL, max_tokens=100, messages=HELLO, output_config=FORMAT)
        (block,) = message.content
        assert block.type == "text"
        assert json.loads(block.text) == {"ok": True, "mood": "a"}
        assert (len(sim.analyses), sim.exchanges) == (1, [])


async def test_a_forced_tool_is_called() -> None:
    tool: Any = {"name": "fill_in", "description": "", "input_schema": SCHEMA}
    choice: Any = {"type": "tool", "name": "fill_in"}
    async with served(ScriptedReplies([]), analyst=lambda _: Reply('{"ok": null}')) as (_, client):
        message = await client.messages.create(
            model=MODEL, max_tokens=100, messages=HELLO, tools=[tool], tool_choice=choice
        )
        (block,) = message.content
        assert block.type == "tool_use"
        assert (block.name, block.input) == ("fill_in", {"ok": None})


async def test_a_reply_cannot_say_what_the_schema_forbids() -> None:
    async with served(ScriptedReplies([]), analyst=lambda _: Reply('{"ok": 3}')) as (_, client):
        with pytest.raises(anthropic.InternalServerError, match="does not conform"):
            await client.messages.create(model=MODEL, max_tokens=9, messages=HELLO, output_config=FORMAT)


async def test_without_an_analyst_it_is_not_available() -> None:
    async with served(ScriptedReplies([])) as (sim, client):
        with pytest.raises(anthropic.BadRequestError):
            await client.messages.create(model=MODEL, max_tokens=9, messages=HELLO, output_config=FORMAT)
        assert sim.rejected == []


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "object", "properties": {}}, "additionalProperties"),
        ({"type": "integer", "minimum": 1}, "minimum"),
        ({"type": "string", "pattern": "a"}, "pattern"),
        ({"properties": {}}, "Invalid type"),
        ("text", "Input should be"),
        ({"anyOf": [{"anyOf": []}] * 16}, "union types"),
    ],
)
def test_what_the_api_refuses(schema: Any, why: str) -> None:
    with pytest.raises(Refused) as refused:
        validate(body(schema))
    assert why in refused.value.message


def test_the_least_that_conforms() -> None:
    assert validate(body(SCHEMA))
    assert least(SCHEMA) == {"ok": None, "mood": "a"}
    assert conforms(SCHEMA, least(SCHEMA))
    assert not conforms(SCHEMA, {"ok": None})
    assert not conforms(SCHEMA, {"ok": None, "mood": "a", "more": 1})
