"""The form as Anthropic takes it, whatever a request's schema looks like."""

from __future__ import annotations

from typing import Any

import pytest

from bot.calls.outcome.asking import Question
from bot.calls.outcome.form import answer_schema
from bot.json_schema import checked
from tests.simulators.messages import conforms, least, validate


def sent(schema: dict[str, Any]) -> dict[str, Any]:
    question = Question("system", "text", answer_schema(checked(schema)))
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        **question.by_format(),
    }
    validate(body)
    found: dict[str, Any] = body["output_config"]["format"]["schema"]
    return found


@pytest.mark.parametrize(
    "node",
    [
        {"type": "boolean"},
        {"type": "integer", "minimum": 1, "maximum": 5},
        {"type": "string", "minLength": 2, "pattern": "^a+$"},
        {"type": ["string", "null"], "format": "date"},
        {"enum": ["a", "b", None]},
        {"const": "x"},
        {"type": "array", "items": {"type": "string"}, "maxItems": 3, "uniqueItems": True},
        {"type": "object", "properties": {"a": {"type": "number", "multipleOf": 2}}, "required": ["a"]},
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        {"anyOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "integer"}]},
    ],
)
def test_every_kind_of_field_is_sent_as_the_api_takes_it(node: dict[str, Any]) -> None:
    schema = sent({"type": "object", "properties": {"field": node}})
    assert conforms(schema["properties"]["fields"], {"field": None}), "what is not known is null"
    assert conforms(schema, least(schema))


def test_more_fields_than_unions_are_left_out_rather_than_null() -> None:
    schema = sent({"type": "object", "properties": {f"f{n}": {"type": "boolean"} for n in range(30)}})
    fields = schema["properties"]["fields"]
    assert fields["required"] == [f"f{n}" for n in range(16)]
    assert conforms(fields, dict.fromkeys(fields["required"]))
