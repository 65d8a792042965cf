"""Contacts of a JSON upload, parsed by ijson contact by contact: no upload is ever in memory whole.

A hundred thousand objects at once are ten times the size of their text.
"""

import codecs
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any

import ijson  # type: ignore[import-untyped]  # ships no types

from bot.calls.campaigns.contacts import KEPT_TEXT, MAX_ROW_BYTES, PHONE_NUMBER, RawRow, variable_name
from bot.calls.campaigns.csv_form import FileForm, names_a_number, resembles_one
from bot.errors import RequestError
from bot.store.kept_json import MAX_DEPTH, check_json

_BLOCK = 16 * 1024
"""Bytes parsed at once: a fifth of a millisecond."""
_LONGEST_VALUE = 1024 * 1024
"""Bytes of a JSON value: what is not closed by then is not JSON."""
_CONTACTS = "contacts"
_FEWEST_DIGITS = 7
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.",
    re.DOTALL,
)
_LONGEST_ESCAPE = 12
"""Bytes of a pair of halves."""
_LONE, _LONE_ESCAPE = "\ufdd0", rb"\ufdd0"
"""A character that text never has (Unicode 23.7), in the place of half a one: yajl would read that as "?"."""
_Value = tuple[Any, tuple[str, str] | None]
"""A value, and what keeps it from being used: code and words."""


class JsonContacts:
    """A JSON object whose `contacts` is an array of objects. `line` is the place in the array, from 1."""

    columns: tuple[str, ...] | None = None
    """Unknown before the last contact."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._called: dict[str, None] = {}
        self.fields: dict[str, Any] = {}
        """All that stands beside the contacts, once `check` is through."""

    @property
    def form(self) -> FileForm | None:
        """The keys taken for the number so far, where one is not called `phone_number`."""
        if not self._called.keys() - {PHONE_NUMBER}:
            return None
        return FileForm("utf-8", None, ", ".join(self._called))

    def check(self) -> Iterator[None]:
        """Reads all of it, a contact a step. RequestError when it is not JSON, or has no contacts."""
        seen = False
        for key, line, (value, problem) in self._values():
            if key == _CONTACTS:
                seen = True
                yield
            elif problem := problem or _unfit(value):
                raise RequestError(f"{key}: {problem[1]}", code="invalid_json", field=key)
            elif line is None:
                self.fields[key] = value
        if not seen:
            raise RequestError("contacts: is required: a list of objects", code="missing_field", field="contacts")

    def close(self) -> None:
        return

    def __iter__(self) -> Iterator[RawRow]:
        for _, line, (element, problem) in self._values():
            if line:
                yield self._row(line, element, problem)

    def _row(self, line: int, element: Any, problem: tuple[str, str] | None) -> RawRow:
        """Variables stand beside the number, or in an object `variables`, or both."""
        text = json.dumps(element, ensure_ascii=False)
        if len(text) > MAX_ROW_BYTES:
            problem = ("too_large", f"is larger than {MAX_ROW_BYTES // 1024} KiB")
        if problem := problem or _unfit(element):
            return RawRow.bad(line, text, *problem)
        if not isinstance(element, dict):
            return RawRow.bad(line, text, "not_an_object", "is no object with a phone_number")
        said = dict(element)
        called = [PHONE_NUMBER] if PHONE_NUMBER in said else [key for key in said if _is_number(key, said[key])]
        if len(called) > 1:
            words = f"has no {PHONE_NUMBER}, and {' and '.join(called)} may be one: call it {PHONE_NUMBER}"
            return RawRow.bad(line, text, "no_phone_number", words)
        number, more = said.pop(called[0]) if called else "", said.pop("variables", {})
        if not isinstance(more, dict):
            return RawRow.bad(line, text, "bad_variables", "variables is no object")
        variables: dict[str, Any] = {}
        for name, value in [*said.items(), *more.items()]:
            if variable_name(name) in variables:
                return RawRow.bad(line, text, "bad_variables", f"{variable_name(name)} is there twice")
            variables[variable_name(name)] = value
        self._called.update(dict.fromkeys(called))
        return RawRow(line, text[:KEPT_TEXT], number, variables)

    def _values(self) -> Iterator[tuple[str, int | None, _Value]]:
        """Each field with its value, and each contact with its line; line 0 is the begin of the contacts."""
        file = _JsonFile(self._file)
        events = _with_halves(ijson.basic_parse(file, buf_size=_BLOCK))
        keys: set[str] = set()
        line = 0
        try:
            if next(events)[0] != "start_map":
                raise RequestError("Send a JSON object with a list of contacts.", code="invalid_json")
            for event, key in events:
                if event != "map_key":
                    continue  # the object's end
                if key in keys:
                    raise RequestError(f"{key} is there twice.", code="invalid_json", field=key)
                keys.add(key)
                first = next(events)
                if key != _CONTACTS:
                    yield key, None, _built(first, events)
                elif first[0] != "start_array":
                    raise RequestError("contacts: is a list of objects", code="invalid_field", field=_CONTACTS)
                else:
                    yield key, 0, (None, None)
                    while (first := next(events))[0] != "end_array":
                        line += 1
                        yield key, line, _built(first, events)
                        file.begin_value()
                file.begin_value()
        except (ijson.JSONError, ValueError, SystemError) as e:
            # A ValueError is a number of more digits than Python reads; in C it comes as a SystemError.
            reason = str(e).removeprefix("b'").split("\n")[0].partition("\\n")[0]
            place = f", behind contact {line}" if line else ""
            raise RequestError(f"The body is not JSON: {reason}{place}.", code="invalid_json") from e


def _is_number(key: str, value: Any) -> bool:
    """Whether a key is called like a phone number, or nearly so and holds digits."""
    return names_a_number(key) or (resembles_one(key) and len(re.sub(r"\D", "", str(value))) >= _FEWEST_DIGITS)


def _built(first: tuple[str, Any], events: Iterator[tuple[str, Any]]) -> _Value:
    """The value that begins with the event `first`; reads on to its end."""
    stack: list[Any] = []
    keys: list[str] = []
    problem: tuple[str, str] | None = None
    event, value = first
    while True:
        if event == "map_key":
            if value in stack[-1]:
                problem = ("bad_variables", f"{value} is there twice")
            keys[-1] = value
        elif event in ("end_map", "end_array"):
            made = stack.pop()
            keys.pop()
            if not stack:
                return made, problem
        else:
            made = _begun(event, value)
            if len(stack) > MAX_DEPTH:
                problem = ("bad_variables", f"is nested deeper than {MAX_DEPTH} levels")
            elif stack:
                _put(stack[-1], keys[-1], made)
            if event in ("start_map", "start_array"):
                stack.append(made)
                keys.append("")
            elif not stack:
                return made, problem
        event, value = next(events)


def _begun(event: str, value: Any) -> Any:
    if event in ("start_map", "start_array"):
        return {} if event == "start_map" else []
    return float(value) if isinstance(value, Decimal) else value


def _with_halves(events: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for event, value in events:
        lone = isinstance(value, str) and _LONE in value
        yield event, value.replace(_LONE, "\ud800") if lone else value


def _unfit(value: Any) -> tuple[str, str] | None:
    try:
        check_json(value)
    except ValueError as e:
        return "bad_variables", str(e)
    return None


def _put(container: Any, key: str, value: Any) -> None:
    if isinstance(container, dict):
        container[key] = value
    else:
        container.append(value)


class _JsonFile:
    """A file as the parser reads it: from its start, without a byte-order mark, no value longer than allowed."""

    def __init__(self, file: IO[bytes]) -> None:
        file.seek(0)
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        self._file = file
        self._read = 0
        """Bytes since the last value began, and what was read ahead."""

    def begin_value(self) -> None:
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        if self._read > _LONGEST_VALUE:
            raise RequestError("The body is not JSON: a value in it does not end.", code="invalid_json")
        block = self._file.read(size)
        # An escape is read whole: what stands behind its end may be the other half of a character.
        while b"\\" in block[-_LONGEST_ESCAPE:] and self._read + len(block) <= _LONGEST_VALUE + size:
            if not (more := self._file.read(_LONGEST_ESCAPE)):
                break
            block += more
        self._read += len(block)
        return _ESCAPES.sub(_marked, block) if _HALF.search(block) else block


def _marked(escape: re.Match[bytes]) -> bytes:
    """Half a character becomes `_LONE`; a whole one and all else stay."""
    return _LONE_ESCAPE if len(escape[0]) == len(_LONE_ESCAPE) else escape[0]
