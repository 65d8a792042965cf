"""Turn taking: when the callee's turn begins and when it is over.

The strategies stand in the user aggregator: a separate turn processor adds up to 470 ms a turn when the
STT is a little slow. Smart turn is one ONNX session for all calls and runs in one small pool of threads
for the process; each call keeps its own audio.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Literal

import numpy as np
from pipecat.audio.turn.smart_turn.base_smart_turn import BaseSmartTurn, SmartTurnParams
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.turns.user_start import (
    MinWordsUserTurnStartStrategy,
    TranscriptionUserTurnStartStrategy,
    VADUserTurnStartStrategy,
)
from pipecat.turns.user_start.base_user_turn_start_strategy import BaseUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy, TurnAnalyzerUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies, UserTurnStrategies
from pydantic import BaseModel, ConfigDict, Field

from bot.audio import SAMPLE_RATE


class TurnSettings(BaseModel):
    """[turn] of a scenario."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detector: Literal["smart", "timeout"] = "smart"
    """smart: a model hears whether the sentence is over; timeout: a pause is enough. An STT that detects
    turns itself (deepgram_flux) decides alone."""
    incomplete_seconds: float = Field(default=1.2, ge=0.3, le=5.0)
    """Silence that ends a turn which smart turn takes for unfinished."""
    pause_seconds: float = Field(default=0.5, ge=0.1, le=5.0)
    """Silence that ends a turn with detector = "timeout"."""
    stop_timeout_seconds: float = Field(default=5.0, ge=1.0, le=30.0)
    """A turn whose transcript never comes is ended after this long."""


class InterruptionSettings(BaseModel):
    """[interruption] of a scenario: what silences the agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed: bool = True
    """False: the agent always finishes what it says."""
    min_words: int = Field(default=0, ge=0, le=10)
    """0: speech is enough. Otherwise so many words have to be heard while the agent speaks."""


@cache
def load() -> Any:
    """The shared ONNX session of smart turn v3; the first call loads it (about 70 ms)."""
    return LocalSmartTurnAnalyzerV3()._session


_NICENESS = 5
"""Threads of smart turn get a third of the event loop's share where both want the same core."""


@cache
def _pool() -> ThreadPoolExecutor:
    # Two at a time: a run takes about 100 ms of a core, and calls end their turns independently.
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="smart-turn", initializer=_stand_back)


def _stand_back() -> None:
    """On a full core a verdict may come later; the audio of the other calls may not. Linux: a thread's own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


class SharedSmartTurn(LocalSmartTurnAnalyzerV3):
    """A call's audio around the shared session and the shared threads."""

    def __init__(self, params: SmartTurnParams) -> None:
        BaseSmartTurn.__init__(self, params=params)
        self._session = load()
        self._log_data = False

    @property
    def _model_executor(self) -> ThreadPoolExecutor:
        return _pool()


def build(turn: TurnSettings, interruption: InterruptionSettings, *, vendor_turns: bool) -> UserTurnStrategies:
    """The strategies of one call's user aggregator. `vendor_turns`: the STT proposes turns itself."""
    if vendor_turns:
        return ExternalUserTurnStrategies(enable_interruptions=interruption.allowed)
    start: list[BaseUserTurnStartStrategy]
    if interruption.min_words:
        start = [
            MinWordsUserTurnStartStrategy(
                min_words=interruption.min_words, enable_interruptions=interruption.allowed
            )
        ]
    else:
        start = [
            VADUserTurnStartStrategy(enable_interruptions=interruption.allowed),
            TranscriptionUserTurnStartStrategy(enable_interruptions=interruption.allowed),
        ]
    if turn.detector == "timeout":
        return UserTurnStrategies(
            start=start, stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=turn.pause_seconds)]
        )
    analyzer = SharedSmartTurn(SmartTurnParams(stop_secs=turn.incomplete_seconds))
    return UserTurnStrategies(start=start, stop=[TurnAnalyzerUserTurnStopStrategy(turn_analyzer=analyzer)])


def warm_up() -> None:
    """One run over a second of silence, in a thread of the pool."""
    analyzer = SharedSmartTurn(SmartTurnParams())
    analyzer.set_sample_rate(SAMPLE_RATE)
    _pool().submit(analyzer._predict_endpoint, np.zeros(SAMPLE_RATE, dtype=np.float32)).result()
