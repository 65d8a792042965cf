"""What to do with a machine that picked up, policy by policy. Pure: what is heard and `now` in, an act out.

A watch is made when its machine is recognised and asked until it says END or a person comes on. Each has a
deadline for everything it waits for.
"""

from dataclasses import dataclass, field
from enum import Enum

from bot.languages import Language, plain
from bot.records import EndedReason

RECONSIDER_SECONDS = 1.0
"""A mailbox that is to be hung up on is listened to so much longer: it may be full, or no mailbox."""
LONGEST_MAILBOX_SECONDS = 40.0
"""A greeting that has not ended by then is spoken over."""
MOST_STARTS = 3
"""A message is begun so often at most: each beep behind its beginning begins it anew."""
UNHEARD_SECONDS = 4.0
"""How long past its own length the end of what is said to a machine is waited for."""
QUESTION_PAUSE_SECONDS = 1.0
"""Silence behind a screener's question, beyond the VAD's own: longer than its pause at a comma."""
TONE_SECONDS = 2.5
"""Silence behind a question that announced a tone, where the tone does not come."""
LONGEST_QUESTION_SECONDS = 12.0
MOST_ANSWERS = 2
"""A screener that asks again is answered once more."""
MENU_PAUSE_SECONDS = 1.3
"""Silence behind a menu's options, beyond the VAD's own: it pauses between them too."""
REMARK_PAUSE_SECONDS = 1.8
"""Silence behind a menu's words that ask for nothing."""
LONGEST_MENU_SECONDS = 45.0
"""A menu that never falls silent is answered then."""
QUEUE_SECONDS = 120.0
"""Without a word of the menu for so long, no person comes."""
SAME_MENU = 3
"""A menu heard so often leads nowhere."""
_LIKENESS = 0.75
"""Of two texts' words, how many they share: recognisers never write one recording twice alike."""
UNAVAILABLE_PAUSE_SECONDS = 1.5
"""Silence behind "is not available": a mailbox may begin after it."""
LONGEST_UNAVAILABLE_SECONDS = 10.0


class MachineAct(Enum):
    WAIT = "wait"
    SPEAK = "speak"
    """Say the message, or the answer; from its beginning where it was begun before."""
    ASK = "ask"
    """Let the model choose."""
    END = "end"


@dataclass
class VoicemailWatch:
    """Hang up, or leave a message: after the beep, or where none comes, after the greeting."""

    since: float
    leaves_message: bool
    silence_seconds: float
    beeps: int
    """Heard before the mailbox was recognised."""
    spoke_at: float | None = None
    starts: int = 0

    def decide(self, now: float, *, silence: float, beeps: int, greeting_over: bool) -> MachineAct:
        """`silence`: seconds since the greeting's last sound, `beeps`: all since the answer."""
        if not self.leaves_message:
            return MachineAct.END if now - self.since >= RECONSIDER_SECONDS else MachineAct.WAIT
        beeped, self.beeps = beeps > self.beeps, beeps
        if self.spoke_at is not None and not (beeped and self.starts < MOST_STARTS):
            return MachineAct.WAIT
        waited = silence >= self.silence_seconds or now - self.since >= LONGEST_MAILBOX_SECONDS
        if not (beeped or greeting_over or waited):
            return MachineAct.WAIT
        self.spoke_at = now
        self.starts += 1
        return MachineAct.SPEAK


@dataclass
class ScreeningWatch:
    """One sentence of who and why, then quiet until a person comes on or the time is up."""

    since: float
    answers: bool
    wait_seconds: float
    language: Language = field(repr=False)
    beeps: int
    """Heard before."""
    given: int = 0
    """Answers."""
    heard_at: float | None = None
    """When the answer was heard to its end."""
    _asked_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._asked_at = self.since

    def decide(self, now: float, *, words: str, silence: float, beeps: int, speaking: bool) -> MachineAct:
        """`words`: what was heard since the last answer; `speaking`: an answer is being said."""
        if not self.answers:
            return MachineAct.END
        if speaking:
            return MachineAct.WAIT
        answering = self.language.answering
        if self.given:
            assert self.heard_at is not None
            if now - self.heard_at >= self.wait_seconds:
                return MachineAct.END
            if words and silence >= QUESTION_PAUSE_SECONDS and answering.refusing.found_in(words):
                return MachineAct.END
            if self.given >= MOST_ANSWERS or not answering.screening.found_in(words):
                self._asked_at = now
                return MachineAct.WAIT
        pause = QUESTION_PAUSE_SECONDS
        if answering.tone.found_in(words):
            pause = TONE_SECONDS if beeps == self.beeps else 0.0
        if silence < pause and now - self._asked_at < LONGEST_QUESTION_SECONDS:
            return MachineAct.WAIT
        self.given += 1
        self.beeps = beeps
        return MachineAct.SPEAK


@dataclass
class MenuWatch:
    """Lets the model choose after each menu; gives up one that leads nowhere."""

    since: float
    navigates: bool
    max_steps: int
    language: Language = field(repr=False)
    steps: int = 0
    _menus: list[frozenset[str]] = field(default_factory=list)
    _words: str = ""
    _changed_at: float = field(init=False)
    _asked_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._changed_at = self._asked_at = self.since

    def decide(self, now: float, *, words: str, silence: float, speaking: bool) -> MachineAct:
        """`words`: what was heard since the last step."""
        if not self.navigates:
            return MachineAct.END
        if words != self._words:
            self._words, self._changed_at = words, now
        if speaking:
            return MachineAct.WAIT
        if not words or self.language.answering.holding.found_in(words[-120:]):
            return MachineAct.END if now - self._changed_at >= QUEUE_SECONDS else MachineAct.WAIT
        asks = self.language.answering.menu.found_in(words) or words.rstrip().endswith("?")
        pause = MENU_PAUSE_SECONDS if asks else REMARK_PAUSE_SECONDS
        if silence < pause and now - self._asked_at < LONGEST_MENU_SECONDS:
            return MachineAct.WAIT
        if self._heard_before(words) or self.steps >= self.max_steps:
            return MachineAct.END
        self.steps += 1
        self._asked_at = now
        self._words = ""
        return MachineAct.ASK

    def _heard_before(self, words: str) -> bool:
        """Whether this is the same menu for the third time."""
        menu = frozenset(plain(words).split())
        like = sum(len(menu & other) >= _LIKENESS * len(menu | other) for other in self._menus)
        self._menus.append(menu)
        return like + 1 >= SAME_MENU


@dataclass
class HoldWatch:
    """Waits for somebody to come on, `longest_seconds` in all."""

    until: float

    def decide(self, now: float) -> MachineAct:
        return MachineAct.WAIT if now < self.until else MachineAct.END


@dataclass
class UnavailableWatch:
    """Lets a carrier's message end, in case a mailbox follows, and hangs up."""

    since: float

    def decide(self, now: float, *, silence: float) -> MachineAct:
        over = silence >= UNAVAILABLE_PAUSE_SECONDS or now - self.since >= LONGEST_UNAVAILABLE_SECONDS
        return MachineAct.END if over and now - self.since >= RECONSIDER_SECONDS else MachineAct.WAIT


def unavailable_reason(words: str, language: Language) -> EndedReason:
    """As if it had come of the dialling, so that one rule decides on a retry: failed for good, busy, or away."""
    answering = language.answering
    if answering.mailbox_full.found_in(words):
        return EndedReason.DIAL_NO_ANSWER
    if answering.lasting.found_in(words):
        return EndedReason.DIAL_FAILED
    return EndedReason.DIAL_BUSY if answering.busy.found_in(words) else EndedReason.DIAL_NO_ANSWER
