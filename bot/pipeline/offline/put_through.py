"""The rule-based brain asked for a person: whether, and whom of those a call may be put through to. Pure.

A model understands the wish in any words; the rules know the common ones in English and Spanish.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.languages import plain

_PERSON = (
    r"(?:(?:an?|the|some|your|another|any|real|live|actual|human|una?|el|la|su|otra?) )*"
    r"(?:person|human|being|someone|somebody|agent|representative|operator|colleague|manager|receptionist|"
    r"persona|humano|alguien|agente|representante|operadora?|companer[oa]|encargad[oa]|recepcionista)"
)
_WISH = re.compile(
    rf"\b(?:speak|talk|chat) (?:to|with) {_PERSON}\b"
    rf"|\b(?:put|patch|connect|transfer) me\b"
    rf"|\bhablar con {_PERSON}\b"
    rf"|\b(?:pase|pasa|comunique|comunica|transfiera|transfiere|conecte|ponga)me\b"
)
_DENIED = re.compile(r"\b(?:dont|do not|not|no) (?:want|need|quiero|quiera|necesito|me)\b")


def put_through(heard: str, targets: Sequence[str]) -> str | None:
    """The target the callee wants to speak to: the one they name, else the first. None where they do not."""
    words = plain(heard)
    named = next((target for target in targets if re.search(rf"\b{re.escape(plain(target))}\b", words)), None)
    asks = _WISH.search(words) or (
        named is not None and re.search(r"\b(?:(?:speak|talk) (?:to|with)|hablar con)\b", words)
    )
    if not asks or _DENIED.search(words):
        return None
    return named or next(iter(targets), None)
