"""What one context of speech has to say, and how much of it has come back as sound. No I/O.

A vendor is sent the text in `takes`: contexts of its own. When a take breaks off (its socket is lost, it ends
without audio, it stalls) the next take begins at the first word that has not sounded whole, and the sound of
both is one context for the listener. Words are taken from our own text, placed by the vendor's alignment, and
released only when their audio is here: what is never heard is never written down.

A second take beside a slow first one was preferred to replacing it: whichever sounds first goes on, so a
vendor that is merely slow is not made to begin again.
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

RETAKE_SECONDS = 1.5
"""Without sound for so long, the text is asked for again. ElevenLabs' flash answers in 0.1 to 0.4 s."""
LOST_SECONDS = 3.5
"""Without sound for so long, however often asked, the voice is given up."""
MAX_EMPTY_TAKES = 3
"""So many takes in a row that end without sound: the voice is given up."""
QUIET_SECONDS = 0.8
"""Where a vendor times nothing, its speech is over after so much silence."""
FINAL_SECONDS = 1.0
"""How long the vendor's own word that it is through is waited for, from its last sound."""
CHARACTER_MS = 65.0
"""Some fifteen characters a second: English at a telephone's pace."""
MAX_TAKES = 2
"""At a time."""
_TOLERANCE_MS = 30.0
"""A word whose audio lacks no more than this is whole."""


class UtteranceStep(Enum):
    """What an utterance needs now."""

    WAIT = auto()
    RETAKE = auto()
    """Ask for the rest again."""
    CLOSE = auto()
    """All is here: close its takes."""
    DONE = auto()
    LOST = auto()
    """This voice does not say it."""


@dataclass
class _Word:
    end: int
    """Behind its last character, in the utterance's text."""
    text: str
    start_ms: float
    end_ms: float


@dataclass
class Take:
    """One of the vendor's contexts: it was sent the text from `at` on."""

    name: str
    at: int
    """How far its alignment has come."""
    clock_ms: float | None = None
    """Where its next alignment begins, in ms of the utterance's audio; None before its first sound."""
    word_ms: float | None = None
    """Where the word being spelled began."""


@dataclass
class Utterance:
    """Pieces in; takes, sound and words out. Times are seconds of one clock, offsets ms of the audio."""

    text: str = ""
    complete: bool = False
    """No more text will come."""
    spoken: int = 0
    """Characters whose words have sounded and were released."""
    audio_ms: float = 0.0
    takes: list[Take] = field(default_factory=list)
    _words: deque[_Word] = field(default_factory=deque)
    """Spelled, their audio not here yet."""
    _timed: bool = True
    """The vendor's alignment, if it sends one, follows our text."""
    _spelled: bool = False
    """It sends one."""
    _broken: bool = False
    """It broke off, and has not sounded since."""
    _owed_since: float = 0.0
    _asked_at: float = 0.0
    _last_sound_at: float | None = None
    _empty_takes: int = 0
    _took: int = 0
    _closed_at: float | None = None

    @property
    def rest(self) -> str:
        """What has not sounded."""
        return self.text[self.spoken :]

    @property
    def owes(self) -> bool:
        """Whether there is still something to be made of it."""
        if self.audio_ms and not self._is_followed and self.takes and not self._broken:
            return False
        last = self._words[-1].end if self._words else self.spoken
        spelled = max((take.at for take in self.takes if take.clock_ms is not None), default=0)
        return any(char.isalnum() for char in self.text[max(last, spelled) :])

    @property
    def _is_followed(self) -> bool:
        """Whether it is known which of its words have sounded."""
        return self._timed and self._spelled

    def add(self, piece: str, now: float) -> str:
        """More to say; gives it as it is to be sent, with the space that parts it from the next."""
        sent = piece.strip() + " "
        if not self.owes:
            self._owed_since = self._asked_at = now
        self.text += sent
        return sent

    def take(self, now: float) -> tuple[Take, str]:
        """Begin a take, and what it has to be sent."""
        self._took += 1
        self._asked_at = now
        fresh = Take(f"{self._took}", self.spoken)
        self.takes.append(fresh)
        return fresh, self.rest.lstrip()

    def sound(self, take: Take, length_ms: float, now: float) -> list[Take]:
        """A take has sounded: it goes on. Gives the others, which are not wanted any more."""
        others = [other for other in self.takes if other is not take]
        if others:
            self._words.clear()
        self.takes = [take]
        self._broken = False
        if take.clock_ms is None:
            take.clock_ms = self.audio_ms
        self._empty_takes = 0
        self._last_sound_at = now
        self.audio_ms += length_ms
        return others

    def spell(
        self, take: Take, chars: Sequence[str], starts_ms: Sequence[float], durations_ms: Sequence[float]
    ) -> None:
        """The vendor's alignment of what `take` sounds next; times from the alignment's own beginning."""
        clock = self.audio_ms if take.clock_ms is None else take.clock_ms
        end = clock
        self._spelled = True
        for char, start, duration in zip(chars, starts_ms, durations_ms, strict=False):
            end = clock + start + duration
            if not char.isspace():
                self._match(take, char, clock + start, end)
        take.clock_ms = end

    def due(self, *, everything: bool = False) -> list[tuple[str, float]]:
        """Words whose audio is here, with their offsets in ms; `everything`: no more audio comes."""
        words: list[tuple[str, float]] = []
        while self._words and (everything or self._words[0].end_ms <= self.audio_ms + _TOLERANCE_MS):
            word = self._words.popleft()
            self.spoken = word.end
            words.append((word.text, word.start_ms))
        return words

    def ended(self, take: Take, now: float) -> None:
        """The vendor says that a take is over: what it spelled has sounded."""
        if take in self.takes:
            if take.clock_ms is not None and not self._is_followed:
                self._place_untimed(len(self.text))
            self.takes.remove(take)
            if self.owes:
                self._broke_off()
                self._empty_takes += take.clock_ms is None
                self._asked_at = now

    def cut_off(self) -> None:
        """The socket is gone, and every take with it. What was closed and is here whole stays said."""
        self.takes.clear()
        if self._closed_at is None or self._words or self.owes:
            self._broke_off()

    def next_step(self, now: float) -> UtteranceStep:
        if self.owes:
            return self._step_of_debt(now)
        if self._closed_at is not None:
            last = max(self._closed_at, self._last_sound_at or 0.0)
            return UtteranceStep.DONE if not self.takes or now - last >= FINAL_SECONDS else UtteranceStep.WAIT
        if not self.complete:
            return UtteranceStep.WAIT
        if not self.takes:
            return UtteranceStep.DONE
        quiet = self._last_sound_at is None or now - self._last_sound_at >= QUIET_SECONDS
        if self._is_followed or quiet:
            self._closed_at = now
            return UtteranceStep.CLOSE
        return UtteranceStep.WAIT

    def _step_of_debt(self, now: float) -> UtteranceStep:
        since = max(self._owed_since, self._last_sound_at or 0.0)
        asked = now - max(since, self._asked_at)
        if (now - since >= LOST_SECONDS and asked >= RETAKE_SECONDS) or self._empty_takes >= MAX_EMPTY_TAKES:
            return UtteranceStep.LOST
        if not self.takes or (asked >= RETAKE_SECONDS and len(self.takes) < MAX_TAKES):
            return UtteranceStep.RETAKE
        return UtteranceStep.WAIT

    def patient(self, now: float) -> None:
        """It is not its turn to be asked for: the clocks of its debt begin now."""
        self._owed_since = self._asked_at = now

    def _broke_off(self) -> None:
        self._words.clear()
        self._closed_at = None
        self._broken = True
        if self.audio_ms and not self._spelled:
            # Nothing was timed: as far as a voice comes at a telephone's pace.
            self._place_untimed(self.text.rfind(" ", 0, int(self.audio_ms / CHARACTER_MS) + 1))

    def _place_untimed(self, end: int) -> None:
        """Take the words up to `end` for sounded."""
        for found in re.finditer(r"\S+", self.text[: max(end, 0)]):
            if found.start() >= self.spoken:
                self._words.append(_Word(found.end(), found.group(), CHARACTER_MS * found.start(), 0.0))

    def _match(self, take: Take, char: str, start_ms: float, end_ms: float) -> None:
        """Find the character in our text; marks that an alignment leaves out are passed over."""
        at = take.at
        while at < len(self.text) and not self.text[at].isalnum() and self.text[at] != char:
            at += 1
        if at >= len(self.text) or self.text[at].casefold() != char.casefold():
            if not char.isalnum():
                return
            # Another text than ours, "two" for "2": placed letter for letter, and never judged whole.
            self._timed = False
        for place in range(take.at, min(at + 1, len(self.text))):
            self._spell_one(take, place, start_ms, end_ms)
        take.at = min(at + 1, len(self.text))

    def _spell_one(self, take: Take, place: int, start_ms: float, end_ms: float) -> None:
        if self.text[place].isspace():
            return
        if take.word_ms is None:
            take.word_ms = start_ms
        if place + 1 < len(self.text) and not self.text[place + 1].isspace():
            return
        begin = self.text.rfind(" ", 0, place) + 1
        last = self._words[-1].end if self._words else self.spoken
        if begin >= last:
            self._words.append(_Word(place + 1, self.text[begin : place + 1], take.word_ms, end_ms))
        take.word_ms = None
