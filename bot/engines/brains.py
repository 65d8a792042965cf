"""Which rule-based brain holds a call, by its language, and how it words what the call is for.

English has a brain of its own; every other language with a tongue shares the brief one. A language without one
is answered in English, which is what a machine without a model can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.engines import purpose, purpose_spanish
from bot.engines.brain import Brain
from bot.engines.brain_facts import BrainField, answered_in
from bot.engines.brain_memory import BrainReply
from bot.engines.brief_brain import BriefBrain
from bot.engines.tongue_spanish import SPANISH
from bot.engines.understanding import plain
from bot.languages import knows, of
from bot.records import CallSpec, Outcome, Speaker, Turn


class RuleBrain(Protocol):
    """What every rule-based brain does. Pure: words in, words and tool calls out."""

    @property
    def last(self) -> str: ...

    def opening(self) -> str: ...

    def reply(self, heard: str, *, spoken: str | None = None) -> BrainReply: ...

    def outcome(self) -> Outcome: ...


def brain_for(
    spec: CallSpec,
    fields: Sequence[BrainField],
    tools: frozenset[str],
    goal: str | None = None,
    language: str = "en",
) -> RuleBrain:
    """A new brain for one call; `language` is a code like "es-MX"."""
    if of(language).code == "es":
        asks = any(field.question for field in fields)
        why = purpose_spanish.purpose(spec, has_questions=asks)
        return BriefBrain(spec, fields, tools, goal, tongue=SPANISH, purpose=why)
    return Brain(spec, fields, tools, goal)


def reason(spec: CallSpec, language: str) -> str | None:
    """The action as it follows "I'm calling to" in the language; None without one.

    In a language that has no rules here it is the action as it stands.
    """
    code = of(language).code
    if code == "es":
        return purpose_spanish.reason(spec)
    return purpose.reason(spec) if knows(code) else spec.action.strip().rstrip(".!") or None


def question(spec: CallSpec, language: str) -> str | None:
    """The question that follows the reason in an opening; None without one."""
    code = of(language).code
    if code == "es":
        return purpose_spanish.question(spec)
    return purpose.question(spec) if knows(code) else None


def rule_outcome(
    spec: CallSpec,
    fields: Sequence[BrainField],
    turns: Sequence[Turn],
    goal: str | None = None,
    language: str = "en",
) -> Outcome:
    """The outcome of a call by its transcript; what tools recorded in the call outranks it."""
    brain = brain_for(spec, fields, frozenset(), goal, language)
    opening, asked = "", ""
    answered: dict[str, bool | float | str] = {}
    for turn in turns:
        if turn.speaker is Speaker.AGENT:
            asked = turn.text
            opening = opening or turn.text
        elif plain(turn.text) and opening:
            brain.reply(turn.text, spoken=None if brain.last else opening)
            if isinstance(brain, Brain):
                answered |= answered_in(fields, asked, turn.text)
    outcome = brain.outcome()
    values = outcome.fields | answered
    reached = bool(values[goal]) if goal in values else outcome.reached_goal
    return Outcome(reached, outcome.summary, values, outcome.source)
