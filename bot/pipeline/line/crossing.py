"""From one media stream of a call to its next: whether one is expected, until when, and which socket it is.

A call outlives its stream. A new instruction to the carrier ends the stream on the line, and the end of what
it says opens another one, on a socket and with an id of its own and timestamps from 0. The two
may overlap as we see them: the new socket can be here before the old one's `stop`.
"""

import asyncio
import time

from bot.telephony.media import MediaStream


class Crossing:
    """The expectation of a next stream. Closed at first: the end of the stream is then the line's."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._next: MediaStream | None = None
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._crossed = False
        self.called_off = False
        """There never was to be another stream: the last one's end was its own."""
        self.arrived = asyncio.Event()
        """The next stream is here and not yet entered."""

    @property
    def open(self) -> bool:
        """A next stream is expected, or here and not yet entered."""
        return self._until is not None

    def expect(self, seconds: float) -> None:
        """From now on a stream may end without ending the line. A later word sets the time anew."""
        if self._until is None:
            self._settled.clear()
            self._crossed = self.called_off = False
        self._until = time.monotonic() + seconds
        self._changed.set()

    def call_off(self) -> None:
        """No stream is expected any more; one that is here is entered all the same."""
        if self._next is None:
            self.called_off = True
            self._settle(crossed=False)
        self._changed.set()

    def close(self) -> None:
        """The line is over: so is a stream that came too late."""
        if self._next is not None:
            self._next.over.set()
            self._next = None
        self._settle(crossed=False)

    def arrive(self, stream: MediaStream) -> bool:
        """The next stream is here; False where none is expected."""
        if self._until is None or self._next is not None:
            return False
        self._next = stream
        self.arrived.set()
        self._changed.set()
        return True

    async def next(self) -> MediaStream | None:
        """The next stream; None where none came in time, or it was called off."""
        while self._next is None and self._until is not None:
            self._changed.clear()
            wait = self._until - time.monotonic()
            if wait <= 0:
                break
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue
        stream, self._next = self._next, None
        self._settle(crossed=stream is not None)
        return stream

    async def settled(self) -> bool:
        """Waits for the end of the expectation: True when the next stream was entered."""
        await self._settled.wait()
        return self._crossed

    def _settle(self, *, crossed: bool) -> None:
        if self._until is not None:
            self._crossed = crossed
        self._until = None
        self.arrived.clear()
        self._settled.set()
