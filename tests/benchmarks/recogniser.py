"""The recogniser of a simulated Deepgram that knows the callee's voice by its samples.

It finds the audio that came over the wire in what the callee's telephone sent, and so knows which words it
holds and when; coughs, music and talk in the background are no words. Rejected: the scripted recogniser of the
simulators, to which every noise is the next sentence and line noise at 10 dB is speech without end. What it
keeps of it is the principle: words come from the audio and never from a test's say-so, so a server that
sends no audio, or garbage, is not understood; a word is understood when most of it arrived.
"""

from __future__ import annotations

from collections.abc import Callable

from bot.audio import TimedWord
from tests.benchmarks.phone import SLOT_BYTES, SLOT_MS, Phone, slots_of

END_MS = 200.0
"""Silence after which an utterance counts as over."""
JOIN_MS = 500.0
"""Silence that separates two utterances."""
_ENOUGH = 0.6
"""Of a word's audio, to understand it."""
_RATE = 8000


class PhoneRecogniser:
    """An Recogniser over the phone that is on the line now; connections may open before it is picked up."""

    def __init__(self, phone: Callable[[], Phone | None]) -> None:
        self._phone = phone

    def open(self, sample_rate: int) -> PhoneRecognition:
        """ValueError for another rate than the line's: its samples would not be known again."""
        if sample_rate != _RATE:
            raise ValueError(f"this recogniser hears {_RATE} Hz, not {sample_rate}")
        return PhoneRecognition(self._phone)


class PhoneRecognition:
    """One connection's Recognition (tests/simulators/stt_recogniser.py)."""

    def __init__(self, phone: Callable[[], Phone | None]) -> None:
        self._find_phone = phone
        self._rest = b""
        self._slots = 0
        """Blocks of 10 ms received."""
        self._place = 0
        """Byte of the phone's audio that should come next."""
        self._heard_at: dict[int, int] = {}
        """Slot of the phone → block of this connection."""
        self._words: list[TimedWord] = []
        self._understood: set[tuple[float, str]] = set()
        self._last_speech: int | None = None
        self._utterance: float | None = None
        self._finished = True

    @property
    def clock_ms(self) -> float:
        return float(self._slots * SLOT_MS)

    @property
    def quiet_ms(self) -> float:
        return (self._slots - (self._last_speech or 0)) * float(SLOT_MS)

    @property
    def speech_start_ms(self) -> float | None:
        return self._utterance

    @property
    def over(self) -> bool:
        return self._last_speech is None or self.quiet_ms >= END_MS

    @property
    def finished_thought(self) -> bool:
        return self._finished

    def hear(self, pcm: bytes) -> None:
        phone = self._find_phone()
        data = self._rest + pcm
        whole = len(data) - len(data) % SLOT_BYTES
        self._rest = data[whole:]
        for start in range(0, whole, SLOT_BYTES):
            self._slots += 1
            if phone is not None:
                self._recognise(phone, data[start : start + SLOT_BYTES])

    def words(self) -> tuple[TimedWord, ...]:
        return tuple(self._words)

    def take(self, *, forced: bool = False) -> tuple[TimedWord, ...]:
        taken, self._words = tuple(self._words), []
        return taken

    def close(self) -> None:
        """Words not taken are lost with the connection, as they are at Deepgram."""
        self._words = []

    def _recognise(self, phone: Phone, block: bytes) -> None:
        place = self._place
        if phone.sent[place : place + SLOT_BYTES] != block:
            place = phone.sent.rfind(block)
            if place < 0:
                return
        self._place = place + SLOT_BYTES
        slot = round(place / SLOT_BYTES)
        self._heard_at[slot] = self._slots - 1
        if phone.speaks_in(slot):
            if self._last_speech is None or self.quiet_ms >= JOIN_MS:
                self._utterance = (self._slots - 1) * float(SLOT_MS)
            self._last_speech = self._slots
            self._finished = not phone.trails_off_in(slot)
        for word in phone.words_ending_in(slot):
            self._understand(word)

    def _understand(self, word: TimedWord) -> None:
        slots = slots_of(word)
        blocks = [self._heard_at[slot] for slot in slots if slot in self._heard_at]
        key = (word.start_ms, word.text)
        if len(blocks) < _ENOUGH * len(slots) or key in self._understood:
            return
        self._understood.add(key)
        start, end = min(blocks), self._slots
        self._words.append(TimedWord(word.text, start * float(SLOT_MS), end * float(SLOT_MS)))
