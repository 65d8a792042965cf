"""JSON that is kept: what may come in, and what can be shown of what is there all the same.

What comes in is checked by `check_json`, wherever it comes from: its sender can mend it. What an older version
kept, or a tool or a model gave, nobody can: `to_json` and `from_json` never fail on it, because one row that
cannot be written as JSON again would fail every list that it is in.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

MAX_DEPTH = 32
"""Levels of what may come in."""
SHOWN_DEPTH = 100
"""Levels of what is shown: pydantic writes 255."""
SHOWN_TEXT = 500
"""Characters of a text that is no JSON."""
_INTEGERS = range(-(2**63), 2**64)
"""What most readers of JSON take, exactly or not; RFC 8259 section 6 leaves it open."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_SUSPECT = re.compile(r"\\ud[89a-f]|NaN|Infinity|[0-9]e\+?[0-9]{3}", re.IGNORECASE)
"""In JSON text: what json.loads may turn into something that cannot be written again. A look that costs next to
nothing, before one at every value."""
_LONGEST_INTEGER = 4000
"""Digits that Python reads, and a bit less."""
_T = TypeVar("_T")


def check_json(value: object, max_bytes: int | None = None) -> None:
    """ValueError, in words that follow a field's name, for what cannot be kept and given back as it is."""
    _check(value, 0)
    if max_bytes is not None:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text.encode()) > max_bytes:
            raise ValueError(f"is larger than {max_bytes // 1024} KiB")


def _check(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested deeper than {MAX_DEPTH} levels")
    match value:
        case str():
            if "\0" in value:
                raise ValueError("holds a NUL character")
            if not value.isascii() and _SURROGATE.search(value):
                raise ValueError("holds text that is not valid Unicode")
        case float() if not math.isfinite(value):
            raise ValueError("holds a number that is not finite")
        case int() if value not in _INTEGERS:
            raise ValueError("holds an integer of more than 64 bits: write it as text")
        case dict():
            for key, item in value.items():
                _check(key, depth + 1)
                _check(item, depth + 1)
        case list():
            for item in value:
                _check(item, depth + 1)


def to_json(value: object) -> str:
    """JSON for a column or a webhook. What JSON cannot say becomes null (NaN, infinity) or text."""
    try:
        text = json.dumps(value, allow_nan=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return json.dumps(_shown(value), allow_nan=False, default=str)
    return json.dumps(_shown(value), allow_nan=False, default=str) if _is_suspect(text) else text


def from_json(text: str) -> Any:
    """A column's value. Half characters become U+FFFD, infinities null, levels beyond SHOWN_DEPTH `…`; what is no
    JSON at all `{"unreadable": "its beginning"}`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = json.loads(text, parse_int=_integer, strict=False)
        except (ValueError, RecursionError):
            return {"unreadable": _SURROGATE.sub("\ufffd", text[:SHOWN_TEXT])}
        return _shown(value)
    return _shown(value) if _is_suspect(text) else value


def read(kind: type[_T], kept: object) -> _T | None:
    """A dataclass of what was kept of one: keys that do not fit are left out. None where it needs one of them."""
    while isinstance(kept, dict):
        try:
            found: _T = _adapters(kind).validate_python(kept)
            return found
        except ValidationError as e:
            unfit = {error["loc"][0] for error in e.errors(include_input=False) if error["loc"]} & kept.keys()
            kept = {key: value for key, value in kept.items() if key not in unfit} if unfit else None
    return None


def as_object(kept: object) -> dict[str, Any]:
    """What is kept where an object belongs."""
    return kept if isinstance(kept, dict) else {"unreadable": kept}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


_adapters: Callable[[Any], TypeAdapter[Any]] = cache(_adapter)


def _is_suspect(text: str) -> bool:
    return _SUSPECT.search(text) is not None or text.count("[") + text.count("{") > SHOWN_DEPTH


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else digits


def _shown(value: object, depth: int = 0) -> object:
    match value:
        case str():
            return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
        case float():
            return value if math.isfinite(value) else None
        case int() if not isinstance(value, bool) and abs(value) >= 10**_LONGEST_INTEGER:
            return "\u2026"
        case Mapping() | list() | tuple() if depth >= SHOWN_DEPTH:
            return "\u2026"
        case Mapping():
            return {_shown(key, depth + 1): _shown(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_shown(item, depth + 1) for item in value]
    return value
