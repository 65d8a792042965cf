"""A voicemail's beep, found in the callee's audio. Pure: 32 ms windows in, True once a beep is over.

A beep is one steady tone with silence before and behind it. A vowel can be as steady for 0.1 s, but sound leads
up to it. Speech has harmonics that move, a key of a telephone is two tones, ringback beats, a note of music is
followed by the next; each fails one of the tests below. Windows are tested as they come, and the whole sound once
it is over: in so long a spectrum a machine's tone is a line, and its phase runs straight, where a whistle or a
voice drifts, and ringing of two tones 25 Hz apart is two. A Goertzel filter a known frequency was rejected: every
voicemail has its own.

`poe beeps` holds it to synthesised speech, hums, whistles, ringing, keys and music: docs/scaling.md.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bot.audio import SAMPLE_RATE
from bot.pipeline.line.line import INPUT_FRAME_SAMPLES

LOWEST_HERTZ, HIGHEST_HERTZ = 380.0, 2050.0
"""Common beeps are 440, 1000 and 1400 Hz; a fax answers with 2100."""
SHORTEST_WINDOWS = 3
"""A beep of 0.15 s holds three whole windows wherever it begins."""
LONGEST_WINDOWS = 50
"""1.6 s. What sounds longer is a fax, a ringing or a fault."""
SILENT_WINDOWS = 3
"""Silence behind the tone, 96 ms, that makes it a beep."""
_PURE = 0.8
"""Part of a window's energy within a bin of its peak; a tone 10 dB above white noise has 0.89."""
_SECOND = 0.06
"""Of the peak's energy, any other's: a telephone's key may have one of its two tones 8 dB below the other."""
_LINE = 0.84
"""Part of the whole sound's energy within two bins of its peak; a tone 10 dB above white noise has 0.91."""
_DRIFT, _SHORT_DRIFT, _SHORT_WINDOWS = 0.1, 0.05, 6
"""Radians about a straight line, which the phase of a machine's tone keeps: 0.04 at most 10 dB above white noise.
A whistle that seems steady is off by 0.15 after a fifth of a second; a short one has had less time for it."""
_WAVERING = 0.06
"""Of the level, between 16 ms; the same tone's is 0.04."""
_RINGING_HERTZ = (421.0, 429.0)
"""Ringing, busy and dial tone of most countries are this one tone (ITU-T E.180): no beep."""
_STEADY_HERTZ = 8.0
_STEADY_POWER = 1.5
"""Loudest over quietest whole window, as power: 1.8 dB. Two tones 40 Hz apart beat by more."""
_SILENT_POWER = 0.25
"""Of the tone's power: noise 10 dB below it counts as silence."""
_AUDIBLE_POWER = (32768 * 10 ** (-42 / 20)) ** 2 / 2
"""Mean square of a tone at -42 dBFS."""
_BIN_HERTZ = SAMPLE_RATE / INPUT_FRAME_SAMPLES
_LOWEST_BIN, _HIGHEST_BIN = int(LOWEST_HERTZ / _BIN_HERTZ), int(HIGHEST_HERTZ / _BIN_HERTZ) + 1
_HANN = np.hanning(INPUT_FRAME_SAMPLES + 1)[:-1].astype(np.float32)
_Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Tone:
    hertz: float
    power: float
    """Mean square of the window's samples."""
    samples: _Samples = field(repr=False)


@dataclass
class BeepDetector:
    """One line's detector; it keeps the tone that is sounding."""

    _tone: list[_Tone] = field(default_factory=list)
    _silent: int = 0
    _edges: int = 0
    """Audible windows without a tone since the tone began."""
    _before: tuple[float, float] = (0.0, 0.0)
    """Powers of the two windows before this one."""
    _spoilt: bool = False
    """The sound of now was broken by something else: what goes on until it is quiet is no beep."""

    def hear(self, pcm: bytes) -> bool:
        """`pcm`: 256 samples, 16 bit. True for the third silent window behind a beep."""
        samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float32)
        power = float(np.dot(samples, samples)) / len(samples)
        before, self._before = self._before, (self._before[1], power)
        if self._tone and power < _SILENT_POWER * self._loudness:
            self._silent += 1
            if self._silent < SILENT_WINDOWS:
                return False
            beep = self._is_beep()
            self._forget()
            return beep
        if self._silent:
            self._forget()
        tone = None if power < _AUDIBLE_POWER else _tone(samples, power)
        if tone is None:
            # The window a tone ends in is part silence, spread over many bins, and quieter. A second such window
            # is another sound.
            self._edges += bool(self._tone)
            self._spoilt = bool(self._tone) and (self._spoilt or self._edges > 1 or power >= self._loudness)
        elif self._tone and abs(tone.hertz - self._tone[-1].hertz) > 2 * _STEADY_HERTZ:
            self._spoilt = True
            self._tone = [tone]
        else:
            # The window before may hold the tone's first edge; of two, one is silent.
            self._spoilt = self._spoilt or (not self._tone and min(before) >= _SILENT_POWER * tone.power)
            self._tone.append(tone)
            if len(self._tone) > LONGEST_WINDOWS + 1:
                del self._tone[0]  # still too long, and no more to remember
        return False

    @property
    def _loudness(self) -> float:
        return max(tone.power for tone in self._tone)

    def _is_beep(self) -> bool:
        # The first and the last window may hold the tone's edges.
        whole = self._tone[1:-1] if len(self._tone) >= SHORTEST_WINDOWS + 2 else self._tone
        if self._spoilt or not SHORTEST_WINDOWS <= len(self._tone) <= LONGEST_WINDOWS:
            return False
        hertz = [tone.hertz for tone in whole]
        power = [tone.power for tone in whole]
        if max(hertz) - min(hertz) > _STEADY_HERTZ or max(power) > _STEADY_POWER * min(power):
            return False
        return _is_line(np.concatenate([tone.samples for tone in whole]))

    def _forget(self) -> None:
        self._tone.clear()
        self._silent = self._edges = 0
        self._spoilt = False


def _tone(samples: _Samples, power: float) -> _Tone | None:
    """The only tone of a window; None where there is more than one, or none in the range."""
    spectrum = np.fft.rfft(samples * _HANN)
    energy = spectrum.real**2 + spectrum.imag**2
    peak = int(energy.argmax())
    if not _LOWEST_BIN <= peak <= _HIGHEST_BIN:
        return None
    left, middle, right = float(energy[peak - 1]), float(energy[peak]), float(energy[peak + 1])
    if left + middle + right < _PURE * float(energy[2:].sum()):
        return None
    if max(float(energy[2 : peak - 2].max(initial=0.0)), float(energy[peak + 3 :].max())) > _SECOND * middle:
        return None
    # The peak of a parabola through the three logarithms: exact to a few Hz for this window.
    left, middle, right = (float(np.log(value + 1.0)) for value in (left, middle, right))
    offset = 0.5 * (left - right) / (left - 2 * middle + right)
    hertz = (peak + offset) * _BIN_HERTZ
    return _Tone(hertz, power, samples) if LOWEST_HERTZ <= hertz <= HIGHEST_HERTZ else None


def _is_line(samples: _Samples) -> bool:
    """Whether a sound is one frequency throughout, as a machine's is, and not a telephone's ringing."""
    spectrum = np.fft.rfft(samples * np.hanning(len(samples)))
    energy = spectrum.real**2 + spectrum.imag**2
    bin_hertz = SAMPLE_RATE / len(samples)
    first = max(0, int(energy.argmax()) - 2)
    line = energy[first : first + 5]
    hertz = (first + float(np.dot(line, np.arange(len(line)))) / float(line.sum())) * bin_hertz
    if _RINGING_HERTZ[0] <= hertz <= _RINGING_HERTZ[1]:
        return False
    if line.sum() < _LINE * energy[round(2 * _BIN_HERTZ / bin_hertz) :].sum():
        return False
    turned = samples * np.exp(-2j * np.pi * hertz / SAMPLE_RATE * np.arange(len(samples)))
    blocks = turned.reshape(-1, INPUT_FRAME_SAMPLES // 2).mean(axis=1)
    level, phase = np.abs(blocks), np.unwrap(np.angle(blocks))
    at = np.arange(len(phase))
    drift = float((phase - np.polyval(np.polyfit(at, phase, 1), at)).std())
    short = len(samples) < _SHORT_WINDOWS * INPUT_FRAME_SAMPLES
    return drift <= (_SHORT_DRIFT if short else _DRIFT) and float(level.std()) <= _WAVERING * float(level.mean())
