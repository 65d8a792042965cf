"""Every touch of an underscore name of pipecat's core, under names of our own.

pipecat promises nothing about these names: tests/unit/pipeline/test_pipecat_internals.py says what is expected of
the installed version. The services of vendors have theirs beside them, so that no SDK is loaded for nothing.
"""

import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from pipecat.audio.turn.smart_turn.base_smart_turn import BaseSmartTurn, SmartTurnParams
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroOnnxModel, SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState
from pipecat.frames.frames import (
    CancelFrame,
    EagerTranscriptionFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    StartFrame,
    TextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_response_universal import LLMAssistantAggregator, LLMUserAggregator
from pipecat.processors.frame_processor import (
    FrameCallback,
    FrameDirection,
    FrameProcessor,
    FrameProcessorSetup,
)
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.turns.types import UserTurnSpeculation
from pipecat.turns.user_stop import (
    EagerUserTurnStopStrategy,
    TurnAnalyzerUserTurnStopStrategy,
    UserTurnStoppedParams,
)
from pipecat.utils.text.simple_text_aggregator import SimpleTextAggregator
from pipecat.utils.tracing.tracing_context import TracingContext

from bot.audio import SAMPLE_RATE


class PassesAudio(FrameProcessor):
    """Hands the callee's audio to the next processor without what pipecat does around each frame that is pushed:
    two events, a record for observers, a line of the trace log. 31 frames a second pass here in each call."""

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, InputAudioRawFrame) and self.next is not None:
            await self.next.queue_frame(frame, direction)
        else:
            await super().push_frame(frame, direction)


class TakesAudioAtOnce(PassesAudio):
    """Takes the callee's audio where it is given, once it has started; the rest comes through pipecat's queues.

    For a stage that notes audio and hands it on: a hop through a queue costs more than that.
    """

    _started = False

    async def queue_frame(
        self,
        frame: Frame,
        direction: FrameDirection = FrameDirection.DOWNSTREAM,
        callback: FrameCallback | None = None,
    ) -> None:
        if self._started and isinstance(frame, InputAudioRawFrame):
            await self.process_frame(frame, direction)
        else:
            await super().queue_frame(frame, direction, callback)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame | EndFrame | CancelFrame):
            self._started = isinstance(frame, StartFrame)


class UnobservedPipeline(Pipeline):
    """A pipeline whose processors record nothing for observers, of which there are none."""

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]  # as pipecat does
        await super().setup(replace(setup, observer=None))


def trace_into(worker: PipelineWorker, tracing: TracingContext) -> None:
    """Let the services of a pipeline trace into our context: pipecat makes its own with turn tracking only."""
    worker._tracing_context = tracing


class SharedTls:
    """For websocket services: connect with the process's TLS context instead of a new one."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tls = tls

    async def _websocket_connect(self, uri: str, **kwargs: Any) -> Any:
        if self.tls is not None and uri.startswith("wss:"):
            kwargs.setdefault("ssl", self.tls)
        return await super()._websocket_connect(uri, **kwargs)  # type: ignore[misc]  # a mixin


# -- turns ------------------------------------------------------------------------------------------------


class UserAggregator(LLMUserAggregator):
    """The user's half of the context, with hooks where its turns begin, end and are guessed at."""

    def turn_begins(self) -> None: ...

    def turn_ends(self, *, confirms_speculation: bool) -> None: ...

    async def end_turn(self) -> None:
        """End the turn that is open, unless its speech goes on."""
        await self._user_turn_controller._trigger_user_turn_stop(
            None, UserTurnStoppedParams(enable_user_speaking_frames=True)
        )

    def keeps(self, text: str) -> bool:
        """Whether the words of a turn become a message."""
        return True

    async def _push_aggregation(self, *, run_llm: bool = True) -> str:
        text = self.aggregation_string()
        if text and not self.keeps(text):
            await self.reset()  # type: ignore[no-untyped-call]
            return text
        return await super()._push_aggregation(run_llm=run_llm)

    async def speculate(self, speculation: UserTurnSpeculation) -> None:
        """Run the model for a turn that has not ended yet."""
        await super()._run_speculative_inference(speculation)

    async def _run_speculative_inference(self, speculation: UserTurnSpeculation) -> None:
        await self.speculate(speculation)

    async def _on_user_turn_started(self, controller: Any, strategy: Any, params: Any) -> None:
        self.turn_begins()
        await super()._on_user_turn_started(controller, strategy, params)

    async def _on_user_turn_stopped(self, controller: Any, strategy: Any, params: Any) -> None:
        self.turn_ends(confirms_speculation=params.confirms_speculation)
        await super()._on_user_turn_stopped(controller, strategy, params)


class AssistantAggregator(LLMAssistantAggregator):
    """The assistant's half of the context, fed word by word."""

    ignores_speech = False
    """What the agent says now does not keep the result of a tool waiting."""

    @property
    def has_words(self) -> bool:
        """Words wait to become a message."""
        return bool(self._aggregation)

    @property
    def open_calls(self) -> set[str]:
        """Ids of the tools' calls that have no result yet."""
        return set(self._function_calls_in_progress)

    async def add_words(self, text: str) -> None:
        await self._handle_text(TextFrame(text))

    async def commit_words(self) -> str:
        """Make a message of the words that wait; returns them."""
        added = await super()._add_aggregation_to_context()
        if added:
            self.words_committed()
        return added

    def words_committed(self) -> None:
        """A message was added to the context."""

    async def _add_aggregation_to_context(self) -> str:
        return await self.commit_words()

    async def _maybe_push_context(self) -> None:
        speaking, self._bot_speaking = self._bot_speaking, self._bot_speaking and not self.ignores_speech
        try:
            await super()._maybe_push_context()
        finally:
            self._bot_speaking = speaking


class EagerStop(EagerUserTurnStopStrategy):
    """The end of a turn by an STT that proposes it, with hooks around its guesses."""

    def may_speculate(self) -> bool:
        return True

    def guess_forgotten(self) -> None: ...

    @property
    def has_guess(self) -> bool:
        return self._speculation is not None

    async def forget_guess(self) -> None:
        if self.has_guess:
            self.guess_forgotten()
        await super()._forget()  # type: ignore[no-untyped-call]

    async def _forget(self) -> None:
        await self.forget_guess()

    async def _speculate(self, frame: EagerTranscriptionFrame) -> None:
        if self.may_speculate():
            await super()._speculate(frame)


def expect_more_words(strategy: Any) -> None:
    """The final transcript does not cover what is said now: a stop strategy waits for another one."""
    strategy._transcript_finalized = False


class AnalyzedStop(TurnAnalyzerUserTurnStopStrategy):  # type: ignore[no-untyped-call]  # __init_subclass__
    """The end of a turn by smart turn, with hooks where the words may overrule it."""

    @property
    def vad_stopped(self) -> bool:
        return bool(self._vad_stopped)

    @property
    def words_are_final(self) -> bool:
        return bool(self._vad_stopped and self._transcript_finalized)

    @property
    def sounds_complete(self) -> bool:
        return bool(self._turn_complete)

    def take_for_complete(self) -> None:
        self._turn_complete = True

    def silence_begins(self) -> None:
        """The VAD says that the speech is over; smart turn is asked next."""

    def may_stop(self) -> bool:
        """Whether the turn may end now, as far as it is complete."""
        return True

    def turn_reopened(self) -> None:
        """What was concluded about the end is dropped."""

    async def stop_if_complete(self) -> None:
        if self.may_stop():
            await super()._maybe_trigger_user_turn_stopped()  # type: ignore[no-untyped-call]

    async def _maybe_trigger_user_turn_stopped(self) -> None:
        await self.stop_if_complete()

    async def _handle_vad_user_stopped_speaking(self, frame: Any) -> None:
        self.silence_begins()
        await super()._handle_vad_user_stopped_speaking(frame)

    async def _discard_pending_end_of_turn(self) -> None:
        self.turn_reopened()
        await super()._discard_pending_end_of_turn()  # type: ignore[no-untyped-call]


def load_smart_turn() -> Any:
    """The ONNX session of smart turn v3, about 70 ms."""
    return LocalSmartTurnAnalyzerV3()._session


class SmartTurnOnSession(LocalSmartTurnAnalyzerV3):
    """A call's audio around a session and threads that all calls share."""

    def __init__(self, params: SmartTurnParams, session: Any, threads: ThreadPoolExecutor) -> None:
        BaseSmartTurn.__init__(self, params=params)
        self._session, self._threads = session, threads
        self._log_data = False

    @property
    def _model_executor(self) -> ThreadPoolExecutor:
        return self._threads

    def run_once(self) -> None:
        """Over a second of silence: the first run is slow."""
        self._threads.submit(self._predict_endpoint, np.zeros(SAMPLE_RATE, dtype=np.float32)).result()


_CONTEXT_SAMPLES = 32
"""Of the window before, that Silero wants in front of each at 8 kHz."""
_RATE = np.array(SAMPLE_RATE, dtype=np.int64)


class _SharedModel(SileroOnnxModel):
    """A call's recurrent state around the shared session, for one window of 8 kHz at a time: pipecat's own checks
    and copies cost a third of what the model does."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.reset_states()

    def reset_states(self, batch_size: int = 1) -> None:
        self._state = np.zeros((2, batch_size, 128), dtype=np.float32)
        self._input = np.zeros((batch_size, _CONTEXT_SAMPLES + 256), dtype=np.float32)

    def __call__(self, x: Any, sr: int) -> Any:
        self._input[:, :_CONTEXT_SAMPLES] = self._input[:, -_CONTEXT_SAMPLES:]
        self._input[:, _CONTEXT_SAMPLES:] = x
        confidence, self._state = self.session.run(
            None, {"input": self._input, "state": self._state, "sr": _RATE}
        )
        return confidence[0]


class SileroOnSession(SileroVADAnalyzer):
    """Silero on a session that all calls share, without a thread and without a loudness gate."""

    def __init__(self, params: VADParams, session: Any) -> None:
        VADAnalyzer.__init__(self, params=params)
        self._model = _SharedModel(session)
        self._windows_since_reset = 0
        self._low_confidence_windows = 0

    @property
    def threshold(self) -> float:
        return self._params.confidence

    @property
    def quiet(self) -> bool:
        """Nobody speaks, nor has begun to."""
        return self._vad_state is VADState.QUIET

    async def analyze_audio(self, buffer: bytes) -> VADState:
        return self._run_analyzer(buffer)

    def _get_smoothed_volume(self, audio: bytes) -> float:
        return 1.0


# -- services ---------------------------------------------------------------------------------------------


class TracedSTT(STTService):
    """An STT whose spans can be switched off while others are listened to."""

    @property
    def _wants_spans(self) -> bool:
        return self._setup is not None and self._setup.enable_tracing

    def trace(self, *, on: bool) -> None:
        self._tracing_enabled = on and self._wants_spans


class ContextTTS(TTSService):
    """A TTS whose queue of speech can be given frames, in the order of what is said."""

    def aggregate_by(self, aggregator: SimpleTextAggregator) -> None:
        self._text_aggregator = aggregator

    @property
    def aggregator(self) -> SimpleTextAggregator:
        return self._text_aggregator

    @property
    def tts_contexts(self) -> Mapping[str, Any]:
        return self._tts_contexts

    async def queue_in_order(self, frame: Frame) -> None:
        """Behind what is being said."""
        await self._audio_context_manager.put_frame(frame)

    def is_unsaid(self, context_id: str) -> bool:
        """Whether words of a context were never heard: pipecat would write them into the conversation."""
        return False

    async def _apply_force_complete(self, context_id: str) -> None:
        if self.is_unsaid(context_id):
            self._aggregated_frame_sequencer.force_complete(context_id, 0)
        else:
            await super()._apply_force_complete(context_id)


def word_baseline(service: Any) -> int | None:
    """The presentation time, in ns, of a TTS service's first sample; None before it."""
    baseline: int | None = service._word_timestamp_tracker._baseline
    return baseline


class OpenTextAggregator(SimpleTextAggregator):
    """pipecat's sentences; what waits can be read and taken."""

    @property
    def waiting(self) -> str:
        return self._text

    @waiting.setter
    def waiting(self, text: str) -> None:
        self._text = text
