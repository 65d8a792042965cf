"""The OpenAPI document with words for every property and parameter; descriptions.json has those that models lack.

A property of one name means one thing in all models, so it is described once; `Model.property` is for the others.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from fastapi import FastAPI

DESCRIPTIONS: Mapping[str, str] = json.loads(files("bot.api").joinpath("descriptions.json").read_text("utf-8"))


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """`document` itself, completed."""
    for name, node, owner in described(document):
        words = DESCRIPTIONS.get(f"{owner}.{name}") or DESCRIPTIONS.get(name)
        if words is not None and not is_described(node):
            node["description"] = words
    return document


def described(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every property and parameter: its name, its node, and the schema or operation it belongs to."""
    for owner, schema in document.get("components", {}).get("schemas", {}).items():
        for name, node in schema.get("properties", {}).items():
            yield name, node, owner
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for parameter in operation.get("parameters", ()):
                yield parameter["name"], parameter, f"{method.upper()} {path}"


def is_described(node: Mapping[str, Any]) -> bool:
    return "description" in node or "description" in node.get("schema", {})


def complete(app: FastAPI) -> None:
    """Makes the app's document, whenever that is made, a complete one."""
    make: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        made = app.openapi_schema is not None
        document = make()
        return document if made else describe(document)

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
