"""The far end of a Twilio Media Stream: its messages, its playout clock and marks, its 20 ms beat.

https://www.twilio.com/docs/voice/media-streams/websocket-messages. The callee's side is one call of `tick`
per 20 ms of the media clock; it runs inside the beat, so a conversation has no task, sleep or clock of its
own and a test can step through it. Playback and StreamMessages are pure; only SimulatedStream has a socket.
The beat is an absolute schedule from one start: a late frame is followed at once by the next, so a stall
delays audio and never stretches it.
"""

import asyncio
import base64
import binascii
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

import aiohttp
import orjson
from loguru import logger

from bot.audio import MULAW_SILENCE, SAMPLE_RATE

FRAME_MS = 20
FRAME_SECONDS = FRAME_MS / 1000
FRAME_SAMPLES = SAMPLE_RATE * FRAME_MS // 1000
"""160: samples, and μ-law bytes, of one media message."""
LONGEST_PLAYOUT_SAMPLES = 600 * SAMPLE_RATE
"""Audio received beyond ten minutes ahead of playback is dropped: memory has an end."""


class Playback:
    """What the far end was sent and has yet to play.

    Positions are samples of the media clock. `now` never runs backwards; `take` may trail it.
    """

    def __init__(self) -> None:
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._marks: deque[tuple[int, str]] = deque()
        self._taken = 0
        self._end = 0

    @property
    def end(self) -> int:
        """Where the audio received so far ends."""
        return self._end

    @property
    def next_mark(self) -> int | None:
        """When playback reaches the first pending mark."""
        return self._marks[0][0] if self._marks else None

    def media(self, now: int, mulaw: bytes) -> bool:
        """Queue audio behind what is queued; with an empty queue it starts now. False if it is full."""
        start = max(self._end, now)
        if start + len(mulaw) - now > LONGEST_PLAYOUT_SAMPLES:
            return False
        if mulaw:
            self._chunks.append((start, mulaw))
            self._end = start + len(mulaw)
        return True

    def mark(self, now: int, name: str) -> None:
        """Pending until everything received before it has been played; due now if it has."""
        self._marks.append((max(self._end, now), name))

    def clear(self, now: int) -> list[str]:
        """Forget what is not played by `now`; every pending mark is due at once, in order."""
        kept: deque[tuple[int, bytes]] = deque()
        for start, mulaw in self._chunks:
            if start < now:
                kept.append((start, mulaw[: now - start]))
        self._chunks = kept
        self._end = min(self._end, now)
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def marks_due(self, now: int) -> list[str]:
        """Marks that playback has reached by `now`, in order; each is given once."""
        names: list[str] = []
        while self._marks and self._marks[0][0] <= now:
            names.append(self._marks.popleft()[1])
        return names

    def take(self, until: int) -> bytes | None:
        """What was heard from the last `take` to `until`, gaps as silence; None for nothing but silence."""
        position, self._taken = self._taken, until
        heard: list[bytes] = []
        while self._chunks and self._chunks[0][0] < until:
            start, mulaw = self._chunks.popleft()
            if start > position:
                heard.append(bytes([MULAW_SILENCE]) * (start - position))
            end = start + len(mulaw)
            if end > until:
                self._chunks.appendleft((until, mulaw[until - start :]))
                mulaw, end = mulaw[: until - start], until
            heard.append(mulaw)
            position = end
        if not heard:
            return None
        if position < until:
            heard.append(bytes([MULAW_SILENCE]) * (until - position))
        return heard[0] if len(heard) == 1 else b"".join(heard)


@dataclass(frozen=True)
class StreamIds:
    account_sid: str
    call_sid: str
    stream_sid: str


@dataclass(frozen=True)
class MediaReceived:
    mulaw: bytes


@dataclass(frozen=True)
class MarkReceived:
    name: str


@dataclass(frozen=True)
class ClearReceived:
    pass


Command = MediaReceived | MarkReceived | ClearReceived


def parse_command(text: str | bytes, stream_sid: str) -> Command:
    """A message of the server. ValueError, with what is wrong, for anything Twilio would refuse."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError("not JSON") from error
    if not isinstance(message, dict):
        raise ValueError("not an object")
    if message.get("streamSid") != stream_sid:
        raise ValueError("wrong or missing streamSid")
    match message:
        case {"event": "media", "media": {"payload": str(payload)}}:
            try:
                return MediaReceived(base64.b64decode(payload, validate=True))
            except binascii.Error as error:
                raise ValueError("payload is not base64") from error
        case {"event": "mark", "mark": {"name": str(name)}}:
            return MarkReceived(name)
        case {"event": "clear"}:
            return ClearReceived()
    raise ValueError(f"unknown or incomplete event {message.get('event')!r}")


class StreamMessages:
    """Writes the far end's messages, in Twilio's field order, and counts them.

    The media message is put together from strings: it is sent fifty times a second and call.
    """

    def __init__(self, ids: StreamIds) -> None:
        self._ids = ids
        self._sequence = 0
        self._chunk = 0
        self._media_tail = f'"}},"streamSid":"{ids.stream_sid}"}}'

    def connected(self) -> str:
        return '{"event":"connected","protocol":"Call","version":"1.0.0"}'

    def start(self, parameters: Mapping[str, str]) -> str:
        ids = self._ids
        return self._dump(
            {
                "event": "start",
                "sequenceNumber": self._next(),
                "start": {
                    "accountSid": ids.account_sid,
                    "streamSid": ids.stream_sid,
                    "callSid": ids.call_sid,
                    "tracks": ["inbound"],
                    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": SAMPLE_RATE, "channels": 1},
                    "customParameters": dict(parameters),
                },
                "streamSid": ids.stream_sid,
            }
        )

    def media(self, payload: str) -> str:
        """`payload` is base64 of 160 μ-law bytes; the timestamp is the position of its first sample."""
        timestamp = self._chunk * FRAME_MS
        self._chunk += 1
        self._sequence += 1
        return (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound",'
            f'"chunk":"{self._chunk}","timestamp":"{timestamp}","payload":"{payload}{self._media_tail}'
        )

    def mark(self, name: str) -> str:
        return self._dump(
            {
                "event": "mark",
                "sequenceNumber": self._next(),
                "streamSid": self._ids.stream_sid,
                "mark": {"name": name},
            }
        )

    def dtmf(self, digit: str) -> str:
        return self._dump(
            {
                "event": "dtmf",
                "streamSid": self._ids.stream_sid,
                "sequenceNumber": self._next(),
                "dtmf": {"track": "inbound_track", "digit": digit},
            }
        )

    def stop(self) -> str:
        ids = self._ids
        return self._dump(
            {
                "event": "stop",
                "sequenceNumber": self._next(),
                "streamSid": ids.stream_sid,
                "stop": {"accountSid": ids.account_sid, "callSid": ids.call_sid},
            }
        )

    def _next(self) -> str:
        self._sequence += 1
        return str(self._sequence)

    @staticmethod
    def _dump(message: dict[str, object]) -> str:
        return orjson.dumps(message).decode()


class Tick(NamedTuple):
    """What the far end does in 20 ms."""

    payload: str
    """Base64 of 160 μ-law bytes."""
    digits: str = ""
    hang_up: bool = False


class FarEnd(Protocol):
    """Who holds the phone. `tick` is called for every 20 ms of the media clock, in order, none left out."""

    def tick(self, heard: bytes | None) -> Tick:
        """`heard`: the 160 μ-law bytes played in the 20 ms before this one; None for silence."""
        ...


class StreamEnd(Enum):
    FAR_END_HUNG_UP = "far end hung up"
    STOPPED = "stopped"
    SERVER_CLOSED = "server closed"


class SimulatedStream:
    """One stream over one socket, from `connected` to `stop`."""

    def __init__(self, *, ids: StreamIds, parameters: Mapping[str, str], far_end: FarEnd) -> None:
        self._ids = ids
        self._parameters = parameters
        self._far_end = far_end
        self._wire = StreamMessages(ids)
        self._playout = Playback()
        self._cleared_marks: deque[str] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._wake_at = 0.0
        self._stopped = False
        self._start = 0.0
        self.refused = 0
        """Messages of the server that Twilio would not have understood."""

    def stop(self) -> None:
        """End the stream: `stop` is sent and the socket closed."""
        self._stopped = True
        self._rouse()

    async def run(self, socket: aiohttp.ClientWebSocketResponse) -> StreamEnd:
        """Hold the stream until one side ends it. Takes over the socket and closes it."""
        self._start = asyncio.get_running_loop().time()
        reader = asyncio.create_task(self._read(socket), name=f"media {self._ids.call_sid}")
        try:
            await socket.send_str(self._wire.connected())
            await socket.send_str(self._wire.start(self._parameters))
            end = await self._beat(socket, reader)
            if end is not StreamEnd.SERVER_CLOSED:
                await socket.send_str(self._wire.stop())
        except (ConnectionError, aiohttp.ClientConnectionError):
            end = StreamEnd.SERVER_CLOSED
        finally:
            # The reader holds the socket's receive, which a close would wait for.
            reader.cancel()
            await asyncio.wait({reader})
            await socket.close()
        if not reader.cancelled() and (error := reader.exception()) is not None:
            raise error
        return end

    async def _beat(self, socket: aiohttp.ClientWebSocketResponse, reader: asyncio.Task[None]) -> StreamEnd:
        loop = asyncio.get_running_loop()
        frames = 0
        while True:
            now = loop.time()
            while self._cleared_marks:
                await socket.send_str(self._wire.mark(self._cleared_marks.popleft()))
            for name in self._playout.marks_due(self._samples(now)):
                await socket.send_str(self._wire.mark(name))
            if self._stopped:
                return StreamEnd.STOPPED
            if reader.done():
                return StreamEnd.SERVER_CLOSED
            if now >= self._start + frames * FRAME_SECONDS:
                tick = self._far_end.tick(self._playout.take(frames * FRAME_SAMPLES))
                if tick.hang_up:
                    return StreamEnd.FAR_END_HUNG_UP
                await socket.send_str(self._wire.media(tick.payload))
                for digit in tick.digits:
                    await socket.send_str(self._wire.dtmf(digit))
                frames += 1
            await self._sleep_until(self._start + frames * FRAME_SECONDS)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take the server's messages until its socket closes."""
        try:
            while True:
                message = await socket.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._obey(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._refuse("binary frame")
                else:
                    return
        finally:
            self._rouse()

    def _obey(self, text: str) -> None:
        try:
            command = parse_command(text, self._ids.stream_sid)
        except ValueError as error:
            self._refuse(str(error))
            return
        now = self._samples(asyncio.get_running_loop().time())
        match command:
            case MediaReceived(mulaw):
                if not self._playout.media(now, mulaw):
                    self._refuse("playout is full")
            case MarkReceived(name):
                self._playout.mark(now, name)
                if (self._playout.next_mark or 0) <= (self._wake_at - self._start) * SAMPLE_RATE:
                    self._rouse()
            case ClearReceived():
                self._cleared_marks.extend(self._playout.clear(now))
                if self._cleared_marks:
                    self._rouse()

    def _refuse(self, why: str) -> None:
        self.refused += 1
        if self.refused == 1:
            logger.warning("Media stream {}: message refused: {}", self._ids.stream_sid, why)

    def _samples(self, now: float) -> int:
        return int((now - self._start) * SAMPLE_RATE)

    async def _sleep_until(self, frame_at: float) -> None:
        """Until the next frame, the next mark's due time, or a reason to look again."""
        mark = self._playout.next_mark
        # A sample later than due, so that rounding cannot wake the beat just before it.
        mark_at = frame_at if mark is None else self._start + (mark + 1) / SAMPLE_RATE
        self._wake_at = min(frame_at, mark_at)
        loop = asyncio.get_running_loop()
        if self._wake_at <= loop.time():
            # Behind schedule: let the reader run, then go on at once.
            await asyncio.sleep(0)
            return
        self._wake = loop.create_future()
        timer = loop.call_at(self._wake_at, self._rouse)
        try:
            await self._wake
        finally:
            self._wake = None
            timer.cancel()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
