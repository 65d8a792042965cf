"""How a table was written: its separator, and what its column of numbers is called. Pure.

People save tables as their spreadsheet likes it: in the code page of their country, with a mark or two in front,
with the column called as they call it. What is certain is taken and said in the answer; what is not is refused,
with what it seems to be.
"""

import csv
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.calls.campaigns.contacts import KEPT_TEXT, PHONE_NUMBER, variable_name
from bot.errors import RequestError
from bot.phone_numbers import read_number

BROKEN_BYTE = re.compile(r"[\udc80-\udcff]")
"""A byte that is no UTF-8, as Python carries it along."""
_SEPARATORS = ",;\t|"
_TITLE_LINES = 5
_FITTING = 0.8
"""Of a column's cells are numbers, where it is one of numbers."""
_DIGITS = re.compile(r"\+?[0-9][0-9 ()./-]{5,}[0-9]")


def _bare(name: str) -> str:
    """A name without case, accents, spaces and marks."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(character for character in plain if character.isalnum())


_NAMES_FILE = Path(__file__).with_name("phone_columns.toml")
_NAMES = frozenset(map(_bare, tomllib.loads(_NAMES_FILE.read_text(encoding="utf-8"))["names"]))


def names_a_number(name: str) -> bool:
    """Whether a column, or a key of a JSON contact, is called as people call one of phone numbers."""
    return _bare(name) in _NAMES


def resembles_one(name: str) -> bool:
    """Whether it has a word of such a name in it: "Home Phone", "phone_2". Its content has to agree."""
    return any(_bare(word) in _NAMES for word in re.split(r"[\W\d_]+", name) if word)


@dataclass(frozen=True)
class FileForm:
    """How an upload was read, for the answer."""

    encoding: str
    separator: str | None
    """None: it is JSON."""
    phone_number_column: str
    other_encodings: tuple[str, ...] = ()
    """Encodings in which it reads as well, and otherwise."""


def separator_of(line: str) -> str:
    """What stands most often outside of quotes: a comma, a semicolon, a tab or a bar."""
    return max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", line).count)


def column_of_numbers(names: Sequence[str], ahead: Iterable[str], separator: str, country: str | None) -> str:
    """Which of a header's columns has the numbers, by its name or by the lines behind it.

    RequestError where it is none or more than one, or where the line is no header.
    """
    lines = [line for line in ahead if line.strip()]
    rows = [_cells(line, separator) for line in lines]
    fitting = [name for place, name in enumerate(names) if name and _fits(_column(rows, place), country)]
    called = [name for name in names if names_a_number(name) or (name in fitting and resembles_one(name))]
    if len(called) == 1:
        return called[0]
    if any(_DIGITS.fullmatch(name.replace("_", " ").strip("' =\"")) for name in names):
        raise RequestError(
            "There seems to be no header: the first line holds a number. Put a line above it that names the "
            f"columns, one of them {PHONE_NUMBER}.",
            code="no_header",
            field=PHONE_NUMBER,
        )
    if not called and (header := _header_below(names, lines)) is not None:
        raise RequestError(
            "The first line seems to be a title above the header, which seems to be "
            f"{header[:KEPT_TEXT]!r}: delete what stands above it.",
            code="title_above_header",
            field=PHONE_NUMBER,
        )
    found = [name for name in fitting if not called or name in called]
    if len(found) == 1:
        return found[0]
    seem = called or fitting
    here = f"here {' and '.join(seem)} seem to be" if seem else f"here they are: {', '.join(filter(None, names))}"
    raise RequestError(
        f"The first line names the columns, and one of them must be {PHONE_NUMBER}; {here[:KEPT_TEXT]}",
        code="no_phone_number_column",
        field=PHONE_NUMBER,
    )


def _header_below(names: Sequence[str], lines: Sequence[str]) -> str | None:
    """The line that seems to be the header, where the first one seems to be a title."""
    for line in lines[:_TITLE_LINES]:
        below = [variable_name(cell) for cell in _cells(line, separator_of(line))]
        if any(name == PHONE_NUMBER or names_a_number(name) for name in below):
            return line.strip()
    wide = [line for line in lines[:_TITLE_LINES] if sum(map(bool, _cells(line, separator_of(line)))) > 1]
    return wide[0].strip() if wide and sum(map(bool, names)) == 1 else None


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def _column(rows: Iterable[Sequence[str]], place: int) -> list[str]:
    return [row[place] for row in rows if len(row) > place and row[place]]


def _fits(cells: Sequence[str], country: str | None) -> bool:
    return bool(cells) and sum(_is_number(cell, country) for cell in cells) >= _FITTING * len(cells)


def _is_number(cell: str, country: str | None) -> bool:
    try:
        read_number(cell, country)
    except ValueError:
        return False
    return True
