"""What is wrong in a scenario file, in words for whoever wrote it: the key and what was meant. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

_KINDS = {
    "string_type": "a string in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list in brackets",
    "list_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
"""pydantic's type errors: what the value has to be."""
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def told(error: ValidationError, model: type[BaseModel]) -> str:
    """All mistakes in one line, each as `key: what is wrong with it`."""
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc']) or 'file'}: {_words(one, model)}" for one in error.errors()
    )


def _words(error: Any, model: type[BaseModel]) -> str:
    kind, place, given, context = error["type"], error["loc"], error["input"], error.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return _unknown(str(place[-1]), place[:-1], model)
        case "missing":
            return "has to be given"
        case "literal_error":
            options = _literals(_annotation(place, model))
            return f"has to be {context['expected']}, not {given!r}{_meant(given, options)}"
        case "union_tag_invalid":
            vendors, vendor = context["expected_tags"].replace("'", ""), context["tag"]
            return (
                f"there is no vendor {vendor!r}{_meant(vendor, vendors.split(', ')) or f'; there are: {vendors}'}"
            )
        case "union_tag_not_found":
            return "has to name its vendor"
        case _ if kind in _KINDS:
            return f"has to be {_KINDS[kind]}, not {given!r}"
        case _ if kind in _BOUNDS:
            key, words = _BOUNDS[kind]
            return f"has to be {words} {context[key]:g}, not {given!r}"
    return str(error["msg"]).removeprefix("Value error, ")


def _unknown(key: str, table: Sequence[str | int], model: type[BaseModel]) -> str:
    known = [name for owner in _models(_annotation(table, model)) for name in owner.model_fields]
    meant = _meant(key, known)
    if not meant and table and key in model.model_fields:
        meant = "; it belongs to the top of the file, before the first table"
    return f"there is no such key{meant or '; there are: ' + ', '.join(known)}"


def _meant(given: object, options: Sequence[str]) -> str:
    near = get_close_matches(str(given), options, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _annotation(place: Sequence[str | int], model: type[BaseModel]) -> Any:
    """The type of what stands at `place` of an error, where a menu's member is named by its vendor."""
    here: Any = model
    for part in place:
        owners = list(_models(here))
        fields = [
            owner.model_fields[part] for owner in owners if isinstance(part, str) and part in owner.model_fields
        ]
        if fields:
            here = fields[0].annotation
        elif isinstance(part, str):
            here = next((owner for owner in owners if part in _vendors(owner)), here)
    return here


def _vendors(model: type[BaseModel]) -> Sequence[str]:
    return _literals(model.model_fields["vendor"].annotation) if "vendor" in model.model_fields else ()


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within a type: of a list, of an optional table, of a menu."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, Annotated, tuple):
        for argument in get_args(annotation):
            yield from _models(argument)


def _literals(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if get_origin(annotation) in (Union, UnionType, Annotated):
        inner = [argument for argument in get_args(annotation) if argument is not NoneType]
        return [value for argument in inner for value in _literals(argument)]
    return []
