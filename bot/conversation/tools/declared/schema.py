"""Schemas of tools as the model's vendor takes them: one bad schema would have every request of a call refused.

Names and property names: ^[a-zA-Z0-9_-]{1,64}$, docs.anthropic.com, "Tool use", and JSON Schema 2020-12.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

NAME = r"^[a-zA-Z0-9_-]{1,64}$"
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_KINDS: Mapping[str, type] = {
    "description": str,
    "enum": list,
    "required": list,
    "properties": dict,
    "anyOf": list,
    "oneOf": list,
    "allOf": list,
    "prefixItems": list,
}
_LARGEST = 300
"""Parts of an unfolded schema; the model reads all of it with every reply."""


def checked_properties(properties: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`properties` as given. ValueError says which is none."""
    for name, schema in properties.items():
        if not re.fullmatch(NAME, name):
            raise ValueError(f"{name!r}: letters, digits, - and _ only, 64 at most")
        _check(schema, name)
    return dict(properties)


def _check(schema: Any, where: str) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise ValueError(f"{where}: a JSON Schema is a table")
    if "$ref" in schema:
        raise ValueError(f"{where}: $ref has nothing to refer to here")
    for key, kind in _KINDS.items():
        if not isinstance(schema.get(key, kind()), kind):
            raise ValueError(f"{where}: {key} is a {'table' if kind is dict else kind.__name__}")
    kinds = schema.get("type", [])
    for name in kinds if isinstance(kinds, list) else [kinds]:
        if name not in _TYPES:
            raise ValueError(f"{where}: unknown type {name!r}; known: {', '.join(sorted(_TYPES))}")
    for key, inner in _inside(schema):
        _check(inner, f"{where}.{key}")


def _inside(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas in a schema, each with its place."""
    yield from schema.get("properties", {}).items()
    for key in ("items", "additionalProperties", "not"):
        if key in schema:
            yield key, schema[key]
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for inner in schema.get(key, []):
            yield key, inner


def unfolded(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with its `$ref`s replaced by what they refer to, and without its `$defs`.

    One that contains itself is cut after a while: what is further in may be anything.
    """
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    left = _LARGEST

    def unfold(part: Any) -> Any:
        nonlocal left
        left -= 1
        if isinstance(part, list):
            return [unfold(item) for item in part]
        if not isinstance(part, Mapping):
            return part
        if left < 0:
            return {}
        if isinstance(part.get("$ref"), str):
            known = definitions.get(part["$ref"].rsplit("/", 1)[-1], {})
            return unfold({**known, **{key: value for key, value in part.items() if key != "$ref"}})
        return {key: unfold(value) for key, value in part.items() if key not in ("$defs", "definitions")}

    whole: dict[str, Any] = unfold(schema)
    return whole
