"""How a simulated STT knows the words: a script, advanced by the energy in the audio it received.

Real recognition is not what a simulator is for, but its clock is: words appear where speech is in the audio
that came over the wire, so a bot that sends no audio, late audio or noise is not understood. Rejected:
telling the simulator "now he says X" from the test, which passes with a bot whose audio path is broken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bot.audio import Speech, TimedWord

_FRAME_MS = 10
_ONSET_FRAMES = 2
"""A single loud frame is a click, two are speech."""
_FINALIZE_QUIET_MS = 60
"""Silence after which a forced final takes the whole of an untimed utterance."""


class Recognition(Protocol):
    """What one connection hears. Positions are ms of the audio it received."""

    @property
    def clock_ms(self) -> float:
        """Audio received so far."""

    @property
    def quiet_ms(self) -> float:
        """Since the last energy; equal to the clock if there was none."""

    @property
    def speech_start_ms(self) -> float | None:
        """Start of the latest utterance; None before the first."""

    @property
    def over(self) -> bool:
        """Nobody is in the middle of an utterance."""

    @property
    def finished_thought(self) -> bool:
        """The latest utterance sounds like the end of a turn, by its words."""

    def hear(self, pcm: bytes) -> None:
        """Take 16-bit PCM at the connection's sample rate."""

    def words(self) -> tuple[TimedWord, ...]:
        """Words understood by now and not yet taken."""

    def take(self, *, forced: bool = False) -> tuple[TimedWord, ...]:
        """The same words, now final: they do not come again. `forced` does not wait for the usual silence."""

    def close(self) -> None:
        """The connection is gone; words not taken are given back."""


class Recogniser(Protocol):
    """Opens one hearing per connection."""

    def open(self, sample_rate: int) -> Recognition: ...


@dataclass(frozen=True)
class Utterance:
    """What the next burst of energy says.

    With `words` (ms from the utterance's first sample) the utterance keeps its own timing and length, pauses
    included; without, words are spread over the burst. `finished` False makes it trail off: an end-of-turn
    model stays unsure after it.
    """

    text: str
    words: tuple[TimedWord, ...] = ()
    finished: bool = True

    @property
    def duration_ms(self) -> float | None:
        return self.words[-1].end_ms if self.words else None


def utterance(said: str | Speech | Utterance) -> Utterance:
    """An utterance from what a test has at hand; a `Speech` brings its word times along."""
    if isinstance(said, Utterance):
        return said
    return Utterance(said.text, said.words) if isinstance(said, Speech) else Utterance(said)


class EnergyMeter:
    """16-bit PCM in, one loud/quiet verdict per 10 ms out. Chunks of any size."""

    def __init__(self, sample_rate: int, *, threshold_dbfs: float) -> None:
        self._frame = sample_rate * _FRAME_MS // 1000
        self._threshold = (32768.0 * 10 ** (threshold_dbfs / 20)) ** 2
        self._rest = np.zeros(0, dtype=np.int16)

    def feed(self, pcm: bytes) -> list[bool]:
        """Verdicts of the frames completed by `pcm`. ValueError for an odd number of bytes."""
        samples = np.concatenate([self._rest, np.frombuffer(pcm, dtype="<i2")])
        whole = len(samples) // self._frame
        self._rest = samples[whole * self._frame :]
        frames = samples[: whole * self._frame].reshape(whole, self._frame).astype(np.float64)
        loud: list[bool] = ((frames**2).mean(axis=1) > self._threshold).tolist() if whole else []
        return loud


class ScriptedRecogniser:
    """Each burst of energy is the next utterance of the script; bursts after its end say nothing.

    One may serve several connections one after another: an utterance cut by a lost connection is heard on
    the next one. For calls side by side give each connection a recogniser of its own.

    `threshold_dbfs` lies well above line noise (about -60). Energy within `join_ms` of the last belongs to
    the same utterance; an utterance counts as over after `end_ms` of silence behind its last word.
    `character_ms` is the pace at which an untimed utterance's words appear while it is being spoken.
    """

    def __init__(
        self,
        utterances: Sequence[str | Speech | Utterance],
        *,
        threshold_dbfs: float = -45.0,
        join_ms: float = 500.0,
        end_ms: float = 200.0,
        character_ms: float = 60.0,
    ) -> None:
        self._script = [utterance(said) for said in utterances]
        self.threshold_dbfs = threshold_dbfs
        self.join_ms = join_ms
        self.end_ms = end_ms
        self.character_ms = character_ms

    @property
    def remaining(self) -> int:
        """Utterances nobody has begun to say."""
        return len(self._script)

    def open(self, sample_rate: int) -> ScriptedRecognition:
        return ScriptedRecognition(self, sample_rate)

    def next(self) -> Utterance:
        return self._script.pop(0) if self._script else Utterance("")

    def give_back(self, unheard: Sequence[Utterance]) -> None:
        self._script[:0] = unheard


@dataclass
class _Spoken:
    """An utterance on the audio clock; the first `taken` words are final.

    `start_ms` is its first sample, `onset_ms` its first energy.
    """

    said: Utterance
    start_ms: float
    onset_ms: float
    last_loud_ms: float
    taken: int = 0


class ScriptedRecognition:
    """One connection of a ScriptedRecogniser. Pure: the audio is its clock."""

    def __init__(self, recogniser: ScriptedRecogniser, sample_rate: int) -> None:
        self._recogniser = recogniser
        self._meter = EnergyMeter(sample_rate, threshold_dbfs=recogniser.threshold_dbfs)
        self._frames = 0
        self._loud_run = 0
        self._spoken: list[_Spoken] = []
        """The latest is last; earlier ones stay while they hold words nobody took."""

    @property
    def clock_ms(self) -> float:
        return float(self._frames * _FRAME_MS)

    @property
    def quiet_ms(self) -> float:
        return self.clock_ms - (self._spoken[-1].last_loud_ms if self._spoken else 0.0)

    @property
    def speech_start_ms(self) -> float | None:
        return self._spoken[-1].onset_ms if self._spoken else None

    @property
    def over(self) -> bool:
        return not self._spoken or self._is_over(self._spoken[-1], self._recogniser.end_ms)

    @property
    def finished_thought(self) -> bool:
        return not self._spoken or self._spoken[-1].said.finished

    def hear(self, pcm: bytes) -> None:
        for loud in self._meter.feed(pcm):
            self._frames += 1
            self._loud_run = self._loud_run + 1 if loud else 0
            if not loud:
                continue
            if self._spoken and self._belongs(self._spoken[-1]):
                self._spoken[-1].last_loud_ms = self.clock_ms
            elif self._loud_run >= _ONSET_FRAMES:
                onset = self.clock_ms - self._loud_run * _FRAME_MS
                said = self._recogniser.next()
                start = onset - said.words[0].start_ms if said.words else onset
                self._spoken = [spoken for spoken in self._spoken if self._untaken(spoken)]
                self._spoken.append(_Spoken(said, start, onset, self.clock_ms))

    def words(self) -> tuple[TimedWord, ...]:
        return tuple(word for spoken in self._spoken for word in self._visible(spoken, self._recogniser.end_ms))

    def take(self, *, forced: bool = False) -> tuple[TimedWord, ...]:
        end_ms = min(_FINALIZE_QUIET_MS, self._recogniser.end_ms) if forced else self._recogniser.end_ms
        taken: list[TimedWord] = []
        for spoken in self._spoken:
            words = self._visible(spoken, end_ms)
            spoken.taken += len(words)
            taken += words
        self._spoken = [*(s for s in self._spoken[:-1] if self._untaken(s)), *self._spoken[-1:]]
        return tuple(taken)

    def close(self) -> None:
        unheard = [
            replace(spoken.said, text=" ".join(rest), words=() if spoken.taken else spoken.said.words)
            for spoken in self._spoken
            if (rest := self._untaken(spoken))
        ]
        self._spoken = []
        self._recogniser.give_back(unheard)

    def _belongs(self, spoken: _Spoken) -> bool:
        duration = spoken.said.duration_ms
        within = duration is not None and self.clock_ms <= spoken.start_ms + duration
        return within or self.clock_ms - spoken.last_loud_ms <= self._recogniser.join_ms

    def _is_over(self, spoken: _Spoken, end_ms: float) -> bool:
        words = spoken.said.words
        if words and spoken.last_loud_ms < spoken.start_ms + words[-1].start_ms:
            return False
        return self.clock_ms - spoken.last_loud_ms >= end_ms

    def _untaken(self, spoken: _Spoken) -> list[str]:
        texts = [word.text for word in spoken.said.words] or spoken.said.text.split()
        return texts[spoken.taken :]

    def _visible(self, spoken: _Spoken, end_ms: float) -> list[TimedWord]:
        if spoken.said.words:
            shifted = [
                TimedWord(word.text, spoken.start_ms + word.start_ms, spoken.start_ms + word.end_ms)
                for word in spoken.said.words[spoken.taken :]
            ]
            quiet = self.clock_ms - spoken.last_loud_ms >= end_ms
            return [
                word
                for word in shifted
                if word.end_ms <= self.clock_ms or (quiet and word.start_ms < spoken.last_loud_ms)
            ]
        texts = spoken.said.text.split()
        is_latest = spoken is self._spoken[-1]
        if not is_latest or self._is_over(spoken, end_ms):
            return spread(texts, spoken.start_ms, spoken.last_loud_ms)[spoken.taken :]
        paced_ms = self._recogniser.character_ms * sum(len(text) + 1 for text in texts)
        paced = spread(texts, spoken.start_ms, spoken.start_ms + paced_ms)[spoken.taken :]
        return [word for word in paced if word.end_ms <= self.clock_ms]


def spread(texts: Sequence[str], start_ms: float, end_ms: float) -> list[TimedWord]:
    """Words over a span, each as long as its letters weigh."""
    total = sum(len(text) + 1 for text in texts)
    words: list[TimedWord] = []
    at = start_ms
    for text in texts:
        end = at + (end_ms - start_ms) * (len(text) + 1) / total
        words.append(TimedWord(text, at, end))
        at = end
    return words


def bare(text: str) -> str:
    """A word as an unformatted transcript has it: lower case, no punctuation but apostrophes and hyphens."""
    return re.sub(r"[^\w'-]", "", text.lower())
