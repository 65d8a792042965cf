"""Who picked up, and when the opening may begin. Pure: events and `now` in, a decision out.

Uncertain means person: the only machines recognised are those that say so. Every wait has a deadline, so a
line that never falls silent is spoken to as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from bot.records import Speaker

LONGEST_GREETING_SECONDS = 12.0
"""Whoever still talks by then is spoken to."""
MACHINE_WINDOW_SECONDS = 25.0
"""A greeting is over by then; what is said later is conversation."""

_MACHINE = re.compile(
    r"\b(leave (me |us )?(a|your) (voice ?)?(message|name)|(after|at) the (tone|beep)|voice ?mail|"
    r"you(?: ha)?'?ve reached|is not available|(?:can(?:'t|not)|unable to) (?:come to|take|answer) "
    r"(?:the|your) (?:phone|call)|record your message|mailbox|"
    r"deje (?:su|un) mensaje|despu[eé]s del tono|buz[oó]n de voz)",
    re.IGNORECASE,
)


DEAF_SECONDS = 3.0
"""How much longer a hello is waited for while the call cannot listen yet."""


class Verdict(Enum):
    """What to do now."""

    WAIT = "wait"
    OPEN = "open"
    """A person, or nobody who speaks: say the opening."""
    MACHINE = "machine"


def sounds_like_a_machine(words: str) -> bool:
    """Whether a greeting says of itself that nobody is there. English and Spanish."""
    return bool(_MACHINE.search(words))


@dataclass
class Pickup:
    """One call's first seconds. Times are seconds of one clock."""

    first_speaker: Speaker
    answered_at: float
    wait_seconds: float
    pause_seconds: float
    _words: str = ""
    _speaking: bool = False
    _silent_since: float | None = None
    """Since the callee's speech ended; None while nobody has spoken."""
    opened: bool = False

    def deaf(self) -> None:
        """Nobody listens yet: a hello may have been said that is heard later."""
        self.answered_at += DEAF_SECONDS

    def listening(self, now: float) -> None:
        """What the callee has said so far is heard from now on; the wait for their hello begins here."""
        self.answered_at = now

    def speech_started(self) -> None:
        self._speaking = True

    def speech_stopped(self, now: float) -> None:
        self._speaking = False
        self._silent_since = now

    def words(self, text: str) -> None:
        """All the callee has said so far, final and interim."""
        self._words = text

    def decide(self, now: float) -> Verdict:
        """MACHINE may come after OPEN: a greeting with a pause in it."""
        if now - self.answered_at <= MACHINE_WINDOW_SECONDS and sounds_like_a_machine(self._words):
            return Verdict.MACHINE
        if self.opened or not self._may_open(now):
            return Verdict.WAIT
        self.opened = True
        return Verdict.OPEN

    def wake_in(self, now: float) -> float | None:
        """Seconds until time alone changes the decision; None when only events do."""
        if self.opened:
            return None
        at = self.answered_at + LONGEST_GREETING_SECONDS
        if not self._speaking:
            if self._silent_since is not None:
                at = self._silent_since + self.pause_seconds
            else:
                at = self.answered_at + self.wait_seconds
        return max(0.0, at - now)

    def _may_open(self, now: float) -> bool:
        if self.first_speaker is Speaker.AGENT:
            return True
        wake_in = self.wake_in(now)
        return wake_in is not None and wake_in <= 0.001
