"""Whether a number, an address or a spelling goes on after a pause, by its words and what was asked. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WHOLE_EMAIL = re.compile(r"@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}$")
_NOT_SPELLED = frozenset({"a m", "p m", "o k", "u s", "u k", "t v", "i d", "e u", "o clock"})
"""Letters at an end that are a word."""
CODE_LENGTH = 4
"""Codes of fewer characters are rare."""


@dataclass(frozen=True)
class DictationWords:
    """What asks for a dictation, and how its signs are said. Patterns over plain text."""

    phone: str
    email: str
    code: str
    spelling: str
    at: str
    dot: str
    signs: str
    """All others, and what doubles a letter."""
    phone_digits: int
    """A phone number of the country has so many at least."""

    def goes_on(self, written: str, words: str, asked: str, digits: frozenset[str]) -> bool:
        """Whether more is to come. `written`: the turn as recognised; `words`: it, and `asked`, in plain form."""
        said = words.split()
        signs = re.compile(rf"(?:{self.at}|{self.dot}|{self.signs})$")
        tail: list[str] = []
        for word in reversed(said):
            if not (word in digits or word.isdigit() or len(word) == 1 or signs.fullmatch(word)):
                break
            tail.append(word)
        count = sum(len(word) if word.isdigit() else 1 for word in tail if word.isdigit() or word in digits)
        letters = sum(1 for word in tail if len(word) == 1 and not word.isdigit())
        if re.search(rf"\b(?:{self.email})", asked):
            return self._email_goes_on(written, words, bool(tail))
        if tail and signs.fullmatch(tail[0]) and len(said) > 1:
            return True  # "john at", "a b dash"
        if len(tail) == 1 and len(said) > len(tail) + 2:
            return False  # "I don't have one"
        if re.search(rf"\b(?:{self.phone})", asked):
            return 0 < count < self.phone_digits
        if re.search(rf"\b(?:{self.code})", asked):
            return 0 < count + letters < CODE_LENGTH
        if re.search(rf"\b(?:{self.spelling})", asked):
            return letters > 0
        return letters > 1 and " ".join(said[-2:]) not in _NOT_SPELLED

    def _email_goes_on(self, written: str, words: str, spelled: bool) -> bool:
        if _WHOLE_EMAIL.search(written.lower().rstrip(" .!")):
            return False
        if re.search(rf"\b(?:{self.at})\b.*\b(?:{self.dot}) [a-z]{{2,}}$", words):
            return False
        begun = "@" in written or re.search(rf"\b(?:{self.at}|{self.dot}|{self.signs})\b", words)
        return spelled or bool(begun)
