"""The evidence gate: of an outcome, only what the callee's own words carry is true. Pure.

What a tool or a model says that the callee committed to is kept as `claimed` where the transcript has no words of
theirs for it, and the goal is not reached then: a wrong yes costs more than a question asked twice. What a model
quotes counts where it stands in the callee's turns and is no hedge; rules judge where no model has read the call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.conversation import prompt
from bot.conversation.call_plan import Plan
from bot.conversation.scenario.parts import OutcomeField
from bot.languages import plain
from bot.pipeline.offline.rules.claims import unbacked_claims
from bot.pipeline.offline.rules.commitment import (
    Commitment,
    Said,
    commitment,
    commitment_words,
    deferred,
    says_something,
)
from bot.pipeline.offline.rules.outcome import agreeing
from bot.pipeline.offline.rules.values import READERS, Frame
from bot.records import AnsweredBy, Outcome, Speaker, Turn

_COMMITS = re.compile(
    r"(?:^|_)(?:confirm(?:ed|s|ad[oa])?|accept(?:ed|s)?|aceptad[oa]|agree[ds]?|acordad[oa]|booked|reservad[oa]|"
    r"(?:re)?scheduled|agendad[oa]|attend(?:s|ing)?|asistira|approved|aprobad[oa]|consent(?:ed|s)?|committed|"
    r"signed_up|enrolled|will_(?:come|attend|be_there))(?:_|$)"
)
"""Names of fields that commit the callee, where the scenario does not say."""
_ARRANGED = re.compile(r"agree|acordad|booked|reservad|scheduled|agendad")
"""Of those: they are true only when the other side has settled it as well."""
_NOT_PEOPLE = (
    AnsweredBy.VOICEMAIL,
    AnsweredBy.UNAVAILABLE,
    AnsweredBy.NOBODY,
    AnsweredBy.MENU,
    AnsweredBy.SCREENING,
)


def gated(outcome: Outcome, plan: Plan, turns: Sequence[Turn], answered_by: AnsweredBy | None) -> Outcome:
    """`outcome` as far as the callee's words go, with what the agent claimed to have done."""
    judge = _Judge(plan, turns if answered_by not in _NOT_PEOPLE else (), outcome)
    fields, evidence, claimed = dict(outcome.fields), dict(outcome.evidence), dict(outcome.claimed)
    for name in judge.committing:
        if fields.get(name) is not True:
            continue
        words = judge.words_for(name)
        if words is not None:
            evidence[name] = list(words)
            continue
        claimed[name], fields[name] = True, False if judge.commitment(name).given is False else None
        evidence.pop(name, None)
    for name, words in judge.words_of_values(fields).items():
        evidence.setdefault(name, words)
    reached, summary = outcome.reached_goal and judge.reached(fields), outcome.summary
    if outcome.reached_goal and not reached:
        claimed["reached_goal"] = True
        if outcome.source == "claude" or "summary" in outcome.recorded:
            claimed["summary"] = summary
        summary = agreeing(summary, was=True, reached=False, language=plan.brief.language)
    return replace(
        outcome,
        reached_goal=reached,
        summary=summary,
        fields=fields,
        evidence=evidence,
        claimed=claimed,
        unbacked_claims=unbacked(plan, turns),
        dates=_dates({**fields, "summary": summary}, plan.frame_of(turns)),
    )


def _dates(values: Mapping[str, object], frame: Frame) -> dict[str, dict[str, str]]:
    return {name: days for name, value in values.items() if (days := frame.days(value))}


def as_claimed(outcome: Outcome) -> Outcome:
    """`outcome` before the gate, as far as tools recorded it: for one who judges it again."""
    claimed = {name: value for name, value in outcome.claimed.items() if name in outcome.recorded}
    return replace(
        outcome,
        reached_goal=claimed.pop("reached_goal", outcome.reached_goal),
        summary=claimed.pop("summary", outcome.summary),
        fields=outcome.fields | claimed,
        claimed={},
    )


def unbacked(plan: Plan, turns: Sequence[Turn]) -> list[str]:
    """What the agent said it had done, and no tool has."""
    described = {tool.name: tool.description for tool in plan.scenario.http_tools}
    known = prompt.known_words(plan.brief.spec)
    return unbacked_claims(turns, plan.scenario.language, described=described, known=known)


_DICTATED = 4
"""So many turns at most make one value."""


def _reads(field: OutcomeField, said: str, frame: Frame) -> object:
    try:
        return field.value_of(said, frame)
    except ValueError:
        return None


class _Judge:
    """One call's words, and the fields they may carry."""

    def __init__(self, plan: Plan, turns: Sequence[Turn], outcome: Outcome) -> None:
        self._plan, self._turns, self._outcome = plan, turns, outcome
        self._language, self._goal = plan.scenario.language, plan.scenario.goal
        self._own = {field.name: field for field in plan.scenario.outcome}
        self._found: dict[str, Commitment] = {}
        schema: Mapping[str, Any] = plan.outcome_schema["properties"] if plan.outcome_schema else {}
        names = schema or self._own
        self.committing = [name for name in names if self._commits(name)]

    def _commits(self, name: str) -> bool:
        field = self._own.get(name)
        if field is not None and (field.type != "boolean" or field.commits is not None):
            return field.type == "boolean" and bool(field.commits)
        return bool(_COMMITS.search(name)) or (field is not None and name == self._goal and bool(field.question))

    def commitment(self, name: str) -> Commitment:
        if name not in self._found:
            field = self._own.get(name)
            about = [text for text in (field.question, field.description) if text] if field else []
            others = [f.question for f in self._own.values() if f.name != name and f.question]
            action = self._plan.brief.spec.action
            self._found[name] = commitment(
                self._turns, self._language, about=[*about, *([action] if action else [])], others=others
            )
        return self._found[name]

    def words_for(self, name: str) -> Sequence[str] | None:
        """The callee's words that carry a field's true; None without any."""
        found = self.commitment(name)
        if _ARRANGED.search(name):
            # What the agent had still to look up before the yes is behind them.
            agreed = [n for n, turn in enumerate(self._turns) if turn.text.strip() in found.words]
            if deferred(self._turns[max(0, agreed[-1] - 1) if agreed else 0 :], self._language):
                return None
        quotes = () if found.given is False or found.hedged else self._quotes(name, found)
        return quotes or (found.words if found.given is True else None)

    def _quotes(self, name: str, found: Commitment) -> Sequence[str]:
        """Of a model that has read the call: what the callee said, and what is no hedge."""
        if self._outcome.source != "claude":
            return ()
        said = f" {plain(' '.join(turn.text for turn in self._turns if turn.speaker is Speaker.CALLEE))} "
        words = commitment_words(self._language)
        kept = []
        for quote in self._outcome.evidence.get(name, ()):
            heard = words.heard(quote)
            bare = heard is Said.YES and any(plain(quote) in plain(text) for text in found.asides)
            if (
                f" {plain(quote)} " in said
                and heard not in (Said.HEDGE, Said.SOFT, Said.NO, Said.UNDO)
                and not bare
            ):
                kept.append(quote)
        return kept

    def words_of_values(self, fields: Mapping[str, Any]) -> dict[str, list[str]]:
        """Field → the callee's turns that its phone number, date … came from; several where it was dictated."""
        callee = [turn.text for turn in self._turns if turn.speaker is Speaker.CALLEE and turn.text.strip()]
        frame, found = self._plan.frame_of(self._turns), {}
        for name, field in self._own.items():
            value = fields.get(name)
            if value is None or field.type not in READERS:
                continue
            for length in range(1, min(_DICTATED, len(callee)) + 1):
                for at in range(len(callee) - length, -1, -1):
                    said = callee[at : at + length]
                    if name not in found and _reads(field, " ".join(said), frame) == value:
                        found[name] = said
        return found

    def reached(self, fields: Mapping[str, Any]) -> bool:
        """Whether the goal, which something says is reached, has the callee's words."""
        if self._plan.outcome_schema is not None and all(value is None for value in fields.values()):
            return False
        goal = self._own.get(self._goal or "")
        if goal is not None and self._commits(goal.name):
            return self.words_for(goal.name) is not None
        if goal is None:
            found = self.commitment("")
            if found.given is not True and (found.hedged or found.given is False):
                return False
        callee = [turn.text for turn in self._turns if turn.speaker is Speaker.CALLEE]
        return any(says_something(text, self._language) for text in callee)
