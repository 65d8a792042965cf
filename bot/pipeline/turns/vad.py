"""Voice activity: is the callee speaking. Silero on every 32 ms of their audio.

One ONNX session serves all calls; the recurrent state is each call's own. The model runs on the event loop:
0.2 ms a window is less than the hop to a thread and back, which stock pipecat pays 50 times a second and call.
While nobody speaks, a window that is no louder than the line's noise is not shown to it. Loudness is not asked
(`min_volume` 0): it delays quiet callers by up to 430 ms and tells nothing that Silero does not.
"""

import math
import time
from collections import deque
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from pipecat.audio.vad.silero import SileroOnnxModel
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    SystemFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection
from pydantic import BaseModel, ConfigDict, Field

from bot.audio import SAMPLE_RATE
from bot.pipeline.line.line import INPUT_FRAME_SAMPLES
from bot.pipeline.pipecat_internals import PassesAudio, SileroOnSession


class VadSettings(BaseModel):
    """[vad] of a scenario."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    confidence: float = Field(default=0.7, ge=0.05, le=0.99)
    """How sure Silero has to be that a window holds speech, 0 to 1."""
    start_seconds: float = Field(default=0.16, ge=0.03, le=1.0)
    """Speech this long starts a turn; lower is quicker and takes more noises for speech."""
    stop_seconds: float = Field(default=0.2, ge=0.1, le=2.0)
    """Silence this long ends speech; the turn detector then decides whether the turn is over."""


AUDIO_GAP_SECONDS = 3.0
"""Without audio for this long, speech is taken for over. pipecat's 1 s splits a word where the machine stalls."""


@cache
def load() -> Any:
    """The shared ONNX session; the first call loads it (about 60 ms), so it belongs before the first call."""
    path = resources.files("pipecat.audio.vad.data").joinpath("silero_vad.onnx")
    return SileroOnnxModel(str(path), force_onnx_cpu=True).session  # type: ignore[no-untyped-call]


@dataclass
class VoiceActivity:
    """What each window says of the callee's voice, sooner than the VAD commits itself. Seconds of one clock.

    The loudness falls with the last syllable; Silero notices some 100 ms later and the VAD waits for
    `stop_seconds` more. A hush is no end of speech, but a good moment to begin working on a reply.
    """

    onset_at: float = 0.0
    """When the last stretch of voice began; pauses shorter than PAUSE_SECONDS are part of it."""
    voiced_at: float = 0.0
    """The end of the last voiced window."""
    voiced_seconds: float = 0.0
    """The unbroken voice up to now."""
    hush_seconds: float = 0.0
    """How long there is no voice, or one that has faded, up to now."""
    loudness: float = 0.0
    """Of the voice lately, RMS of 16-bit samples."""
    _floor: float = 0.0
    """Of the line's own noise."""

    def note(self, voiced: bool, rms: float, seconds: float, now: float) -> None:
        """One more window of `seconds`, its last sample at `now`."""
        if voiced:
            if now - self.voiced_at > PAUSE_SECONDS:
                self.onset_at, self.loudness = now - seconds, rms
            self.voiced_at = now
            self.voiced_seconds += seconds
            self.loudness = max(rms, self.loudness * LOUDNESS_DECAY)
        else:
            self.voiced_seconds = 0.0
        if not voiced or rms < self._floor:
            self._floor = min(rms, self._floor * FLOOR_RISE) if self._floor else rms
        faded = rms < max(self.loudness * FADED, self._floor * 2)
        self.hush_seconds = 0.0 if voiced and not faded else self.hush_seconds + seconds

    def is_noise(self, rms: float) -> bool:
        """Whether a window is no louder than the line's own noise."""
        return rms < max(SILENT_RMS, self._floor * OVER_NOISE)

    def speech_seconds(self) -> float:
        """From the onset to the last voice."""
        return max(0.0, self.voiced_at - self.onset_at)


PAUSE_SECONDS = 0.3
"""Longer than the closures within words, shorter than a breath."""
FADED = 0.06
"""24 dB below the voice lately: a closing "s" lies 20 dB below. On a noisy line the noise itself says more: a
window within 6 dB of it holds no voice."""
FLOOR_RISE = 1.02
"""A window: the floor follows a line that becomes louder within some seconds."""
SILENT_RMS = 16.0
"""-66 dBFS of 16 bit: below it there is no voice on a line."""
OVER_NOISE = 1.25
"""2 dB above the noise: its windows of 32 ms differ by half of that, and no voice is found in less."""
LEAD_WINDOWS = 3
"""Windows before the first loud one that Silero is given with it: it hears in what went before. With 8 and 16 it
found no more; with 3 it finds voices 15 ms sooner than where it hears all of the silence between."""
LOUDNESS_DECAY = 0.97
"""A window: the reference halves in 0.7 s, so one loud word does not make the next ones a hush."""


class InlineSilero(SileroOnSession):
    """Silero that also says what each window holds."""

    def __init__(self, params: VADParams) -> None:
        super().__init__(params, load())
        self.voice = VoiceActivity()
        self._unasked: deque[bytes] = deque(maxlen=LEAD_WINDOWS)

    def voice_confidence(self, buffer: bytes) -> float:
        samples = np.frombuffer(buffer, dtype=np.int16).astype(np.float32)
        rms = math.sqrt(float(np.dot(samples, samples)) / len(samples))
        confidence = 0.0
        if self.quiet and self.voice.is_noise(rms):
            self._unasked.append(buffer)
        else:
            for window in (*self._unasked, buffer):
                confidence = float(super().voice_confidence(window))
            self._unasked.clear()
        self.voice.note(confidence >= self.threshold, rms, len(samples) / self.sample_rate, time.monotonic())
        return confidence


@dataclass
class VoiceFadedFrame(SystemFrame):
    """The voice has been gone for FADED_SECONDS: an STT that is asked now has its words when the VAD is sure."""


FADED_SECONDS = 0.09
"""Voice that has faded for so long may be over: longer than the closure of a consonant, which cuts no word."""


class Vad(PassesAudio, VADProcessor):
    """The pipeline's VAD processor; it stands before the STT, which has to know when speech stops."""

    def __init__(self, analyzer: InlineSilero) -> None:
        super().__init__(
            vad_analyzer=analyzer, audio_idle_timeout=AUDIO_GAP_SECONDS, name="Vad", enable_direct_mode=True
        )
        self.voice = analyzer.voice
        self._speaking = self._faded = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame) and self._speaking:
            faded = self.voice.hush_seconds >= FADED_SECONDS
            if faded and not self._faded:
                await self.push_frame(VoiceFadedFrame())
            self._faded = faded

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, VADUserStartedSpeakingFrame | VADUserStoppedSpeakingFrame):
            self._speaking = isinstance(frame, VADUserStartedSpeakingFrame)
            self._faded = False
        await super().push_frame(frame, direction)


def build(settings: VadSettings) -> Vad:
    """One call's VAD."""
    params = VADParams(
        confidence=settings.confidence,
        start_secs=settings.start_seconds,
        stop_secs=settings.stop_seconds,
        min_volume=0.0,
    )
    return Vad(InlineSilero(params))


def warm_up() -> None:
    """Run one window of silence, so the first call does not pay for the session's first inference."""
    analyzer = InlineSilero(VADParams())
    analyzer.set_sample_rate(SAMPLE_RATE)
    analyzer.voice_confidence(bytes(2 * INPUT_FRAME_SAMPLES))
