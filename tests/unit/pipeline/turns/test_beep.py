"""Beeps among speech, keys, ringing, music and noise; all of it through μ-law."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bot.audio import SAMPLE_RATE, mulaw_to_pcm, pcm_to_mulaw
from bot.pipeline.offline.voice import CALLEE_PITCH
from bot.pipeline.turns.beep import BeepDetector
from tests.calls.server import shared_voice

Wave = np.ndarray[tuple[int], np.dtype[np.float64]]
WINDOW = 256
LOUD = 6000.0
SNRS = (None, 20.0, 10.0)


def tone(hertz: float, seconds: float, amplitude: float = LOUD) -> Wave:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE + 0.7)


def line(sound: Wave, snr: float | None, *, before: float = 0.4, after: float = 0.4, seed: int = 0) -> Wave:
    """`sound` between silences, over noise `snr` dB below a tone of amplitude LOUD; None: a quiet line."""
    level = 20.0 if snr is None else LOUD / np.sqrt(2) * 10 ** (-snr / 20)
    silence = [np.zeros(int(seconds * SAMPLE_RATE)) for seconds in (before, after)]
    quiet = np.concatenate([silence[0], sound, silence[1]])
    return quiet + np.random.default_rng(seed).normal(0.0, level, len(quiet))


def beeps(sound: Wave, offset: int = 0) -> list[float]:
    """When beeps were reported, in seconds. `offset`: where the first window begins."""
    samples = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    pcm = mulaw_to_pcm(pcm_to_mulaw(samples.tobytes()))
    detector = BeepDetector()
    return [
        (start + WINDOW) / SAMPLE_RATE
        for start in range(offset, len(samples) - WINDOW + 1, WINDOW)
        if detector.hear(pcm[2 * start : 2 * (start + WINDOW)])
    ]


@pytest.mark.parametrize("snr", SNRS)
@pytest.mark.parametrize("seconds", [0.15, 0.4, 1.0, 1.5])
@pytest.mark.parametrize("hertz", [400, 440, 480, 620, 850, 1000, 1004, 1400, 2000])
def test_a_beep_is_found_wherever_it_begins_and_soon_after_its_end(
    hertz: float, seconds: float, snr: float | None
) -> None:
    for offset in (0, 100, 200):
        found = beeps(line(tone(hertz, seconds), snr, seed=offset), offset)
        assert len(found) == 1
        assert 0.06 <= found[0] - (0.4 + seconds) <= 0.17


@pytest.mark.parametrize("snr", SNRS)
def test_keys_are_no_beeps(snr: float | None) -> None:
    for low in (697, 770, 852, 941):
        for high in (1209, 1336, 1477, 1633):
            for seconds in (0.1, 0.25):
                key = tone(low, seconds, 0.7 * LOUD) + tone(high, seconds, LOUD)
                assert beeps(line(key, snr)) == [], (low, high)


@pytest.mark.parametrize("weaker_db", [-8.0, -4.0, 4.0])
def test_keys_of_which_one_tone_is_weaker_are_no_beeps(weaker_db: float) -> None:
    low = tone(770, 0.3, LOUD * 10 ** (weaker_db / 20))
    for offset in (0, 64, 128, 192):
        assert beeps(line(low + tone(1336, 0.3), 20.0), offset) == [], offset


def test_the_one_tone_of_ringing_and_busy_lines_is_no_beep() -> None:
    for seconds in (0.25, 0.5, 1.0):
        assert beeps(line(tone(425, seconds), 20.0)) == []


@pytest.mark.parametrize("hertz", [700, 1100, 1600])
@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.0])
def test_a_whistle_drifts_and_is_no_beep(hertz: float, seconds: float) -> None:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = hertz + 6 * np.sin(2 * np.pi * 5 * time) + 15 * np.exp(-time / 0.1)
    blown = np.minimum(1, np.minimum(time, time[::-1]) / 0.02)
    whistle = LOUD * blown * np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE)
    for offset in (0, 64, 128, 192):
        assert beeps(line(whistle, None), offset) == [], offset


@pytest.mark.parametrize("snr", SNRS)
@pytest.mark.parametrize(("low", "high"), [(440, 480), (480, 620), (350, 440), (400, 450), (400, 425)])
def test_ringing_busy_and_dial_tones_are_no_beeps(low: float, high: float, snr: float | None) -> None:
    for seconds in (0.2, 0.25, 0.3, 0.5, 1.0, 2.0):
        for offset in (0, 64, 128, 192):
            assert beeps(line(tone(low, seconds) + tone(high, seconds), snr), offset) == [], (seconds, offset)


def test_what_is_too_short_too_long_or_too_low_is_no_beep() -> None:
    for sound in (tone(1000, 0.05), tone(1000, 2.5), tone(200, 0.4), tone(2100, 1.0), tone(1000, 0.4, 60)):
        assert beeps(line(sound, None)) == []


def test_noise_is_no_beep() -> None:
    assert beeps(np.random.default_rng(1).normal(0.0, 800.0, 20 * SAMPLE_RATE)) == []


def test_music_is_no_beep() -> None:
    def note(hertz: float) -> Wave:
        fade = np.exp(-2 * np.arange(int(0.3 * SAMPLE_RATE)) / SAMPLE_RATE)
        return fade * (tone(hertz, 0.3, 4500) + tone(2 * hertz, 0.3, 1800) + tone(3 * hertz, 0.3, 700))

    melody = np.concatenate([note(hertz) for hertz in (440, 523, 659, 880, 784, 659, 523, 440) * 3])
    assert beeps(line(melody, None)) == []
    flute = np.concatenate([tone(hertz, 0.3) for hertz in (440, 523, 659, 880) * 3])
    assert beeps(line(flute, None)) == []


GREETING = (
    "Hi, you have reached John. I can't come to the phone right now. Please leave a message after the tone."
)
VOWELS = "Oooh. Mmm. Hello? Who are you? Boo. You too. Moon. New zoo. Aah. Eee. One, two, three, four, oh, no."


@pytest.mark.parametrize("snr", SNRS)
@pytest.mark.parametrize("pitch", [1.0, CALLEE_PITCH])
async def test_speech_is_no_beep_and_a_beep_behind_it_is_one(snr: float | None, pitch: float) -> None:
    for text in (GREETING, VOWELS):
        spoken = await shared_voice().speak(text, pitch=pitch)
        speech = np.frombuffer(spoken.pcm, dtype=np.int16).astype(np.float64)
        assert beeps(line(speech, snr)) == []
        gap = np.zeros(int(0.2 * SAMPLE_RATE))
        assert len(beeps(line(np.concatenate([speech, gap, tone(1000, 0.4)]), snr))) == 1


PREMIUM_OPTION = Path(__file__).with_name("no-beep-premium-option.ulaw")
"""3.1 s of synthesised speech: "Yes, that works for me, but let me think about the premium option." """


def test_a_steady_vowel_before_a_pause_is_no_beep_at_any_alignment() -> None:
    speech = np.frombuffer(mulaw_to_pcm(PREMIUM_OPTION.read_bytes()), dtype=np.int16).astype(np.float64)
    for offset in range(0, WINDOW, 8):
        assert beeps(line(speech, None), offset) == [], offset


@pytest.mark.parametrize(
    "window", [lambda: tone(1000, 0.032), lambda: np.random.default_rng(0).normal(0, 900, 256)]
)
def test_a_window_costs_less_than_a_tenth_of_a_millisecond(window: Callable[[], Wave]) -> None:
    pcm, detector = window().astype(np.int16).tobytes(), BeepDetector()
    best = 1.0
    for _ in range(20):
        began = time.process_time()
        for _ in range(50):
            detector.hear(pcm)
        best = min(best, (time.process_time() - began) / 50)
    assert best < 0.0001
