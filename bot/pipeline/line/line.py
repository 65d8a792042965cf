"""The phone line of a call: one Twilio Media Stream, this end, and its two processors in the pipeline.

`Line` owns the socket: a reader that parses what comes in and a writer that keeps the playout ahead of the
callee's hearing. `LineInput` pushes the callee's audio into the pipeline; `LineOutput` takes the agent's audio
out of it and gives back, in order, what was heard of it.

pipecat's own transport and Twilio serializer were rejected here: they drop `mark` and `stop`, send in
lock-step, and commit words to the context by the clock of sending. The line exists before its pipeline
does, so an opening that is ready plays while the services still connect; the callee's audio waits for them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Protocol

from loguru import logger
from pipecat.frames.frames import (
    Frame,
)

from bot.audio import (
    MULAW_SILENCE,
    SAMPLE_RATE,
    SAMPLES_PER_MS,
    mulaw_to_pcm,
)
from bot.pipeline.line.crossing import Crossing
from bot.pipeline.line.live_sound import LiveSound
from bot.pipeline.line.playout import Audio, Heard, Playout
from bot.pipeline.line.recording import Recording
from bot.telephony.media import (
    AudioReceived,
    KeyPressed,
    MalformedFrame,
    MarkReached,
    MediaStream,
    ServerLeavesError,
    SocketClosedError,
    StreamStopped,
)

INPUT_FRAME_SAMPLES = 256
"""One Silero window at 8 kHz: each frame is one decision of the VAD, and 31 frames a second instead of 50."""
MAX_GAP_MS = 5000
"""A larger jump of the timestamps, or one backwards, is not a gap of lost audio: our clock runs on over it."""
LONGEST_HOLD_SECONDS = 4.0
"""A hold is decided within 2 s while audio comes; without any, the voice goes on by itself."""
MAX_WAITING_SECONDS = 15
"""Callee audio kept for a pipeline that is still starting."""


class LineEnd(StrEnum):
    """How the line ended, as seen from here."""

    STOPPED = "stopped"
    """Twilio said so: the call is over or left the stream."""
    SOCKET_CLOSED = "socket_closed"
    HUNG_UP = "hung_up"
    """We closed it."""
    SERVER_LEFT = "server_left"
    """Our own server closes its sockets."""
    LOST = "lost"
    """Between two streams: the next one never came."""


Payload = Frame | Callable[[], Awaitable[None]]


class LineListener(Protocol):
    """What a line reports while it runs."""

    def audio_begins(self, now: float) -> None:
        """Audio is sent to a line that was silent, time.monotonic()."""
        ...

    async def heard(self, payload: Payload) -> None:
        """Playback has passed what was given to `when_heard`."""
        ...

    async def key_pressed(self, key: str) -> None:
        """The callee pressed 0-9, *, # or A-D."""
        ...


class Line:
    """A call's stream from its `start` to its end, and the streams that follow it where more are expected.

    `run` is its whole life.
    """

    def __init__(self, stream: MediaStream, *, recording: Recording | None = None) -> None:
        self.call_sid = stream.call_sid
        self.recording = recording
        self.sound = LiveSound()
        """For those who listen along."""
        self.opened_at = time.monotonic()
        self.first_audio_at: float | None = None
        """When the first audio of the agent was sent, on time.monotonic()."""
        self.cleared_at: float | None = None
        self.media_ms = 0
        """The media clock: the end of the callee's audio received so far."""
        self._listener: LineListener | None = None
        self._take_audio: Callable[[bytes], Awaitable[None]] | None = None
        self._stream = stream
        self._crossing = Crossing()
        self._left_at: float | None = None
        """When the last stream ended, while the next is awaited, time.monotonic()."""
        self._playout: Playout[Payload] = Playout()
        self._wake = asyncio.Event()
        self._pending = bytearray()
        """μ-law received and not yet given to the pipeline."""
        self._record_offset_ms: float | None = None
        self._heard_lock = asyncio.Lock()
        self._dropped = 0
        self._clears = 0
        self._held_until: float | None = None
        """While `hold` silences the agent, time.monotonic()."""
        self._clock_jump_ms = 0
        self._silent = True
        self._ended = asyncio.Event()
        self._end = LineEnd.SOCKET_CLOSED

    # -- life ----------------------------------------------------------------------------------------

    async def run(self, listener: LineListener) -> LineEnd:
        """Hold the line until it ends; says how. Both directions stop with it."""
        self._listener = listener
        reader = asyncio.create_task(self._read(), name=f"line reader {self.call_sid}")
        writer = asyncio.create_task(self._write(), name=f"line writer {self.call_sid}")
        ended = asyncio.create_task(self._ended.wait(), name=f"line end {self.call_sid}")
        tasks = (reader, writer, ended)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ended.set()
            self._stream.over.set()
            self._crossing.close()
            self.sound.close()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, SocketClosedError):
                logger.opt(exception=result).error("the line broke")
        if self._dropped:
            logger.warning("{} frames of the media stream were malformed and dropped", self._dropped)
        return self._end

    async def close(self) -> None:
        """Leave the stream from this side."""
        if not self._ended.is_set():
            self._end = LineEnd.HUNG_UP
            self._ended.set()
        await self._stream.socket.close(1000)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    # -- from one stream to the next -----------------------------------------------------------------

    def expect_stream(self, seconds: float) -> None:
        """The carrier is about to end this stream and to open another one, within `seconds`.

        Audio given meanwhile waits; what was sent and not heard is sent again. The callee is not heard.
        """
        self._crossing.expect(seconds)

    def expect_no_stream(self) -> None:
        """The carrier would not: a line that still has its stream keeps it."""
        self._crossing.call_off()

    async def next_stream(self) -> bool:
        """Waits until the expected stream is the line's; False where it was called off or the line ended."""
        return await self._crossing.settled()

    @property
    def crossing(self) -> bool:
        """A next stream is expected: this one may end, or has."""
        return self._crossing.open

    @property
    def away(self) -> bool:
        """The call is between two streams: nothing is heard, nothing is sent."""
        return self._left_at is not None

    async def attach(self, stream: MediaStream) -> bool:
        """Go on on a new stream of the same call; returns when that is over. False where none is expected."""
        if self._ended.is_set() or not self._crossing.arrive(stream):
            return False
        await stream.over.wait()
        return True

    def carrier_ended(self) -> None:
        """The carrier says the call is over. A line with a stream hears it from that."""
        if self.away and not self._ended.is_set():
            self._end = LineEnd.STOPPED
            self._ended.set()

    async def _cross(self) -> bool:
        """Wait for the next stream and enter it. False where there is none: the line is over."""
        if not self._crossing.open:
            return False
        left, self._left_at = self._stream, time.monotonic()
        held = self._playout.held
        if not held:
            await self._report(self._playout.hold(self._left_at))
        self._clears += 1
        self._record_offset_ms = None
        stream = await self._crossing.next()
        if stream is None:
            if not self._crossing.called_off:
                self._end = LineEnd.LOST
            return False
        left.over.set()
        await left.socket.close(1000)
        self._stream = stream
        # Twilio counts each stream from 0; ours is one clock, and the gap belongs to it.
        self.media_ms += round((time.monotonic() - self._left_at) * 1000)
        self._clock_jump_ms = -self.media_ms
        self._left_at = None
        if self._playout.held and not held:
            await self._report(self._playout.resume(time.monotonic()))
        self._wake.set()
        logger.debug("the call goes on on stream {}", stream.id)
        return True

    # -- the agent's voice ---------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Where audio queued now will begin, in samples of the agent's voice."""
        return self._playout.queued

    @property
    def idle(self) -> bool:
        """Everything given was heard or dropped."""
        return self._playout.idle

    def playing_ms(self) -> float:
        """How much of what was given is still to be heard."""
        return self._playout.playing_ms(time.monotonic())

    def play(self, mulaw: bytes) -> None:
        """Queue audio."""
        self._playout.add_audio(mulaw)
        self._wake.set()

    def when_heard(self, payload: Payload, *, position: int | None = None, mark: bool = False) -> None:
        """Report `payload` as heard once playback passes `position` (default: all queued so far)."""
        self._playout.add_point(payload, position=position, mark=mark)
        self._wake.set()

    async def hold(self) -> None:
        """Silence the agent now and keep what was not heard, for `resume` or `interrupt`."""
        if self._playout.held:
            return
        silent = self._playout.idle
        self._clears += 1
        news = self._playout.hold(time.monotonic())
        self._held_until = time.monotonic() + LONGEST_HOLD_SECONDS
        self._wake.set()
        if not silent:
            await self._clear()
        await self._report(news)

    async def resume(self) -> None:
        """Go on saying what `hold` kept; nothing where nothing is held."""
        self._held_until = None
        if self._playout.held:
            self._wake.set()
            await self._report(self._playout.resume(time.monotonic()))
            self._record_offset_ms = None

    @property
    def held(self) -> bool:
        return self._playout.held

    async def interrupt(self) -> tuple[Payload, ...]:
        """Silence the agent now; what was heard by now is reported, the rest is dropped and returned."""
        silent = self._playout.idle or self._playout.held
        self._clears += 1
        self._held_until = None
        news = self._playout.clear(time.monotonic())
        if not silent:
            await self._clear()
        await self._report(news)
        self._record_offset_ms = None
        return news.dropped

    async def _clear(self) -> None:
        self.cleared_at = time.monotonic()
        try:
            await self._send(self._stream.wire.clear(self._stream.id))
        except SocketClosedError:
            self._ended.set()

    async def _send(self, text: str) -> None:
        """To the current stream. What goes into one that is being left is lost, and sent again on the next."""
        if self.away:
            return
        try:
            await self._stream.socket.send(text)
        except SocketClosedError:
            if not self._crossing.open:
                raise

    async def _write(self) -> None:
        while True:
            self._wake.clear()
            now = time.monotonic()
            news = self._playout.overdue(now)
            if news is not None:
                await self._report(news)
            if self._held_until is not None and now >= self._held_until and not self.away:
                logger.warning("a pause was not decided on in time: the agent goes on")
                await self.resume()
            clears = self._clears
            for sending in [] if self.away else self._playout.due(time.monotonic()):
                if clears != self._clears:
                    break  # an interruption came while a piece was being sent; the others are history
                if isinstance(sending, Audio):
                    self._note_sent()
                    await self._send(self._stream.wire.media(self._stream.id, sending.mulaw))
                else:
                    await self._send(self._stream.wire.mark(self._stream.id, sending.name))
            wait = None if self.away else self._wake_in(time.monotonic())
            if wait is None:
                await self._wake.wait()
            else:
                await self._sleep(wait)

    def _wake_in(self, now: float) -> float | None:
        wait = self._playout.wake_in(now)
        if self._held_until is None:
            return wait
        return max(0.0, self._held_until - now if wait is None else min(wait, self._held_until - now))

    async def _sleep(self, seconds: float) -> None:
        """Until new audio comes, `seconds` at most."""
        loop = asyncio.get_running_loop()
        handle = loop.call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            handle.cancel()

    def _note_sent(self) -> None:
        if not self._silent:
            return
        self._silent = False
        now = time.monotonic()
        if self.first_audio_at is None:
            self.first_audio_at = now
        if self._listener is not None:
            self._listener.audio_begins(now)

    async def _report(self, news: Heard[Payload]) -> None:
        # Two tasks bring news (the reader's echoes, an interruption); the lock keeps their order.
        self._silent = self._silent or self._playout.idle
        async with self._heard_lock:
            if news.audio and (self.recording is not None or self.sound.wanted):
                self._place(news)
            if self._listener is not None:
                for payload in news.points:
                    await self._listener.heard(payload)

    def _place(self, news: Heard[Payload]) -> None:
        """Place what was heard on the media clock, for the recording and those who listen.

        Twilio echoes a mark on the same socket, in order with the callee's audio, so the media clock at
        the echo is the place of the mark, free of the network's jitter. Within a burst the audio is
        contiguous; a later mark that is off by more than a frame or two means the far end ran dry.
        """
        start = news.position - len(news.audio)
        measured = self.media_ms - news.playing / SAMPLES_PER_MS
        by_mark = news.playing == news.position
        if self._record_offset_ms is None or (by_mark and abs(measured - self._record_offset_ms) > 50):
            self._record_offset_ms = measured
        at_ms = start / SAMPLES_PER_MS + self._record_offset_ms
        if self.recording is not None:
            self.recording.agent(news.audio, at_ms)
        if self.sound.wanted:
            self.sound.agent(news.audio, at_ms)
        if self._playout.idle:
            self._record_offset_ms = None

    # -- the callee's voice --------------------------------------------------------------------------

    async def _read(self) -> None:
        """Each stream of the call to its end; the next one may come before that."""
        while True:
            reading = asyncio.create_task(self._read_stream(self._stream), name=f"line stream {self.call_sid}")
            arrival = asyncio.create_task(self._crossing.arrived.wait(), name=f"line next {self.call_sid}")
            try:
                await asyncio.wait({reading, arrival}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                arrival.cancel()
                if not reading.done():
                    reading.cancel()
                await asyncio.wait({reading, arrival})
            if not reading.cancelled():
                reading.result()
            if not await self._cross():
                return

    async def _read_stream(self, stream: MediaStream) -> None:
        self._end = LineEnd.SOCKET_CLOSED
        while True:
            try:
                event = await stream.receive()
            except ServerLeavesError:
                self._end = LineEnd.SERVER_LEFT
                return
            if event is None:
                return
            match event:
                case AudioReceived():
                    await self._hear(event)
                case MarkReached():
                    news = self._playout.echoed(event.name, time.monotonic())
                    if news is not None:
                        await self._report(news)
                        self._wake.set()
                case KeyPressed():
                    if self._listener is not None:
                        await self._listener.key_pressed(event.digit)
                case StreamStopped():
                    self._end = LineEnd.STOPPED
                    return
                case MalformedFrame():
                    self._note_malformed(event.reason)
                case _:
                    self._note_malformed("a second connected or start event")

    def _note_malformed(self, reason: str) -> None:
        self._dropped += 1
        if self._dropped == 1:
            logger.warning("dropped a frame of the media stream: {}", reason)

    async def _hear(self, media: AudioReceived) -> None:
        mulaw = media.mulaw
        if media.at_ms is not None:
            gap = media.at_ms - self._clock_jump_ms - self.media_ms
            if abs(gap) > MAX_GAP_MS:
                self._clock_jump_ms += gap
            elif gap > 0:
                mulaw = bytes([MULAW_SILENCE]) * (gap * SAMPLES_PER_MS) + mulaw
        if self.recording is not None:
            self.recording.callee(mulaw, self.media_ms)
        if self.sound.wanted:
            self.sound.callee(mulaw, self.media_ms)
        self.media_ms += len(mulaw) // SAMPLES_PER_MS
        self._pending += mulaw
        if self._take_audio is None:
            del self._pending[: -MAX_WAITING_SECONDS * SAMPLE_RATE]
            return
        while self._take_audio is not None and len(self._pending) >= INPUT_FRAME_SAMPLES:
            piece = bytes(self._pending[:INPUT_FRAME_SAMPLES])
            del self._pending[:INPUT_FRAME_SAMPLES]
            await self._take_audio(mulaw_to_pcm(piece))

    def give_audio_to(self, take: Callable[[bytes], Awaitable[None]] | None) -> None:
        """Each frame of the callee's audio from the next on, what was kept first: INPUT_FRAME_SAMPLES, 16 bit."""
        self._take_audio = take
