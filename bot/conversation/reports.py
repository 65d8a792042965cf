"""What a call reports while it goes on: words as they come, who has the turn, who answered, times, tools."""

from bot.records import AnsweredBy, Speaker, ToolUse, Turn, TurnLatency


class CallReports:
    """A call's listener, there before its parts; this one hears nothing. Called in the event loop, often."""

    def words_came(self, turn: Turn) -> None:
        """The turn has other words than before: what was recognised, or heard of the agent, so far."""

    def words_cut(self, turn: Turn, text: str) -> None:
        """The callee cut the turn off: `text` was spoken already and is not heard."""

    def turn_completed(self, turn: Turn) -> None:
        """Again where a later word changed a turn that was complete."""

    def turn_passed(self, holder: Speaker | None, *, speaking: bool) -> None:
        """Who has the turn now; not `speaking`: the callee pauses, or the agent's reply is being made."""

    def reply_timed(self, latency: TurnLatency) -> None:
        """Of the reply whose first audio has been sent."""

    def tool_used(self, use: ToolUse) -> None:
        """Its call and its result, masked as they are kept."""

    def answer_detected(self, answered_by: AnsweredBy, why: str) -> None:
        """Who is at the other end, as is believed now; `why` is for people."""

    def reply_guessed(self, *, kept: bool) -> None:
        """A reply that was begun before the callee's turn was over was used, or dropped unheard."""


NO_REPORTS = CallReports()
