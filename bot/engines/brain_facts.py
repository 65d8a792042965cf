"""What the brain learns in a call: outcome fields, notes, and whether the goal was reached. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.engines.understanding import Intent, intents, number_said, option_said, plain
from bot.records import Outcome


@dataclass(frozen=True)
class BrainField:
    """An outcome field of the scenario; one with a question is asked in the call."""

    name: str
    type: Literal["boolean", "string", "number", "choice"]
    description: str
    question: str | None = None
    options: tuple[str, ...] = ()


_MEANINGS: dict[str, str] = {
    # what was learnt: field names and options that stand for it
    "confirmed": r"confirm|accept|agree|attend|interested|still_works",
    "reschedule": r"resched|another_time|change",
    "canceled": r"cancel",
    "when": r"time|when|date|day|slot|callback",
    "wrong_number": r"wrong",
    "do_not_call": r"do_not_call|dnc|opt_?out|remove",
    "callback": r"callback|call_back|later",
    "message": r"message|reason|request|need|topic",
    "name": r"name",
    "phone_number": r"phone|number",
}


@dataclass
class Learnt:
    """Filled turn by turn; `outcome` reads it at any time."""

    fields: Sequence[BrainField]
    goal: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reached: bool = False

    def learn(self, meaning: str, value: Any) -> None:
        """Fills the fields that stand for `meaning`: booleans, matching options, or text."""
        rule = re.compile(_MEANINGS[meaning])
        for spec in self.fields:
            if spec.type == "choice" and value is True:
                option = next((o for o in spec.options if rule.search(o.lower())), None)
                if option and not spec.question:
                    self.values[spec.name] = option
            elif rule.search(spec.name.lower()) and not spec.question:
                fits = isinstance(value, bool) if spec.type == "boolean" else isinstance(value, str)
                if fits and spec.type in ("boolean", "string"):
                    self.values[spec.name] = value

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def outcome(self) -> Outcome:
        """`reached_goal` follows the field the goal names, if it names one."""
        reached = bool(self.values.get(self.goal)) if self.goal in {f.name for f in self.fields} else self.reached
        summary = " ".join(self.notes) or "Nothing was settled."
        return Outcome(reached, summary, dict(self.values), "rules")


def parsed(spec: BrainField, heard: str) -> Any:
    """The field's value in the words, or None."""
    if spec.type == "number":
        number = number_said(heard)
        return int(number) if number is not None and number == int(number) else number
    if spec.type == "choice":
        return option_said(heard, spec.options)
    if spec.type == "boolean":
        meaning = intents(heard)
        if Intent.NO in meaning or Intent.CANCEL in meaning:
            return False
        return True if Intent.YES in meaning else None
    return heard.strip(" .") if plain(heard) else None
