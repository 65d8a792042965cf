"""The sound of a call for those who listen along: both sides as they are heard, on the media clock.

A test of truth a frame while nobody listens. With listeners the callee's frames are gathered to PIECE_MS, and
what is not fetched is bounded: a listener who falls behind loses sound, never the call.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from bot.audio import SAMPLES_PER_MS
from bot.records import Speaker

PIECE_MS = 100
MOST_PIECES = 100
"""Waiting for one listener; ten seconds of both sides, at the least."""


@dataclass(frozen=True)
class SoundPiece:
    """μ-law at 8 kHz."""

    speaker: Speaker
    at_ms: int
    """Media clock of its first sample."""
    mulaw: bytes


class Listening:
    """One listener's."""

    def __init__(self) -> None:
        self.lost = 0
        """Pieces that came while too many waited."""
        self._pieces: deque[SoundPiece] = deque()
        self._wake = asyncio.Event()
        self._over = False

    def offer(self, piece: SoundPiece) -> None:
        if len(self._pieces) >= MOST_PIECES:
            self._pieces.popleft()
            self.lost += 1
        self._pieces.append(piece)
        self._wake.set()

    def close(self) -> None:
        """The line is over."""
        self._over = True
        self._wake.set()

    async def next(self) -> SoundPiece | None:
        """The next piece; None once the line is over."""
        while not self._pieces:
            if self._over:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._pieces.popleft()


class LiveSound:
    """One line's."""

    def __init__(self) -> None:
        self._listeners: set[Listening] = set()
        self._callee = bytearray()
        self._callee_at = 0.0
        self._over = False

    @property
    def wanted(self) -> bool:
        return bool(self._listeners)

    def join(self) -> Listening:
        """Listen from now on, until `leave`."""
        listening = Listening()
        if self._over:
            listening.close()
        if not self._listeners:
            self._callee.clear()
        self._listeners.add(listening)
        return listening

    def leave(self, listening: Listening) -> None:
        self._listeners.discard(listening)

    def callee(self, mulaw: bytes, at_ms: float) -> None:
        """Heard by us at `at_ms` of the media clock."""
        if not self._callee:
            self._callee_at = at_ms
        self._callee += mulaw
        if len(self._callee) >= PIECE_MS * SAMPLES_PER_MS:
            self._offer(Speaker.CALLEE, bytes(self._callee), self._callee_at)
            self._callee.clear()

    def agent(self, mulaw: bytes, at_ms: float) -> None:
        """Heard by the callee from `at_ms` of the media clock on; known a moment later, by a mark."""
        self._offer(Speaker.AGENT, mulaw, at_ms)

    def _offer(self, speaker: Speaker, mulaw: bytes, at_ms: float) -> None:
        piece = SoundPiece(speaker, max(0, round(at_ms)), mulaw)
        for listening in self._listeners:
            listening.offer(piece)

    def close(self) -> None:
        """The line is over: so is all listening."""
        self._over = True
        for listening in self._listeners:
            listening.close()
