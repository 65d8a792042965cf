"""Contacts as they are uploaded, CSV or JSON, read one by one from a file: no upload is ever in memory whole.

CSV is read record by record with a reader of its own for each, because of the one mistake that would lose
rows: a quote that is never closed. The csv module takes all that follows for one cell. Here such a record is
a bad row after a hundred lines at most, and the lines behind its first are read again for themselves.

JSON is parsed by ijson, contact by contact, for the same reason of memory: a hundred thousand objects at once are
ten times the size of their text.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import IO, Any

import ijson  # type: ignore[import-untyped]  # ships no types

from bot.errors import RequestError

PHONE_NUMBER = "phone_number"
MAX_ROW_BYTES = 64 * 1024
"""Of one contact's text; a longer one is a bad row."""
KEPT_TEXT = 500
"""Characters of a bad row that are kept."""
_MOST_LINES = 100
"""Of one CSV record: quoted cells may have line breaks."""
_MOST_COLUMNS = 200
_BLOCK = 16 * 1024
"""Bytes parsed at once: a fifth of a millisecond."""
_LONGEST_VALUE = 1024 * 1024
"""Bytes of a JSON value: what is not closed by then is not JSON."""
_DELIMITERS = ",;\t"
_SPACE = re.compile(r"[\s\-]+")
_NOT_UTF8 = re.compile(r"[\udc80-\udcff]")
"""Bytes that are no UTF-8, as Python carries them along."""
_CONTACTS = "contacts"
_MOST_LEVELS = 32
"""Of a JSON value, as for POST /call."""


@dataclass(frozen=True)
class RawRow:
    """One contact as it was sent. With a `problem` (code and words) there is nothing else to know of it."""

    line: int
    text: str
    phone_number: Any = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    problem: tuple[str, str] | None = None


def variable_name(name: str) -> str:
    """How a column, a key and a {{placeholder}} are compared: `First name` is `first_name`."""
    return _SPACE.sub("_", name.strip().lower())


class CsvContacts:
    """The rows of a CSV file. `line` is that of the file on which a row begins; the header's is 1.

    UTF-8 with or without its mark, and UTF-16 with it; a row that is no UTF-8 is a bad row. Commas, semicolons
    or tabs, whichever the header has most of, or what Excel's line `sep=;` says.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """RequestError when the header cannot be used."""
        file.seek(0)
        start = file.read(4)
        file.seek(0)
        if start == b"PK\x03\x04":
            raise RequestError("This is an Excel workbook: save it as CSV UTF-8.", code="no_header")
        utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        # What is no UTF-8 is carried along, so that it can be told of by its line.
        encoding, errors = ("utf-16", "replace") if utf16 else ("utf-8-sig", "surrogateescape")
        self._text = io.TextIOWrapper(file, encoding=encoding, errors=errors)
        self._read_again: deque[tuple[int, str]] = deque()
        self._line = 0
        self._delimiter = ","
        self.columns: tuple[str, ...] = self._header()
        """The variables' names."""

    def close(self) -> None:
        """Lets go of the file, which stays open."""
        self._text.detach()

    def __iter__(self) -> Iterator[RawRow]:
        for line, text, cells in self._records():
            if cells is None:
                yield _bad(
                    line, text, "broken_row", "its quotes do not fit: each cell's must be closed, doubled within"
                )
            elif any(cell.strip() for cell in cells):
                yield self._row(line, text, cells)

    def _row(self, line: int, text: str, cells: list[str]) -> RawRow:
        if not text.isascii() and _NOT_UTF8.search(text):
            readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            return _bad(line, readable, "not_utf8", "is not UTF-8: save the file as CSV UTF-8")
        if any(cell.strip() for cell in cells[len(self._names) :]):
            return _bad(line, text, "too_many_cells", f"has more cells than the header's {len(self._names)}")
        found = {name: _plain(cell) for name, cell in zip(self._names, cells, strict=False)}
        if found.pop("", ""):
            return _bad(line, text, "too_many_cells", "has a cell in a column without a name")
        number = found.pop(PHONE_NUMBER, "")
        return RawRow(line, text.rstrip("\n")[:KEPT_TEXT], number, found)

    def _header(self) -> tuple[str, ...]:
        first = self._next_line()
        while first is not None and not first[1].strip():
            first = self._next_line()
        if first is not None and (told := re.fullmatch(r'"?sep=(.)"?\s*', first[1], re.IGNORECASE)):
            self._delimiter, first = told[1], self._next_line()
        elif first is not None:
            outside = re.sub(r'"[^"]*"', "", first[1])
            self._delimiter = max(_DELIMITERS, key=outside.count)
        if first is None:
            raise RequestError("The file is empty: its first line names the columns.", code="no_header")
        self._read_again.appendleft(first)
        _, text, cells = next(self._records())
        if cells is None or _NOT_UTF8.search(text):
            raise RequestError("The first line is no CSV in UTF-8: it names the columns.", code="no_header")
        self._names = [variable_name(cell) for cell in cells]
        named = [name for name in self._names if name]
        if PHONE_NUMBER not in named:
            raise RequestError(
                f"The first line names the columns, and one of them must be {PHONE_NUMBER}; "
                f"here they are: {', '.join(named)[:KEPT_TEXT]}",
                code="no_phone_number_column",
                field=PHONE_NUMBER,
            )
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice or len(named) > _MOST_COLUMNS:
            words = (
                f"Two columns are named {twice[0]}." if twice else f"There are more than {_MOST_COLUMNS} columns."
            )
            raise RequestError(words, code="bad_header", field=twice[0] if twice else None)
        return tuple(name for name in named if name != PHONE_NUMBER)

    def _records(self) -> Iterator[tuple[int, str, list[str] | None]]:
        """(line, text, cells), None for cells that cannot be told apart."""
        while (first := self._next_line()) is not None:
            taken = [first]
            try:
                cells = next(csv.reader(self._feed(taken), delimiter=self._delimiter, strict=True))
            except csv.Error:
                self._read_again.extendleft(reversed(taken[1:]))
                yield first[0], first[1], None
            else:
                yield first[0], "".join(text for _, text in taken), cells

    def _feed(self, taken: list[tuple[int, str]]) -> Iterator[str]:
        """The record's first line, and as many more as its quotes ask for."""
        yield taken[0][1]
        while len(taken) < _MOST_LINES and (line := self._next_line()) is not None:
            taken.append(line)
            yield line[1]

    def _next_line(self) -> tuple[int, str] | None:
        if self._read_again:
            return self._read_again.popleft()
        text = self._text.readline(MAX_ROW_BYTES)
        if not text:
            return None
        self._line += 1
        if len(text) == MAX_ROW_BYTES and not text.endswith("\n"):
            while (rest := self._text.readline(MAX_ROW_BYTES)) and not rest.endswith("\n"):
                pass
            # A quote nobody closes: the row is told of as broken, and has an end.
            text = f'"{text[:KEPT_TEXT]}"…\n'
        return self._line, text


class JsonContacts:
    """A JSON object whose `contacts` is an array of objects. `line` is the place in the array, from 1."""

    columns: tuple[str, ...] | None = None
    """Unknown before the last contact."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.fields: dict[str, Any] = {}
        """All that stands beside the contacts, once `check` is through."""

    def check(self) -> Iterator[None]:
        """Reads all of it, a contact a step. RequestError when it is not JSON, or has no contacts."""
        seen = False
        for key, line, (value, problem) in self._values():
            if key == _CONTACTS:
                seen = True
                yield
            elif problem is not None:
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
        if problem is not None:
            return _bad(line, text, *problem)
        if not isinstance(element, dict):
            return _bad(line, text, "not_an_object", "is no object with a phone_number")
        said = dict(element)
        number, more = said.pop(PHONE_NUMBER, ""), said.pop("variables", {})
        if not isinstance(more, dict):
            return _bad(line, text, "bad_variables", "variables is no object")
        variables: dict[str, Any] = {}
        for name, value in [*said.items(), *more.items()]:
            if variable_name(name) in variables:
                return _bad(line, text, "bad_variables", f"{variable_name(name)} is there twice")
            variables[variable_name(name)] = value
        return RawRow(line, text[:KEPT_TEXT], number, variables)

    def _values(self) -> Iterator[tuple[str, int | None, _Value]]:
        """Each field with its value, and each contact with its line; line 0 is the begin of the contacts."""
        file = _JsonFile(self._file)
        events = ijson.basic_parse(file, buf_size=_BLOCK)
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


_Value = tuple[Any, tuple[str, str] | None]
"""A value, and what keeps it from being used: code and words."""


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
            made, wrong = _begun(event, value)
            if len(stack) > _MOST_LEVELS:
                wrong = ("bad_variables", f"is nested deeper than {_MOST_LEVELS} levels")
            elif stack:
                _put(stack[-1], keys[-1], made)
            problem = wrong or problem
            if event in ("start_map", "start_array"):
                stack.append(made)
                keys.append("")
            elif not stack:
                return made, problem
        event, value = next(events)


def _begun(event: str, value: Any) -> _Value:
    if event in ("start_map", "start_array"):
        return ({} if event == "start_map" else []), None
    if not isinstance(value, Decimal):
        return value, None
    number = float(value)
    return (
        (number, None) if math.isfinite(number) else (None, ("bad_variables", "holds a number that is too large"))
    )


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
        self._read += len(block)
        return block


def _bad(line: int, text: str, code: str, words: str) -> RawRow:
    return RawRow(line, text.rstrip("\n")[:KEPT_TEXT], problem=(code, words))


def _plain(cell: str) -> str:
    """A cell's value: Excel keeps what must not become a number as ="…"."""
    cell = cell.strip()
    return cell[2:-1].replace('""', '"').strip() if cell.startswith('="') and cell.endswith('"') else cell
