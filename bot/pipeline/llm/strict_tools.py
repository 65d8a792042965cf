"""Tools whose arguments Claude is held to by their schemas: `strict`, where the API can. Pure.

The subset and its limits: platform.claude.com, "Structured outputs", "JSON Schema limitations". A tool beyond
them is offered as it is; its arguments are checked before it runs either way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MAX_TOOLS = 20
MAX_OPTIONAL = 24
"""Parameters that may be left out, over all strict tools of a request."""
MAX_UNIONS = 16
_MODELS = re.compile(r"claude-(?:opus-4-[1-9]\b|(?:sonnet|haiku)-4-[5-9]\b|[a-z]+-(?:[5-9]|\d\d)\b)")
_KEYS = frozenset(
    {"type", "properties", "required", "items", "enum", "const", "anyOf", "description", "title", "default"}
    | {"additionalProperties"}
)


def takes_strict(model: str) -> bool:
    """Whether a model of this name knows `strict`."""
    return bool(_MODELS.search(model))


def strictly(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`tools` in their order, strict as far as the limits go."""
    optional = unions = count = 0
    out: list[dict[str, Any]] = []
    for tool in tools:
        closed = _closed(tool.get("input_schema", {}))
        more, of_several = _left_out(closed), _unions(closed)
        fits = count < MAX_TOOLS and optional + more <= MAX_OPTIONAL and unions + of_several <= MAX_UNIONS
        if closed is None or not fits:
            out.append(dict(tool))
            continue
        optional, unions, count = optional + more, unions + of_several, count + 1
        out.append({**tool, "input_schema": closed, "strict": True})
    return out


def _closed(node: Any) -> dict[str, Any] | None:
    """The schema with its objects closed; None where it is beyond the subset."""
    if not isinstance(node, Mapping) or not node.keys() <= _KEYS or isinstance(node.get("type"), list):
        return None
    if "type" not in node and not node.keys() & {"anyOf", "enum", "const"}:
        return None
    out = dict(node)
    if node.get("type") == "object":
        if node.get("additionalProperties", False) is not False:
            return None
        inner = {name: _closed(value) for name, value in node.get("properties", {}).items()}
        if any(value is None for value in inner.values()):
            return None
        out |= {"properties": inner, "required": list(node.get("required", ())), "additionalProperties": False}
    if "items" in node:
        out["items"] = _closed(node["items"])
    if "anyOf" in node:
        out["anyOf"] = [_closed(choice) for choice in node["anyOf"]]
    parts = [out.get("items", {}), *out.get("anyOf", ())]
    return None if any(part is None for part in parts) else out


def _parts(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        *node.get("properties", {}).values(),
        *node.get("anyOf", ()),
        *([node["items"]] if "items" in node else ()),
    ]


def _left_out(node: Mapping[str, Any] | None) -> int:
    if node is None:
        return 0
    here = len(node.get("properties", {})) - len(node.get("required", ()))
    return here + sum(_left_out(part) for part in _parts(node))


def _unions(node: Mapping[str, Any] | None) -> int:
    return 0 if node is None else ("anyOf" in node) + sum(_unions(part) for part in _parts(node))
