"""What simulated callees say, as told by them: a process-wide registry, and the pure ear that listens to it.

A simulated callee knows its own words; recognising its synthetic speech again would test the recogniser, not
the call. So it tells the words with their times on the call's media clock, and each is heard when that clock
has passed it. Turn taking, barge-in and timing are thus those of a real call; only recognition is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.audio import TimedWord

INTERIM_EVERY_MS = 200.0
"""Media time between two interim transcripts."""
PAUSE_MS = 300.0
"""Media time after an utterance's last word at which it is final although no VAD said so."""


@dataclass(frozen=True)
class Told:
    """One utterance; word times in ms of the call's media clock."""

    text: str
    words: tuple[TimedWord, ...]


@dataclass(frozen=True)
class Interim:
    """All words heard since the last final one."""

    text: str


@dataclass(frozen=True)
class Final:
    """Words that no later transcript holds again."""

    text: str


class Hearing:
    """Call SID → what its callee said, in order of telling. One event loop tells and reads."""

    def __init__(self) -> None:
        self._told: dict[str, list[Told]] = {}

    def tell(self, call_sid: str, text: str, words: Sequence[TimedWord]) -> None:
        """The callee says `text`; it may be told before its audio is played, not long after.

        ValueError when the words are not those of the text: one would be heard and the other written down.
        """
        if [word.text for word in words] != text.split():
            raise ValueError("tell each word of the text once, in its order")
        if words:
            self._told.setdefault(call_sid, []).append(Told(text, tuple(words)))

    def forget(self, call_sid: str) -> None:
        """Drops what was told for a call; an unknown call is fine."""
        self._told.pop(call_sid, None)

    def told(self, call_sid: str, start: int = 0) -> Sequence[Told]:
        """The call's utterances from number `start` on."""
        return tuple(self._told.get(call_sid, ())[start:])


@dataclass
class Ear:
    """Hears told words as the media clock passes them. Pure: time comes in, transcripts go out.

    Every word leaves in exactly one Final, in the order of telling. A word is heard at its end; one that has
    begun when the VAD stops is heard then, because word times are estimates and the VAD's silence is not.
    """

    unheard: list[tuple[TimedWord, bool]] = field(default_factory=list)
    """Word and whether it is the last of its utterance, oldest first."""
    pending: list[str] = field(default_factory=list)
    """Heard since the last Final."""
    utterances: int = 0
    """How many utterances were taken in."""
    _new: bool = False
    _next_interim_ms: float = 0.0
    _final_at_ms: float | None = None

    def take(self, told: Sequence[Told]) -> None:
        """Utterances told since the last time."""
        for utterance in told:
            self.utterances += 1
            last = len(utterance.words) - 1
            self.unheard += [(word, number == last) for number, word in enumerate(utterance.words)]

    def hear(self, now_ms: float) -> list[Interim | Final]:
        """What the clock's reaching `now_ms` lets be heard."""
        transcripts: list[Interim | Final] = []
        while self.unheard and self.unheard[0][0].end_ms <= now_ms:
            word, last = self.unheard[0]
            if self._final_at_ms is not None and word.start_ms >= self._final_at_ms:
                transcripts += self._finish()
            del self.unheard[0]
            self._heard(word, last)
        if self._final_at_ms is not None and now_ms >= self._final_at_ms:
            transcripts += self._finish()
        if self._new and now_ms >= self._next_interim_ms:
            self._new = False
            self._next_interim_ms = now_ms + INTERIM_EVERY_MS
            transcripts.append(Interim(" ".join(self.pending)))
        return transcripts

    def stop(self, now_ms: float) -> list[Interim | Final]:
        """The callee fell silent (VAD, or the end of the call): what was heard is final."""
        while self.unheard and self.unheard[0][0].start_ms < now_ms:
            self._heard(*self.unheard.pop(0))
        return self._finish()

    def _heard(self, word: TimedWord, last: bool) -> None:
        self.pending.append(word.text)
        self._new = True
        self._final_at_ms = word.end_ms + PAUSE_MS if last else None

    def _finish(self) -> list[Interim | Final]:
        text = " ".join(self.pending)
        self.pending = []
        self._new = False
        self._final_at_ms = None
        return [Final(text)] if text else []
