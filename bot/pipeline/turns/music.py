"""Hold music, found in the callee's audio. Pure: 32 ms windows in, whether music sounds out.

Music is loud without a break and made of tones. Speech pauses: of five seconds of it, half a second at least
lies 12 dB below its louder parts; noise has no tones. Measured over synthesised voices at four speeds and four
pitches, on a quiet line and 10 dB above a street's noise, tones less breaks stay below 0.55, and lie above 0.7
for chords, strings, a piano, a flute, and a beat with chords. A room full of people sounds like music: it is
nobody who answers either.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from bot.audio import SAMPLE_RATE
from bot.pipeline.line.line import INPUT_FRAME_SAMPLES

WINDOWS = 156
"""Five seconds."""
_EVERY = 8
"""Windows between two looks, a quarter of a second."""
_SCORE = 0.65
"""Share of tonal windows less the share of breaks."""
_MOST_BREAKS = 0.12
_TONAL = 0.25
"""Spectral flatness: noise has 0.5 or more."""
_BREAK = 0.25
"""Of the level that a quarter of the windows exceed: 12 dB below it."""
_AUDIBLE = 32768 * 10 ** (-38 / 20)
"""That level at least: what is played to one who waits is as loud as a voice."""
_SILENT = _AUDIBLE / 16
"""Below it no window is asked for tones: most of a call is as silent."""
_LATELY = 10
"""Windows."""
_BIN_HERTZ = SAMPLE_RATE / INPUT_FRAME_SAMPLES
_BAND = slice(round(280 / _BIN_HERTZ), round(3400 / _BIN_HERTZ))
_HANN = np.hanning(INPUT_FRAME_SAMPLES + 1)[:-1].astype(np.float32)


def _is_tonal(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> bool:
    spectrum = np.fft.rfft(samples * _HANN)[_BAND]
    energy = spectrum.real**2 + spectrum.imag**2 + 1.0
    return bool(np.exp(np.log(energy).mean()) < _TONAL * energy.mean())


class MusicDetector:
    """One line's detector; it keeps the last five seconds."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=WINDOWS)
        self._tonal: deque[bool] = deque(maxlen=WINDOWS)
        self._windows = 0
        self.sounding = False

    @property
    def quiet(self) -> bool:
        """Whether the last third of a second was silent, beside the five before."""
        levels = np.array(self._levels or (0.0,))
        return bool(levels[-_LATELY:].mean() < max(_BREAK * float(np.percentile(levels, 75)), _AUDIBLE / 4))

    def hear(self, pcm: bytes) -> bool:
        """`pcm`: 256 samples, 16 bit. True where `sounding` has changed."""
        samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float32)
        level = math.sqrt(float(np.dot(samples, samples)) / len(samples))
        self._levels.append(level)
        self._tonal.append(level >= _SILENT and _is_tonal(samples))
        self._windows += 1
        if self._windows % _EVERY or len(self._levels) < WINDOWS:
            return False
        before, self.sounding = self.sounding, self._is_music()
        return before != self.sounding

    def _is_music(self) -> bool:
        tonal = sum(self._tonal) / WINDOWS
        if tonal < _SCORE:
            return False
        levels = np.array(self._levels)
        loud = float(np.percentile(levels, 75))
        breaks = float((levels < _BREAK * loud).mean())
        return loud >= _AUDIBLE and breaks <= _MOST_BREAKS and tonal - breaks >= _SCORE
