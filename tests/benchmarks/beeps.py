"""How often the tone detector takes something else for a beep, and how many beeps it misses.

    python -m tests.benchmarks.beeps [--sentences N] [--jobs N]

Each sound is made of a seed, put on a line (its level, its noise, a telephone's band or none) and written in
μ-law; the detector hears it from a random sample on. Speech is the local voice at all speeds, its pitch moved
before synthesis and the whole resampled after it, which moves the formants too: one of 9,200 sentences, and never
twice in the same voice, at the same pace and on the same line. Whistles drift and hums have harmonics, as a
person's do: a machine's steady whistle is a beep.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import soxr

from bot.audio import SAMPLE_RATE, mulaw_to_pcm, pcm_to_mulaw
from bot.pipeline.offline.voice import LocalVoice
from bot.pipeline.turns.beep import BeepDetector
from tests.benchmarks.figures import table
from tests.benchmarks.sounds import Wave, full_scale, telephone

SENTENCES = 24_000
OTHERS = 2000
"""Of each other sound."""
BAR = 1 / 20_000
"""The issue: fewer false alarms a sentence."""
WINDOW = 256
TONE_DBFS = (-30.0, -9.0)
SNRS = (None, 30.0, 20.0, 15.0, 10.0)
_ASIDE_SECONDS = 0.4
_CHUNK = 100
_RESAMPLED = (1.0, 0.88, 1.12)
"""One synthesis, three speakers."""
_FIRST = (
    *("Yes", "No", "Oh", "Well", "Hmm", "Okay", "Sure", "Hello", "Sorry", "Good afternoon", "Ooh", "You know"),
    *("Right", "Um", "Listen", "Oh no", "Mm-hmm", "I see", "Thank you", "Hold on", "No, no", "Wait", "Bonjour"),
)
_MIDDLE = (
    *(
        "that works for me",
        "I do not know you",
        "let me think about the premium option",
        "who are you calling for",
    ),
    *("could you move it to two", "he is at the zoo until noon", "we are open until a quarter to nine"),
    *("I would rather come on Tuesday", "she moved to a new room", "you can call me at home in the evening"),
    *(
        "I am going to lose you in the tunnel",
        "the new boy knows more about it",
        "is it possible to do it online",
    ),
    *("my number is four one two, double oh, two two", "I have to go now", "the school is closed in June"),
    *("leave it with me", "do you mean the blue one", "I need a moment to look", "we will be moving soon"),
)
_LAST = (
    *("okay", "you know", "too", "I am afraid", "thank you", "at two", "tomorrow", "of course", "right now"),
    *(
        "please",
        "I mean",
        "soon",
        "oh",
        "with you",
        "no",
        "is that all right",
        "bye",
        "on the phone",
        "hmm",
        "at noon",
    ),
)
_VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (300, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (310, 870, 2240),
    "m": (260, 1000, 2200),
}
"""Formants in Hz (Peterson and Barney 1952), of a man; a woman's and a child's lie up to 1.35 times higher."""
_HARMONICS = 3600


@dataclass
class Tally:
    """Sounds of a kind, and those in which a beep was found."""

    sounds: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    """What was found and should not be, or missed."""

    def add(self, kind: str, times: int, what: str, *, due: int = 0) -> None:
        self.sounds[kind] += 1
        self.found[kind] += times == due if due else bool(times)
        if times != due:
            self.told.append(f"{kind}: {times} in {what}")

    def merge(self, other: Tally) -> None:
        self.sounds += other.sounds
        self.found.update(other.found)
        self.told += other.told


def beeps(sound: Wave, offset: int) -> int:
    """Beeps found in it, over μ-law, in windows that begin at `offset`."""
    samples = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    pcm = mulaw_to_pcm(pcm_to_mulaw(samples.tobytes()))
    detector = BeepDetector()
    return sum(
        detector.hear(pcm[2 * start : 2 * (start + WINDOW)])
        for start in range(offset, len(samples) - WINDOW + 1, WINDOW)
    )


def on_a_line(sound: Wave, random: np.random.Generator) -> tuple[Wave, int]:
    """Between silences, over noise below it, and where the detector's first window begins."""
    snr = SNRS[random.integers(len(SNRS))]
    loud = float(np.sqrt(np.mean(np.square(sound)))) if len(sound) else 1.0
    level = 20.0 if snr is None else loud * 10 ** (-snr / 20)
    aside = np.zeros(int(_ASIDE_SECONDS * SAMPLE_RATE))
    whole = np.concatenate([aside, sound, aside])
    if random.random() < 0.5:
        whole = telephone(whole)
    return whole + random.normal(0.0, level, len(whole)), int(random.integers(WINDOW))


def sentence(index: int) -> str:
    """One of 9,200, each once before any comes again."""
    one, rest = index % len(_FIRST), index // len(_FIRST)
    two, three = rest % len(_MIDDLE), rest // len(_MIDDLE) % len(_LAST)
    return f"{_FIRST[one]}, {_MIDDLE[(two + one) % len(_MIDDLE)]}, {_LAST[(three + two) % len(_LAST)]}."


def speech(indexes: range) -> Tally:
    """A third as many syntheses as sentences."""
    tally = Tally()
    for index in indexes:
        random = np.random.default_rng((1, index))
        text, speed, pitch = sentence(index), random.uniform(0.5, 2.0), random.uniform(0.55, 1.5)
        spoken = _voice().say(text, speed=float(speed), pitch=float(pitch))
        wave = np.frombuffer(spoken.pcm, dtype=np.int16).astype(np.float64)
        for ratio in _RESAMPLED:
            other = wave if ratio == 1.0 else soxr.resample(wave, SAMPLE_RATE, SAMPLE_RATE * ratio)
            sound, offset = on_a_line(other * 10 ** (random.uniform(-9, 6) / 20), random)
            what = f"{text!r} at speed {speed:.2f}, pitch {pitch:.2f}, ×{ratio}, offset {offset}"
            tally.add("sentences", beeps(sound, offset), what)
    return tally


def others(indexes: range) -> Tally:
    """One of each kind a seed."""
    tally = Tally()
    for index in indexes:
        for number, (kind, make) in enumerate(OTHER_SOUNDS.items()):
            random = np.random.default_rng((2, index, number))
            sound, offset = on_a_line(make(random), random)
            tally.add(kind, beeps(sound, offset), f"seed {index}")
        random = np.random.default_rng((3, index))
        sound, offset = on_a_line(_beep(random), random)
        tally.add("beeps", beeps(sound, offset), f"seed {index}", due=1)
    return tally


@cache
def _voice() -> LocalVoice:
    voice = LocalVoice()
    voice.load()
    return voice


# -- sounds ---------------------------------------------------------------------------------------------


def _time(seconds: float) -> Wave:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _sine(hertz: float | Wave, seconds: float) -> Wave:
    """`hertz`: steady, or of each sample."""
    samples = len(hertz) if isinstance(hertz, np.ndarray) else round(seconds * SAMPLE_RATE)
    steps = np.broadcast_to(np.asarray(hertz, dtype=np.float64), (samples,))
    wave: Wave = np.sin(2 * np.pi * np.cumsum(steps) / SAMPLE_RATE + 0.7)
    return wave


def _soft(wave: Wave, attack: float, release: float) -> Wave:
    """With edges of so many seconds."""
    time = np.arange(len(wave)) / SAMPLE_RATE
    left = time[::-1]
    return wave * np.minimum(1, time / max(attack, 1e-6)) * np.minimum(1, left / max(release, 1e-6))


def _level(wave: Wave, random: np.random.Generator) -> Wave:
    """At a telephone's level."""
    loud = max(float(np.sqrt(np.mean(np.square(wave)))), 1e-9)
    return wave * (full_scale(random.uniform(*TONE_DBFS)) / loud)


def _wander(seconds: float, random: np.random.Generator, share: float) -> Wave:
    """A factor about 1 that drifts as a person's pitch does: a glide, a tremble, a random walk."""
    time = _time(seconds)
    walk = np.cumsum(random.normal(0, 1, len(time))) / np.sqrt(SAMPLE_RATE)
    tremble = np.sin(2 * np.pi * random.uniform(4, 7) * time + random.uniform(0, 6))
    glide = random.choice((-1, 1)) * np.exp(-time / random.uniform(0.04, 0.2))
    wander: Wave = 1 + share * (walk + random.uniform(0.3, 1) * tremble + random.uniform(0.5, 3) * glide)
    return wander


def _sung(formants: tuple[float, ...], f0: Wave, random: np.random.Generator) -> Wave:
    """Harmonics of `f0` under formants."""
    tract = random.uniform(0.95, 1.35)
    wave = np.zeros(len(f0))
    for harmonic in range(1, int(_HARMONICS / float(f0.mean())) + 1):
        hertz = harmonic * float(f0.mean())
        gain = sum(
            1 / (1 + ((hertz - tract * centre) / width) ** 2) * part
            for centre, width, part in zip(formants, (60, 90, 140), (1.0, 0.5, 0.2), strict=True)
        )
        wave += (gain + 0.004) * _sine(harmonic * f0, len(f0) / SAMPLE_RATE)
    return wave


def _vowel(random: np.random.Generator, kinds: str = "aeiou") -> Wave:
    seconds = float(random.uniform(0.15, 2.0))
    f0 = random.uniform(85, 380) * _wander(seconds, random, 0.008)
    wave = _sung(_VOWELS[kinds[random.integers(len(kinds))]], f0, random)
    return _level(_soft(wave, random.uniform(0.02, 0.08), random.uniform(0.03, 0.15)), random)


def _hum(random: np.random.Generator) -> Wave:
    return _vowel(random, "m")


def _mains(random: np.random.Generator) -> Wave:
    """A line's hum, on and off."""
    mains, seconds = random.choice((50, 60)), random.uniform(0.2, 2.0)
    wave = sum(random.uniform(0, 1) / h * _sine(mains * h, seconds) for h in range(2, 25))
    return _level(np.asarray(wave), random)


def _whistle(random: np.random.Generator) -> Wave:
    """One to five notes, each blown on and off."""
    notes = []
    for _ in range(random.integers(1, 6)):
        seconds = float(random.uniform(0.15, 0.9))
        blown = _sine(random.uniform(600, 2000) * _wander(seconds, random, 0.012), seconds)
        breath = random.normal(0, 0.05, len(blown))
        notes += [_soft(blown + breath, random.uniform(0.03, 0.1), random.uniform(0.04, 0.15))]
        notes += [np.zeros(int(random.choice((0, 0.05, 0.2)) * SAMPLE_RATE))]
    return _level(np.concatenate(notes), random)


def _progress(random: np.random.Generator) -> Wave:
    """Ringback, busy and dial tones (ITU-T E.180): what a line plays before anybody speaks."""
    tones, on, off = _PROGRESS[random.integers(len(_PROGRESS))]
    times = 1 if on >= 1 else random.integers(1, 5)
    ring = np.asarray(sum(_sine(hertz, on) for hertz in tones))
    return _level(np.concatenate([ring, np.zeros(int(off * SAMPLE_RATE))] * int(times)), random)


_PROGRESS = (
    ((440.0, 480.0), 2.0, 1.0),
    ((400.0, 450.0), 0.4, 0.2),
    ((400.0, 425.0), 0.4, 0.2),
    ((425.0,), 1.0, 2.0),
    ((480.0, 620.0), 0.5, 0.5),
    ((480.0, 620.0), 0.25, 0.25),
    ((425.0,), 0.5, 0.5),
    ((425.0,), 0.25, 0.25),
    ((350.0, 440.0), 1.5, 0.5),
    ((400.0, 440.0), 1.0, 1.0),
)


def _keys(random: np.random.Generator) -> Wave:
    """One to eight, the low tone up to 8 dB below the high one or 4 above (ITU-T Q.24)."""
    pressed = []
    for _ in range(random.integers(1, 9)):
        seconds, twist = random.uniform(0.05, 0.6), 10 ** (random.uniform(-8, 4) / 20)
        low, high = random.choice((697, 770, 852, 941)), random.choice((1209, 1336, 1477, 1633))
        pressed += [twist * _sine(low, seconds) + _sine(high, seconds)]
        pressed += [np.zeros(int(random.uniform(0.05, 0.3) * SAMPLE_RATE))]
    return _level(np.concatenate(pressed), random)


def _music(random: np.random.Generator) -> Wave:
    """Chords or a melody of plucked, blown or bowed notes, now and then with a rest."""
    chord, decay = random.integers(1, 4), random.choice((0.15, 0.4, 5.0))
    partials = 10.0 ** -random.uniform(0.3, 0.9)
    notes = []
    for _ in range(random.integers(3, 12)):
        seconds, root = random.choice((0.15, 0.3, 0.6)), 220 * 2 ** (random.integers(0, 25) / 12)
        tremble = 1 + 0.004 * np.sin(2 * np.pi * 5.5 * _time(seconds))
        tones = [root * interval for interval in (1, 1.26, 1.498)[:chord]]
        note = sum(partials**h * _sine((h + 1) * hertz * tremble, seconds) for hertz in tones for h in range(4))
        notes += [_soft(np.asarray(note) * np.exp(-_time(seconds) / decay), 0.01, 0.02)]
        if random.random() < 0.2:
            notes += [np.zeros(round(seconds * SAMPLE_RATE))]
    return _level(np.concatenate(notes), random)


def _information(_random: np.random.Generator) -> Wave:
    """The three tones before an announcement (ITU-T E.180)."""
    return _level(np.concatenate([_sine(hertz, 0.33) for hertz in (950, 1400, 1800)]), _random)


OTHER_SOUNDS: dict[str, Callable[[np.random.Generator], Wave]] = {
    "hums": _hum,
    "mains hum": _mains,
    "whistles": _whistle,
    "held vowels": _vowel,
    "ringing, busy, dial tones": _progress,
    "keys": _keys,
    "music": _music,
    "information tones": _information,
}


def _beep(random: np.random.Generator) -> Wave:
    """One steady tone; edges and a little of its octave, as loudspeakers add."""
    hertz = random.choice((400, 440, 480, 620, 800, 850, 1000, 1004, 1400, 2000, random.uniform(440, 2000)))
    seconds = random.choice((0.15, 0.25, 0.4, 0.5, 1.0, 1.5))
    wave = _sine(hertz, seconds) + 0.05 * _sine(2 * hertz if hertz < 1900 else hertz, seconds)
    return _level(_soft(wave, random.choice((0.0, 0.005)), random.choice((0.0, 0.005))), random)


# -- the run --------------------------------------------------------------------------------------------


def _begin() -> None:
    os.nice(10)


def run(sentences: int, others_each: int, jobs: int) -> Tally:
    """Everything once, on `jobs` processes at nice 10."""
    tally = Tally()
    syntheses = -(-sentences // len(_RESAMPLED))
    with ProcessPoolExecutor(jobs, initializer=_begin) as pool:
        told = [
            *(pool.submit(others, chunk) for chunk in _chunks(others_each)),
            *(pool.submit(speech, chunk) for chunk in _chunks(syntheses)),
        ]
        for part in told:
            tally.merge(part.result())
    return tally


def _chunks(count: int) -> Iterator[range]:
    for start in range(0, count, _CHUNK):
        yield range(start, min(start + _CHUNK, count))


def main() -> int:
    parser = argparse.ArgumentParser(description="False alarms of the tone detector, and beeps it misses.")
    parser.add_argument("--sentences", type=int, default=SENTENCES)
    parser.add_argument("--others", type=int, default=OTHERS, help="of each other sound")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    began = time.monotonic()
    tally = run(arguments.sentences, arguments.others, arguments.jobs)
    rows = [[kind, str(tally.sounds[kind]), str(tally.found[kind])] for kind in ("sentences", *OTHER_SOUNDS)]
    rows.append(["beeps", str(tally.sounds["beeps"]), str(tally.found["beeps"])])
    print(table(["sound", "tried", "a beep found"], rows))
    for told in tally.told[:50]:
        print(told, file=sys.stderr)
    alarms, missed = tally.found["sentences"], tally.sounds["beeps"] - tally.found["beeps"]
    print(f"\n{alarms} false alarms in {tally.sounds['sentences']} sentences (the bar: under 1 in 20,000)")
    print(f"{missed} of {tally.sounds['beeps']} beeps missed; {time.monotonic() - began:.0f} s")
    return int(alarms >= max(1, BAR * tally.sounds["sentences"]) or missed > 0)


if __name__ == "__main__":
    sys.exit(main())
