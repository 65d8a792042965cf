"""Who picked up, and when the opening may begin. Pure: events and `now` in, a decision out.

Uncertain means person: a machine is what asks for a message before anybody has spoken to it, or names its
tone. Receptionists say "he is not available" and "you've reached the front desk", and offer to take a message
once they are spoken to. Every wait has a deadline, so a line that never falls silent is spoken to as well.
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

_TONE = re.compile(
    r"\b((?:after|at|following) the (?:tone|beep|signal)|record your message|voice ?mail(?:box)?|mailbox|"
    r"despu[eé]s (?:del tono|de la se[nñ]al)|buz[oó]n de voz)",
    re.IGNORECASE,
)
_ASKS_FOR_A_MESSAGE = re.compile(
    r"\b((?:please |kindly )?leave (?:me |us )?(?:a|your) (?:brief |short |detailed )?(?:message|name)|"
    r"deje (?:su|un) mensaje)",
    re.IGNORECASE,
)

DEAF_SECONDS = 6.0
"""How much longer a hello is waited for while the call cannot listen yet."""


class Verdict(Enum):
    """What to do now."""

    WAIT = "wait"
    OPEN = "open"
    """A person, or nobody who speaks: say the opening."""
    MACHINE = "machine"


def sounds_like_a_machine(words: str, *, spoken_to: bool = False) -> bool:
    """Whether a greeting says of itself that nobody is there. English and Spanish."""
    return bool(_TONE.search(words)) or (not spoken_to and bool(_ASKS_FOR_A_MESSAGE.search(words)))


@dataclass
class Pickup:
    """One call's first seconds. Times are seconds of one clock."""

    first_speaker: Speaker
    answered_at: float
    wait_seconds: float
    pause_seconds: float
    may_be_machine: bool = True
    """False for those who call us."""
    opened: bool = False
    _words: str = ""
    _speaking: bool = False
    _silent_since: float | None = None
    """Since the callee's speech ended; None while nobody has spoken."""
    _conversation: bool = False

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
        """What the callee has said in the turn so far, final and interim."""
        self._words = text

    def conversation_began(self) -> None:
        """The callee has answered the opening: a person, whatever they say next."""
        self._conversation = self._conversation or not sounds_like_a_machine(self._words, spoken_to=True)

    def decide(self, now: float) -> Verdict:
        """MACHINE may come after OPEN: a greeting with a pause in it."""
        if self._is_machine(now):
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

    def _is_machine(self, now: float) -> bool:
        if not self.may_be_machine or self._conversation or now - self.answered_at > MACHINE_WINDOW_SECONDS:
            return False
        return sounds_like_a_machine(self._words, spoken_to=self.opened)

    def _may_open(self, now: float) -> bool:
        if self.first_speaker is Speaker.AGENT:
            return True
        wake_in = self.wake_in(now)
        return wake_in is not None and wake_in <= 0.001
