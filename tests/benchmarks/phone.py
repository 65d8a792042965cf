"""The callee's telephone: plays the acts of a situation on the media clock and keeps all that it heard.

A FarEnd of telephony/simulated/media_stream.py: one tick is 20 ms of the line. What it sends is mixed from the
line's noise and the sounds under way, so people, coughs and music overlap as they do on a line.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bot.audio import MULAW_SILENCE, SAMPLE_RATE, SAMPLES_PER_MS, TimedWord, mulaw_to_pcm, pcm_to_mulaw
from bot.telephony.simulated.stream import FRAME_MS, FRAME_SAMPLES, Tick
from tests.benchmarks import sounds
from tests.benchmarks.acts import (
    Act,
    AgentQuiet,
    AgentSaid,
    Circuit,
    Fault,
    HangUp,
    Noise,
    Note,
    Pause,
    Press,
    Pressed,
    Say,
    UntilHungUp,
)

SLOT_MS = 10
"""The recogniser's grid: see recogniser.py."""
SLOT_BYTES = 2 * SLOT_MS * SAMPLES_PER_MS
_SILENCE = bytes([MULAW_SILENCE]) * FRAME_SAMPLES
_LOUD = 0.02
"""Of a sound's peak: where its first and last audible sample are."""
_ONSET_FRAMES = 3
"""Frames with sound among the last five that make a start of the agent's speech."""


def slots_of(word: TimedWord) -> range:
    """The 10 ms of the line that a word lies in; never empty."""
    first = int(word.start_ms // SLOT_MS)
    return range(first, max(first + 1, math.ceil(word.end_ms / SLOT_MS)))


@dataclass(frozen=True)
class Happened:
    """An act on the media clock, ms: from its first audible sample to its last."""

    name: str
    start_ms: float
    end_ms: float
    words: tuple[TimedWord, ...] = ()
    finished: bool = True


@dataclass
class Phone:
    """Holds one call. Everything it keeps is on one clock: ms since the first tick."""

    acts: Sequence[Act]
    sound_maker: sounds.SoundMaker
    circuit: Circuit = field(default_factory=Circuit)
    on_fault: Callable[[Fault], None] = lambda _fault: None
    seed: int = 0
    longest_ms: int = 60_000

    def __post_init__(self) -> None:
        self._floor = sounds.floor(self.circuit.noise, self.circuit.snr_db)
        self._under_way: list[tuple[int, sounds.Wave]] = []
        self._script = self._play()
        self._quiet_frames = 0
        self._recent: list[bool] = []
        self._frame = 0
        self._sent = bytearray()
        self._heard: list[bytes] = []
        self._word_ends: dict[int, list[TimedWord]] = {}
        self._speech_slots: set[int] = set()
        self._loose_slots: set[int] = set()
        self.happened: list[Happened] = []
        self.wall: list[float] = []
        """time.monotonic() of each tick."""
        self.lateness_ms: list[float] = []
        self.digits = self._keys = ""
        self.streams = 0
        self.hung_up = False
        """By itself, as the situation says."""
        self.finished = False

    # What the far end of a stream is asked

    def stream_begins(self) -> None:
        self.streams += 1
        self._stream_tick = self._frame
        self._stream_wall = time.monotonic()

    def off_stream(self) -> None:
        """Its clock stands still until the next stream."""

    def press_heard(self, digits: str) -> None:
        self.digits += digits

    @property
    def digits_heard(self) -> str:
        return self.digits

    def tick(self, heard: bytes | None) -> Tick:
        now = time.monotonic()
        if not self.streams:
            self.stream_begins()
        self.wall.append(now)
        self.lateness_ms.append((now - self._stream_wall) * 1000 - (self._frame - self._stream_tick) * FRAME_MS)
        if self._frame:
            self._heard.append(_SILENCE if heard is None else heard)
        self._listen(heard)
        if self.now_ms >= self.longest_ms or next(self._script, None) is None:
            self.finished = True
            self.hung_up = True
            return Tick(base64.b64encode(_SILENCE).decode(), hang_up=True)
        payload, keys = self._mix(), self._keys
        self._frame, self._keys = self._frame + 1, ""
        return Tick(base64.b64encode(payload).decode(), keys)

    # What is known of the call

    @property
    def now_ms(self) -> int:
        return self._frame * FRAME_MS

    @property
    def heard(self) -> bytes:
        """μ-law as it was played, silence included; sample 0 is at 0 ms."""
        return b"".join(self._heard)

    @property
    def sent(self) -> bytearray:
        """16-bit PCM of what the line was given, as a decoder of its μ-law sees it."""
        return self._sent

    def words_ending_in(self, slot: int) -> Sequence[TimedWord]:
        return self._word_ends.get(slot, ())

    def speaks_in(self, slot: int) -> bool:
        """Whether a word is being said there."""
        return slot in self._speech_slots

    def trails_off_in(self, slot: int) -> bool:
        """Whether what is said there is not the end of a thought."""
        return slot in self._loose_slots

    def media_ms(self, wall: float) -> float:
        """Where on this clock a moment of time.monotonic() lies."""
        if not self.wall:
            return 0.0
        index = int(np.searchsorted(np.asarray(self.wall), wall, side="right")) - 1
        return max(0, index) * FRAME_MS + max(0.0, (wall - self.wall[max(0, index)]) * 1000)

    # The acts

    def _play(self) -> Generator[bool, None, None]:
        for act in self.acts:
            match act:
                case Say() | Noise():
                    yield from self._sound(act)
                case Pause(ms):
                    yield from self._wait(ms)
                case AgentQuiet():
                    yield from self._agent_quiet(act)
                case AgentSaid():
                    yield from self._agent_said(act)
                case UntilHungUp(within):
                    yield from self._wait(within)
                    return
                case Pressed(digits, within):
                    until, known = self._frame + within // FRAME_MS, len(self.digits)
                    while digits not in self.digits[known:] and self._frame < until:
                        yield True
                    self._note("pressed")
                case Press(keys, name):
                    self._keys = keys
                    self._note(name or keys)
                    yield True
                case Note(name):
                    self._note(name)
                case HangUp():
                    return
                case _:
                    self._note(type(act).__name__)
                    self.on_fault(act)

    def _sound(self, act: Say | Noise) -> Generator[bool, None, None]:
        sound = self.sound_maker.sound(act)
        sound = sound.louder(act.louder_db + (self.circuit.louder_db if isinstance(act, Say) else 0.0))
        self._under_way.append((self._frame * FRAME_SAMPLES, sound.wave))
        audible = np.flatnonzero(np.abs(sound.wave) > _LOUD * np.abs(sound.wave).max(initial=1.0))
        first, last = (audible[0], audible[-1]) if len(audible) else (0, 0)
        words = tuple(
            TimedWord(word.text, self.now_ms + word.start_ms, self.now_ms + word.end_ms) for word in sound.words
        )
        finished = act.finished if isinstance(act, Say) else True
        at = Happened(
            act.label,
            self.now_ms + first / SAMPLES_PER_MS,
            # The frame of the last sound leaves at its beginning: no delay is counted shorter than it is.
            self.now_ms + last // FRAME_SAMPLES * FRAME_MS,
            words,
            finished,
        )
        self.happened.append(at)
        self._register(at)
        if act.wait:
            yield from self._wait((last // FRAME_SAMPLES + 1) * FRAME_MS)

    def _register(self, spoken: Happened) -> None:
        for word in spoken.words:
            slots = slots_of(word)
            self._word_ends.setdefault(slots[-1], []).append(word)
            self._speech_slots.update(slots)
            if not spoken.finished:
                self._loose_slots.update(slots)

    def _note(self, name: str) -> None:
        self.happened.append(Happened(name, self.now_ms, self.now_ms))

    def _wait(self, ms: float) -> Generator[bool, None, None]:
        for _ in range(round(ms / FRAME_MS)):
            yield True

    def _agent_quiet(self, act: AgentQuiet) -> Generator[bool, None, None]:
        yield from self._agent_said(AgentSaid(0, act.within_ms))
        while self._quiet_frames * FRAME_MS < act.pause_ms:
            yield True

    def _agent_said(self, act: AgentSaid) -> Generator[bool, None, None]:
        self._recent = []
        until = self._frame + act.within_ms // FRAME_MS
        while sum(self._recent[-5:]) < _ONSET_FRAMES:
            if self._frame >= until:
                return
            yield True
        yield from self._wait(act.for_ms - _ONSET_FRAMES * FRAME_MS)

    def _listen(self, heard: bytes | None) -> None:
        sounding = heard is not None and heard != _SILENCE
        self._quiet_frames = 0 if sounding else self._quiet_frames + 1
        self._recent.append(sounding)

    def _mix(self) -> bytes:
        start = self._frame * FRAME_SAMPLES
        place = (start + self.seed * SAMPLE_RATE) % (len(self._floor) - FRAME_SAMPLES)
        frame = self._floor[place : place + FRAME_SAMPLES].copy()
        kept: list[tuple[int, sounds.Wave]] = []
        for at, wave in self._under_way:
            part = wave[start - at : start - at + FRAME_SAMPLES]
            frame[: len(part)] += part
            if start - at + FRAME_SAMPLES < len(wave):
                kept.append((at, wave))
        self._under_way = kept
        pcm = np.clip(np.rint(frame), -32768, 32767).astype("<i2").tobytes()
        mulaw = pcm_to_mulaw(pcm)
        self._sent += mulaw_to_pcm(mulaw)
        return mulaw
