"""What of a call must not be kept: the secret keys of its callee, wherever they turn up."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.records import Outcome

MASK = "****"
SHORTEST_SECRET = 3
"""Digits; fewer would be found in numbers that are not the secret."""
_BETWEEN = r"[\s,.\-–]*"
"""What a model or a voice puts between the digits it repeats."""


class Secrets:
    """Of one call: digits, written together or with blanks, commas and hyphens between them.

    `redact` is applied to every text that is kept, before.
    """

    def __init__(self, redact: Callable[[str], str] | None = None) -> None:
        self._redact = redact
        self._pattern: re.Pattern[str] | None = None
        self._known: list[str] = []

    def add(self, keys: str) -> None:
        digits = re.sub(r"\D", "", keys)
        if len(digits) >= SHORTEST_SECRET and digits not in self._known:
            self._known = sorted([*self._known, digits], key=len, reverse=True)
            written = "|".join(_BETWEEN.join(known) for known in self._known)
            self._pattern = re.compile(rf"(?<!\d)(?:{written})(?!\d)")

    def masked(self, value: Any) -> Any:
        """`value`, a JSON value, without them."""
        if self._pattern is None and self._redact is None:
            return value
        if isinstance(value, str):
            value = value if self._redact is None else self._redact(value)
            return value if self._pattern is None else self._pattern.sub(MASK, value)
        if isinstance(value, Mapping):
            return {self.masked(name): self.masked(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.masked(item) for item in value]
        if self._pattern is not None and isinstance(value, int | float) and not isinstance(value, bool):
            return MASK if self._pattern.fullmatch(f"{value:.15g}") else value
        return value

    def masked_outcome(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is None or (self._pattern is None and self._redact is None):
            return outcome
        return replace(outcome, summary=self.masked(outcome.summary), fields=self.masked(outcome.fields))
