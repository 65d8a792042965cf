"""A request's schema: read into a plain one, or refused with the place to mend."""

from __future__ import annotations

import json
import time
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from bot.conversation.scenario.parts import OutcomeField
from bot.errors import RequestError
from bot.json_schema import MAX_PROPERTIES, checked, fits, of_fields


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Guest(BaseModel):
    name: str
    age: int | None = Field(default=None, ge=0)


class Visit(BaseModel):
    confirmed: bool
    mood: Mood
    kind: Literal["a", "b", None] = None
    guests: list[Guest] = []


def test_a_model_of_pydantic_is_taken_as_it_is() -> None:
    schema = checked(Visit.model_json_schema())
    assert checked(schema) == schema
    assert "$ref" not in str(schema)
    assert fits(schema, {"confirmed": True, "mood": "good", "kind": None, "guests": [{"name": "Ann", "age": 3}]})
    assert not fits(schema, {"confirmed": True, "mood": "fair"})
    assert not fits(schema, {"confirmed": True, "mood": "bad", "guests": [{"name": "Ann", "age": -1}]})


def test_the_scenarios_fields_have_a_schema() -> None:
    fields = (
        OutcomeField(name="ok", type="boolean", description="d"),
        OutcomeField(name="which", type="choice", description="e", options=("x", "y")),
    )
    schema = of_fields(fields)
    assert schema["properties"]["which"] == {"type": "string", "description": "e", "enum": ["x", "y"]}
    assert checked(schema) == schema


def wrapped(node: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": node}}


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ([], "outcome_schema"),
        ("object", "outcome_schema"),
        ({}, "outcome_schema"),
        ({"type": "array", "items": {"type": "string"}}, "outcome_schema"),
        ({"type": "object"}, "outcome_schema"),
        ({"type": "object", "properties": []}, "outcome_schema.properties"),
        (wrapped({"type": "strin"}), "outcome_schema.properties.a.type"),
        (wrapped(True), "outcome_schema.properties.a"),
        (wrapped({"type": "array"}), "outcome_schema.properties.a.items"),
        (wrapped({"if": {}}), "outcome_schema.properties.a.if"),
        (wrapped({"allOf": [{}, {}]}), "outcome_schema.properties.a.allOf"),
        (wrapped({"anyOf": []}), "outcome_schema.properties.a.anyOf"),
        (wrapped({"enum": [{}]}), "outcome_schema.properties.a.enum"),
        (wrapped({"enum": []}), "outcome_schema.properties.a.enum"),
        (wrapped({"type": "string", "enum": [1]}), "outcome_schema.properties.a.enum"),
        (wrapped({"$ref": "https://example.com/schema"}), "outcome_schema.properties.a.$ref"),
        (wrapped({"$ref": "#/$defs/none"}), "outcome_schema.properties.a.$ref"),
        (wrapped({"$ref": "#/properties/a"}), "outcome_schema"),
        (wrapped({"type": "integer", "minimum": "1"}), "outcome_schema.properties.a.minimum"),
        (wrapped({"properties": {}, "required": ["b"]}), "outcome_schema.properties.a.required"),
        ({"type": "object", "properties": {"a b": {"type": "string"}}}, "outcome_schema.properties"),
        (wrapped({"type": "string", "description": "x" * 20_000}), "outcome_schema"),
        (
            {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(MAX_PROPERTIES + 1)}},
            "outcome_schema",
        ),
        (wrapped({"type": "number", "default": float("nan")}), "outcome_schema"),
        ({"properties": {}, "additionalProperties": {}}, "outcome_schema.additionalProperties"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_with_its_place(schema: Any, field: str) -> None:
    with pytest.raises(RequestError) as refused:
        checked(schema)
    assert refused.value.field == field
    assert refused.value.code == "invalid_outcome_schema"


def test_a_schema_that_refers_to_itself_is_refused() -> None:
    person = {"type": "object", "properties": {"parent": {"$ref": "#/$defs/person"}}}
    with pytest.raises(RequestError, match="refers to itself"):
        checked(
            {"type": "object", "properties": {"who": {"$ref": "#/$defs/person"}}, "$defs": {"person": person}}
        )


def test_many_references_in_many_are_not_followed_for_ever() -> None:
    levels = {
        f"l{n}": {"type": "object", "properties": {f"p{m}": {"$ref": f"#/$defs/l{n + 1}"} for m in range(20)}}
        for n in range(8)
    }
    with pytest.raises(RequestError):
        checked({"$ref": "#/$defs/l0", "$defs": {**levels, "l8": {"type": "string"}}})


@pytest.mark.parametrize(
    ("node", "good", "bad"),
    [
        ({"type": "boolean"}, [True, False], [1, "true", None]),
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": 3}, [1, 2, 2.0], [0, 3, 1.5, True, "1"]),
        ({"type": "number"}, [1, 1.5], [False, "1"]),
        ({"type": "string", "format": "date"}, ["2026-03-05"], ["Thursday", 3]),
        ({"type": "string", "format": "date-time"}, ["2026-03-05T14:00:00Z"], ["at two"]),
        ({"type": "string", "enum": ["a"]}, ["a"], ["b"]),
        ({"type": ["string", "null"], "maxLength": 2}, ["ab", None], ["abc", 1]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [["a"]], [[], [1], "a"]),
        ({"enum": ["a", 1, None]}, ["a", 1, None], ["b", 2]),
    ],
)
def test_what_fits(node: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    plain = checked(wrapped(node))["properties"]["a"]
    assert [value for value in good if not fits(plain, value)] == []
    assert [value for value in bad if fits(plain, value)] == []


def test_references_to_references_are_not_multiplied() -> None:
    """10 kB that would be 48 MB."""
    parts = {
        "a": {"anyOf": [{"type": "string"}] * 200},
        "b": {"anyOf": [{"$ref": "#/$defs/a"}] * 200},
    }
    properties = {f"x{n}": {"$ref": "#/$defs/b"} for n in range(MAX_PROPERTIES)}
    begun = time.process_time()
    with pytest.raises(RequestError, match="parts"):
        checked({"type": "object", "properties": properties, "$defs": parts})
    assert time.process_time() - begun < 1.0


def test_what_is_taken_is_taken_again() -> None:
    """A call reads the plain form once more: too late to refuse it for what its references make of it."""
    long = {"type": "string", "description": "x" * 3000}
    properties = {f"x{n}": {"$ref": "#/$defs/long"} for n in range(6)}
    schema = {"type": "object", "properties": properties, "$defs": {"long": long}}
    with pytest.raises(RequestError, match="larger than 16000 bytes with its references"):
        checked(schema)
    del properties["x0"], properties["x1"]
    assert checked(checked(schema)) == checked(schema)


@pytest.mark.parametrize("schema", [{"type": "array"}, {"confirmed": "boolean"}, {"type": ["array", "null"]}, {}])
def test_what_is_no_object_is_told_so_first_with_an_example(schema: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="has to be an object, as in") as refused:
        checked(schema)
    example = refused.value.message.partition("as in ")[2].removesuffix(".")
    assert checked(json.loads(example))["type"] == "object"
