"""From what is reported of calls to events: by the call itself, the store, vendors, webhooks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bot.calls.live.events import (
    AgentCut,
    AnswerDetected,
    ReplyGuessed,
    StatusChanged,
    TurnPassed,
    VendorTrouble,
)
from bot.calls.live.history import outcome_written, reply_timed, tool_used, turn_completed, words_of
from bot.calls.live.hub import EventHub
from bot.calls.process import CallListener
from bot.conversation.reports import CallReports
from bot.records import AnsweredBy, Observation, Outcome, Speaker, Status, ToolUse, Turn, TurnLatency
from bot.store.call_store import CallChange, StoreListener

MOST_OBSERVATIONS = 100


class LiveCall(CallReports):
    """One call on the line."""

    def __init__(self, call_id: str, hub: EventHub, listener: CallListener) -> None:
        self._call_id, self._hub, self._listener = call_id, hub, listener
        self._passed: tuple[Any, bool] = (None, False)
        self.observations: list[Observation] = []
        """For the record."""

    def words_came(self, turn: Turn) -> None:
        self._hub.publish(words_of(self._call_id, turn))

    def words_cut(self, turn: Turn, text: str) -> None:
        self._hub.publish(AgentCut(call_id=self._call_id, turn=turn.index, text=text))

    def turn_completed(self, turn: Turn) -> None:
        self._listener.turn_completed(self._call_id, turn)
        self._hub.publish(turn_completed(self._call_id, turn))

    def turn_passed(self, holder: Speaker | None, *, speaking: bool) -> None:
        if (holder, speaking) != self._passed:
            self._passed = holder, speaking
            self._hub.publish(
                TurnPassed.model_validate({"call_id": self._call_id, "holder": holder, "speaking": speaking})
            )

    def reply_timed(self, latency: TurnLatency) -> None:
        self._hub.publish(reply_timed(self._call_id, latency))

    def tool_used(self, use: ToolUse) -> None:
        self._hub.publish(tool_used(self._call_id, use))

    def answer_detected(self, answered_by: AnsweredBy, why: str) -> None:
        self._observe(answered_by.value, why)
        self._hub.publish(AnswerDetected(call_id=self._call_id, answered_by=answered_by, why=why))

    def reply_guessed(self, *, kept: bool) -> None:
        self._hub.publish(ReplyGuessed(call_id=self._call_id, kept=kept))

    def vendor_trouble(self, vendor: str, what: str) -> None:
        self._observe(vendor, what, vendor=True)
        self._hub.publish(VendorTrouble(call_id=self._call_id, vendor=vendor, what=what))

    def _observe(self, what: str, why: str, *, vendor: bool = False) -> None:
        if len(self.observations) < MOST_OBSERVATIONS:
            self.observations.append(Observation(datetime.now(UTC), what, why, vendor))


class LiveStore(StoreListener):
    """What the store has written of calls."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub

    def status_changed(self, call_id: str, status: Status, change: CallChange) -> None:
        self._hub.publish(
            StatusChanged(
                call_id=call_id, status=status, ended_reason=change.ended_reason, waiting_for=change.waiting_for
            )
        )

    def outcome_written(self, call_id: str, outcome: Outcome) -> None:
        self._hub.publish(outcome_written(call_id, outcome))
