"""The encoding of a text file: UTF-8 or UTF-16 by its bytes, else the code page its words read best in. Pure.

charset_normalizer tells which pages can be meant and how odd a text is in each; it is made for prose, and
names in a table are few words. So what shows that a letter was read wrongly counts first (a sign in a word, a
capital within one, half-width letters), then whether one language has all the letters: windows-1252 and -1254
differ in six, and "Ayþe Yýlmaz" is nobody's name. What may still be two things is said.
"""

from __future__ import annotations

import codecs
import re
import tomllib
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from charset_normalizer import from_bytes

from bot.errors import RequestError

_MARKED = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BLOCK = 64 * 1024
_SAMPLE_BYTES = 16 * 1024
"""Of lines that are not ASCII: enough to tell code pages apart, in some milliseconds."""
_UTF16_SHARE = 0.4
"""Of zeros among every second byte of text in Latin letters or digits, which any list of numbers has."""
_WORD = re.compile(r"[^\W\d_]+")
_WRONG = re.compile(
    r"[^\W\d_](?=[^\x00-\x7f\w\u2019])|[^\x00-\x7f\w\u2018\u201c](?=[^\W\d_])"
    r"|[A-Za-z](?=[\u0370-\ud7a3])|[\u0370-\ud7a3](?=[A-Za-z])|[\uff61-\uff9f]"
    r"|(?<![aeıioöuüâîûAEIİOÖUÜ])[ğĞ]|(?<=[α-ω])[βγδζθκλμπστφχ]\b"
)
"""A sign or two alphabets in a word, half-width kana, a soft g behind no vowel, the end of no Greek word."""
_LOOSE_MARK = re.compile(r"(?<![\u0e01-\u0e4e])[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")
"""A Thai vowel on no letter."""
_THAI_MARKS = re.compile(r"[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")
"""Parts of a letter, which Python takes for signs."""
_VOWELLESS = re.compile(r"\b[бвгджзйклмнпрстфхцчшщ]{3,}\b|\b[βγδζθκλμνξπρστφχψ]{3,}\b", re.IGNORECASE)


@dataclass(frozen=True)
class Encoding:
    name: str
    codec: str
    """Python's."""
    other_encodings: tuple[str, ...] = ()
    """Names of others in which the text reads as well, and otherwise."""


@dataclass(frozen=True)
class _Page:
    codec: str
    name: str
    letters: tuple[frozenset[str], ...]


_DATA = tomllib.loads(Path(__file__).with_name("code_pages.toml").read_text(encoding="utf-8"))
_PAGES = [_Page(p["codec"], p["name"], tuple(map(frozenset, p["letters"]))) for p in _DATA["page"]]


def encoding_of(file: IO[bytes], said: str | None = None) -> Encoding:
    """`said`: by who sent the file. RequestError for a name that there is not."""
    file.seek(0)
    start = file.read(4096)
    for mark, codec in _MARKED:
        if start.startswith(mark):
            return Encoding(codec, codec)
    if said is not None:
        try:
            return Encoding(said.lower(), codecs.lookup(said).name)
        except LookupError:
            message = f"encoding: there is none named {said!r}; as in windows-1252"
            raise RequestError(message, code="invalid_field", field="encoding") from None
    pairs = max(1, len(start) // 2)
    for codec, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if zeros.count(0) / pairs > _UTF16_SHARE:
            return Encoding(codec, codec)
    file.seek(0)
    sample = _unlike_utf8(file)
    return _code_page(sample) if sample else Encoding("utf-8", "utf-8")


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


def _code_page(sample: bytes) -> Encoding:
    """The page that reads best; windows-1252 where none reads at all."""
    sample = sample[:_SAMPLE_BYTES]
    chaos = {
        name: round(match.chaos, 2)
        for match in from_bytes(sample, cp_isolation=sorted({page.codec for page in _PAGES}), threshold=1.0)
        for name in match.could_be_from_charset
    }
    read: list[tuple[tuple[int, bool, float], _Page, str]] = []
    for page in _PAGES:
        try:
            text = unicodedata.normalize("NFC", sample.decode(page.codec))
        except UnicodeDecodeError:
            continue
        oddity = chaos.get(page.codec, 1.0)
        read.append(((_wrong(text), not _fits(page, text), 0.0 if page.letters else oddity), page, text))
    if not read:
        return Encoding(_PAGES[0].name, _PAGES[0].codec)
    best, page, text = min(read, key=lambda one: one[0])
    others = {other.name: None for rank, other, words in read if rank[:2] == best[:2] and words != text}
    others.pop(page.name, None)
    return Encoding(page.name, page.codec, tuple(others))


def _wrong(text: str) -> int:
    """How many places show that a letter was read wrongly: signs in words, capitals within them."""
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    mixed = sum(not (word.islower() or word.isupper() or word.istitle()) for word in words if _has_case(word))
    bare = _THAI_MARKS.sub("", text)
    return mixed + sum(len(rule.findall(bare)) for rule in (_WRONG, _VOWELLESS)) + len(_LOOSE_MARK.findall(text))


def _has_case(word: str) -> bool:
    return word.lower() != word.upper()


def _fits(page: _Page, text: str) -> bool:
    """Whether one language has all its letters; a page without languages has any."""
    letters = {letter for letter in text.lower() if letter.isalpha() and not letter.isascii()}
    return not page.letters or any(letters <= alphabet for alphabet in page.letters)
