"""How a CSV file was written: its encoding, its separator, its column of numbers. Pure, but for reading the file.

People save tables as their spreadsheet likes it: in the code page of their country, with a mark or two in front,
with the column called as they call it. What is certain is taken and said in the answer; what is not is refused,
with what it seems to be.
"""

import codecs
import csv
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from charset_normalizer import from_bytes

from bot.calls.campaigns.contacts import KEPT_TEXT, PHONE_NUMBER, variable_name
from bot.errors import RequestError
from bot.phone_numbers import read_number

BROKEN_BYTE = re.compile(r"[\udc80-\udcff]")
"""A byte that is no UTF-8, as Python carries it along."""
_MARKED = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CODE_PAGES = {
    "cp1252": "windows-1252",
    "cp1250": "windows-1250",
    "cp1251": "windows-1251",
    "cp1254": "windows-1254",
    "cp1253": "windows-1253",
    "cp932": "shift_jis",
    "gb18030": "gb18030",
    "cp949": "euc-kr",
    "big5": "big5",
    "mac_roman": "macintosh",
    "cp850": "ibm850",
}
"""What spreadsheets write where it is not UTF-8, by Python's names; of two that read equally well, the first."""
_BLOCK = 64 * 1024
_SAMPLE_BYTES = 16 * 1024
"""Of lines that are not ASCII: enough to tell code pages apart, in a few milliseconds."""
_UTF16_SHARE = 0.4
"""Of zeros among every second byte of text in Latin letters or digits, which any list of numbers has."""
_WRONG_LETTER = re.compile(
    r"[^\W\d_](?=[^\x00-\x7f\w\u2019])|[^\x00-\x7f\w\u2018\u201c](?=[^\W\d_])"
    r"|[a-z\u00df-\u00ff](?=[A-Z\u00c0-\u00de])|[A-Za-z](?=[\u0370-\u04ff])|[\u0370-\u04ff](?=[A-Za-z])"
)
"""A sign in a word, a capital behind a small letter, two alphabets in one word."""
_SEPARATORS = ",;\t"
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


@dataclass(frozen=True)
class FileForm:
    """How a CSV file was read, for the answer."""

    encoding: str
    separator: str
    phone_number_column: str


def encoding_of(file: IO[bytes], said: str | None = None) -> tuple[str, str]:
    """(its name, Python's codec) of a file; `said`: by who sent it. RequestError for a name that there is not."""
    file.seek(0)
    start = file.read(4096)
    for mark, codec in _MARKED:
        if start.startswith(mark):
            return codec, codec
    if said is not None:
        try:
            return said.lower(), codecs.lookup(said).name
        except LookupError:
            message = f"encoding: there is none named {said!r}; as in windows-1252"
            raise RequestError(message, code="invalid_field", field="encoding") from None
    pairs = max(1, len(start) // 2)
    for codec, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if zeros.count(0) / pairs > _UTF16_SHARE:
            return codec, codec
    file.seek(0)
    sample = _unlike_utf8(file)
    codec = _code_page(sample) if sample else "utf-8"
    return _CODE_PAGES.get(codec, codec), codec


def _unlike_utf8(file: IO[bytes]) -> bytes:
    """Lines that are no UTF-8, where no other line beyond ASCII is: such a file is of another encoding, and one
    that has both is UTF-8 with broken rows."""
    found, rest = b"", b""
    while (block := file.read(_BLOCK)) and len(found) < _SAMPLE_BYTES:
        if block.isascii() and rest.isascii():
            rest = block[block.rfind(b"\n") + 1 :]
            continue
        *lines, rest = (rest + block).splitlines(keepends=True)
        for line in lines:
            if line.isascii():
                continue
            if _is_utf8(line):
                return b""
            found += line
    if rest and not rest.isascii():
        return b"" if _is_utf8(rest) else found + rest
    return found


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _code_page(sample: bytes) -> str:
    """The one that reads best; windows-1252 where none reads well.

    The library's measure of chaos is for pages of text, and names in a table are few words: what shows that a
    letter was read wrongly counts first.
    """
    order = list(_CODE_PAGES)
    ranked = [
        (len(_WRONG_LETTER.findall(str(match))), round(match.chaos, 2), order.index(name))
        for match in from_bytes(sample[:_SAMPLE_BYTES], cp_isolation=order, threshold=1.0)
        for name in match.could_be_from_charset
        if name in order
    ]
    return order[min(ranked)[2]] if ranked else order[0]


def separator_of(line: str) -> str:
    """What stands most often outside of quotes: a comma, a semicolon or a tab."""
    return max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", line).count)


def column_of_numbers(names: Sequence[str], ahead: Iterable[str], separator: str, country: str | None) -> str:
    """Which of a header's columns has the numbers, by its name or by the lines behind it.

    RequestError where it is none or more than one, or where the line is no header.
    """
    lines = [line for line in ahead if line.strip()]
    called = [name for name in names if _bare(name) in _NAMES]
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
    rows = [_cells(line, separator) for line in lines]
    fitting = [name for place, name in enumerate(names) if name and _fits(_column(rows, place), country)]
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
        if any(name == PHONE_NUMBER or _bare(name) in _NAMES for name in below):
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
