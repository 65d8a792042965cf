"""What the agent says on its way to the callee: when to send it, and what was heard. No I/O.

Twilio plays what we send from a buffer of its own. Sending in lock-step makes every hiccup of the event
loop a gap on the line; sending everything at once makes an interruption forget what was heard. Audio
therefore runs ahead of playback by a bounded lead, and marks, echoed when playback reaches them, say where
it is.

Positions count samples (one μ-law byte each) of the agent's audio since the call began. The `pace` is where
playback stands if our audio needed no time to travel: it advances with our clock from the first byte of a
burst, and each mark that is later than the quickest one so far moves it back, because then the far end ran
dry. So the far end's buffer is the lead whatever the distance; anchoring the pace at the echo itself was
rejected, since it shrinks the buffer by the round trip and a far line stutters. What was heard is judged
more carefully: the pace less the round trip, and never past a mark that has not come back, because a mark
that was passed would have been echoed. Pacing by marks alone was rejected: a peer that never echoes one
would stop the agent in mid-word.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np

from bot.audio import SAMPLES_PER_MS, mulaw_to_pcm

T = TypeVar("T")

LEAD_MS = 300
MARK_EVERY_MS = 250
MESSAGE_MS = 100
MARK_PATIENCE_SECONDS = 1.0
"""A mark overdue by this much is not coming; the clock is trusted instead."""
WORD_MS = 400
"""Longer than nearly all words: further back than this, nothing is said again."""
_SLOT = 10 * SAMPLES_PER_MS


def gap_before_end(mulaw: bytes | bytearray) -> int:
    """Where the last gap between words begins in `mulaw`, in samples; its length where there is none.

    The quietest 10 ms, the later of two alike, if they are 12 dB below the loudest.
    """
    samples = np.frombuffer(mulaw_to_pcm(bytes(mulaw)), dtype=np.int16).astype(np.float32)
    slots = samples[: len(samples) // _SLOT * _SLOT].reshape(-1, _SLOT)
    if len(slots) < 2:
        return len(mulaw)
    loudness = np.sqrt(np.mean(slots * slots, axis=1))
    quiet = np.flatnonzero(loudness <= max(float(loudness.min()) * 1.5, 1.0))
    if loudness.min() > 0.25 * loudness.max():
        return len(mulaw)
    return int(quiet[-1]) * _SLOT


@dataclass(frozen=True)
class Audio:
    """Send this media."""

    mulaw: bytes


@dataclass(frozen=True)
class Mark:
    """Send this mark."""

    name: str


Sending = Audio | Mark


@dataclass(frozen=True)
class Point(Generic[T]):
    """Something to be reported when the audio queued before it has been heard."""

    position: int
    payload: T


@dataclass(frozen=True)
class Heard(Generic[T]):
    """News of playback: `audio` was played, ending at `position`; `points` were passed."""

    position: int
    audio: bytes
    points: tuple[T, ...]
    playing: int
    """Where playback stands at this news: `position` where a mark says so, further where the clock does."""
    dropped: tuple[T, ...] = ()
    """Points that will never be passed."""


@dataclass
class _PendingMark:
    name: str
    position: int
    due_at: float


@dataclass
class Playout(Generic[T]):
    """Audio and points in, sendings and news of playback out. All times are seconds of one clock."""

    lead_ms: int = LEAD_MS
    queued: int = 0
    """Position of the end of all audio given so far."""
    sent: int = 0
    heard: int = 0
    _waiting: deque[bytes] = field(default_factory=deque)
    _offset: int = 0
    """Bytes of the first waiting piece that are sent already."""
    _unheard: bytearray = field(default_factory=bytearray)
    """Sent and not yet heard."""
    _points: deque[Point[T]] = field(default_factory=deque)
    _stops: deque[int] = field(default_factory=deque)
    """Unheard positions at which a mark has to stand: ends of sentences and utterances."""
    _marks: deque[_PendingMark] = field(default_factory=deque)
    _given_up: dict[str, int] = field(default_factory=dict)
    """Marks that were overdue, by name, and where they stood: they may come after all."""
    _last_mark: int = 0
    _names: int = 0
    _held: bool = False
    """Paused: nothing is sent."""
    _resume_at: int = 0
    _cut: bool = False
    """What is held stopped before its end: a word may have been cut in two."""
    _tail: bytearray = field(default_factory=bytearray)
    """What was heard last, WORD_MS of it: a word that was cut in two is said again whole."""
    _anchor_position: int = 0
    _anchor_at: float = 0.0
    """When the far end would play `_anchor_position` if our audio needed no time to travel."""
    _burst_position: int = 0
    _burst_at: float = 0.0
    """When the first byte of this burst was sent."""
    _round_trip: float | None = None
    """Seconds the quickest mark took beyond the length of its audio."""

    # -- in ------------------------------------------------------------------------------------------

    def add_audio(self, mulaw: bytes) -> None:
        """Queue audio behind what is queued."""
        if mulaw:
            self._waiting.append(mulaw)
            self.queued += len(mulaw)

    def add_point(self, payload: T, *, position: int | None = None, mark: bool = False) -> None:
        """Ask for news when playback passes `position` (default: all queued so far).

        Points leave in order: one placed before its predecessor waits for it. `mark` says that what was
        queued so far is whole: points placed beyond it, which would wait for audio that never comes, are
        drawn to its end.
        """
        at = self.queued if position is None else position
        if mark:
            self._draw_in(at)
        if self._points:
            at = max(at, self._points[-1].position)
        self._points.append(Point(at, payload))
        if mark and at > max(self.sent, self._stops[-1] if self._stops else 0):
            self._stops.append(at)

    # -- out -----------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing sounds."""
        return self.heard >= self.queued

    def playing_ms(self, now: float) -> float:
        """How much is still to be heard."""
        return (self.queued - max(self.heard, self._playing_at(now))) / SAMPLES_PER_MS

    def due(self, now: float) -> list[Sending]:
        """What has to be sent now to keep the lead."""
        sendings: list[Sending] = []
        if self._held:
            return sendings
        if self.sent < self.queued and self._paced(now) >= self.sent:
            self._begin_burst(now)
        limit = self._paced(now) + self.lead_ms * SAMPLES_PER_MS
        while self.sent < self.queued and self.sent < limit:
            self._send_piece(now, sendings)
        return sendings

    def wake_in(self, now: float) -> float | None:
        """Seconds until `due` or `overdue` has something, None if only new audio changes that."""
        waits: list[float] = []
        if self.sent < self.queued and not self._held:
            target = self.sent - (self.lead_ms - MESSAGE_MS) * SAMPLES_PER_MS
            waits.append((target - self._paced(now)) / (SAMPLES_PER_MS * 1000))
        if self._marks:
            waits.append(self._marks[0].due_at + MARK_PATIENCE_SECONDS - now)
        return max(0.0, min(waits)) if waits else None

    def echoed(self, name: str, now: float) -> Heard[T] | None:
        """A mark came back. None for one that is not pending: repeated, foreign or cleared."""
        if not any(mark.name == name for mark in self._marks):
            self._correct_pace(self._given_up.pop(name, 0), now)
            return None
        position = self.heard
        while self._marks:
            mark = self._marks.popleft()
            position = mark.position
            if mark.name == name:
                break
        self._correct_pace(position, now)
        return self._advance(position, position)

    def overdue(self, now: float) -> Heard[T] | None:
        """The clock's word where a mark stayed away, or where points need none."""
        position = self.heard
        while self._marks and now >= self._marks[0].due_at + MARK_PATIENCE_SECONDS:
            mark = self._marks.popleft()
            self._given_up[mark.name] = position = mark.position
        if position > self.heard or (self._points and self._points[0].position <= self.heard):
            return self._advance(position, self._playing_at(now))
        return None

    def clear(self, now: float) -> Heard[T]:
        """Stop here: what is not heard by now never will be. Its points are dropped with it."""
        news = self._advance(self._heard_by(now), self._playing_at(now))
        news = replace(news, dropped=tuple(point.payload for point in self._points))
        self._held = False
        self._waiting.clear()
        self._offset = 0
        self._unheard.clear()
        self._tail.clear()
        self._points.clear()
        self._stops.clear()
        self._marks.clear()
        self._given_up.clear()
        self.heard = self.sent = self.queued
        self._last_mark = self.sent
        self._begin_burst(now)
        return news

    def hold(self, now: float) -> Heard[T]:
        """Stop here, and keep what is not heard: the far end is to be cleared, `resume` sends the rest again.

        What is reported is what is known to be heard. The clear travels as long as the audio did, so the far end
        stops where the pace is now: that is where it goes on.
        """
        news = self._advance(self._heard_by(now), self._playing_at(now))
        self._resume_at = max(self.heard, self._paced(now))
        self._cut = self._resume_at < self.queued
        self._drop_taken()
        if self._unheard:
            self._waiting.appendleft(bytes(self._unheard))
            self._unheard.clear()
        self._marks.clear()
        self._given_up.clear()
        self.sent = self._last_mark = self.heard
        self._held = True
        self._begin_burst(now)
        return news

    def resume(self, now: float) -> Heard[T]:
        """Go on where `hold` stopped, from the beginning of the word it stopped in.

        The news is what was on its way to the callee then. What is said again is heard again: `heard` goes back.
        """
        self._held = False
        on_its_way = self._take(self._resume_at - self.heard)
        self._unheard += on_its_way
        news = self._advance(self._resume_at, self._resume_at)
        again = self._tail[gap_before_end(self._tail) :] if self._cut else b""
        self._drop_taken()
        if again:
            self._waiting.appendleft(bytes(again))
        self.heard = self.sent = self._last_mark = self._resume_at - len(again)
        del self._tail[len(self._tail) - len(again) :]
        self._begin_burst(now)
        return news

    @property
    def held(self) -> bool:
        return self._held

    # -- inside --------------------------------------------------------------------------------------

    def _draw_in(self, end: int) -> None:
        beyond: list[Point[T]] = []
        while self._points and self._points[-1].position > end:
            beyond.append(Point(end, self._points.pop().payload))
        self._points.extend(reversed(beyond))

    def _begin_burst(self, now: float) -> None:
        self._burst_position = self._anchor_position = self.sent
        self._burst_at = self._anchor_at = now

    def _correct_pace(self, position: int, now: float) -> None:
        """A mark at `position` came back; later than the quickest one by as much as the far end was dry."""
        if position <= self._burst_position:
            return  # an echo from before the burst says nothing of its beginning
        since = now - self._burst_at - (position - self._burst_position) / (SAMPLES_PER_MS * 1000)
        trip = max(0.0, since)
        self._round_trip = trip if self._round_trip is None else min(self._round_trip, trip)
        self._anchor_position, self._anchor_at = position, now - self._round_trip

    def _playing_at(self, now: float) -> int:
        """Where playback is known to stand: the news of it was one way old, our audio the other."""
        return self._paced(now - (self._round_trip or 0.0))

    def _paced(self, now: float) -> int:
        """Where playback stands if the far end plays at 8 kHz since the anchor."""
        elapsed = int((now - self._anchor_at) * 1000 * SAMPLES_PER_MS)
        return min(self.sent, self._anchor_position + max(0, elapsed))

    def _heard_by(self, now: float) -> int:
        ceiling = self._marks[0].position if self._marks else self.sent
        return max(self.heard, min(self._playing_at(now), ceiling))

    def _send_piece(self, now: float, sendings: list[Sending]) -> None:
        size = min(MESSAGE_MS * SAMPLES_PER_MS, self.queued - self.sent)
        stop = next((stop for stop in self._stops if stop > self.sent), None)
        if stop is not None:
            size = min(size, stop - self.sent)
        piece = self._take(size)
        sendings.append(Audio(piece))
        self._unheard += piece
        self.sent += size
        at_stop = self.sent == stop
        spaced = self.sent - self._last_mark > (MARK_EVERY_MS - MESSAGE_MS) * SAMPLES_PER_MS
        if at_stop or spaced or self.sent == self.queued:
            self._names += 1
            due_at = self._anchor_at + (self.sent - self._anchor_position) / (SAMPLES_PER_MS * 1000)
            self._marks.append(_PendingMark(f"m{self._names}", self.sent, due_at))
            self._last_mark = self.sent
            sendings.append(Mark(f"m{self._names}"))

    def _drop_taken(self) -> None:
        if self._offset:
            self._waiting[0] = self._waiting[0][self._offset :]
            self._offset = 0

    def _take(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            first = self._waiting[0]
            part = first[self._offset : self._offset + size]
            parts.append(part)
            size -= len(part)
            self._offset += len(part)
            if self._offset == len(first):
                self._waiting.popleft()
                self._offset = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)  # none: nothing was asked for

    def _advance(self, position: int, playing: int) -> Heard[T]:
        played = bytes(self._unheard[: position - self.heard])
        self._tail += played
        del self._tail[: -WORD_MS * SAMPLES_PER_MS]
        del self._unheard[: position - self.heard]
        self.heard = position
        while self._stops and self._stops[0] <= position:
            self._stops.popleft()
        points: list[T] = []
        while self._points and self._points[0].position <= position:
            points.append(self._points.popleft().payload)
        return Heard(position, played, tuple(points), max(position, playing))
