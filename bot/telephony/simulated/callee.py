"""The simulated callee: listens to the agent, speaks its conversation, on the media clock.

A conversation is a generator that yields one payload per 20 ms, driven by SimulatedStream's beat. Tasks that
sleep were the other way; their waits would follow the machine's load instead of the line, and could not be
tested without waiting.
"""

import asyncio
import base64
import math
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, cycle, islice
from typing import Protocol

import numpy as np

from bot.audio import MULAW_SILENCE, SAMPLE_RATE, Speech, TimedWord, mulaw_to_pcm, pcm_to_mulaw
from bot.telephony.simulated.script import (
    BACKCHANNEL_MS,
    BeepStep,
    Conversation,
    ConverseStep,
    HangUpStep,
    HearStep,
    InterruptStep,
    MenuStep,
    MusicStep,
    PressStep,
    SayStep,
    SilenceStep,
    Step,
    Text,
    WaitForHangUpStep,
    spoken,
)
from bot.telephony.simulated.stream import FRAME_MS, FRAME_SAMPLES, Tick

NOISE_DBFS = -62.0
"""Of a callee in a quiet place: see `Conversation.noise_dbfs`."""
_NOISE_FRAMES = 150
_LOUD = 8 * FRAME_SAMPLES
"""Sum of a frame's levels (|sample| / 16) that counts as speech: a mean of -48 dBFS, well above the noise."""
_PATIENCE_MS = 15_000
"""The agent's silence, after which it is not waited for."""
_SPOKEN_FRAMES = 5
"""Loud frames in a row of ten that make a start of speech: 100 ms, so that a click is none."""
_BEEP_AMPLITUDE = 8000
_CHORDS = ((262, 330, 392, 523), (220, 262, 330, 440), (175, 220, 262, 349), (196, 247, 294, 392))
"""Hertz."""


class Voice(Protocol):
    """Speaks for the callee."""

    async def speak(self, text: str, *, speed: float = 1.0) -> Speech: ...


class ScriptListener(Protocol):
    """Gets what the callee says, as it begins to say it."""

    def say(self, call_sid: str, text: str, words: Sequence[TimedWord]) -> None:
        """Word times are ms of the callee's audio that went over the call's media streams, from the first on."""
        ...


class NoListener:
    """Ignores what the callee says."""

    def say(self, call_sid: str, text: str, words: Sequence[TimedWord]) -> None:
        return


@dataclass(frozen=True)
class SpokenLine:
    """A text ready for the wire: one payload (base64 of 160 μ-law bytes) per 20 ms."""

    text: str
    payloads: tuple[str, ...]
    words: tuple[TimedWord, ...]
    """Times from the line's first sample."""


def _noise(samples: int, dbfs: float = NOISE_DBFS, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(0.0, 32768 * 10 ** (dbfs / 20), samples)


def line_of(speech: Speech, noise_dbfs: float = NOISE_DBFS) -> SpokenLine:
    """Speech over the line's noise, filled up to a whole frame."""
    voice = np.frombuffer(speech.pcm, dtype=np.int16)
    frames = max(1, math.ceil(len(voice) / FRAME_SAMPLES))
    mixed = _noise(frames * FRAME_SAMPLES, noise_dbfs)
    mixed[: len(voice)] += voice
    return SpokenLine(text=speech.text, payloads=_payloads(mixed), words=speech.words)


def _payloads(samples: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[str, ...]:
    mulaw = pcm_to_mulaw(np.clip(np.rint(samples), -32768, 32767).astype(np.int16).tobytes())
    return tuple(
        base64.b64encode(mulaw[start : start + FRAME_SAMPLES]).decode()
        for start in range(0, len(mulaw), FRAME_SAMPLES)
    )


@cache
def noise_payloads(dbfs: float = NOISE_DBFS) -> tuple[str, ...]:
    """Three seconds of the line's noise, played in a loop."""
    return _payloads(_noise(_NOISE_FRAMES * FRAME_SAMPLES, dbfs, seed=1))


@cache
def beep_payloads(for_ms: int, hertz: int) -> tuple[str, ...]:
    time = np.arange(math.ceil(for_ms / FRAME_MS) * FRAME_SAMPLES) / SAMPLE_RATE
    return _payloads(_BEEP_AMPLITUDE * np.sin(2 * math.pi * hertz * time))


@cache
def music_payloads() -> tuple[str, ...]:
    """Hold music of 4.8 s, played in a loop: two rounds of four chords of plucked strings."""
    chord = int(0.6 * SAMPLE_RATE)
    time = np.arange(2 * chord) / SAMPLE_RATE
    played = np.zeros(10 * chord)
    for index, chord_hertz in enumerate(_CHORDS * 2):
        for hertz in chord_hertz:
            for partial, amplitude in ((1, 1.0), (2, 0.5), (3, 0.25)):
                wave = amplitude * np.sin(2 * math.pi * partial * hertz * time) * np.exp(-time / 0.5)
                played[index * chord : (index + 2) * chord] += 1400 * wave
    played[:chord] += played[8 * chord : 9 * chord]  # the last chord rings on into the next round
    return _payloads(played[: 8 * chord])


class SpokenLines:
    """The callees' lines, each text spoken once and kept: callees of one conversation share them."""

    def __init__(self, voice: Voice, *, keep: int = 256) -> None:
        self._voice = voice
        self._keep = keep
        self._lines: dict[tuple[str, float, float], SpokenLine] = {}
        self._speaking = asyncio.Lock()

    async def ready(self, conversation: Conversation) -> Mapping[str, SpokenLine]:
        """Every line of a conversation. One text at a time: callees who ring together share the work."""
        lines: dict[str, SpokenLine] = {}
        speed, noise = conversation.speed, conversation.noise_dbfs
        for text in conversation.texts:
            async with self._speaking:
                line = self._lines.get((text, speed, noise))
                if line is None:
                    line = line_of(await self._voice.speak(text, speed=speed), noise)
                    while len(self._lines) >= self._keep:
                        del self._lines[next(iter(self._lines))]
                    self._lines[text, speed, noise] = line
            lines[text] = line
        return lines


def _level_table() -> bytes:
    """μ-law code to |sample| / 16, at most 255: a frame's loudness is one translate and one sum."""
    samples = np.frombuffer(mulaw_to_pcm(bytes(range(256))), dtype=np.int16).astype(np.int32)
    return bytes(np.minimum(np.abs(samples) // 16, 255).astype(np.uint8))


_LEVELS = _level_table()
_DIGITAL_SILENCE = bytes([MULAW_SILENCE]) * FRAME_SAMPLES


def is_loud(mulaw: bytes | None) -> bool:
    """Whether 20 ms of the agent's audio is speech, by its energy."""
    if mulaw is None or mulaw == _DIGITAL_SILENCE:
        return False
    return sum(mulaw.translate(_LEVELS)) >= _LOUD


class AgentSpeech:
    """When the agent began to speak and how long it has been quiet, in frames."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=2 * _SPOKEN_FRAMES)
        self._frame = 0
        self._began: int | None = None
        self._last_loud = 0

    def attend(self) -> None:
        """Start afresh: what was heard before does not count."""
        self._recent.clear()
        self._began = None

    def hear(self, mulaw: bytes | None) -> None:
        self._frame += 1
        loud = is_loud(mulaw)
        self._recent.append(loud)
        if not loud:
            return
        self._last_loud = self._frame
        if self._began is None and sum(self._recent) >= _SPOKEN_FRAMES:
            self._began = self._frame - (len(self._recent) - list(self._recent).index(True)) + 1

    @property
    def speaking_ms(self) -> int | None:
        """Since the agent's first sound; None if it has made none."""
        return None if self._began is None else (self._frame - self._began + 1) * FRAME_MS

    @property
    def quiet_ms(self) -> int:
        """Since its last one."""
        return (self._frame - self._last_loud) * FRAME_MS


class Callee:
    """One callee on one call. `tick` once per 20 ms of the media clock; after its last step it hangs up.

    `lines` holds every text of the conversation. `press_heard` takes digits the agent's side pressed.
    """

    def __init__(
        self,
        *,
        call_sid: str,
        conversation: Conversation,
        lines: Mapping[str, SpokenLine],
        listener: ScriptListener,
        agent_words: Callable[[], str] = lambda: "",
    ) -> None:
        """`agent_words`: all that was heard of the agent so far."""
        self._call_sid = call_sid
        self._conversation = conversation
        self._lines = lines
        self._listener = listener
        self._ear = AgentSpeech()
        self._agent_words = agent_words
        self._noise = noise_payloads(conversation.noise_dbfs)
        self._frame = 0
        self._unstreamed = 0
        """Frames that passed off a media stream; the agent never hears those."""
        self._stream_end = 0
        self._on_stream = True
        self._digits = ""
        self._keys_taken = 0
        """Of `digits_heard`, by menus; keys pressed ahead are for the next one."""
        self._script = self._act()
        self._gone = False
        self.digits_heard = ""
        self.said: list[str] = []
        """What it has said to its end."""
        self.speaking = False
        self._last_word_frame = 0

    def stream_begins(self) -> None:
        """A media stream: what was spoken off a stream is no part of the agent's audio."""
        if not self._on_stream:
            self._unstreamed += self._frame - self._stream_end
        self._on_stream = True

    def off_stream(self) -> None:
        """What it says from now on is not said to the agent."""
        if self._on_stream:
            self._on_stream = False
            self._stream_end = self._frame

    @property
    def quiet_ms(self) -> int:
        """Since its last word."""
        return (self._frame - self._last_word_frame) * FRAME_MS

    def press_heard(self, digits: str) -> None:
        self.digits_heard += digits

    def tick(self, heard: bytes | None) -> Tick:
        self._ear.hear(heard)
        if not self._gone:
            if self._frame * FRAME_MS >= self._conversation.longest_ms:
                self._gone = True
            else:
                try:
                    payload = next(self._script)
                except StopIteration:
                    self._gone = True
        if self._gone:
            return Tick(self._quiet(), hang_up=True)
        self._frame += 1
        digits, self._digits = self._digits, ""
        return Tick(payload, digits)

    def _quiet(self) -> str:
        return self._noise[self._frame % _NOISE_FRAMES]

    def _act(self) -> Generator[str, None, None]:
        for step in self._conversation.steps:
            if not (yield from self._take(step)):
                return

    def _take(self, step: Step) -> Generator[str, None, bool]:
        """One step, a payload per 20 ms; False to hang up after it."""
        match step:
            case SayStep():
                yield from self._say(self._spoken(step.text))
            case HearStep():
                heard = yield from self._hear(step)
                return heard or step.or_else == "go_on"
            case InterruptStep():
                yield from self._interrupt(step)
            case PressStep():
                for digit in step.digits:
                    self._digits = digit
                    # A person's fingers: five keys a second.
                    yield from self._wait(200)
            case SilenceStep():
                yield from self._wait(step.for_ms)
            case BeepStep():
                yield from beep_payloads(step.for_ms, step.hertz)
            case MusicStep():
                yield from islice(cycle(music_payloads()), math.ceil(step.for_ms / FRAME_MS))
            case WaitForHangUpStep():
                yield from self._wait(step.within_ms)
                return False
            case MenuStep():
                return (yield from self._offer(step))
            case ConverseStep():
                yield from self._converse(step)
            case HangUpStep():
                return False
        return True

    def _converse(self, step: ConverseStep) -> Generator[str, None, None]:
        answers, known = self._conversation.answers(step), 0
        for _ in range(step.turns):
            if step.backchannel is not None:
                yield from self._say_mhm(step.backchannel, step.pause_ms)
            if not (yield from self._hear(HearStep(do="hear", pause_ms=step.pause_ms), afresh=False)):
                return
            said = self._agent_words()
            reply = answers.reply(said[known:].strip())
            known = len(said)
            if reply is None:
                return
            if reply:
                yield from self._wait(step.think_ms)
                yield from self._say(reply)
            self._ear.attend()

    def _say_mhm(self, text: Text, pause_ms: int) -> Generator[str, None, None]:
        """Into the midst of what the agent says, unless that is short."""
        waited_ms = 0
        while waited_ms < _PATIENCE_MS if self._ear.speaking_ms is None else self._ear.quiet_ms < pause_ms:
            if (self._ear.speaking_ms or 0) >= BACKCHANNEL_MS:
                yield from self._say(self._spoken(text))
                return
            yield self._quiet()
            waited_ms += FRAME_MS

    def _say(self, text: str) -> Generator[str, None, None]:
        line = self._lines[text]
        offset_ms = (self._frame - self._unstreamed) * FRAME_MS
        words = tuple(
            TimedWord(word.text, word.start_ms + offset_ms, word.end_ms + offset_ms) for word in line.words
        )
        if self._on_stream:
            self._listener.say(self._call_sid, text, words)
        self.speaking = True
        yield from line.payloads
        self.speaking = False
        self.said.append(text)
        self._last_word_frame = self._frame

    def _offer(self, step: MenuStep) -> Generator[str, None, bool]:
        """Whether one of the keys was pressed; other keys are not understood."""
        for _ in range(step.times):
            for payload in chain(self._say(self._spoken(step.text)), self._wait(step.pause_ms)):
                if set(self.digits_heard[self._keys_taken :]) & set(step.keys):
                    self._keys_taken = len(self.digits_heard)
                    return True
                yield payload
        return False

    def _hear(self, step: HearStep, *, afresh: bool = True) -> Generator[str, None, bool]:
        """Whether the agent spoke. The deadline is for its first sound; `longest_ms` bounds its speech."""
        if afresh:
            self._ear.attend()
        waited_ms = 0
        while True:
            if self._ear.speaking_ms is not None:
                if self._ear.quiet_ms >= step.pause_ms:
                    return True
            elif waited_ms >= step.within_ms:
                return False
            yield self._quiet()
            waited_ms += FRAME_MS

    def _interrupt(self, step: InterruptStep) -> Generator[str, None, None]:
        self._ear.attend()
        waited_ms = 0
        while (self._ear.speaking_ms or 0) < max(step.after_ms, 1) and (
            self._ear.speaking_ms is not None or waited_ms < step.within_ms
        ):
            yield self._quiet()
            waited_ms += FRAME_MS
        yield from self._say(self._spoken(step.text))

    def _spoken(self, text: Text) -> str:
        return spoken(text, self._conversation.language)

    def _wait(self, for_ms: int) -> Generator[str, None, None]:
        for _ in range(math.ceil(for_ms / FRAME_MS)):
            yield self._quiet()
