"""Turn taking: when the callee's turn begins and when it is over.

The strategies stand in the user aggregator: a separate turn processor adds up to 470 ms a turn when the
STT is a little slow. Smart turn is one ONNX session for all calls and runs in one small pool of threads
for the process; each call keeps its own audio. Smart turn hears melody only; the words have the last word:
"yes, goodbye" is over however it sounds, and "I would like to come, but" is not.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Literal

from pipecat.audio.turn.base_turn_analyzer import EndOfTurnState
from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams
from pipecat.frames.frames import Frame, InputAudioRawFrame, VADUserStartedSpeakingFrame
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies, UserTurnStrategies
from pydantic import BaseModel, ConfigDict, Field

from bot.audio import SAMPLE_RATE
from bot.languages import Language
from bot.pipeline.pipecat_internals import AnalyzedStop, SmartTurnOnSession, load_smart_turn
from bot.pipeline.turns.interjection import InterruptionSettings
from bot.pipeline.turns.speculation import CountedEagerStop, EarlyReply, Speculating
from bot.pipeline.turns.vad import VoiceActivity


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
    dictation_seconds: float = Field(default=2.0, ge=0.3, le=10.0)
    """Silence that ends a turn in the middle of digits, a spelling or an e-mail address."""
    stop_timeout_seconds: float = Field(default=5.0, ge=1.0, le=30.0)
    """A turn whose transcript never comes is ended after this long."""
    longest_seconds: float = Field(default=30.0, ge=3.0, le=600.0)
    """Speech that goes on for so long is cut into turns: music and other people's talk never end."""
    early_replies: bool = True
    """Begin the reply before the turn is confirmed to be over, and keep it when the words stay the same."""


Dictating = Callable[[str, float], bool]
"""Of the turn's words, and the seconds of silence after them: whether they go on."""
QUESTION_SECONDS = 0.6
"""Silence after a question that sounded unfinished; the recogniser's question mark is worth half the wait."""


@cache
def load() -> Any:
    """The shared ONNX session of smart turn v3; the first call loads it (about 70 ms)."""
    return load_smart_turn()


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


class SharedSmartTurn(SmartTurnOnSession):
    """A call's smart turn, which the words may spare."""

    def __init__(self, params: SmartTurnParams) -> None:
        super().__init__(params, load(), _pool())
        self.foregone: EndOfTurnState | None = None
        """The verdict where the words leave no question; the model is not run."""

    async def analyze_end_of_turn(self) -> tuple[EndOfTurnState, Any]:
        if self.foregone is None:
            return await super().analyze_end_of_turn()
        if self.foregone is EndOfTurnState.COMPLETE:
            self.clear()  # type: ignore[no-untyped-call]
        return self.foregone, None


class SmartStop(EarlyReply, AnalyzedStop):  # type: ignore[no-untyped-call]
    """The end of a turn by smart turn and by the words."""

    def __init__(
        self,
        settings: TurnSettings,
        voice: VoiceActivity,
        dictating: Dictating,
        language: Language,
        speculating: Speculating | None,
    ) -> None:
        self._smart_turn = SharedSmartTurn(SmartTurnParams(stop_secs=settings.incomplete_seconds))
        super().__init__(turn_analyzer=self._smart_turn)
        self.begin_early(voice, speculating)
        self._language, self._dictating = language, dictating
        self._patience = settings.incomplete_seconds
        self._expecting_more = False
        """Over by its melody, not by its words: that much silence is waited for."""

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        result = await super().process_frame(frame)
        if (self._expecting_more or self._asked_whole) and isinstance(frame, InputAudioRawFrame):
            await self.stop_if_complete()
        return result

    def silence_begins(self) -> None:
        # Interim words lag: what they leave open may be said already, so only "yes, goodbye" spares the model.
        complete = self._verdict_of_words() is EndOfTurnState.COMPLETE
        self._smart_turn.foregone = EndOfTurnState.COMPLETE if complete else None

    def _verdict_of_words(self) -> EndOfTurnState | None:
        words = self.turn_words
        if self._language.is_complete(words):
            return EndOfTurnState.COMPLETE
        return EndOfTurnState.INCOMPLETE if self._language.is_unfinished(words) else None

    def goes_on(self) -> bool:
        return self._verdict_of_words() is EndOfTurnState.INCOMPLETE

    @property
    def _asked_whole(self) -> bool:
        """A question mark ends what was said, and its melody did not."""
        return self.vad_stopped and not self.sounds_complete and self.turn_words.endswith("?")

    def turn_reopened(self) -> None:
        self._expecting_more = False

    def may_stop(self) -> bool:
        verdict = self._verdict_of_words()
        silence = time.monotonic() - self._voice.voiced_at
        if self.words_are_final and (
            verdict is EndOfTurnState.COMPLETE or (self._asked_whole and silence >= QUESTION_SECONDS)
        ):
            self.take_for_complete()
        unfinished = verdict is EndOfTurnState.INCOMPLETE and silence < self._patience
        self._expecting_more = self.sounds_complete and (unfinished or self._dictating(self.turn_words, silence))
        return not self._expecting_more


class PauseStop(EarlyReply, SpeechTimeoutUserTurnStopStrategy):  # type: ignore[no-untyped-call]
    """The end of a turn by a pause."""

    def __init__(
        self, settings: TurnSettings, voice: VoiceActivity, dictating: Dictating, speculating: Speculating | None
    ) -> None:
        super().__init__(user_speech_timeout=settings.pause_seconds)
        self.begin_early(voice, speculating)
        self._dictating = dictating
        self._held = False
        """The turn would be over, were it not a dictation."""

    @property
    def _goes_on(self) -> bool:
        return self._dictating(self.turn_words, time.monotonic() - self._voice.voiced_at)

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._held = False
        result = await super().process_frame(frame)
        if self._held and isinstance(frame, InputAudioRawFrame) and not self._goes_on:
            await self.trigger_user_turn_stopped()
        return result

    async def handle_user_turn_stopped(self) -> None:
        self._held = False
        await super().handle_user_turn_stopped()

    async def trigger_user_turn_stopped(self, *, enable_user_speaking_frames: bool | None = None) -> None:
        self._held = self._goes_on
        if not self._held:
            await super().trigger_user_turn_stopped(enable_user_speaking_frames=enable_user_speaking_frames)


def build(
    turn: TurnSettings,
    interruption: InterruptionSettings,
    *,
    vendor_turns: bool,
    voice: VoiceActivity,
    language: Language,
    speculating: Speculating,
    asked: Callable[[], str] = lambda: "",
) -> UserTurnStrategies:
    """The strategies of one call's user aggregator.

    `vendor_turns`: the STT proposes turns itself. `asked`: the agent's last words.
    """
    early = speculating if turn.early_replies else None
    if vendor_turns:
        strategies = ExternalUserTurnStrategies(enable_interruptions=interruption.allowed)
        if early is not None:
            strategies.stop = [CountedEagerStop(early)]
        return strategies

    def dictating(words: str, silence: float) -> bool:
        return silence < turn.dictation_seconds and language.is_dictating(words, asked())

    return UserTurnStrategies(
        start=[
            VADUserTurnStartStrategy(enable_interruptions=interruption.allowed),
            TranscriptionUserTurnStartStrategy(enable_interruptions=interruption.allowed),
        ],
        stop=[
            PauseStop(turn, voice, dictating, early)
            if turn.detector == "timeout"
            else SmartStop(turn, voice, dictating, language, early)
        ],
    )


def warm_up() -> None:
    """One run over a second of silence, in a thread of the pool."""
    analyzer = SharedSmartTurn(SmartTurnParams())
    analyzer.set_sample_rate(SAMPLE_RATE)
    analyzer.run_once()
