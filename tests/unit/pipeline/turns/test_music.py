"""Hold music of several kinds among speech, noise and tones; all of it through μ-law."""

from __future__ import annotations

import numpy as np
import pytest

from bot.audio import SAMPLE_RATE, mulaw_to_pcm, pcm_to_mulaw
from bot.pipeline.offline.voice import CALLEE_PITCH
from bot.pipeline.turns.music import WINDOWS, MusicDetector
from tests.calls.server import shared_voice

Wave = np.ndarray[tuple[int], np.dtype[np.float64]]
WINDOW = 256
SECONDS = 10.0


def heard(sound: Wave, noise: float = 25.0) -> list[tuple[float, bool]]:
    """When music began and ended, in seconds."""
    line = sound + np.random.default_rng(0).normal(0.0, noise, len(sound))
    samples = np.clip(np.rint(line), -32768, 32767).astype(np.int16)
    pcm, detector = mulaw_to_pcm(pcm_to_mulaw(samples.tobytes())), MusicDetector()
    return [
        ((start + WINDOW) / SAMPLE_RATE, detector.sounding)
        for start in range(0, len(samples) - WINDOW + 1, WINDOW)
        if detector.hear(pcm[2 * start : 2 * (start + WINDOW)])
    ]


def plucked(notes: tuple[float, ...], every: float, decay: float, partials: tuple[float, ...]) -> Wave:
    wave = np.zeros(int((SECONDS + 2) * SAMPLE_RATE))
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    for count, start in enumerate(np.arange(0, SECONDS, every)):
        hertz = notes[count % len(notes)]
        tone = sum(
            part * np.sin(2 * np.pi * (n + 1) * hertz * time + n) for n, part in enumerate(partials)
        ) * np.exp(-decay * time)
        at = int(start * SAMPLE_RATE)
        wave[at : at + len(tone)] += tone
    louder = 7000 / float(np.abs(wave).max())
    played: Wave = wave[: int(SECONDS * SAMPLE_RATE)] * louder
    return played


def strings() -> Wave:
    time = np.arange(int(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    phase = [np.cumsum(2 * np.pi * f * (1 + 0.004 * np.sin(34 * time)) / SAMPLE_RATE) for f in (220, 277, 330)]
    played: Wave = 900 * np.sum([np.sin(p * (n + 1)) / (n + 1) for p in phase for n in range(6)], axis=0)
    return played


def with_drums(wave: Wave) -> Wave:
    random, drummed = np.random.default_rng(1), wave.copy()
    for start in np.arange(0, SECONDS - 0.2, 0.25):
        at = int(start * SAMPLE_RATE)
        drummed[at : at + 960] += 3500 * random.standard_normal(960) * np.exp(-np.arange(960) / 240)
    return drummed


PIANO = plucked((262, 392, 330, 523, 294, 440, 349, 587), 0.3, 2.5, (1, 0.5, 0.25, 0.12))
KINDS = {
    "piano": PIANO,
    "guitar": plucked((196, 247, 294, 392), 0.45, 1.5, (1, 0.7, 0.5, 0.3, 0.2)),
    "strings": strings(),
    "beat": with_drums(plucked((262, 330, 392, 523), 0.6, 2.0, (1, 0.5, 0.25))),
}


@pytest.mark.parametrize("decibels", [0, -9])
@pytest.mark.parametrize("kind", KINDS)
def test_music_is_found_after_five_seconds_and_its_end_within_one(kind: str, decibels: float) -> None:
    silence = np.zeros(3 * SAMPLE_RATE)
    found = heard(np.concatenate([KINDS[kind] * 10 ** (decibels / 20), silence]))
    assert [sounding for _, sounding in found] == [True, False]
    assert WINDOWS * 0.032 <= found[0][0] <= 6.5
    assert SECONDS <= found[1][0] <= SECONDS + 1.2


TALK = (
    "Yes, so I was thinking about the whole thing and actually I would really like to know whether you could "
    "move the appointment to next week because my daughter is coming on Thursday. One, two, three, four, oh, no. "
    "Mmm, ooh, aah, well, I know, you know, we all know more now than ever, and so on in the afternoon."
)


@pytest.mark.parametrize("noise", [25.0, 600.0])
@pytest.mark.parametrize("pitch", [1.0, CALLEE_PITCH])
async def test_speech_without_a_pause_is_no_music(pitch: float, noise: float) -> None:
    spoken = await shared_voice().speak(TALK, pitch=pitch)
    assert heard(np.frombuffer(spoken.pcm, dtype=np.int16).astype(np.float64), noise) == []


def test_noise_ringing_and_quiet_music_are_no_music() -> None:
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    ring = np.concatenate([3000 * (np.sin(880 * np.pi * time) + np.sin(960 * np.pi * time)), np.zeros(4 * 8000)])
    assert heard(np.random.default_rng(1).normal(0.0, 2000.0, 10 * SAMPLE_RATE)) == []
    assert heard(np.concatenate([ring, ring])) == []
    assert heard(PIANO * 10 ** (-30 / 20)) == []
    assert heard(np.zeros(10 * SAMPLE_RATE)) == []


def test_the_line_is_quiet_in_a_pause_and_not_between_two_notes() -> None:
    detector = MusicDetector()
    assert detector.quiet
    for part, quiet in ((PIANO, False), (np.zeros(SAMPLE_RATE), True)):
        pcm = np.rint(part).astype(np.int16).tobytes()
        for start in range(0, len(pcm) - 512 + 1, 512):
            detector.hear(pcm[start : start + 512])
        assert detector.quiet is quiet
