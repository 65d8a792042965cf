"""What the brief brain needs of a language: words to understand by, and sentences to answer with. Data, no rules.

Words are `Wording`s over plain text: lower case, no accents, no punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.languages import Wording
from bot.pipeline.offline.understanding import Intent


@dataclass(frozen=True)
class FactKind:
    """A kind of question, and the kind of sentence that answers it."""

    question: Wording
    fact: Wording
    words: str
    """Words of such a question that the answer need not hold, divided by spaces, in plain form."""


@dataclass(frozen=True)
class Sentences:
    """What it says. {…} are filled in by the brain; tuples are variants of one thing."""

    hello: str
    """{name}, {me}: the callee's name after a comma or nothing, and the introduction."""
    welcome: str
    """{us}, {me}: for those who call in."""
    me: str
    """{agent}"""
    me_of: str
    """{agent}, {us}"""
    automated: str
    why: str
    """{said}: what completes "I'm calling"."""
    they_called: str
    robot: str
    well: str
    sure: tuple[str, ...]
    take_your_time: str
    orders: str
    wrong_number: str
    not_again: str
    understood: str
    confirmed: str
    """{topic}"""
    thanks: tuple[str, ...]
    noted: str
    passed_on: tuple[str, ...]
    """The answer to a question is not known."""
    message_noted: str
    other_time: str
    other_time_noted: str
    """{when}"""
    when: tuple[str, ...]
    call_when: tuple[str, ...]
    call_back: str
    """{when}"""
    call_back_noted: str
    also: str
    """{order}: a further instruction."""
    help: tuple[str, ...]
    anything: tuple[str, ...]
    not_understood: tuple[str, ...]
    give_up: str
    goodbye: str
    """{name}"""
    back_to: tuple[str, ...]
    """{question}: comes back to the open one."""
    again: tuple[str, ...]
    """Introduces what was said before."""
    choices: str
    """{options}"""
    choice_or: str


@dataclass(frozen=True)
class Notes:
    """What the summary says. {who} is the callee."""

    them: str
    nothing: str
    confirmed: str
    """{topic}"""
    declined: str
    answered: str
    """{question}, {words}"""
    wants_time: str
    """{when}"""
    wants_other_time: str
    call_back: str
    """{when}"""
    wrong_number: str
    not_again: str
    asked: str
    """{words}: a question nobody could answer."""
    message: str
    """{words}"""
    yes: str
    no: str


@dataclass(frozen=True)
class Tongue:
    """One language for the brief brain."""

    meanings: Mapping[Intent, Wording]
    certain: Wording
    """A yes that is more than polite: beside a goodbye no other counts."""
    asks: Wording
    """Begins a question, where a recogniser leaves the marks out."""
    turn: re.Pattern[str]
    """Between a statement and the question that follows it."""
    small_words: frozenset[str]
    """Words that tell nothing of what a question is about, in plain form."""
    kinds: Mapping[str, FactKind]
    to_agent: Wording
    """A sentence of the context that is meant for the agent only."""
    time: re.Pattern[str]
    """A day, a clock time, or both, as they are said."""
    clauses: re.Pattern[str]
    """Between clauses, of which one may refuse a time and the next propose another."""
    refused: Wording
    """In a clause whose time is refused."""
    proposes: Wording
    """In a question that names a time: a wish for it."""
    wants_more: Wording
    """A yes to "anything else?" that says nothing else."""
    numbers: Mapping[str, int]
    sentences: Sentences
    notes: Notes

    def __deepcopy__(self, _memo: object) -> Tongue:
        """Itself: a brain is copied for each reply, its language never changes."""
        return self
