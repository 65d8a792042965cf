"""The agent's voice of a benchmark, whose every 10 ms are its own: what was heard of it is found by its samples.

The simulators' speech-like sound with a hiss of its own under each text. Where a piece of it is found in what
the callee's telephone played, that piece was heard, there and then: so words, their order, losses and
repetitions are read off the line itself, whatever the server says it did.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from bot.audio import SAMPLE_RATE, SAMPLES_PER_MS, TimedWord, pcm_to_mulaw
from tests.benchmarks.sounds import full_scale
from tests.simulators.tts_sound import Sound, speak

CHARACTER_MS = 50
"""Twenty characters a second: brisk, so that a run stays short."""
_HISS_DBFS = -38.0
_PROBE = 80
"""Samples that are looked for: 10 ms."""
_HOP = 160
_COARSE_HOP = 6 * _HOP
"""120 ms: a text of which less was heard is taken for not heard at all."""
_ENOUGH = 0.6
"""Of a word, to have been heard."""


@lru_cache(maxsize=512)
def printed(text: str, sample_rate: int, *, character_ms: int = CHARACTER_MS) -> Sound:
    """`speak` with the text's own hiss. ValueError for another rate than the line's."""
    if sample_rate != SAMPLE_RATE:
        raise ValueError("the voice of a benchmark is at 8 kHz")
    sound = speak(text, sample_rate, character_ms=character_ms)
    samples = np.frombuffer(sound.pcm, dtype="<i2").astype(np.float64)
    hiss = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(len(samples))
    mixed = samples + hiss * full_scale(_HISS_DBFS)
    return replace(sound, pcm=np.clip(np.rint(mixed), -32768, 32767).astype("<i2").tobytes())


@dataclass(frozen=True)
class _Run:
    """A stretch of a sound that was played: samples `first` to `last` of it, at `at` of what was heard."""

    first: int
    last: int
    at: int


def heard_words(texts: Iterable[str], heard: bytes, *, character_ms: int = CHARACTER_MS) -> tuple[TimedWord, ...]:
    """The words of `texts` that are in the μ-law `heard`, in the order of hearing, ms from its start."""
    words: list[TimedWord] = []
    for text in dict.fromkeys(texts):
        sound = printed(text, SAMPLE_RATE, character_ms=character_ms)
        words += _words_of(sound, _runs(pcm_to_mulaw(sound.pcm), heard))
    return tuple(sorted(words, key=lambda word: word.start_ms))


def _runs(mulaw: bytes, heard: bytes) -> Sequence[_Run]:
    """Hits of probes, put together where they lie at the same distance."""
    if not any(mulaw[at : at + _PROBE] in heard for at in range(0, len(mulaw) - _PROBE + 1, _COARSE_HOP)):
        return []
    hits: dict[int, list[int]] = {}
    for place in range(0, len(mulaw) - _PROBE + 1, _HOP):
        probe = mulaw[place : place + _PROBE]
        at = heard.find(probe)
        while at >= 0:
            hits.setdefault(at - place, []).append(place)
            at = heard.find(probe, at + 1)
    runs: list[_Run] = []
    for distance, places in hits.items():
        first = previous = places[0]
        for place in [*places[1:], 1 << 60]:
            if place - previous > 4 * _HOP:
                runs.append(_Run(first, previous + _HOP, first + distance))
                first = place
            previous = place
    return runs


def _words_of(sound: Sound, runs: Sequence[_Run]) -> list[TimedWord]:
    """Each word once for every run that holds most of it, or once where a cut in it lies between two runs."""
    found: list[TimedWord] = []
    if not runs:
        return found
    ends = [*sound.starts_ms, sound.duration_ms]
    position = 0
    for word in sound.text.split():
        start = sound.text.index(word, position)
        position = start + len(word)
        low, high = ends[start] * SAMPLES_PER_MS, ends[position] * SAMPLES_PER_MS
        parts = {run: max(0, min(high, run.last) - max(low, run.first)) for run in runs}
        whole = [run for run, part in parts.items() if part >= _ENOUGH * (high - low)]
        if not whole and sum(parts.values()) >= _ENOUGH * (high - low):
            whole = [max(parts, key=parts.__getitem__)]
        for run in whole:
            at_ms = (run.at + low - run.first) / SAMPLES_PER_MS
            found.append(TimedWord(word, at_ms, at_ms + (high - low) / SAMPLES_PER_MS))
    return found
