"""The callee's silence: when to ask whether they are there, and when to give up. Pure.

Silence counts from the end of what was heard last, of either side: playback, not sending.
"""

from dataclasses import dataclass
from enum import Enum

OWED_SECONDS = 30.0
"""Beyond `[patience]`, which has asked again and apologised by then: while the agent owes the reply, the callee
is not asked whether they are there."""


class Silence(Enum):
    """What the silence calls for."""

    NOTHING = "nothing"
    PROMPT = "prompt"
    GOODBYE = "goodbye"


@dataclass
class SilenceWatch:
    """Times are seconds of one clock."""

    seconds: float
    prompts: int
    quiet_since: float
    asked: int = 0
    _agent: bool = False
    _callee: bool = False
    _owed_since: float | None = None
    """Since when the callee waits for a reply: that silence is ours."""

    def agent_speaks(self, speaking: bool, now: float) -> None:
        self._agent = speaking
        self._owed_since = None
        self.quiet_since = now

    def callee_speaks(self, speaking: bool, now: float) -> None:
        self._callee = speaking
        self.quiet_since = now

    def owe_reply(self, now: float) -> None:
        """The callee's turn is over: until the agent speaks, they are not asked whether they are there."""
        self._owed_since = now

    def begin_again(self, now: float) -> None:
        """Somebody else is on the line."""
        self.quiet_since, self.asked, self._owed_since = now, 0, None

    def callee_said_something(self) -> None:
        """Words, not only noise: the prompts start over."""
        self.asked = 0

    def excuse(self, now: float) -> None:
        """The silence is not the callee's: it counts from now, and the prompts start over."""
        self.quiet_since = now
        self.asked = 0

    def decide(self, now: float) -> Silence:
        """Counts the prompt it calls for."""
        if self.wake_in(now) > 0.001:
            return Silence.NOTHING
        self.quiet_since = now
        self.asked += 1
        return Silence.PROMPT if self.asked <= self.prompts else Silence.GOODBYE

    def wake_in(self, now: float) -> float:
        """Seconds until the silence is long enough; at least `seconds` while somebody speaks or has to."""
        owed = self._owed_since is not None and now - self._owed_since < OWED_SECONDS
        if self._agent or self._callee or owed:
            return self.seconds
        return self.quiet_since + self.seconds - now
