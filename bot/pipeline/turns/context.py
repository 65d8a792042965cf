"""The two halves of the conversation's context: what the callee said, and what they heard of the agent.

The user half ends the way of the callee's audio. The assistant half is fed by the line, word by word as
they are heard, so an interrupted reply stands in the context exactly as far as it was played.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipecat.frames.frames import (
    CancelFrame,
    EagerEndOfTurnCancelFrame,
    EndFrame,
    Frame,
    FunctionCallsStartedFrame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseStartFrame,
    SystemFrame,
    TranscriptionFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMUserAggregatorParams,
    UserTurnStoppedMessage,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.turns.types import UserTurnSpeculation
from pipecat.turns.user_mute.base_user_mute_strategy import BaseUserMuteStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from bot.pipeline.line.line_ends import FILLER, MADE_AT, NOTED, UNHEARD, HeardTextFrame, ReplyWithdrawnFrame
from bot.pipeline.pipecat_internals import AssistantAggregator, UserAggregator

CUT_SIGN = "—"
"""Ends a reply that was interrupted, in the context and in the transcript."""
NOTED_SECONDS = 0.25
"""How long the callee's half waits for the agent's to note where an interruption cut it off; a few ms do."""


@dataclass
class KeysBeganFrame(SystemFrame):
    """The callee begins to press keys: what the model would say now waits for the entry."""

    interrupts: bool
    """The agent falls silent."""


@dataclass
class KeysEnteredFrame(SystemFrame):
    """The callee has pressed keys: `said` is their turn, as the model gets it; None: it was none."""

    said: str | None = field(repr=False)


class ConversationListener(Protocol):
    """What the two halves of the context report of the conversation."""

    def callee_speech_started(self, late_seconds: float = 0.0) -> None:
        """The VAD said so so long ago: it was withheld until it was clear what the sound was."""
        ...

    def callee_speech_stopped(self, silence_seconds: float, late_seconds: float = 0.0) -> None:
        """The VAD said so `late_seconds` ago, after `silence_seconds` of silence."""
        ...

    def callee_words(self, text: str, *, final: bool) -> None:
        """A transcript: an interim one replaces its predecessor, a final one stays."""
        ...

    def callee_turn_over(self, text: str) -> None: ...

    def recording_was_callee(self) -> None:
        """The last turn that was taken for a recording's was said by somebody after all."""
        ...

    def agent_words(self, text: str) -> None:
        """Words of the agent that were heard."""
        ...

    def agent_words_cut(self, text: str) -> None:
        """Words of the agent that would have followed, and will not be heard."""
        ...

    def agent_turn_over(self, text: str, *, interrupted: bool) -> None: ...


class _MuteWhile(BaseUserMuteStrategy):
    """Nothing the callee says counts while `muted` says so."""

    def __init__(self, muted: Callable[[], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._muted = muted

    async def process_frame(self, frame: Frame) -> bool:
        return self._muted()


class UserContext(UserAggregator):
    """What the callee said; runs the model when their turn is over.

    `answering` is False until the opening has begun: what the callee says before is heard and kept, and
    the opening answers it. `muted` is True while the agent says its goodbye.
    """

    def __init__(
        self,
        context: LLMContext,
        strategies: UserTurnStrategies,
        listener: ConversationListener,
        *,
        stop_timeout: float,
        is_recording: Callable[[str], bool] = lambda _text: False,
    ) -> None:
        """`is_recording`: whether the words of a turn were said by nobody, so that no model is to read them."""
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
        self._is_recording = is_recording
        self._left_out = ""
        self._kept_guess = False
        """The turn that was over last is answered by a reply that was begun before."""
        self._turn_open = self._keys_open = False
        self._reply_waits = False
        """The model was to be run while keys were being pressed, or for them while the callee spoke."""
        self._cut_noted = asyncio.Event()
        self._cut_noted.set()
        self._listener = listener
        self.add_event_handler("on_user_turn_started", self._note_turn_started)
        self.add_event_handler("on_user_turn_stopped", self._note_turn_stopped)

        self.owes_reply = False
        """Whether the model was run for the turn that was over last; the opening answers some."""
        self.last_turn_at = 0.0
        """When the callee's last turn was over, time.monotonic()."""

    @property
    def asked(self) -> str:
        """The agent's last words, as far as they were heard."""
        said = (m for m in reversed(self.context.get_messages()) if isinstance(m, dict))
        return next((str(m["content"]) for m in said if m["role"] == "assistant" and m.get("content")), "")

    def answer_now(self) -> None:
        """The opening is the model's next reply: nothing said before holds it back."""
        self.answering = True
        self._opened_before_answering = False

    def hear_only(self) -> None:
        """What the callee says from now on, and has begun to say, is heard and kept, and not answered."""
        self.answering = False
        self._opened_before_answering = True

    def answer_once(self) -> None:
        """The next run of the model is let through; later turns are heard only."""
        self._opened_before_answering = False

    def keeps(self, text: str) -> bool:
        self._left_out = text if self._is_recording(text) else ""
        return not self._left_out

    def take_back(self) -> None:
        """The turn that was left out last was said by somebody after all."""
        if self._left_out:
            self.context.add_message({"role": "user", "content": self._left_out})
            self._listener.recording_was_callee()
            self._left_out = ""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        match frame:
            case VADUserStartedSpeakingFrame():
                self._listener.callee_speech_started(max(0.0, time.time() - frame.timestamp))
            case VADUserStoppedSpeakingFrame():
                self._listener.callee_speech_stopped(frame.stop_secs, max(0.0, time.time() - frame.timestamp))
            case TranscriptionFrame():
                self._listener.callee_words(frame.text, final=True)
            case InterimTranscriptionFrame():
                self._listener.callee_words(frame.text, final=False)
            case KeysBeganFrame():
                self._keys_open = True
                if frame.interrupts and not self.muted:
                    await self.broadcast_interruption()  # type: ignore[no-untyped-call]
                return
            case KeysEnteredFrame():
                await self._take_keys(frame.said)
                return
            case EagerEndOfTurnCancelFrame() if direction is FrameDirection.UPSTREAM and self._kept_guess:
                # The model gave the guess up (it wants a tool) while the turn that keeps it ended.
                self._kept_guess = False
                await self.push_context_frame()
            case _:
                pass
        await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        # Nothing behind this stage needs the callee's audio; each further hop would cost every call.
        if isinstance(frame, InputAudioRawFrame | UserSpeakingFrame) and direction is FrameDirection.DOWNSTREAM:
            return
        if isinstance(frame, InterruptionFrame) and direction is FrameDirection.DOWNSTREAM:
            frame.metadata[NOTED] = self._cut_noted = asyncio.Event()
            frame.metadata[MADE_AT] = time.monotonic()
        await super().push_frame(frame, direction)

    @property
    def will_answer(self) -> bool:
        """Whether the model is run when the open turn is over."""
        return self.answering and not (self.muted or self._opened_before_answering or self._keys_open)

    async def push_context_frame(self, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if self._opened_before_answering:
            return
        self._reply_waits = self._keys_open
        if not self._keys_open:
            await super().push_context_frame(direction)

    async def _take_keys(self, said: str | None) -> None:
        """The end of an entry: a turn by itself, or a part of the one that is open."""
        self._keys_open = False
        if said is not None:
            await self._after_cut()
            self.context.add_message({"role": "user", "content": said})
            if self.answering:
                self._opened_before_answering = False
            self._reply_waits = not self.muted
        await self.end_turn()
        await self._reply_after_keys()

    async def _reply_after_keys(self) -> None:
        """What waited, once neither keys nor speech go on."""
        if self._reply_waits and not self._turn_open:
            await self.push_context_frame()

    async def speculate(self, speculation: UserTurnSpeculation) -> None:
        """As pipecat does; the request carries its guess, so that a withdrawn one is not answered."""
        await self._after_cut()
        words: Any = {"role": self.role, "content": speculation.text}
        provisional = LLMContext([*self.context.messages, words], self.context.tools, self.context.tool_choice)
        frame = LLMContextFrame(context=provisional, speculation=True)
        frame.metadata["guess"] = speculation
        await self.push_frame(frame)

    async def push_aggregation(self) -> str:
        await self._after_cut()
        return await super().push_aggregation()

    async def _after_cut(self) -> None:
        """What the callee heard before they interrupted stands before what they said."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cut_noted.wait(), NOTED_SECONDS)
        self._cut_noted.set()

    def turn_begins(self) -> None:
        self._turn_open, self._kept_guess = True, False

    def turn_ends(self, *, confirms_speculation: bool) -> None:
        self._turn_open, self._kept_guess = False, confirms_speculation

    async def _note_turn_started(self, _aggregator: Any, _strategy: Any) -> None:
        self._opened_before_answering = not self.answering

    async def _note_turn_stopped(self, _aggregator: Any, _strategy: Any, message: UserTurnStoppedMessage) -> None:
        self.owes_reply, self.last_turn_at = self.will_answer, time.monotonic()
        if self.answering:
            self._opened_before_answering = False
        self._listener.callee_turn_over(message.content or "")
        if not self._keys_open:
            await self._reply_after_keys()


class AssistantContext(AssistantAggregator):
    """What the callee heard of the agent.

    A filler's words wait here for the reply they begin. Where that is the call of a tool, they go before it:
    behind it they would end the request that carries the tool's result. A result does not wait for a filler.
    """

    def __init__(self, context: LLMContext, listener: ConversationListener) -> None:
        super().__init__(context)
        self._listener = listener
        self._over = False
        self._only_filled = False
        self._called: set[str] = set()
        """The calls of tools whose results no reply has been made from."""
        self._before_tools = ""
        """What was heard of the open turn and stands in the context before its tools."""
        self.add_event_handler("on_assistant_turn_stopped", self._note_turn_stopped)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, HeardTextFrame):
            self._listener.agent_words(frame.text)
            self._only_filled = self.ignores_speech and (self._only_filled or not self.has_words)
            await self.add_words(frame.text)
            return
        if isinstance(frame, ReplyWithdrawnFrame):
            await self.push_frame(frame, direction)
            return
        if isinstance(frame, TTSStartedFrame | TTSStoppedFrame):
            self.ignores_speech = isinstance(frame, TTSStartedFrame) and frame.context_id == FILLER
        if isinstance(frame, LLMFullResponseStartFrame) and not self._called & self.open_calls:
            self._called = set()
        if isinstance(frame, FunctionCallsStartedFrame):
            self._called = {call.tool_call_id for call in frame.function_calls}
        if isinstance(frame, FunctionCallsStartedFrame) and self.has_words and self._only_filled:
            self._before_tools = f"{self._before_tools} {await self.commit_words()}".strip()
        if isinstance(frame, EndFrame | CancelFrame):
            self._over = True
        if isinstance(frame, InterruptionFrame) and self.has_words:
            self._listener.agent_words_cut(frame.metadata.get(UNHEARD, ""))
            await self.add_words(CUT_SIGN)
        await super().process_frame(frame, direction)
        if NOTED in frame.metadata:
            frame.metadata[NOTED].set()

    def words_committed(self) -> None:
        # Words are noted as they are heard, behind the tools that their own reply called. There they would
        # end the request that carries the results, and a model takes that for its next words.
        if self._called:
            self.context.set_messages(words_before_tools(self.context.get_messages(), self._called))

    async def _note_turn_stopped(self, _aggregator: Any, message: AssistantTurnStoppedMessage) -> None:
        # pipecat calls a reply that the end of the call cuts off interrupted; the callee did not interrupt it.
        content, self._before_tools = f"{self._before_tools} {message.content}".strip(), ""
        self._listener.agent_turn_over(content, interrupted=message.interrupted and not self._over)


def words_before_tools(messages: Sequence[Any], called: Set[str]) -> list[Any]:
    """`messages` with the assistant's words at their end moved before the calls of tools in front of them.

    Only the calls in `called` are passed: those of the reply that the words belong to.
    """
    words = _length_at_end(messages, lambda m: m["role"] == "assistant" and not m.get("tool_calls"))
    rest, said = list(messages[: len(messages) - words]), list(messages[len(messages) - words :])
    tools = _length_at_end(rest, lambda m: bool(ids := _tool_calls_of(m)) and ids <= called)
    return [*rest[: len(rest) - tools], *said, *rest[len(rest) - tools :]]


def _tool_calls_of(message: Mapping[str, Any]) -> set[str]:
    """Ids of the calls that a message makes or answers."""
    if message["role"] == "tool":
        return {message["tool_call_id"]}
    return {call["id"] for call in message.get("tool_calls") or ()}


def _length_at_end(messages: Sequence[Any], holds: Callable[[Any], bool]) -> int:
    """How many messages at the end are dicts for which `holds`."""
    kept = itertools.takewhile(lambda m: isinstance(m, dict) and holds(m), reversed(messages))
    return sum(1 for _ in kept)
