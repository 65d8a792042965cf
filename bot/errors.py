"""The exceptions of the product, and what pydantic refuses in words for its author.

PhoneAgentError               everything below; carries code, message, field, provider, retryable
├── SettingsError             the environment is incomplete or wrong: the server does not start
├── ScenarioError             a file in pipelines/ is wrong: the server does not start
├── RequestError              the API's caller can mend it (422)
│   └── UnknownScenarioError
├── UnauthorizedError         no key, or not ours (401)
├── ForbiddenError            a signature or token that does not hold (403)
├── NotFoundError             no such call (404)
├── ConflictError             the call's state forbids it (409)
├── AddressError              a URL leads to an address this server must not reach
├── BusyError                 no free line now (429); retry_after_seconds says when to ask again
└── VendorError               a vendor refused or could not be reached (502)
    └── CarrierError          Twilio's own code and message, as they came
        └── DialUnconfirmedError  no answer to a dial: the call may exist
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError


class PhoneAgentError(Exception):
    """Base of all. `code` is snake_case and stable; `message` says what to do."""

    code = "internal_error"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        provider: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.field = field
        self.provider = provider
        self.retryable = type(self).retryable if retryable is None else retryable


class SettingsError(PhoneAgentError):
    code = "bad_settings"


class ScenarioError(PhoneAgentError):
    code = "bad_scenario"


class RequestError(PhoneAgentError):
    code = "bad_request"


class UnknownScenarioError(RequestError):
    code = "unknown_scenario"


class UnauthorizedError(PhoneAgentError):
    code = "unauthorized"


class ForbiddenError(PhoneAgentError):
    code = "forbidden"


class NotFoundError(PhoneAgentError):
    code = "not_found"


class ConflictError(PhoneAgentError):
    code = "conflict"


class AddressError(PhoneAgentError):
    code = "address_refused"


class BusyError(PhoneAgentError):
    code = "busy"
    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class VendorError(PhoneAgentError):
    code = "vendor_error"


class CarrierError(VendorError):
    """`status` is the HTTP status (0: no answer), `carrier_code` Twilio's error number, if any."""

    code = "carrier_error"

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        status: int = 0,
        carrier_code: int | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message, provider=provider, retryable=retryable)
        self.status = status
        self.carrier_code = carrier_code


class DialUnconfirmedError(CarrierError):
    """A dial without an answer: the call may exist, so dialling again could ring twice."""

    code = "dial_unconfirmed"


# -- what pydantic refuses, in words ------------------------------------------------------------------

_KINDS = {
    "string": "a string",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "tuple": "a list",
    "list": "a list",
    "dict": "a table",
    "model": "a table",
    "model_attributes": "a table",
    "uuid": "a UUID",
    "date": "a day, as in 2026-03-02",
    "datetime": "a date and time, as in 2026-03-02T15:00:00Z",
    "timezone": "a date and time with its zone, as in 2026-03-02T15:00:00Z",
}
"""What a value has to be, by the beginning of pydantic's error: int_type, int_parsing, int_from_float …"""
_BOUNDS = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "at most {}"),
    "string_too_short": ("min_length", "at least {} character{s} long"),
    "string_too_long": ("max_length", "at most {} character{s} long"),
    "too_short": ("min_length", "a list of at least {} item{s}"),
    "too_long": ("max_length", "a list of at most {} item{s}"),
}


def mistakes(
    error: ValidationError, model: type[BaseModel], data: Mapping[str, Any], source: str = ""
) -> list[str]:
    """All mistakes of a file's `data`, each as `key: what is wrong with it`.

    Entries of a list are called by their name; `source`, the file's text, tells their line.
    """
    return [_mistake(one, model, data, source) for one in causes(error.errors())]


def toml_mistake(error: ValueError) -> str:
    """What tomllib cannot read, in words: `[example] stands twice (line 5, column 9)`."""
    words = str(error)
    if table := re.search(r"Cannot (?:declare|mutate immutable namespace) \((.*?),?\)(?: twice)?", words):
        name = ".".join(re.findall(r"'([^']*)'", table[1]))
        words = words.replace(table[0], f"[{name}] stands twice")
    words = words.replace("Cannot overwrite a value", "a key stands twice").replace(
        "Invalid value", "no value behind the ="
    )
    return words.replace("(at line", "(line").replace("(at end of document)", "(at the end of the file)")


def causes(errors: Sequence[Any]) -> list[Any]:
    """Without those that follow from others: a list whose only item is wrong counts as empty."""
    places = [tuple(error["loc"]) for error in errors]
    return [
        error
        for error, place in zip(errors, places, strict=True)
        if error["type"] != "too_short" or not any(p[: len(place)] == place and p != place for p in places)
    ]


def _mistake(error: Any, model: type[BaseModel], data: Mapping[str, Any], source: str) -> str:
    place = _keys(error["loc"], model)
    words = described(error, _Owner(model, error["loc"]), echo=True)
    if place and place[-1] == "[key]":
        *place, key, _ = place
        words = f"the key {key!r} {words.removesuffix(f', not {key!r}')}"
    # A check of the whole file says itself which key it means.
    if not place and (named := re.fullmatch(r"([a-z_]+(?:\.[a-z_]+)*): (.*)", words, re.S)):
        place, words = list(named[1].split(".")), named[2]
    line = _line_of(place, source)
    return f"{_named(place, data) or 'file'}: {words}{f' (line {line})' if line else ''}"


def described(error: Any, owner: _Owner | None = None, *, echo: bool = False) -> str:
    """What is wrong with one value. `echo`: it is a file's, and may be repeated; elsewhere it may be a secret."""
    kind, given, context = str(error["type"]), error.get("input"), error.get("ctx", {})
    instead = f", not {given!r}" if echo else ""
    begins = next((words for name, words in _KINDS.items() if re.match(rf"{name}_(type|parsing|from)", kind)), "")
    match kind:
        case "extra_forbidden" if owner is not None:
            return owner.unknown(str(error["loc"][-1]))
        case "missing":
            return "has to be given"
        case "literal_error" | "enum":
            meant = did_you_mean(given, owner.literals()) if owner is not None else ""
            return f"has to be {context['expected']}{instead}{meant}"
        case "union_tag_invalid":
            known, tag = context["expected_tags"].replace("'", ""), context["tag"]
            key = context["discriminator"].strip("'")
            return f"there is no {key} {tag!r}{did_you_mean(tag, known.split(', ')) or f'; there are: {known}'}"
        case "union_tag_not_found":
            return f"has to name its {context['discriminator'].strip(chr(39))}"
        case "string_pattern_mismatch":
            return f"has to match {context['pattern']}{instead}"
        case _ if kind in _BOUNDS:
            key, words = _BOUNDS[kind]
            bound = context[key]
            shown = f"{bound:g}" if isinstance(bound, int | float) else bound
            return f"has to be {words.format(shown, s='' if bound == 1 else 's')}{instead}"
        case _ if begins:
            return f"has to be {begins if echo or begins != 'a table' else 'an object'}{instead}"
    return str(error["msg"]).removeprefix("Value error, ")


def meant_field(model: type[BaseModel], place: Sequence[str | int]) -> str:
    """`; did you mean 'context'?` for an unknown field at `place` of `model`, or nothing."""
    return did_you_mean(place[-1], _Owner(model, place).known())


class _Owner:
    """The model at the place of an error: what it could have been."""

    def __init__(self, model: type[BaseModel], place: Sequence[str | int]) -> None:
        self._model, self._place = model, place

    def literals(self) -> list[str]:
        return _literals(_annotation(self._place, self._model))

    def known(self) -> list[str]:
        """The keys of the table that the place is in."""
        table = _annotation(self._place[:-1], self._model)
        return [name for owner in _models(table) for name in owner.model_fields]

    def unknown(self, key: str) -> str:
        table, known = self._place[:-1], self.known()
        meant = did_you_mean(key, known)
        if not meant and table and key in self._model.model_fields:
            meant = "; it belongs to the top of the file, before the first table"
        return f"there is no such key{meant or '; there are: ' + ', '.join(known)}"


def did_you_mean(given: object, options: Iterable[str]) -> str:
    """`; did you mean 'language'?`, or nothing."""
    near = get_close_matches(str(given), list(options), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _keys(place: Sequence[str | int], model: type[BaseModel]) -> list[str | int]:
    """The keys of the file at `place`, where pydantic also names the member of a union by its tag."""
    return [part for at, part in enumerate(place) if not _is_tag(place[: at + 1], model)]


def _is_tag(place: Sequence[str | int], model: type[BaseModel]) -> bool:
    owners = list(_models(_annotation(place[:-1], model)))
    part = place[-1]
    return isinstance(part, str) and len(owners) > 1 and not any(part in o.model_fields for o in owners)


def _annotation(place: Sequence[str | int], model: type[BaseModel]) -> Any:
    """The type of what stands at `place` of an error."""
    here: Any = model
    for part in place:
        owners = list(_models(here))
        fields = [owner.model_fields[part] for owner in owners if part in owner.model_fields]
        if fields:
            here = fields[0].annotation
        elif isinstance(part, str):
            here = next((owner for owner in owners if part in _tags(owner)), here)
    return here


def _tags(model: type[BaseModel]) -> list[str]:
    return [tag for name in ("vendor", "do") if name in model.model_fields
            for tag in _literals(model.model_fields[name].annotation)]  # fmt: skip


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within a type: of a list, of an optional table, of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, Annotated, tuple, list):
        for argument in get_args(annotation):
            yield from _models(argument)


def _literals(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if get_origin(annotation) in (Union, UnionType, Annotated):
        inner = [argument for argument in get_args(annotation) if argument is not NoneType]
        return [value for argument in inner for value in _literals(argument)]
    return []


def _named(place: Sequence[str | int], data: Mapping[str, Any]) -> str:
    """`http_tools "look_up".url`: an entry of a list by its name, or by its number where it has none."""
    words, here = "", data
    for part in place:
        try:
            here = here[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            here = {}
        if isinstance(part, str):
            words += f"{'.' if words else ''}{part}"
        else:
            name = here.get("name") if isinstance(here, Mapping) else None
            words += f' "{name}"' if isinstance(name, str) else f" {part + 1}"
    return words


def _line_of(place: Sequence[str | int], source: str) -> int | None:
    """The line of a TOML text where the key at `place`, or the table around it, stands; None: not found."""
    path = [part for part in place if isinstance(part, str)]
    entry = next((part for part in place if isinstance(part, int)), 0)
    found: int | None = None
    table: list[str] = []
    seen = -1
    for number, line in enumerate(source.splitlines(), start=1):
        if header := re.match(r"\s*\[\[?\s*([\w.-]+)\s*\]", line):
            table = header[1].split(".")
            seen += line.lstrip().startswith("[[") and table == path[:1]
            if table == path[: len(table)] and seen in (-1, entry):
                found = number
        elif table == path[: len(table)] and seen in (-1, entry) and len(table) < len(path):
            key = re.escape(path[len(table)])
            if re.match(rf"\s*\"?{key}\"?\s*[=.]", line):
                return number
    return found
