"""Which rule-based brain holds a call, by its language, and how it words what the call is for.

English has a brain of its own; every other language with a tongue shares the brief one. A language without one
is answered in English, which is what a machine without a model can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.languages import knows, of
from bot.outcome_schema import Schema, of_fields
from bot.pipeline.offline import purpose, purpose_spanish
from bot.pipeline.offline.brain import Brain
from bot.pipeline.offline.brain_facts import BrainField
from bot.pipeline.offline.brain_memory import BrainReply
from bot.pipeline.offline.brief_brain import BriefBrain
from bot.pipeline.offline.outcome_rules import Heard, brain_fields, fitted, sentiment
from bot.pipeline.offline.summary import agreeing, two_sentences
from bot.pipeline.offline.tongue_spanish import SPANISH
from bot.pipeline.offline.understanding import plain
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
    *,
    schema: Schema | None = None,
) -> Outcome:
    """The outcome of a call by its transcript; what tools recorded in the call outranks it.

    `schema`: what a request asks for instead of `fields`, in plain form (`outcome_schema.checked`). The fields
    are listened for all the same: they lead through the talk, and one of them may be the goal.
    """
    wanted = () if schema is None else brain_fields(schema)
    own = {field.name for field in fields}
    brain = brain_for(spec, [*fields, *(w for w in wanted if w.name not in own)], frozenset(), goal, language)
    heard = Heard(language, wanted, schema)
    opening, asked = "", ""
    for turn in turns:
        if turn.speaker is Speaker.AGENT:
            asked = turn.text
            opening = opening or turn.text
        elif plain(turn.text) and opening:
            brain.reply(turn.text, spoken=None if brain.last else opening)
            heard.listen(asked, turn, brain.outcome().fields, fields if isinstance(brain, Brain) else ())
    learnt = brain.outcome()
    values = learnt.fields | heard.values
    reached = bool(values[goal]) if goal in values else learnt.reached_goal
    # What the brain left open contradicts nothing; what it learnt otherwise, and noted, does.
    known = goal in learnt.fields or learnt.reached_goal
    summary = agreeing(
        learnt.summary, was=learnt.reached_goal if known else reached, reached=reached, language=language
    )
    shape = of_fields(fields) if schema is None else schema
    shown = fitted(shape, values)
    return Outcome(
        reached,
        two_sentences(summary, reached=reached, language=language),
        shown,
        learnt.source,
        sentiment(turns, language),
        {name: quotes for name, quotes in heard.evidence.items() if shown.get(name) is not None},
    )
