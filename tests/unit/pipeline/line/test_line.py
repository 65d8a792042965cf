"""The line on a socket in memory: what is sent, what counts as heard, the media clock and the recording."""

from __future__ import annotations

import asyncio
import random
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pipecat.frames.frames import Frame

from bot.audio import MULAW_SILENCE, mulaw_to_pcm
from bot.pipeline.line import line as line_module
from bot.pipeline.line import recording as recording_module
from bot.pipeline.line.line import INPUT_FRAME_SAMPLES, MAX_GAP_MS, MAX_WAITING_SECONDS, Line, LineEnd, Payload
from bot.pipeline.line.line_ends import HeardTextFrame
from bot.pipeline.line.recording import Recording
from bot.telephony.simulated.stream import FRAME_SAMPLES, Playback
from tests.unit.clocks import VirtualLoop, run
from tests.unit.pipeline.conversation import Reports, until
from tests.unit.pipeline.memory_socket import MemorySocket, media, stream_on

SILENCE = bytes([MULAW_SILENCE])


class Words(Reports):
    """Keeps the words that were heard."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    async def heard(self, payload: Payload) -> None:
        assert isinstance(payload, HeardTextFrame)
        self.words.append(payload.text)

    async def key_pressed(self, key: str) -> None:
        self.words.append(f"key {key}")


@asynccontextmanager
async def held(socket: MemorySocket, **options: Any) -> AsyncIterator[tuple[Line, list[str]]]:
    """A running line and the words heard on it."""
    line = Line(stream_on(socket), **options)
    listener = Words()
    running = asyncio.create_task(line.run(listener))
    words = listener.words
    try:
        yield line, words
    finally:
        socket.say(None)
        await running


async def settle() -> None:
    """Let the reader and the writer do what they can do now."""
    for _ in range(20):
        await asyncio.sleep(0)


def say(line: Line, *words: str, each: int = 1600) -> None:
    for number, word in enumerate(words):
        line.play(bytes([number + 1]) * each)
        line.when_heard(HeardTextFrame(word), mark=True)


async def test_audio_goes_out_with_marks_and_its_words_come_back_with_them() -> None:
    socket = MemorySocket()
    async with held(socket) as (line, words):
        say(line, "one", "two")
        await socket.until_sent("mark", 2)
        assert socket.audio == b"\x01" * 1600 + b"\x02" * 1600
        assert {message["streamSid"] for message in socket.sent} == {"MZ1"}
        assert words == []
        socket.echo(socket.marks[0])
        await settle()
        assert words == ["one"]
        assert not line.idle
        socket.echo(socket.marks[1])
        await settle()
        assert words == ["one", "two"]
        assert line.idle


async def test_an_interruption_clears_the_line_and_keeps_what_was_heard() -> None:
    socket = MemorySocket()
    async with held(socket) as (line, words):
        say(line, "one", "two", "three", each=1200)
        await socket.until_sent("mark", 2)
        socket.echo(socket.marks[0])
        await settle()
        await line.interrupt()
        before = len(socket.sent)
        assert socket.sent[-1] == {"event": "clear", "streamSid": "MZ1"}
        assert words == ["one"]
        assert line.idle
        for name in socket.marks:  # Twilio echoes every pending mark at a clear
            socket.echo(name)
        await settle()
        assert words == ["one"]
        line.play(b"\x09" * 800)
        line.when_heard(HeardTextFrame("new"), mark=True)
        await socket.until_sent("mark", len(socket.marks) + 1)
        after = socket.sent[before:]
        assert [message["event"] for message in after] == ["media", "mark"]
        socket.echo(socket.marks[-1])
        await settle()
        assert words == ["one", "new"]


async def test_nothing_old_follows_a_clear_even_if_a_send_was_under_way() -> None:
    """The writer waits in `send` with two more pieces in hand when the callee interrupts."""
    socket = MemorySocket()
    async with held(socket) as (line, _):
        socket.gate.clear()
        line.play(b"\x01" * 4000)
        await socket.until_sent("media")
        interrupting = asyncio.create_task(line.interrupt())
        await socket.until_sent("clear")
        socket.gate.set()
        await interrupting
        await settle()
        assert [message["event"] for message in socket.sent] == ["media", "clear"]


async def test_a_silent_line_is_not_cleared() -> None:
    socket = MemorySocket()
    async with held(socket) as (line, _):
        await line.interrupt()
        assert socket.sent == []
        assert line.cleared_at is None


async def test_a_callback_is_told_like_a_word() -> None:
    socket = MemorySocket()
    line = Line(stream_on(socket))
    heard = asyncio.Event()

    class Calls(Reports):
        async def heard(self, payload: Payload) -> None:
            assert not isinstance(payload, Frame)
            await payload()

    async def note() -> None:
        heard.set()

    running = asyncio.create_task(line.run(Calls()))
    line.play(bytes(800))
    line.when_heard(note, mark=True)
    await socket.until_sent("mark")
    assert not heard.is_set()
    socket.echo(socket.marks[0])
    await heard.wait()
    socket.hang_up()
    assert await running is LineEnd.STOPPED


async def test_the_ways_a_line_ends() -> None:
    for how, expected in (("stop", LineEnd.STOPPED), ("gone", LineEnd.SOCKET_CLOSED), ("us", LineEnd.HUNG_UP)):
        socket = MemorySocket()
        line = Line(stream_on(socket))
        running = asyncio.create_task(line.run(Reports()))
        await settle()
        if how == "stop":
            socket.hang_up()
        elif how == "gone":
            socket.say(None)
        else:
            await line.close()
            assert socket.closed_with == 1000
        assert await running is expected
        assert line.ended


async def test_a_socket_that_breaks_under_a_send_ends_the_line() -> None:
    socket = MemorySocket()
    line = Line(stream_on(socket))
    running = asyncio.create_task(line.run(Reports()))
    socket.broken = True
    line.play(bytes(160))
    assert await running is LineEnd.SOCKET_CLOSED


async def test_a_cancelled_line_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    line = Line(stream_on(MemorySocket()))
    running = asyncio.create_task(line.run(Reports()))
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == before


async def test_malformed_frames_are_dropped_and_the_call_goes_on() -> None:
    socket = MemorySocket()
    pieces: list[bytes] = []

    async def on_audio(pcm: bytes) -> None:
        pieces.append(pcm)

    async with held(socket) as (line, _):
        line.give_audio_to(on_audio)
        socket.say(
            "no json",
            b"\x00\x01",
            "[]",
            "null",
            '{"event":"start","start":{"streamSid":"MZ9","callSid":"CA9"}}',
            '{"event":"connected"}',
            '{"event":"media"}',
            '{"event":"media","media":null}',
            '{"event":"media","media":{"payload":"%%%"}}',
            "[" * 100_000,
            media(b"\x10" * INPUT_FRAME_SAMPLES, 0),
        )
        await settle()
        assert pieces == [mulaw_to_pcm(b"\x10" * INPUT_FRAME_SAMPLES)]
        assert line._stream.id == "MZ1"
        assert not line.ended


async def test_the_callees_keys_are_told_and_do_not_disturb_the_line() -> None:
    socket = MemorySocket()
    async with held(socket) as (line, words):
        for key in "7#":
            socket.say(f'{{"event":"dtmf","dtmf":{{"track":"inbound_track","digit":"{key}"}}}}')
        await settle()
        assert words == ["key 7", "key #"]
        assert not line.ended


async def heard_by_pipeline(frames: list[str]) -> tuple[bytes, int]:
    """All audio the pipeline gets for these frames, as PCM, and the media clock after them."""
    socket = MemorySocket()
    got = bytearray()

    async def on_audio(pcm: bytes) -> None:
        assert len(pcm) == 2 * INPUT_FRAME_SAMPLES
        got.extend(pcm)

    async with held(socket) as (line, _):
        line.give_audio_to(on_audio)
        socket.say(*frames)
        for _ in frames:
            await settle()
        return bytes(got), line.media_ms


async def test_lost_audio_is_filled_with_silence() -> None:
    one, two = b"\x11" * 160, b"\x22" * 160
    pcm, clock = await heard_by_pipeline([media(one, 0), media(two, 60), media(one, 80), media(two, 100)])
    line = one + SILENCE * 320 + two + one + two
    whole = len(line) // INPUT_FRAME_SAMPLES * INPUT_FRAME_SAMPLES
    assert pcm == mulaw_to_pcm(line[:whole])
    assert clock == 120


@pytest.mark.parametrize("jump", [MAX_GAP_MS + 1000, 90_000_000_000, -60_000])
async def test_a_jump_of_the_timestamps_is_not_a_gap_and_later_gaps_are_still_filled(jump: int) -> None:
    base = 100_000
    frames = [media(b"\x11" * 160, None)]
    _, clock = await heard_by_pipeline(frames)
    assert clock == 20
    socket = MemorySocket()
    async with held(socket) as (line, _):
        line.media_ms = base
        socket.say(media(b"\x11" * 160, base), media(b"\x22" * 160, base + 20 + jump))
        await settle()
        assert line.media_ms == base + 40
        socket.say(media(b"\x33" * 160, base + 40 + jump + 100))
        await settle()
        assert line.media_ms == base + 40 + 100 + 20


async def test_an_early_frame_does_not_turn_the_clock_back() -> None:
    _, clock = await heard_by_pipeline(
        [media(b"\x11" * 160, 0), media(b"\x11" * 160, 5), media(b"\x11" * 160, 40)]
    )
    assert clock == 60


async def test_audio_waits_for_a_pipeline_that_still_starts() -> None:
    socket = MemorySocket()
    pieces: list[bytes] = []

    async def on_audio(pcm: bytes) -> None:
        pieces.append(pcm)

    async with held(socket) as (line, _):
        seconds = MAX_WAITING_SECONDS + 2
        socket.say(*(media(bytes([number]) * 8000, number * 1000) for number in range(seconds)))
        for _ in range(seconds):
            await settle()
        line.give_audio_to(on_audio)
        socket.say(media(b"\x11" * 160, seconds * 1000))
        await settle()
        heard = b"".join(pieces)
        assert 2 * 8000 * MAX_WAITING_SECONDS - len(heard) < 2 * INPUT_FRAME_SAMPLES
        assert heard.startswith(mulaw_to_pcm(b"\x02" * 8000)), "the oldest is forgotten first"


async def test_a_burst_and_the_first_audio_are_told() -> None:
    socket = MemorySocket()
    listener = Reports()
    bursts, line = listener.begun, Line(stream_on(socket))
    running = asyncio.create_task(line.run(listener))
    try:
        assert line.first_audio_at is None
        say(line, "one", "two")
        await socket.until_sent("mark", 2)
        assert len(bursts) == 1
        assert line.first_audio_at == bursts[0]
        for name in socket.marks:
            socket.echo(name)
        await settle()
        say(line, "three")
        await socket.until_sent("mark", 3)
        assert len(bursts) == 2
        assert line.first_audio_at == bursts[0]
        assert bursts[1] <= time.monotonic()
    finally:
        socket.say(None)
        await running


# -- ten minutes -----------------------------------------------------------------------------------------


class FarEnd:
    """Twilio and a callee on a media clock of their own: 100 ppm fast, jitter both ways, order kept."""

    def __init__(self, loop: VirtualLoop, socket: SlowSocket, seed: int) -> None:
        self._loop = loop
        self._socket = socket
        self._random = random.Random(seed)
        self._playout = Playback()
        self.heard = bytearray()
        """The agent as the callee heard it, from media clock 0."""
        self._taken = 0
        self._back_at = 0.0
        self._out_at = 0.0

    @property
    def clock(self) -> int:
        """Samples of the media clock."""
        return int(self._loop.time() * 8000 * 1.0001)

    def receive(self, message: dict[str, Any]) -> None:
        delay = 0.02 + abs(self._random.gauss(0, 0.015))
        self._out_at = max(self._out_at + 1e-6, self._loop.time() + delay)
        self._loop.call_at(self._out_at, self._arrive, message)

    def _arrive(self, message: dict[str, Any]) -> None:
        self._take(self.clock)
        match message["event"]:
            case "media":
                self._playout.media(self.clock, b64decode(message["media"]["payload"]))
            case "mark":
                self._playout.mark(self.clock, message["mark"]["name"])
            case _:
                for name in self._playout.clear(self.clock):
                    self._back(lambda name=name: self._socket.echo(name))

    def _take(self, until: int) -> None:
        if until > self._taken:
            piece = self._playout.take(until)
            self.heard += piece if piece is not None else SILENCE * (until - self._taken)
            self._taken = until

    def _back(self, deliver: Any) -> None:
        delay = 0.02 + abs(self._random.gauss(0, 0.015))
        self._back_at = max(self._back_at + 1e-6, self._loop.time() + delay)
        self._loop.call_at(self._back_at, deliver)

    async def run(self, seconds: float) -> None:
        beat = 0
        while beat * 0.02 < seconds:
            beat += 1
            target = beat * FRAME_SAMPLES
            late = abs(self._random.gauss(0, 0.002))
            await asyncio.sleep(max(0.0, target / 8000 / 1.0001 - self._loop.time()) + late)
            self._take(max(self._taken, target))
            frame = media(b"\x55" * FRAME_SAMPLES, (beat - 1) * 20)
            self._back(lambda frame=frame: self._socket.say(frame))
            for name in self._playout.marks_due(self.clock):
                self._back(lambda name=name: self._socket.echo(name))


class SlowSocket(MemorySocket):
    """Hands what we send to the far end instead of keeping it."""

    far: FarEnd

    async def send(self, text: str) -> None:
        await super().send(text)
        self.far.receive(self.sent.pop())


def test_the_recording_stays_aligned_over_ten_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = VirtualLoop()
    monkeypatch.setattr(line_module, "time", SimpleNamespace(monotonic=loop.monotonic))
    # The whole call is compared in memory, as it is held before a recording begins.
    monkeypatch.setattr(recording_module, "WAITING_SECONDS", 600)
    rng = random.Random(4)
    recording = Recording(tmp_path / "call.wav")
    bursts: list[bytes] = []

    async def talk(line: Line) -> None:
        """Bursts of speech of all lengths, some with holes as a late voice makes them, some interrupted."""
        while loop.time() < 590:
            for _ in range(rng.randint(1, 3)):
                # A tone of random samples: its place in a track is unmistakable.
                voice = bytes(rng.randrange(1, 120) for _ in range(400)) + b"\x33" * rng.randint(2000, 30_000)
                bursts.append(voice[:400])
                line.play(voice)
                await asyncio.sleep(rng.choice([0.0, 0.0, 0.3, 4.5]))
            await asyncio.sleep(rng.uniform(0.5, 6.0))
            if rng.random() < 0.3:
                await line.interrupt()
            while not line.idle:  # noqa: ASYNC110  # virtual time
                await asyncio.sleep(0.1)

    async def call() -> tuple[bytes, bytes, int]:
        socket = SlowSocket()
        far = socket.far = FarEnd(loop, socket, seed=9)
        line = Line(stream_on(socket), recording=recording)
        running = asyncio.create_task(line.run(Reports()))
        talking = asyncio.create_task(talk(line))
        await far.run(600)
        await talking
        await line.close()
        await running
        return bytes(far.heard), bytes(recording._agent.held), line.media_ms

    heard, recorded, media_ms = run(loop, call())
    assert abs(media_ms - 600_000) < 1000
    offsets: list[float] = []
    at = 0
    for voice in bursts:
        true = heard.find(voice[:200])
        kept = recorded.find(voice[:200])
        if true < 0:  # interrupted before it was played
            assert kept < 0
            continue
        assert kept >= at, "a burst that was heard is missing from the recording"
        offsets.append((kept - true) / 8)
        at = kept
    assert len(offsets) > 50
    assert max(map(abs, offsets)) < 40, f"channels are apart by {max(offsets, key=abs)} ms"


async def test_a_pause_that_nobody_ends_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A far end may send no audio in silence, and without audio nobody decides."""
    monkeypatch.setattr("bot.pipeline.line.line.LONGEST_HOLD_SECONDS", 0.05)
    socket = MemorySocket()
    async with held(socket) as (line, _):
        say(line, "one", "two", each=8000)
        await settle()
        await line.hold()
        sent = len(socket.sent)
        await until(lambda: not line.held)
        await until(lambda: any(message["event"] == "media" for message in socket.sent[sent:]))
