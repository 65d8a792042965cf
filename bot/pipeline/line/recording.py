"""The recording of one call: a stereo WAV, callee left, agent right, on the media clock, streamed to disk.

Each side is given as μ-law with its place on the media clock. The file is complete up to the last flush
at any moment: the header is rewritten with it, so a killed server leaves a file that plays.
"""

import asyncio
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bot.audio import MULAW_SILENCE, SAMPLE_RATE, SAMPLES_PER_MS, mulaw_to_pcm

FLUSH_SECONDS = 0.5
WAITING_SECONDS = 15
"""How much is held, in memory only, of a call whose recording has not begun: more than an answer lasts."""
_HOLD_MS = 1250
"""How late the agent's side may learn what was heard; marks are at most 250 ms apart, plus the network."""
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


def wav_header(frames: int) -> bytes:
    """RIFF/WAVE header of 16-bit stereo PCM at 8 kHz holding `frames` sample pairs."""
    size = frames * 4
    return _HEADER.pack(
        b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 2, SAMPLE_RATE, SAMPLE_RATE * 4, 4, 16, b"data", size
    )


@dataclass
class Track:
    """One side as μ-law from media clock 0; gaps are silence, overlaps are cut."""

    base: int = 0
    """Media clock position, in samples, of the first byte held."""
    held: bytearray = field(default_factory=bytearray)

    @property
    def end(self) -> int:
        return self.base + len(self.held)

    def put(self, mulaw: bytes, at: int) -> None:
        """Place audio at sample `at`. What lies before audio already placed is cut off."""
        if at < self.end:
            mulaw = mulaw[self.end - at :]
            at = self.end
        if mulaw:
            self.held += bytes([MULAW_SILENCE]) * (at - self.end) + mulaw

    def take(self, until: int) -> bytes:
        """The audio up to sample `until`, filled with silence, and forget it."""
        count = max(0, until - self.base)
        piece = bytes(self.held[:count])
        del self.held[:count]
        self.base += count
        return piece + bytes([MULAW_SILENCE]) * (count - len(piece))


class Recording:
    """Writes one call to `path`. Use `open` or later `begin`, `callee` and `agent`, then `close`.

    Disk work runs in a thread; the two sides are bytes in memory for at most a few seconds. Until it begins, so
    is the answer that may allow it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept = False
        """There is a file, and it is to stay."""
        self._callee = Track()
        self._agent = Track()
        self._frames = 0
        self._file: BinaryIO | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def open(self) -> None:
        """Create the file (and its folder) and start writing. OSError when that fails."""
        self._file = await asyncio.to_thread(self._create)
        self.kept = True
        self._writer = asyncio.create_task(self._write_until_closed(), name=f"recording {self.path.name}")

    async def begin(self, at_ms: float) -> None:
        """Open it with what was heard since `at_ms` of the media clock, WAITING_SECONDS ago at most."""
        if self._writer is None and not self._closing.is_set():
            at = max(round(at_ms * SAMPLES_PER_MS), self._callee.base, self._agent.base)
            self._callee.take(at)
            self._agent.take(at)
            await self.open()

    async def stop(self, *, delete: bool) -> None:
        """From now on nothing is written; with `delete`, nothing of it is left. OSError when that fails."""
        try:
            await self.close()
        finally:
            if delete and self.kept:
                self.kept = False
                await asyncio.to_thread(self.path.unlink, missing_ok=True)

    async def silence(self, spans: Iterable[tuple[int, int | None]]) -> None:
        """Make both sides silent in these spans of the media clock, ms; None: to the end. To be called once it is
        closed. OSError."""
        if self.kept:
            await asyncio.to_thread(self._silence, tuple(spans))

    def _silence(self, spans: Iterable[tuple[int, int | None]]) -> None:
        with self.path.open("r+b") as file:
            for begin_ms, end_ms in spans:
                begin, end = (
                    _HEADER.size + 4 * min(self._frames, max(0, round(ms * SAMPLES_PER_MS)))
                    for ms in (begin_ms, self._frames if end_ms is None else end_ms)
                )
                file.seek(begin)
                file.write(bytes(max(0, end - begin)))

    def callee(self, mulaw: bytes, at_ms: float) -> None:
        """The callee's audio, heard by us at `at_ms` of the media clock."""
        self._put(self._callee, mulaw, round(at_ms * SAMPLES_PER_MS))

    def agent(self, mulaw: bytes, at_ms: float) -> None:
        """The agent's audio, heard by the callee from `at_ms` of the media clock on."""
        self._put(self._agent, mulaw, max(0, round(at_ms * SAMPLES_PER_MS)))

    def _put(self, track: Track, mulaw: bytes, at: int) -> None:
        if self._closing.is_set():
            return
        track.put(mulaw, at)
        if self._writer is None:
            track.take(max(track.base, track.end - WAITING_SECONDS * SAMPLE_RATE))

    async def close(self) -> None:
        """Write what is held and close. OSError when a write failed, now or before. Safe to call twice."""
        writer, self._writer = self._writer, None
        self._closing.set()
        if writer is not None:
            await writer

    def _create(self) -> BinaryIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("wb")
        file.write(wav_header(0))
        file.flush()
        return file

    async def _write_until_closed(self) -> None:
        assert self._file is not None
        try:
            while not self._closing.is_set():
                try:
                    await asyncio.wait_for(self._closing.wait(), FLUSH_SECONDS)
                except TimeoutError:
                    await self._flush(self._callee.end - _HOLD_MS * SAMPLES_PER_MS)
            await self._flush(max(self._callee.end, self._agent.end))
        finally:
            file, self._file = self._file, None
            await asyncio.to_thread(file.close)

    async def _flush(self, until: int) -> None:
        if until <= self._callee.base or self._file is None:
            return
        left, right = self._callee.take(until), self._agent.take(until)
        self._frames += len(left)
        await asyncio.to_thread(self._append, self._file, left, right, self._frames)

    @staticmethod
    def _append(file: BinaryIO, left: bytes, right: bytes, frames: int) -> None:
        pairs = np.empty((len(left), 2), dtype="<i2")
        pairs[:, 0] = np.frombuffer(mulaw_to_pcm(left), dtype="<i2")
        pairs[:, 1] = np.frombuffer(mulaw_to_pcm(right), dtype="<i2")
        file.seek(0, 2)
        file.write(pairs.tobytes())
        file.seek(0)
        file.write(wav_header(frames))
        file.flush()
