"""Contacts of a CSV file, read row by row: no upload is ever in memory whole.

It is read record by record with a reader of its own for each, because of the one mistake that would lose
rows: a quote that is never closed. The csv module takes all that follows for one cell. Here such a record is
a bad row after a hundred lines at most, and the lines behind its first are read again for themselves.
"""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from typing import IO

from bot.calls.campaigns.contacts import KEPT_TEXT, MAX_ROW_BYTES, PHONE_NUMBER, RawRow, variable_name
from bot.calls.campaigns.csv_form import BROKEN_BYTE, FileForm, column_of_numbers, separator_of
from bot.calls.campaigns.encodings import encoding_of
from bot.errors import RequestError
from bot.store.kept_json import check_json

_MOST_LINES = 100
"""Of one CSV record: quoted cells may have line breaks."""
_MOST_COLUMNS = 200
_SAMPLE_LINES = 50
"""Read ahead where the column of numbers has to be found."""
_OTHER_FILES = {
    b"pk\x03\x04": "an Excel workbook: save it as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save it as CSV UTF-8",
    b"%pdf": "a PDF: send the table as CSV",
    b"\x1f\x8b": "packed: send the table itself",
    b"<": "HTML or XML: save the table as CSV UTF-8",
    b"{": "JSON: send it as application/json",
    b"[": "JSON: send it as application/json, in an object with a list `contacts`",
}
"""By how they begin, in lower case."""
_MARKS = ("\ufeff", "\u00ef\u00bb\u00bf")
"""Byte-order marks that were taken for text: a second one, and one of UTF-8 read as windows-1252."""


class CsvContacts:
    """The rows of a CSV file. `line` is that of the file on which a row begins; the header's is 1.

    Its encoding, its separator and its column of numbers are found, and said in `form`. A row that is not of the
    file's encoding is a bad row.
    """

    def __init__(self, file: IO[bytes], *, encoding: str | None = None, country: str | None = None) -> None:
        """RequestError when the header cannot be used. `encoding`: as its sender says; `country`: of numbers
        without +."""
        file.seek(0)
        start = file.read(64).lstrip().lower()
        if kind := next((kind for mark, kind in _OTHER_FILES.items() if start.startswith(mark)), None):
            raise RequestError(f"This is {kind}.", code="no_header")
        found = encoding_of(file, encoding)
        file.seek(0)
        # What is no UTF-8 is carried along, so that it can be told of by its line.
        errors = "surrogateescape" if found.codec == "utf-8" else "replace"
        self._text = io.TextIOWrapper(file, encoding=found.codec, errors=errors)
        self._country = country
        self._read_again: deque[tuple[int, str]] = deque()
        self._line = 0
        self._separator = ","
        self.columns: tuple[str, ...]
        """The variables' names."""
        self.columns, self._number_column = self._header()
        self.form = FileForm(found.name, self._separator, self._number_column, found.other_encodings)

    def close(self) -> None:
        """Lets go of the file, which stays open."""
        self._text.detach()

    def __iter__(self) -> Iterator[RawRow]:
        for line, text, cells in self._records():
            if cells is None:
                yield RawRow.bad(
                    line, text, "broken_row", "its quotes do not fit: each cell's must be closed, doubled within"
                )
            elif any(cell.strip() for cell in cells):
                yield self._row(line, text, cells)

    def _row(self, line: int, text: str, cells: list[str]) -> RawRow:
        if not text.isascii() and BROKEN_BYTE.search(text):
            readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            return RawRow.bad(line, readable, "not_utf8", "is not UTF-8: save the file as CSV UTF-8")
        if any(cell.strip() for cell in cells[len(self._names) :]):
            return RawRow.bad(
                line, text, "too_many_cells", f"has more cells than the header's {len(self._names)}"
            )
        found = {name: _plain(cell) for name, cell in zip(self._names, cells, strict=False)}
        if found.pop("", ""):
            return RawRow.bad(line, text, "too_many_cells", "has a cell in a column without a name")
        try:
            check_json(found)
        except ValueError as e:
            return RawRow.bad(line, text, "bad_variables", str(e))
        number = found.pop(self._number_column, "")
        return RawRow(line, text.rstrip("\n")[:KEPT_TEXT], number, found)

    def _header(self) -> tuple[tuple[str, ...], str]:
        """The variables' names, and the name of the column of numbers."""
        first = self._next_line()
        while first is not None and not first[1].strip("\r\n ,;\t\ufeff"):
            first = self._next_line()
        if first is not None:
            first = (first[0], _unmarked(first[1]))
        if first is not None and (told := re.fullmatch(r'"?sep=(.)"?\s*', first[1], re.IGNORECASE)):
            self._separator, first = told[1], self._next_line()
        elif first is not None:
            self._separator = separator_of(first[1])
        if first is None:
            raise RequestError("The file is empty: its first line names the columns.", code="no_header")
        self._read_again.appendleft(first)
        _, text, cells = next(self._records())
        if cells is None or BROKEN_BYTE.search(text):
            raise RequestError("The first line is no CSV in UTF-8: it names the columns.", code="no_header")
        self._names = [variable_name(cell) for cell in cells]
        named = [name for name in self._names if name]
        number = PHONE_NUMBER
        if PHONE_NUMBER not in named:
            number = column_of_numbers(self._names, self._ahead(), self._separator, self._country)
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice or len(named) > _MOST_COLUMNS:
            words = (
                f"Two columns are named {twice[0]}." if twice else f"There are more than {_MOST_COLUMNS} columns."
            )
            raise RequestError(words, code="bad_header", field=twice[0] if twice else None)
        return tuple(name for name in named if name != number), number

    def _ahead(self) -> list[str]:
        """The next lines, which are read again."""
        taken = [line for _ in range(_SAMPLE_LINES) if (line := self._next_line()) is not None]
        self._read_again.extendleft(reversed(taken))
        return [text for _, text in taken]

    def _records(self) -> Iterator[tuple[int, str, list[str] | None]]:
        """(line, text, cells), None for cells that cannot be told apart."""
        while (first := self._next_line()) is not None:
            taken = [first]
            try:
                cells = next(csv.reader(self._feed(taken), delimiter=self._separator, strict=True))
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


def _unmarked(text: str) -> str:
    while marks := [mark for mark in _MARKS if text.startswith(mark)]:
        text = text.removeprefix(marks[0])
    return text


def _plain(cell: str) -> str:
    """A cell's value: Excel keeps what must not become a number as ="…"."""
    cell = cell.strip()
    return cell[2:-1].replace('""', '"').strip() if cell.startswith('="') and cell.endswith('"') else cell
