"""Silero inline: hears speech, ignores noise, shares one session and no state."""

from __future__ import annotations

import numpy as np
import pytest
from pipecat.audio.vad.vad_analyzer import VADParams, VADState

from bot.audio import SAMPLE_RATE
from bot.pipeline.line.line import INPUT_FRAME_SAMPLES
from bot.pipeline.turns import vad
from bot.pipeline.turns.vad import InlineSilero, VadSettings, VoiceActivity
from tests.simulators.tts_sound import speak

SPEECH = speak("Hello, this is a sentence that goes on for a while.", SAMPLE_RATE).pcm
WINDOW = 2 * INPUT_FRAME_SAMPLES


def analyzer(settings: VadSettings | None = None) -> InlineSilero:
    processor = vad.build(settings or VadSettings())
    silero = processor._vad_controller._vad_analyzer
    assert isinstance(silero, InlineSilero)
    silero.set_sample_rate(SAMPLE_RATE)
    return silero


async def states(silero: InlineSilero, pcm: bytes) -> list[VADState]:
    return [await silero.analyze_audio(pcm[at : at + WINDOW]) for at in range(0, len(pcm) - WINDOW + 1, WINDOW)]


async def test_speech_is_heard_and_its_end_too() -> None:
    silero = analyzer()
    heard = await states(silero, SPEECH)
    assert VADState.SPEAKING in heard
    after = await states(silero, bytes(16_000))
    assert after[-1] is VADState.QUIET


async def test_a_quiet_caller_is_heard_as_well() -> None:
    """A tenth of the level: loudness is not asked."""
    quiet = (np.frombuffer(SPEECH, dtype=np.int16) // 10).astype(np.int16).tobytes()
    assert VADState.SPEAKING in await states(analyzer(), quiet)


async def test_silence_is_not_speech() -> None:
    assert set(await states(analyzer(), bytes(32_000))) == {VADState.QUIET}


async def test_calls_share_the_session_and_not_what_they_heard() -> None:
    """One analyser's result does not depend on what another hears in between."""
    alone, mixed, other = analyzer(), analyzer(), analyzer()
    assert alone._model.session is other._model.session is vad.load()
    windows = [SPEECH[at : at + WINDOW] for at in range(0, 40 * WINDOW, WINDOW)]
    expected = [alone.voice_confidence(window) for window in windows]
    got = []
    for window in windows:
        other.voice_confidence(bytes(WINDOW))
        got.append(mixed.voice_confidence(window))
    assert np.array_equal(np.ravel(got), np.ravel(expected))


async def test_the_settings_reach_the_analyser() -> None:
    silero = analyzer(VadSettings(confidence=0.5, start_seconds=0.1, stop_seconds=0.4))
    expected = VADParams(confidence=0.5, start_secs=0.1, stop_secs=0.4, min_volume=0.0)
    assert silero.params == expected


def test_warming_up_is_harmless() -> None:
    vad.warm_up()


def test_a_voice_that_has_faded_is_told_before_the_vad_is_sure() -> None:
    voice = VoiceActivity()
    now = 5.0
    for _ in range(10):
        now += 0.032
        voice.note(False, 20.0, 0.032, now)
    for _ in range(20):
        now += 0.032
        voice.note(True, 2000.0, 0.032, now)
    now += 0.032
    voice.note(True, 200.0, 0.032, now)  # a closing "s"
    assert voice.hush_seconds == 0
    for _ in range(3):
        now += 0.032
        voice.note(True, 30.0, 0.032, now)  # Silero lags
    assert voice.hush_seconds == pytest.approx(0.096)


def test_on_a_noisy_line_the_noise_itself_is_the_hush() -> None:
    voice = VoiceActivity()
    now = 5.0
    for _ in range(40):
        now += 0.032
        voice.note(False, 300.0, 0.032, now)
    for _ in range(20):
        now += 0.032
        voice.note(True, 1500.0, 0.032, now)
    assert voice.hush_seconds == 0
    now += 0.032
    voice.note(True, 400.0, 0.032, now)
    assert voice.hush_seconds > 0
