"""What the tools of a call have recorded: noted while it lives, or found again in the turns that are kept.

The notes live in the process that holds the call. The turns keep every use of a tool with its arguments, so what
a killed process had noted is had again by running the tools on the same arguments, with a control that notes
and acts on nothing. A table of notes of its own would be one more write in each call, for the same knowledge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from loguru import logger

from bot.conversation.scenario.parts import OutcomeField
from bot.conversation.scenario.scenario import Scenario
from bot.conversation.tools import TOOLS
from bot.conversation.tools.tool import NOT_RUN
from bot.pipeline.offline.rules.values import Frame
from bot.records import Outcome, Turn


class Notes:
    """Of one call."""

    def __init__(self, scenario: Scenario, frame: Frame | None = None) -> None:
        """`frame`: what spoken values are read by; None: today, in no country."""
        self._frame = frame or Frame(language=scenario.language)
        self._known = {outcome.name: outcome for outcome in scenario.outcome}
        self._goal = scenario.goal or ""
        self._fields: dict[str, Any] = {}
        self._reached_goal: bool | None = None
        self._summary: str | None = None

    def note_outcome(self, fields: Mapping[str, Any]) -> list[str]:
        """Keep outcome fields, `reached_goal` and `summary`; gives back the names it refused."""
        refused: list[str] = []
        for name, value in fields.items():
            try:
                if name == "reached_goal":
                    self._reached_goal = OutcomeField.boolean(value)
                elif name == "summary":
                    self._summary = str(value)
                else:
                    self._fields[name] = self._known[name].value_of(value, self._frame)
            except (KeyError, ValueError):
                refused.append(name)
        return sorted(refused)

    def note_message(self, message: str, name: str | None, phone_number: str | None) -> None:
        note = {"message": message, "name": name, "phone_number": phone_number}
        self._fields.setdefault("messages", []).append({k: v for k, v in note.items() if v})

    @property
    def has_callback(self) -> bool:
        return "callback" in self._fields

    def note_callback(self, when: str) -> None:
        self._fields["callback"] = when

    def note_do_not_call(self) -> None:
        self._fields["do_not_call"] = True

    def outcome(self) -> Outcome | None:
        """What was recorded; None where nothing was."""
        if self._reached_goal is None and self._summary is None and not self._fields:
            return None
        reached = self._reached_goal if self._reached_goal is not None else bool(self._fields.get(self._goal))
        recorded = list(self._fields)
        if self._reached_goal is not None or self._goal in self._fields:
            recorded.append("reached_goal")
        if self._summary:
            recorded.append("summary")
        return Outcome(reached, self._summary or "", dict(self._fields), source="tools", recorded=recorded)


class _Again(Notes):
    """The control of a call that is over: what a tool asks to be noted is, and nothing else is done."""

    @property
    def notes(self) -> _Again:
        return self

    async def end_after_goodbye(self) -> None:
        return

    async def never_call_again(self, reason: str | None, phone_number: str | None = None) -> dict[str, Any]:
        self.note_do_not_call()
        return {"status": "noted"}

    async def send_digits(self, digits: str) -> dict[str, Any]:
        return {"status": "over"}

    async def transfer(self, target: str, summary: str) -> dict[str, Any]:
        return {"status": "over"}


async def recorded_in(turns: Iterable[Turn], scenario: Scenario, frame: Frame) -> Outcome | None:
    """What the tools of a call had recorded, by their uses in its turns; None where nothing was."""
    again = _Again(scenario, frame)
    uses = [use for turn in turns for use in turn.tools]
    for use in sorted(uses, key=lambda use: use.at_ms):  # a later value replaces an earlier one
        tool = TOOLS.get(use.name)
        if tool is None or NOT_RUN in str(use.result):
            continue  # the scenario declares it, and it notes nothing; or it was refused
        try:
            await tool.run(use.arguments, again)
        except Exception as e:
            # As in the call itself: a tool that fails has noted nothing, and the others stand.
            logger.opt(exception=e).error("what tool {} recorded cannot be found again", use.name)
    return again.outcome()
