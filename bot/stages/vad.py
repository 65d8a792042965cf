"""Voice activity: is the callee speaking. Silero on every 32 ms of their audio.

One ONNX session serves all calls; the recurrent state is each call's own. The model runs on the event
loop: 0.3 ms a window is less than the hop to a thread and back, which stock pipecat pays 50 times a second
and call. Loudness is not asked (`min_volume` 0): it delays quiet callers by up to 430 ms and tells nothing
that Silero does not.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from pipecat.audio.vad.silero import SileroOnnxModel, SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState
from pipecat.processors.audio.vad_processor import VADProcessor
from pydantic import BaseModel, ConfigDict, Field

from bot.audio import SAMPLE_RATE
from bot.stages.line import INPUT_FRAME_SAMPLES


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


class _SharedModel(SileroOnnxModel):
    """A call's recurrent state around the shared session."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.sample_rates = [SAMPLE_RATE]
        self.reset_states()  # type: ignore[no-untyped-call]


class InlineSilero(SileroVADAnalyzer):
    """Silero without a thread and without a loudness gate."""

    def __init__(self, params: VADParams) -> None:
        VADAnalyzer.__init__(self, params=params)
        self._model = _SharedModel(load())
        self._windows_since_reset = 0
        self._low_confidence_windows = 0

    async def analyze_audio(self, buffer: bytes) -> VADState:
        return self._run_analyzer(buffer)

    def _get_smoothed_volume(self, audio: bytes) -> float:
        return 1.0


def build(settings: VadSettings) -> VADProcessor:
    """The pipeline's VAD processor; it stands before the STT, which is told when speech stops."""
    params = VADParams(
        confidence=settings.confidence,
        start_secs=settings.start_seconds,
        stop_secs=settings.stop_seconds,
        min_volume=0.0,
    )
    return VADProcessor(vad_analyzer=InlineSilero(params), audio_idle_timeout=AUDIO_GAP_SECONDS, name="Vad")


def warm_up() -> None:
    """Run one window of silence, so the first call does not pay for the session's first inference."""
    analyzer = InlineSilero(VADParams())
    analyzer.set_sample_rate(SAMPLE_RATE)
    analyzer.voice_confidence(bytes(2 * INPUT_FRAME_SAMPLES))
