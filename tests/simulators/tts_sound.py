"""A deterministic, speech-like sound for a text: what the ElevenLabs simulator says, and tests may play.

Not intelligible, but shaped like speech where it matters to a machine: a gliding fundamental with harmonics
under moving formants, syllables at about four a second, hisses for the consonants that hiss, short dips
between words and pauses at punctuation; Silero takes it for speech. Its length follows the text, its samples
follow nothing but the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bot.audio import pcm_to_mulaw

CHARACTER_MS = 60
_PEAK = 12000.0
_HISS = frozenset("sfhxzctSFHXZCT")
_PAUSE = frozenset(".,;:?!…\n")
_HARMONICS = 24


@dataclass(frozen=True)
class Sound:
    """16-bit PCM and where each character of `text` lies in it, in ms."""

    text: str
    sample_rate: int
    pcm: bytes
    starts_ms: tuple[int, ...]
    durations_ms: tuple[int, ...]

    @property
    def duration_ms(self) -> int:
        return sum(self.durations_ms)

    def part(self, first: int, last: int) -> bytes:
        """PCM of the characters `first` up to and without `last`."""
        ends = [*self.starts_ms, self.duration_ms]
        low, high = (2 * (ends[index] * self.sample_rate // 1000) for index in (first, last))
        return self.pcm[low:high]


@lru_cache(maxsize=256)
def speak(text: str, sample_rate: int, *, character_ms: int = CHARACTER_MS) -> Sound:
    """`character_ms` of sound per character of `text`; about 5 ms of work per second of sound."""
    starts = tuple(index * character_ms for index in range(len(text)))
    total = len(text) * character_ms * sample_rate // 1000
    time = np.arange(total) / sample_rate
    place = np.minimum((time * 1000 / character_ms).astype(int), max(len(text) - 1, 0))
    voiced, hiss = _levels(text, place, time, character_ms, sample_rate)
    wave = _buzz(text, place, time, sample_rate) * voiced + _noise(total) * hiss
    pcm = np.clip(wave * _PEAK, -32767, 32767).astype("<i2").tobytes()
    return Sound(text, sample_rate, pcm, starts, (character_ms,) * len(text))


def _levels(
    text: str, place: np.ndarray, time: np.ndarray, character_ms: int, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Loudness of buzz and hiss per sample, 0 to 1: characters, times a syllable every four of them."""
    voiced = np.array([_voiced_level(char) for char in text])[place]
    hiss = np.array([0.12 if char in _HISS else 0.0 for char in text])[place]
    syllable = 0.7 - 0.3 * np.cos(2 * np.pi * time * 1000 / (4 * character_ms))
    ramp = np.hanning(max(3, sample_rate * 24 // 1000))
    smooth = np.convolve(voiced, ramp / ramp.sum(), mode="same") if len(voiced) > len(ramp) else voiced
    return smooth * syllable, hiss * syllable


def _voiced_level(char: str) -> float:
    if char in _PAUSE:
        return 0.0
    if char.isspace():
        return 0.3
    return 0.55 if char in _HISS else 1.0


def _buzz(text: str, place: np.ndarray, time: np.ndarray, sample_rate: int) -> np.ndarray:
    """Harmonics of a falling, wavering pitch under two formants that move from character to character."""
    if not text:
        return np.zeros(0)
    codes = np.array([ord(char.lower()) for char in text], dtype=float)
    steps = np.arange(len(text)) + 0.5
    at = time * len(text) / max(time[-1], 1e-9)
    first = np.interp(at, steps, 350 + (codes * 37) % 450)
    second = np.interp(at, steps, 1000 + (codes * 91) % 1300)
    pitch = 125 + 18 * np.sin(2 * np.pi * 2.1 * time) - 12 * time / max(time[-1], 1e-9)
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    wave = np.zeros(len(time))
    for harmonic in range(1, _HARMONICS + 1):
        frequency = pitch * harmonic
        weight = 1 / (1 + ((frequency - first) / 110) ** 2) + 0.5 / (1 + ((frequency - second) / 160) ** 2)
        audible = frequency < sample_rate / 2 * 0.92
        wave += np.where(audible, (weight + 0.02) * np.sin(harmonic * phase), 0.0)
    return wave / 2.2


def _noise(samples: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(samples)


def encode(pcm: bytes, output_format: str) -> bytes:
    """PCM in the wire encoding of an ElevenLabs output format."""
    return pcm_to_mulaw(pcm) if output_format.startswith("ulaw_") else pcm


def characters(sound: Sound, chunk_ms: int) -> Sequence[tuple[int, int]]:
    """Spans of characters, each about `chunk_ms` long and none empty."""
    spans: list[tuple[int, int]] = []
    first = length = 0
    for index, duration in enumerate(sound.durations_ms):
        length += duration
        if length >= chunk_ms:
            spans.append((first, index + 1))
            first, length = index + 1, 0
    if first < len(sound.text):
        spans.append((first, len(sound.text)))
    return spans
