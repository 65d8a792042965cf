"""How words are compared: in a plain form, lower case without accents and punctuation. Pure.

Recognisers write one sound in many ways ("mm-hmm", "Mmhmm.", "mhmm") and leave accents out of interim results.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
"""A word or digits, as they stand in a text: an apostrophe within is part of them."""
BETWEEN_DIGITS = re.compile(r"[\s,.;:\-–…]*")
"""What is written between two digits of one number that was said."""


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """Lower case without accents, apostrophes and punctuation; a letter drawn out is written twice at most."""
    lowered = unicodedata.normalize("NFKD", text).lower()
    bare = "".join(c for c in unicodedata.normalize("NFKD", lowered) if not unicodedata.combining(c))
    words = re.sub(r"[^\w]+|_", " ", re.sub(r"['’‘`]", "", bare))
    return re.sub(r"([^\W\d])\1{2,}", r"\1\1", " ".join(words.split()))


class Wording:
    """Ways to word one thing, as regular expressions over plain text (no accents, "youve" for "you've")."""

    def __init__(self, *rules: str) -> None:
        self.pattern = re.compile(rf"\b(?:{'|'.join(rules)})\b")

    def found_in(self, text: str) -> bool:
        return bool(self.pattern.search(plain(text)))
