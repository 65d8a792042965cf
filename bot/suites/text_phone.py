"""The telephone of a call in text: plays what it is sent, gives marks back, and makes the sounds of machines."""

import asyncio
import itertools

from bot.audio import SAMPLE_RATE
from bot.telephony.media import (
    AudioReceived,
    KeyPressed,
    MarkReached,
    MediaEvent,
    MediaStream,
    SocketClosedError,
    StreamStopped,
)

FRAME_BYTES = 160


class _Socket:
    """One media stream's. A frame is the number of an event."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[str | None] = asyncio.Queue()
        self._closed = False

    async def accept(self) -> None:
        return

    async def receive(self) -> str | bytes | None:
        return await self.frames.get()

    async def send(self, text: str) -> None:
        if self._closed:
            raise SocketClosedError

    async def close(self, code: int, reason: str = "") -> None:
        self._closed = True
        self.frames.put_nowait(None)


class TextPhone:
    """The media streams of one call from the callee's side: their wire, and what sounds there."""

    def __init__(self, call_sid: str) -> None:
        self._call_sid = call_sid
        self._socket = _Socket()
        self._numbers = itertools.count()
        self._events: dict[str, MediaEvent] = {}
        self._marks: list[tuple[str, asyncio.TimerHandle]] = []
        self._loop = asyncio.get_running_loop()
        self._plays_until = self._began_at = self._loop.time()
        self.over = asyncio.Event()
        self.sounded = asyncio.Event()
        """Set when the agent makes a sound."""

    # -- what the callee and the carrier do -------------------------------------------------------------------

    def stream(self) -> MediaStream:
        """The stream that is open now."""
        return MediaStream(self._socket, self, "stream", self._call_sid)

    def next_stream(self) -> MediaStream:
        """The carrier ends the stream and opens another one."""
        self._report(StreamStopped())
        self.clear("stream")
        self._socket = _Socket()
        return self.stream()

    def press(self, keys: str) -> None:
        for key in keys:
            self._report(KeyPressed(key))

    async def play(self, mulaw: bytes) -> None:
        """A sound at the callee's end, for as long as it takes."""
        for at in range(0, len(mulaw), FRAME_BYTES):
            piece = mulaw[at : at + FRAME_BYTES]
            self._report(AudioReceived(piece, None))
            await asyncio.sleep(len(piece) / SAMPLE_RATE)

    def hang_up(self) -> None:
        """The callee, or the carrier, ends the call."""
        if not self.over.is_set():
            self.over.set()
            self._report(StreamStopped())

    # -- what the callee hears --------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self._loop.time()

    @property
    def plays_until(self) -> float:
        """When the agent's voice stops, on the loop's clock."""
        return self._plays_until

    @property
    def speaking_seconds(self) -> float:
        """Since the agent began to speak; 0 while it is quiet."""
        return self.now - self._began_at if self.now < self._plays_until else 0.0

    @property
    def quiet_seconds(self) -> float:
        return max(0.0, self.now - self._plays_until)

    # -- the wire ---------------------------------------------------------------------------------------------

    def parse(self, frame: str | bytes) -> MediaEvent:
        return self._events.pop(str(frame))

    def media(self, stream_id: str, mulaw: bytes) -> str:
        if self.now >= self._plays_until:
            self._plays_until = self._began_at = self.now
        self._plays_until += len(mulaw) / SAMPLE_RATE
        self.sounded.set()
        return "media"

    def mark(self, stream_id: str, name: str) -> str:
        self._marks.append((name, self._loop.call_at(self._plays_until, self._reach, name)))
        return "mark"

    def clear(self, stream_id: str) -> str:
        self._plays_until = min(self._plays_until, self.now)
        for name, reached in list(self._marks):
            reached.cancel()
            self._reach(name)
        return "clear"

    def with_token(self, start: str, token: str) -> str:
        return start

    def _reach(self, name: str) -> None:
        self._marks = [mark for mark in self._marks if mark[0] != name]
        self._report(MarkReached(name))

    def _report(self, event: MediaEvent) -> None:
        number = str(next(self._numbers))
        self._events[number] = event
        self._socket.frames.put_nowait(number)
