"""What of a call must not be kept: the secret keys of its callee, wherever they turn up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from bot import languages
from bot.conversation.redaction import REDACTED
from bot.languages.spoken_digits import spoken_at
from bot.records import Outcome

MASK = "****"
SHORTEST_SECRET = 3
"""Digits; fewer would be found in numbers that are not the secret."""
_BETWEEN = r"[\s,.\-–]*"
"""What a model or a voice puts between the digits it repeats."""


class Redact(Protocol):
    """What is done to a text before it is kept."""

    def __call__(self, text: str, *, utterance: bool = False) -> str:
        """`utterance`: somebody said it in one go."""
        ...


class Secrets:
    """Of one call: digits, written together or with blanks, commas and hyphens between them, or said in words.

    `redact` is applied to every text that is kept, before.
    """

    def __init__(self, redact: Redact | None = None) -> None:
        self._redact = redact
        self._pattern: re.Pattern[str] | None = None
        self._known: list[str] = []

    def add(self, keys: str) -> None:
        digits = re.sub(r"\D", "", keys)
        if len(digits) >= SHORTEST_SECRET and digits not in self._known:
            self._known = sorted([*self._known, digits], key=len, reverse=True)
            written = "|".join(_BETWEEN.join(known) for known in self._known)
            self._pattern = re.compile(rf"(?<!\d)(?:{written})(?!\d)")

    def said(self, text: str) -> str:
        """An utterance without them."""
        text = text if self._redact is None else self._redact(text, utterance=True)
        return self._without(text)

    def _without(self, text: str) -> str:
        if self._pattern is None:
            return text
        text = self._pattern.sub(MASK, text)
        for language in languages.KNOWN:  # a callee may go on in another one than the scenario's
            for begin, end in reversed(spoken_at(text, self._known, language)):
                text = f"{text[:begin]}{MASK}{text[end:]}"
        return text

    def masked(self, value: Any) -> Any:
        """`value`, a JSON value, without them."""
        if self._pattern is None and self._redact is None:
            return value
        if isinstance(value, str):
            return self._without(value if self._redact is None else self._redact(value))
        if isinstance(value, Mapping):
            return {self.masked(name): self.masked(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.masked(item) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = str(value) if isinstance(value, int) else f"{value:.15g}"
            if self._pattern is not None and self._pattern.fullmatch(written):
                return MASK
            return value if self._redact is None or self._redact(written) == written else REDACTED
        return value

    def masked_outcome(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is None or (self._pattern is None and self._redact is None):
            return outcome
        texts = ("summary", "fields", "evidence", "claimed", "unbacked_claims", "analysis_error")
        return replace(outcome, **{name: self.masked(getattr(outcome, name)) for name in texts})
