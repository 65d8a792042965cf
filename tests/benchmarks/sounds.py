"""What is heard on a benchmark's line: speech of the offline voice, noises made of numbers, a telephone's band.

Where each sound comes from: speech is hibari through pipeline/offline/voice.py, at several speeds and pitches;
coughs, clicks, slams, music and line noise are synthesised here from seeded random numbers; background talk
is several hibari voices mixed. Nothing is recorded, nothing is downloaded, the same text is the same bytes.
Every sound goes through a band of 300 to 3400 Hz, as a telephone's does, before it is written in μ-law.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from bot.audio import SAMPLE_RATE, SAMPLES_PER_MS, TimedWord
from bot.pipeline.offline.voice import CALLEE_PITCH, LocalVoice
from tests.benchmarks.acts import Noise, Say

Wave = npt.NDArray[np.float64]
"""Samples at 8 kHz on the scale of 16-bit PCM."""
SPEECH_DBFS = -21.0
"""RMS of the offline voice where it is voiced: bot/pipeline/offline/voice.py levels it so."""
FLOOR_DBFS = -62.0
"""A line is never digitally silent."""
FLOOR_SECONDS = 90
"""A call must be over before its noise comes again: recogniser.py knows a moment of the line by it."""
LOW_HZ, HIGH_HZ = 300.0, 3400.0
_FADE_HZ = 60.0


@dataclass(frozen=True)
class Sound:
    """A sound for the line; `words` say what a recogniser understands of it, in ms from its first sample."""

    wave: Wave
    words: tuple[TimedWord, ...] = ()

    @property
    def duration_ms(self) -> float:
        return len(self.wave) / SAMPLES_PER_MS

    def louder(self, db: float) -> Sound:
        return replace(self, wave=self.wave * 10 ** (db / 20)) if db else self


def full_scale(dbfs: float) -> float:
    """RMS on the scale of 16-bit PCM."""
    return float(32768.0 * 10 ** (dbfs / 20))


def telephone(wave: Wave) -> Wave:
    """What a telephone lets through, by a filter in the frequency domain with soft edges."""
    if not len(wave):
        return wave
    padded = len(wave) + SAMPLE_RATE // 10
    spectrum = np.fft.rfft(wave, padded)
    hertz = np.fft.rfftfreq(padded, 1 / SAMPLE_RATE)
    gain = 1 / (1 + np.exp(-(hertz - LOW_HZ) / _FADE_HZ)) / (1 + np.exp((hertz - HIGH_HZ) / _FADE_HZ))
    filtered: Wave = np.fft.irfft(spectrum * gain, padded)[: len(wave)]
    return filtered


class SoundMaker:
    """Makes the sounds. `open` loads the offline voice (some two seconds); `close` at the end."""

    def __init__(self) -> None:
        self._voice = LocalVoice()
        self._made: dict[Say | Noise, Sound] = {}

    def open(self) -> None:
        self._voice.load()

    def close(self) -> None:
        self._voice.close()

    def sound(self, act: Say | Noise) -> Sound:
        """What an act sounds like, made once."""
        if act not in self._made:
            if isinstance(act, Say):
                self._made[act] = self.speech(act.text, heard=act.heard, speed=act.speed, pitch=act.pitch)
            else:
                self._made[act] = self.noise(act.kind, act.for_ms)
        return self._made[act]

    def speech(
        self, text: str, *, heard: str | None = None, speed: float = 1.0, pitch: float = CALLEE_PITCH
    ) -> Sound:
        """`text` spoken; `heard` is what a recogniser writes of it where that differs ("" for a filler)."""
        speech = self._voice.say(text, speed=speed, pitch=pitch)
        words = speech.words if heard is None else _spread(heard, speech.words)
        wave = np.frombuffer(speech.pcm, dtype="<i2").astype(np.float64)
        return Sound(telephone(wave), words)

    def noise(self, kind: str, for_ms: int) -> Sound:
        """`kind` is a name in NOISES, at about the level of speech. KeyError for another."""
        if kind == "talk":
            return Sound(telephone(self._talk(for_ms)))
        return Sound(telephone(NOISES[kind](_samples(for_ms), _seeded(kind))))

    def _talk(self, for_ms: int) -> Wave:
        """Four people at once, none of them understood."""
        total = _samples(for_ms)
        mixed = np.zeros(total)
        for index, (text, pitch) in enumerate(zip(_BABBLE, (0.6, 0.8, 1.0, 1.2), strict=True)):
            wave = np.frombuffer(self._voice.say(text, speed=0.9 + 0.1 * index, pitch=pitch).pcm, dtype="<i2")
            mixed += np.roll(np.resize(wave.astype(np.float64), total), index * 3000)
        return mixed / 2


_BABBLE = (
    "And then she told him that the train was late again, so they had to take the bus all the way round.",
    "We had the soup first and after that the fish, which was really very good for that kind of money.",
    "No, I think the other colour would be nicer in the kitchen, but you should ask your mother about it.",
    "They are playing at home next week, and if they win that one too they will be second in the league.",
)


def _spread(heard: str, words: tuple[TimedWord, ...]) -> tuple[TimedWord, ...]:
    """Other words over the same span."""
    texts = heard.split()
    if not texts or not words:
        return ()
    start, end = words[0].start_ms, words[-1].end_ms
    step = (end - start) / len(texts)
    return tuple(TimedWord(text, start + i * step, start + (i + 1) * step) for i, text in enumerate(texts))


def _samples(for_ms: float) -> int:
    return round(for_ms * SAMPLES_PER_MS)


def _seeded(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _time(samples: int) -> Wave:
    return np.arange(samples) / SAMPLE_RATE


def _levelled(wave: Wave, dbfs: float = SPEECH_DBFS) -> Wave:
    """At `dbfs` where it is loud."""
    peak = float(np.sqrt((np.sort(wave**2)[-max(1, len(wave) // 3) :]).mean()))
    return np.clip(wave * (full_scale(dbfs) / max(peak, 1e-9)), -32000, 32000)


def _cough(samples: int, random: np.random.Generator) -> Wave:
    """Two bursts of breath through a throat: noise under two broad resonances, sharp on, slow off."""
    time = _time(samples)
    raw = random.standard_normal(samples)
    spectrum = np.fft.rfft(raw)
    hertz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    throat = np.exp(-(((hertz - 650) / 350) ** 2)) + 0.6 * np.exp(-(((hertz - 1700) / 500) ** 2)) + 0.1
    breath = np.fft.irfft(spectrum * throat, samples)
    second = samples / SAMPLE_RATE * 0.5
    envelope = np.exp(-time / 0.06) * (1 - np.exp(-time / 0.004))
    later = np.maximum(time - second, 0)
    envelope += 0.7 * np.exp(-later / 0.07) * (1 - np.exp(-later / 0.004)) * (time > second)
    return _levelled(breath * envelope, SPEECH_DBFS + 6)


def _click(samples: int, random: np.random.Generator) -> Wave:
    """A pen, a key: three milliseconds."""
    wave = np.zeros(samples)
    length = min(samples, 24)
    wave[:length] = random.standard_normal(length) * np.exp(-np.arange(length) / 8)
    return np.clip(wave * 12000, -32000, 32000)


def _slam(samples: int, random: np.random.Generator) -> Wave:
    """A door: a knock, a low boom and its rattle."""
    time = _time(samples)
    boom = np.sin(2 * np.pi * 95 * time) + 0.6 * np.sin(2 * np.pi * 340 * time + 1)
    wave = boom * np.exp(-time / 0.12) + 0.9 * random.standard_normal(samples) * np.exp(-time / 0.035)
    return _levelled(wave, SPEECH_DBFS + 9)


def _music(samples: int, _random: np.random.Generator) -> Wave:
    """Chords of four plucked notes, a new one every 600 ms."""
    time = _time(samples)
    wave = np.zeros(samples)
    chords = ((262, 330, 392, 523), (220, 262, 330, 440), (175, 220, 262, 349), (196, 247, 294, 392))
    for index, start in enumerate(np.arange(0, samples / SAMPLE_RATE, 0.6)):
        since = np.maximum(time - start, 0)
        decay = np.where(time >= start, np.exp(-since / 0.5), 0.0)
        for note in chords[index % len(chords)]:
            partials = np.sin(2 * np.pi * note * since) + 0.5 * np.sin(4 * np.pi * note * since)
            wave += (partials + 0.25 * np.sin(6 * np.pi * note * since)) * decay
    return _levelled(wave)


def _white(samples: int, random: np.random.Generator) -> Wave:
    return random.standard_normal(samples) * full_scale(SPEECH_DBFS)


def _pink(samples: int, random: np.random.Generator) -> Wave:
    """Power falls with frequency: a street, a fan."""
    spectrum = np.fft.rfft(random.standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    shaped = np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 50.0)), samples)
    level = full_scale(SPEECH_DBFS) / max(float(np.sqrt((shaped**2).mean())), 1e-9)
    levelled: Wave = shaped * level
    return levelled


def _beep(samples: int, _random: np.random.Generator) -> Wave:
    return 8000 * np.sin(2 * np.pi * 1000 * _time(samples))


def _special_information_tone(samples: int, _random: np.random.Generator) -> Wave:
    """The three rising tones before a carrier's announcement (ITU-T E.180)."""
    time = _time(samples)
    part = np.minimum((time / time[-1] * 3).astype(int), 2) if samples > 1 else np.zeros(samples, dtype=int)
    wave: Wave = 7000 * np.sin(2 * np.pi * np.array([950.0, 1400.0, 1800.0])[part] * time)
    return wave


NOISES = {
    "cough": _cough,
    "click": _click,
    "slam": _slam,
    "music": _music,
    "white": _white,
    "pink": _pink,
    "beep": _beep,
    "sit": _special_information_tone,
}


@cache
def floor(kind: str, snr_db: float | None) -> Wave:
    """Ninety seconds of the line's own noise: `snr_db` below speech, or barely there."""
    random = np.random.default_rng(1000)
    quiet = random.standard_normal(FLOOR_SECONDS * SAMPLE_RATE) * full_scale(FLOOR_DBFS)
    if snr_db is None:
        return quiet
    bed = NOISES[kind](FLOOR_SECONDS * SAMPLE_RATE, random) * 10 ** (-snr_db / 20)
    return telephone(bed) + quiet
