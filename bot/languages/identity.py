"""Who a person says they are, and what may be said before they have said so. Pure.

The only question that is judged is the agent's own, "Am I speaking with John?". A plain yes to it counts where it
is all that is said; a name counts where somebody introduces themselves with it, and not in a question, in a
denial, or as another's ("John's wife"). In doubt nobody is identified: the question costs a second, the other
mistake somebody's privacy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from bot.languages.wording import Wording, plain

_SENTENCES = re.compile(r"[^.,;!?]+[.,;!?]?")


class Identity(Enum):
    """What an answer to the question says."""

    CONFIRMED = "confirmed"
    DENIED = "denied"
    """Somebody else, or nobody who knows them."""
    ASKS = "asks"
    """Who calls, or why."""
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class IdentityWords:
    """One language's. Texts may have {{callee_name}}, {{agent_name}} and {{organization}}: no other variable."""

    introduction: str
    """Who calls, without why."""
    asks: str
    asks_unnamed: str
    """Where no name is known."""
    why: str
    """To one who asks what it is about."""
    goodbye: str
    """To one who is somebody else, or does not say."""
    message: str
    """Left on a machine."""
    screening: str
    """To a machine that asks who calls and why."""
    introduces: str
    """Regular expressions over plain text: what stands before one's own name,"""
    presents: str
    """and behind it."""
    titles: str
    speaking: str
    """Says that it is they, by itself, and no more than that."""
    yes: str
    courtesies: str
    """What may stand beside it."""
    denies: Wording
    wonders: Wording
    """Asks who calls, or why."""
    no_name: str
    """Words that follow "I am", and are no name; blanks between them."""
    _beside: str = field(init=False, repr=False, compare=False)
    _speaking: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _yes: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _courtesy: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _no_name: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        beside = rf"(?:(?:{self.yes}|{self.courtesies}) )*"
        object.__setattr__(self, "_beside", beside)
        object.__setattr__(self, "_speaking", re.compile(rf"{beside}(?:{self.speaking})"))
        object.__setattr__(self, "_yes", re.compile(rf"{beside}(?:{self.yes})(?: (?:{self.courtesies}))*"))
        object.__setattr__(self, "_courtesy", re.compile(rf"(?:{self.courtesies})(?: (?:{self.courtesies}))*"))
        object.__setattr__(self, "_no_name", frozenset(self.no_name.split()))

    def judge(self, text: str, name: str | None, *, asked: bool = True) -> Identity:
        """What `text` says to the question whether it is `name` (None: who it is).

        Not `asked`: a yes says nothing.
        """
        sentences = [(plain(part), part.endswith("?")) for part in _SENTENCES.findall(text) if plain(part)]
        if self.denies.found_in(text):
            return Identity.DENIED
        if any(not asks and self._introduces(words, name) for words, asks in sentences):
            return Identity.CONFIRMED
        wonders = self.wonders.found_in(text)
        answers = asked and name is not None
        if answers and any(not asks and self._speaking.fullmatch(words) for words, asks in sentences):
            return Identity.CONFIRMED
        rest = [words for words, _ in sentences if not self._courtesy.fullmatch(words)]
        if answers and rest and not wonders and all(map(self._yes.fullmatch, rest)):
            return Identity.CONFIRMED
        return Identity.ASKS if wonders else Identity.UNCLEAR

    def _introduces(self, words: str, name: str | None) -> bool:
        lead = self._beside
        if name is None:
            own = rf"(?:(?:{self.titles}) )?([^\W\d]{{2,}})"
            behind = re.match(rf"{lead}(?:{self.introduces}) {own}", words)
            before = re.fullmatch(rf"{lead}{own} (?:{self.presents})", words)
            return any(found is not None and found[1] not in self._no_name for found in (behind, before))
        given = [part for part in plain(name).split() if len(part) > 1]
        parts = "|".join(re.escape(part) for part in given if not re.fullmatch(self.titles, part))
        if not parts:
            return False
        own = rf"(?:(?:{self.titles}) )?(?:{parts})(?: (?:{parts}))*"
        return bool(
            re.match(rf"{lead}(?:{self.introduces}) {own}\b", words)
            or re.fullmatch(rf"{lead}{own}(?: (?:{self.presents}))?", words)
        )
