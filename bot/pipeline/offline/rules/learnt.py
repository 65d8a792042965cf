"""What a call has taught the local LLM: values of outcome fields, notes for the summary, the goal. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.languages import plain
from bot.pipeline.offline.rules.understanding import name_said, number_said, option_said, phone_said, when_said
from bot.pipeline.offline.rules.words import Intent, Words, capital, field_rule
from bot.records import Outcome


@dataclass(frozen=True)
class RuleField:
    """An outcome field of the scenario; one with a question is asked in the call."""

    name: str
    type: Literal["boolean", "string", "number", "choice"]
    description: str
    question: str | None = None
    options: tuple[str, ...] = ()

    def is_time(self, words: Words) -> bool:
        """Whether it holds a day or a time; a number or a yes is none."""
        by_name = re.search(rf"(?:{field_rule('is_time').pattern})(?:_|$)", self.name)
        return self.type == "string" and bool(by_name or words.found("asks_when", self.question or ""))

    def asked_by(self, question: str) -> bool:
        """Whether a question says nearly the same as the field's own."""
        own, asked = set(plain(self.question or "").split()), set(plain(question).split())
        return bool(own) and len(own & asked) >= 0.6 * len(own | asked)


@dataclass
class Learnt:
    """Filled turn by turn; `outcome` reads it at any time."""

    words: Words
    fields: Sequence[RuleField]
    goal: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reached: bool = False

    def learn(self, meaning: str, value: Any) -> None:
        """Fill the fields that stand for `meaning`: booleans, matching options, or text."""
        rule = field_rule(meaning)
        for spec in self.fields:
            if spec.type == "choice" and value is True:
                option = next((o for o in spec.options if rule.search(o.lower())), None)
                if option and not spec.question:
                    self.values[spec.name] = option
            elif rule.search(spec.name.lower()) and spec.type == {bool: "boolean", str: "string"}.get(
                type(value)
            ):
                self.values[spec.name] = value

    def answer(self, spec: RuleField, value: Any) -> None:
        """Keep the answer to a field's own question."""
        self.values[spec.name] = value
        said = self.words.note("yes" if value else "no") if isinstance(value, bool) else value
        self.note("field", name=capital(spec.name.replace("_", " ")), value=said)

    def note(self, note: str, **values: Any) -> None:
        text = self.words.note(note, **values)
        if text not in self.notes:
            self.notes.append(text)

    @property
    def goal_is_lost(self) -> bool:
        return self.values.get(self.goal or "") is False

    def outcome(self) -> Outcome:
        """`reached_goal` is the field the goal names. The talk fills it, unless it has a question of its own."""
        values, reached = dict(self.values), self.reached
        goal = next((spec for spec in self.fields if spec.name == self.goal and spec.type == "boolean"), None)
        if goal:
            if goal.name not in values and not goal.question and (reached or self.notes):
                values[goal.name] = reached
            reached = bool(values.get(goal.name))
        return Outcome(reached, " ".join(self.notes) or self.words.note("nothing"), values, "rules")


def parsed(spec: RuleField, heard: str, words: Words) -> Any:
    """The field's value in the words, or None."""
    if spec.type == "number":
        number = number_said(heard, words)
        return int(number) if number is not None and number == int(number) else number
    if spec.type == "choice":
        return option_said(heard, spec.options, words)
    if spec.type == "boolean":
        meant = words.meant(heard)
        if meant & {Intent.NO, Intent.CANCEL, Intent.DECLINE}:
            return False
        return True if Intent.YES in meant else None
    if spec.is_time(words):
        return when_said(heard, words)
    if re.search(rf"(?:{field_rule('name').pattern})$", spec.name):
        return name_said(heard, words)
    if re.search(r"(?:^|_)(?:phone|tel\w*)(?:_|$)", spec.name):
        return phone_said(heard, words)
    return heard.strip(" .") or None


def answered_in(fields: Sequence[RuleField], asked: str, heard: str, words: Words) -> dict[str, Any]:
    """What `heard` says as the answer to whichever fields' questions `asked` holds.

    An order to the agent answers nothing, and what is only polite beside a goodbye ("okay, goodbye!") is no yes.
    """
    meant, said = words.meant(heard), set(plain(asked).split())
    found: dict[str, Any] = {}
    for spec in fields if Intent.ORDERS not in meant else ():
        question = set(plain(spec.question or "").split())
        if question and len(question & said) >= 0.6 * len(question):
            value = parsed(spec, heard, words)
            polite = value is True and Intent.GOODBYE in meant and not words.found("certain", heard)
            if value is not None and not polite:
                found[spec.name] = value
    return found
