"""JSON Schemas: of an outcome's fields, and of tools' arguments. Pure; the jsonschema library checks.

Anthropic's structured outputs take a part of JSON Schema (no recursion, every object closed, no patterns), and
a schema that is refused after the call is found too late. So a request's schema is read at once into that part:
references are put in their places, lists of types become choices, what `pattern` and its like say is
left to the description. What cannot be read is the asker's to mend.

One bad schema of a tool would have every request of a call refused: those are checked as a whole before.
Names: ^[a-zA-Z0-9_-]{1,64}$, docs.anthropic.com, "Tool use"; JSON Schema 2020-12.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

import jsonschema

from bot.errors import RequestError

MAX_BYTES = 16_000
MAX_DEPTH = 6
"""Of objects, lists and choices within each other."""
MAX_PROPERTIES = 60
MAX_OPTIONS = 100
MAX_PARTS = 1000
"""Schemas within the schema, each reference counted where it stands: a few lines of references to references
would else be millions of them, and the calls of this process wait while they are read."""
Schema = dict[str, Any]

_OBJECT = 'has to be an object, as in {"type": "object", "properties": {"confirmed": {"type": "boolean"}}}'
_NAME = re.compile(r"^[a-zA-Z0-9_.-]{1,64}$")
"""Anthropic's own rule for the names of properties."""
_SCALARS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
_SAID = frozenset(
    {"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly"}
)
_LIMITS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("minItems", "maxItems", "uniqueItems", "pattern", "format", "contentEncoding", "contentMediaType"),
)
_IGNORED = frozenset({"$schema", "$id", "$comment", "$defs", "definitions", "$anchor", "discriminator"})
_READ = ("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "properties", "required", "items")
_KNOWN = frozenset({*_READ, *_SAID, *_LIMITS, *_IGNORED, "additionalProperties"})


_FORMS = {
    "phone": "A phone number in E.164, or as they said it.",
    "email": "An e-mail address, like ann.lee@example.com.",
    "date": "A day as YYYY-MM-DD.",
    "time": "A time of day as HH:MM, 24 hours.",
    "amount": "A sum with its currency, like 45.50 USD.",
    "name": "A name, spelled as they spell it.",
    "code": "Letters and digits without blanks, like AB1234.",
}
"""What a model is told of a field's type, beside JSON's."""


class Field(Protocol):
    """A scenario's outcome field."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def options(self) -> tuple[str, ...]: ...


def of_fields(fields: Iterable[Field]) -> Schema:
    """The schema of a scenario's fields."""
    return {"type": "object", "properties": {field.name: of_field(field) for field in fields}}


def of_field(field: Field) -> Schema:
    """One field's; the form of a value that is none of JSON's types stands in its description."""
    kind = field.type if field.type in ("boolean", "number") else "string"
    hint = _FORMS.get(field.type)
    said = field.description if hint is None else f"{field.description.rstrip(' .')}. {hint}"
    return {"type": kind, "description": said, **({"enum": list(field.options)} if field.options else {})}


def checked(schema: object, *, field: str = "outcome_schema") -> Schema:
    """`schema` in plain form; `checked` of that is the same. RequestError: what has to be mended, and where."""
    try:
        size = len(json.dumps(schema, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as e:
        raise RequestError("It is not JSON.", code="invalid_outcome_schema", field=field) from e
    if size > MAX_BYTES:
        raise RequestError(f"It is larger than {MAX_BYTES} bytes.", code="invalid_outcome_schema", field=field)
    reading = _Reading(schema, field)
    if isinstance(schema, dict) and not _may_be_object(schema):
        raise reading.wrong(field, _OBJECT)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as e:
        raise reading.wrong(_place(field, e), f"cannot be {json.dumps(e.instance)[:80]}") from e
    except RecursionError as e:
        raise reading.wrong(field, f"is nested deeper than {MAX_DEPTH} levels, or refers to itself") from e
    found = reading.node(schema, field, ())
    if len(json.dumps(found).encode()) > MAX_BYTES:  # who reads it again, for the call, must not refuse it
        raise reading.wrong(field, f"is larger than {MAX_BYTES} bytes with its references in their places")
    if found.get("type") != "object":
        raise reading.wrong(field, _OBJECT)
    if not found["properties"]:
        raise reading.wrong(field, "has no properties")
    return found


def _may_be_object(schema: Schema) -> bool:
    """Whether it says it is one, or leaves that to another of its parts: told before what its parts lack."""
    if "type" in schema:
        return "object" in schema["type"] if isinstance(schema["type"], list) else schema["type"] == "object"
    return any(key in schema for key in ("properties", "$ref", "allOf", "anyOf", "oneOf"))


class _Reading:
    """One schema's."""

    def __init__(self, root: object, field: str) -> None:
        self._root = root
        self._field = field
        self._properties = 0
        self._parts = 0

    def wrong(self, at: str, what: str) -> RequestError:
        return RequestError(f"{at} {what}.", code="invalid_outcome_schema", field=at)

    def node(self, node: object, at: str, depth: tuple[str, ...]) -> Schema:
        if not isinstance(node, dict):
            raise self.wrong(at, 'is not a schema, like {"type": "boolean"}')
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise self.wrong(self._field, f"has more than {MAX_PARTS} parts, references in their places")
        if len(depth) > MAX_DEPTH:
            raise self.wrong(self._field, f"is nested deeper than {MAX_DEPTH} levels, or refers to itself")
        for key in node:
            if key not in _KNOWN:
                raise self.wrong(f"{at}.{key}", "is not supported")
        said = {key: str(node[key]) for key in ("title", "description") if isinstance(node.get(key), str)}
        if "$ref" in node:
            return self.node(self._referred(node["$ref"], at), at, (*depth, "$ref")) | said
        if "allOf" in node:
            if len(node["allOf"]) != 1:
                raise self.wrong(f"{at}.allOf", "may hold one schema only")
            return self.node(node["allOf"][0], at, (*depth, "allOf")) | said
        choices = self._choices(node, at)
        if choices is not None:
            return self._any_of(choices, at, depth) | said
        return self._one(node, at, depth) | said

    def _referred(self, ref: object, at: str) -> object:
        if not isinstance(ref, str) or not ref.startswith("#/"):
            raise self.wrong(f"{at}.$ref", 'has to name a part of the same schema: "#/$defs/…"')
        found: object = self._root
        for step in ref[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                raise self.wrong(f"{at}.$ref", f"names {ref!r}, which is not there")
            found = found[name]
        return found

    def _choices(self, node: Mapping[str, Any], at: str) -> list[Schema] | None:
        """The alternatives of a node that has several."""
        for key in ("anyOf", "oneOf"):
            if key in node:
                return list(node[key])
        kinds = node.get("type")
        rest = {key: value for key, value in node.items() if key not in ("type", "enum", "const", "description")}
        if "enum" in node or "const" in node:
            values = [node["const"]] if "const" in node else node["enum"]
            if not values or len(values) > MAX_OPTIONS:
                raise self.wrong(f"{at}.enum", f"has to be a list of 1 to {MAX_OPTIONS} values")
            by_kind: dict[str, list[Any]] = {}
            for value in values:
                by_kind.setdefault(self._kind_of(value, at), []).append(value)
            allowed = [kinds] if isinstance(kinds, str) else kinds or list(by_kind)
            if any(kind not in allowed and not (kind == "integer" and "number" in allowed) for kind in by_kind):
                raise self.wrong(f"{at}.enum", "holds values of another type")
            if len(by_kind) == 1:
                return None
            return [{"type": kind, "enum": found} for kind, found in by_kind.items() if kind != "null"] + [
                {"type": "null"} for kind in by_kind if kind == "null"
            ]
        if isinstance(kinds, list) and len(kinds) > 1:
            real = [kind for kind in kinds if kind != "null"]
            return [{**rest, "type": kind} for kind in real] + [{"type": "null"}] * ("null" in kinds)
        return None

    def _kind_of(self, value: object, at: str) -> str:
        for kind in ("boolean", "integer", "number", "string", "null"):
            if isinstance(value, _SCALARS[kind]):
                return kind
        raise self.wrong(f"{at}.enum", "may hold texts, numbers, booleans and null only")

    def _any_of(self, choices: Sequence[object], at: str, depth: tuple[str, ...]) -> Schema:
        read = [self.node(choice, f"{at}.anyOf.{n}", (*depth, "anyOf")) for n, choice in enumerate(choices)]
        flat = [inner for one in read for inner in one.get("anyOf", [one])]
        return flat[0] if len(flat) == 1 else {"anyOf": flat}

    def _one(self, node: Mapping[str, Any], at: str, depth: tuple[str, ...]) -> Schema:
        kind = node.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind is None:
            kind = "object" if "properties" in node else "array" if "items" in node else None
        values = [node["const"]] if "const" in node else node.get("enum")
        if values and kind != "number":
            kind = self._kind_of(values[0], at)
        if kind == "object":
            return self._object(node, at, depth)
        if kind == "array":
            if "items" not in node:
                raise self.wrong(f"{at}.items", "has to say what the list holds")
            items = self.node(node["items"], f"{at}.items", (*depth, "items"))
            return {"type": "array", "items": items, **_limits(node)}
        if kind not in _SCALARS:
            raise self.wrong(f"{at}.type", f"has to be one of object, array, {', '.join(_SCALARS)}")
        return {"type": kind, **({"enum": list(values)} if values else {}), **_limits(node)}

    def _object(self, node: Mapping[str, Any], at: str, depth: tuple[str, ...]) -> Schema:
        properties = node.get("properties", {})
        if node.get("additionalProperties") not in (None, False, True):
            raise self.wrong(f"{at}.additionalProperties", "is not supported: name the properties")
        self._properties += len(properties)
        if self._properties > MAX_PROPERTIES:
            raise self.wrong(self._field, f"has more than {MAX_PROPERTIES} properties")
        read: Schema = {}
        for name, inner in properties.items():
            if not _NAME.match(name):
                raise self.wrong(f"{at}.properties", f"has the name {name!r}; letters, digits, _ . - are taken")
            read[name] = self.node(inner, f"{at}.properties.{name}", (*depth, name))
        required = node.get("required", [])
        if any(name not in read for name in required):
            raise self.wrong(f"{at}.required", "names what is not among the properties")
        return {"type": "object", "properties": read, **({"required": list(required)} if required else {})}


def _limits(node: Mapping[str, Any]) -> Schema:
    return {key: node[key] for key in _LIMITS if key in node}


def _place(root: str, error: jsonschema.SchemaError) -> str:
    return ".".join([root, *map(str, error.absolute_path)])


def is_nullable(schema: Schema) -> bool:
    return schema.get("type") == "null" or any(is_nullable(choice) for choice in schema.get("anyOf", ()))


def fits(schema: Schema, value: object) -> bool:
    """Whether `value` is what a plain schema asks for. A `pattern` is not tried: it may take for ever."""
    return bool(_Plain(schema, format_checker=_FORMATS).is_valid(value))


def _closed(validator: Any, properties: Any, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    """`properties`, and no others."""
    if isinstance(value, dict):
        yield from _PROPERTIES(validator, properties, value, schema)
        for name in value.keys() - properties.keys():
            yield jsonschema.ValidationError(f"{name} is not among the properties")


_PROPERTIES = jsonschema.Draft202012Validator.VALIDATORS["properties"]
_Plain = jsonschema.validators.extend(
    jsonschema.Draft202012Validator, {"properties": _closed, "pattern": lambda *_: ()}
)
_FORMATS = jsonschema.FormatChecker(formats=())


def _is_date(value: object) -> bool:
    return not isinstance(value, str) or bool(date.fromisoformat(value))


def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value))


_FORMATS.checks("date", raises=ValueError)(_is_date)
_FORMATS.checks("date-time", raises=ValueError)(_is_moment)


def inside(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas in a schema, each with its place."""
    yield from schema.get("properties", {}).items()
    for key in ("items", "additionalProperties", "not"):
        if key in schema:
            yield key, schema[key]
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for inner in schema.get(key, ()):
            yield key, inner


# -- of tools' arguments ------------------------------------------------------------------------------

TOOL_NAME = r"^[a-zA-Z0-9_-]{1,64}$"
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_LARGEST = 300
"""Parts of an unfolded schema; the model reads all of it with every reply."""


def checked_properties(properties: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`properties` as given. ValueError says which is none."""
    for name, schema in properties.items():
        if not re.fullmatch(TOOL_NAME, name):
            raise ValueError(f"{name!r}: letters, digits, - and _ only, 64 at most")
        if not isinstance(schema, bool):
            _check(schema, name)
    return dict(properties)


def _check(schema: Any, where: str) -> None:
    if not isinstance(schema, Mapping):
        raise ValueError(f"{where}: a JSON Schema is a table")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as e:
        place = _place(where, e)
        if "type" in e.absolute_path:
            raise ValueError(f"{place}: unknown type {e.instance!r}; known: {', '.join(_TYPES)}") from None
        raise ValueError(f"{place}: {e.instance!r} cannot stand here") from None
    _check_references(schema, where)


def _check_references(schema: Any, where: str) -> None:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            raise ValueError(f"{where}: $ref has nothing to refer to here")
        for key, inner in inside(schema):
            _check_references(inner, f"{where}.{key}")


def mistake_in(
    arguments: Mapping[str, Any], properties: Mapping[str, Any], required: Iterable[str]
) -> str | None:
    """What of a tool's arguments is not as its schema asks for, in a sentence for the model; None: nothing."""
    missing = [name for name in required if name not in arguments]
    if missing:
        return f"{', '.join(missing)}: missing."
    schema = {"type": "object", "properties": dict(properties)}
    error = jsonschema.exceptions.best_match(_Arguments(schema).iter_errors(dict(arguments)))
    if error is None:
        return None
    return f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}."


_Arguments = jsonschema.Draft202012Validator


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
