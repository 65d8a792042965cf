"""The callee's audio until it is understood: what a new connection has to hear again. No I/O."""

from collections import deque

from bot.audio import SAMPLE_RATE

BYTES_PER_SECOND = 2 * SAMPLE_RATE
GAP_SECONDS = 10
"""Audio kept while no connection is there; the oldest is let go."""
TURN_SECONDS = 20
"""Audio kept that was sent and is not understood yet: the turn that is being spoken."""


class KeptAudio:
    """8 kHz 16-bit mono by its place since the call began, in bytes.

    `begin` starts a connection at the oldest audio kept; `take` gives what it has to be sent next, replay and
    live audio alike, in order; `understood` lets go of what its transcripts have covered.
    """

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._start = 0
        """Place of the first piece kept."""
        self._end = 0
        self._sent = 0
        """Up to where the current connection was sent."""
        self._next = 0
        """Index of the piece at `_sent`."""
        self._zero = 0
        """Place of the connection's own second 0."""

    @property
    def waiting_seconds(self) -> float:
        """What the connection was not sent yet."""
        return (self._end - self._sent) / BYTES_PER_SECOND

    @property
    def all(self) -> bytes:
        return b"".join(self._pieces)

    def add(self, pcm: bytes) -> None:
        self._pieces.append(pcm)
        self._end += len(pcm)
        while self._end - max(self._sent, self._start) > GAP_SECONDS * BYTES_PER_SECOND:
            self._let_go()
        while self._sent - self._start > TURN_SECONDS * BYTES_PER_SECOND:
            self._let_go()

    def begin(self) -> float:
        """A new connection: it hears everything that is kept. How many seconds that is."""
        self._sent = self._zero = self._start
        self._next = 0
        return self.waiting_seconds

    def take(self) -> bytes | None:
        """The next piece to send."""
        if self._next >= len(self._pieces):
            return None
        piece = self._pieces[self._next]
        self._next += 1
        self._sent += len(piece)
        return piece

    def padded(self, size: int) -> None:
        """The connection was sent so many bytes that the callee never spoke."""
        self._zero -= size

    def understood(self, seconds: float) -> None:
        """The connection has covered its first `seconds`."""
        place = min(self._zero + int(seconds * BYTES_PER_SECOND), self._sent)
        while self._pieces and self._start + len(self._pieces[0]) <= place:
            self._let_go()

    def _let_go(self) -> None:
        piece = self._pieces.popleft()
        self._start += len(piece)
        self._next = max(0, self._next - 1)
        self._sent = max(self._sent, self._start)
