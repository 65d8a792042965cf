"""The two halves of the conversation's context: what the callee said, and what they heard of the agent.

The user half ends the way of the callee's audio. The assistant half is fed by the line, word by word as
they are heard, so an interrupted reply stands in the context exactly as far as it was played.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    TextFrame,
    TranscriptionFrame,
    UserSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMAssistantAggregator,
    LLMUserAggregator,
    LLMUserAggregatorParams,
    UserTurnStoppedMessage,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.turns.user_mute.base_user_mute_strategy import BaseUserMuteStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from bot.stages.line import HeardTextFrame

CUT_SIGN = "—"
"""Ends a reply that was interrupted, in the context and in the transcript."""


class Watcher(Protocol):
    """Who is told of the conversation as it goes: the recorder."""

    def callee_speech_started(self) -> None: ...

    def callee_speech_stopped(self, silence_seconds: float) -> None:
        """The VAD says so after `silence_seconds` of silence."""
        ...

    def callee_words(self, text: str, *, final: bool) -> None:
        """A transcript: an interim one replaces its predecessor, a final one stays."""
        ...

    def callee_turn_over(self, text: str) -> None: ...

    def agent_words(self, text: str) -> None:
        """Words of the agent that were heard."""
        ...

    def agent_turn_over(self, text: str, *, interrupted: bool) -> None: ...


class _MuteWhile(BaseUserMuteStrategy):
    """Nothing the callee says counts while `muted` says so."""

    def __init__(self, muted: Callable[[], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._muted = muted

    async def process_frame(self, frame: Frame) -> bool:
        return self._muted()


class UserContext(LLMUserAggregator):
    """What the callee said; runs the model when their turn is over.

    `answering` is False until the opening has begun: what the callee says before is heard and kept, and
    the opening answers it. `muted` is True while the agent says its goodbye.
    """

    def __init__(
        self, context: LLMContext, strategies: UserTurnStrategies, watcher: Watcher, *, stop_timeout: float
    ) -> None:
        super().__init__(
            context,
            params=LLMUserAggregatorParams(
                user_turn_strategies=strategies,
                user_turn_stop_timeout=stop_timeout,
                user_mute_strategies=[_MuteWhile(lambda: self.muted)],
            ),
        )
        self.answering = False
        self.muted = False
        self._opened_before_answering = True
        self._watcher = watcher
        self.add_event_handler("on_user_turn_started", self._note_turn_started)
        self.add_event_handler("on_user_turn_stopped", self._note_turn_stopped)

    def answer_now(self) -> None:
        """The opening is the model's next reply: nothing said before holds it back."""
        self.answering = True
        self._opened_before_answering = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        match frame:
            case VADUserStartedSpeakingFrame():
                self._watcher.callee_speech_started()
            case VADUserStoppedSpeakingFrame():
                self._watcher.callee_speech_stopped(frame.stop_secs)
            case TranscriptionFrame():
                self._watcher.callee_words(frame.text, final=True)
            case InterimTranscriptionFrame():
                self._watcher.callee_words(frame.text, final=False)
            case _:
                pass
        await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        # Nothing behind this stage needs the callee's audio; each further hop would cost every call.
        if isinstance(frame, InputAudioRawFrame | UserSpeakingFrame) and direction is FrameDirection.DOWNSTREAM:
            return
        await super().push_frame(frame, direction)

    async def push_context_frame(self, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if self._opened_before_answering:
            return
        await super().push_context_frame(direction)

    async def _note_turn_started(self, _aggregator: Any, _strategy: Any) -> None:
        self._opened_before_answering = not self.answering

    async def _note_turn_stopped(self, _aggregator: Any, _strategy: Any, message: UserTurnStoppedMessage) -> None:
        if self.answering:
            self._opened_before_answering = False
        self._watcher.callee_turn_over(message.content or "")


class AssistantContext(LLMAssistantAggregator):
    """What the callee heard of the agent."""

    def __init__(self, context: LLMContext, watcher: Watcher) -> None:
        super().__init__(context)
        self._watcher = watcher
        self._over = False
        self.add_event_handler("on_assistant_turn_stopped", self._note_turn_stopped)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, HeardTextFrame):
            self._watcher.agent_words(frame.text)
            await self._handle_text(TextFrame(frame.text))
            return
        if isinstance(frame, EndFrame | CancelFrame):
            self._over = True
        if isinstance(frame, InterruptionFrame) and self._aggregation:
            await self._handle_text(TextFrame(CUT_SIGN))
        await super().process_frame(frame, direction)

    async def _note_turn_stopped(self, _aggregator: Any, message: AssistantTurnStoppedMessage) -> None:
        # pipecat calls a reply that the end of the call cuts off interrupted; nobody interrupted it.
        self._watcher.agent_turn_over(message.content, interrupted=message.interrupted and not self._over)
