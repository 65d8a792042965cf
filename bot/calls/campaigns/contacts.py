"""A contact as it was uploaded, whatever the upload's form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

PHONE_NUMBER = "phone_number"
MAX_ROW_BYTES = 64 * 1024
"""Of one contact's text; a longer one is a bad row."""
KEPT_TEXT = 500
"""Characters of a bad row that are kept."""
_SPACE = re.compile(r"[\s\-]+")


@dataclass(frozen=True)
class RawRow:
    """One contact as it was sent. With a `problem` (code and words) there is nothing else to know of it."""

    line: int
    text: str
    phone_number: Any = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    problem: tuple[str, str] | None = None

    @classmethod
    def bad(cls, line: int, text: str, code: str, words: str) -> Self:
        return cls(line, text.rstrip("\n")[:KEPT_TEXT], problem=(code, words))


def variable_name(name: str) -> str:
    """How a column, a key and a {{placeholder}} are compared: `First name` is `first_name`."""
    return _SPACE.sub("_", name.strip().lower())
