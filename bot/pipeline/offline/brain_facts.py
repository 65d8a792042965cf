"""What the brain learns in a call: outcome fields, notes, and whether the goal was reached. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.pipeline.offline.times import when_said, without_refusal
from bot.pipeline.offline.understanding import (
    Intent,
    beyond_agreement,
    intents,
    name_said,
    number_said,
    option_said,
    phone_said,
    plain,
)
from bot.records import Outcome


@dataclass(frozen=True)
class BrainField:
    """An outcome field of the scenario; one with a question is asked in the call."""

    name: str
    type: Literal["boolean", "string", "number", "choice"]
    description: str
    question: str | None = None
    options: tuple[str, ...] = ()

    @property
    def is_time(self) -> bool:
        """Whether it holds a day or a time; a number or a yes is none."""
        by_name = re.search(r"(^|_)(time|when|date|day|slot|callback)(_|$)", self.name)
        by_question = re.search(r"\b(when|(what|which) (day|time|date))\b", self.question or "", re.IGNORECASE)
        return self.type == "string" and bool(by_name or by_question)


_MEANINGS: dict[str, str] = {
    # what was learnt: words of field names and options that stand for it, English and Spanish
    "confirmed": r"confirm|accept|attend|interest|coming|works|acept|asist",
    "agreed": r"agree|accept|booked|arranged|scheduled",
    "reschedule": r"resched|another_time|change|cambio|reprogram",
    "canceled": r"cancel|anul",
    "when": r"(?<!up)date|time|when|day|slot|callback|change|cambio|fecha|hora|dia|cuando",
    "call_when": r"callback|call_back|call|best|contact|llamar|llamada",
    "wrong_number": r"wrong|equivocad",
    "do_not_call": r"do_not_call|dnc|opt_?out|remove|no_llamar",
    "callback": r"callback|call_back|later|volver_a_llamar|devolver",
    "message": r"message|reason|request|need|topic|mensaje|recado|motivo",
    "name": r"name|nombre",
    "phone_number": r"phone|number|telefono",
}


@dataclass
class Learnt:
    """Filled turn by turn; `outcome` reads it at any time."""

    fields: Sequence[BrainField]
    goal: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reached: bool = False
    nothing: str = "Nothing was settled."
    """The summary of a call without notes."""

    def learn(self, meaning: str, value: Any) -> None:
        """Fills the fields that stand for `meaning`: booleans, matching options, or text."""
        rule = re.compile(rf"(^|_)({_MEANINGS[meaning]})")
        for spec in self.fields:
            if spec.type == "choice" and value is True:
                option = next((o for o in spec.options if rule.search(o.lower())), None)
                if option and not spec.question:
                    self.values[spec.name] = option
            elif rule.search(spec.name.lower()):
                fits = isinstance(value, bool) if spec.type == "boolean" else isinstance(value, str)
                if fits and spec.type in ("boolean", "string"):
                    self.values[spec.name] = value

    def answer(self, spec: BrainField, value: Any) -> None:
        """Keeps the answer to a field's own question."""
        self.values[spec.name] = value
        said = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        self.note(f"{spec.name.replace('_', ' ').capitalize()}: {said}.")

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def outcome(self) -> Outcome:
        """`reached_goal` is the field the goal names. The talk fills it, unless it has a question of its own."""
        values = dict(self.values)
        reached = self.reached
        goal = next((spec for spec in self.fields if spec.name == self.goal and spec.type == "boolean"), None)
        if goal:
            if goal.name not in values and not goal.question and (reached or self.notes):
                values[goal.name] = reached
            reached = bool(values.get(goal.name))
        return Outcome(reached, " ".join(self.notes) or self.nothing, values, "rules")


def parsed(spec: BrainField, heard: str) -> Any:
    """The field's value in the words, or None."""
    if spec.type == "number":
        number = number_said(heard)
        return int(number) if number is not None and number == int(number) else number
    if spec.type == "choice":
        return option_said(heard, spec.options)
    if spec.type == "boolean":
        meaning = intents(heard)
        if meaning & {Intent.NO, Intent.CANCEL, Intent.DECLINE}:
            return False
        return True if Intent.YES in meaning else None
    if spec.is_time:
        return when_said(without_refusal(heard))
    if re.search(r"(^|_)name$", spec.name):
        return name_said(heard)
    if re.search(r"(^|_)phone(_|$)", spec.name):
        return phone_said(heard)
    return heard.strip(" .") if plain(heard) else None


def answered_in(fields: Sequence[BrainField], asked: str, heard: str) -> dict[str, Any]:
    """What `heard` says as the answer to whichever fields' questions `asked` holds.

    An order to the agent answers nothing, and what is only polite beside a goodbye ("okay, goodbye!") is no yes.
    """
    meant = intents(heard)
    words = set(plain(asked).split())
    found: dict[str, Any] = {}
    if Intent.ORDERS in meant:
        return found
    for spec in fields:
        question = set(plain(spec.question or "").split())
        if question and len(question & words) >= 0.6 * len(question):
            polite = spec.type == "boolean" and Intent.GOODBYE in meant
            value = parsed(spec, beyond_agreement(heard) if polite else heard)
            if value is not None:
                found[spec.name] = value
    return found
