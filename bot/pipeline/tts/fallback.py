"""TTSs in series, each standing in for the one before it, in mid-reply if need be.

    … → first TTS → second TTS → line

A TTS that gives up hands what is still to be said to the next one, in order, as the text it was given; from
then on it passes everything through, to the end of the call: a voice that changes once is a surprise, one that
changes back and forth is a puzzle. What one before has spoken passes the next untouched. The last one has
none to hand on to: it reports the error, and the call apologises.

A mixin of pipecat's TTSService was preferred to a wrapper that switches between services: the service holds
the order of speech and the frames between, and only it knows which words have sounded.
"""

from collections.abc import Mapping
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    AggregatedTextFrame,
    EndFrame,
    Frame,
    LLMTextFrame,
    SystemFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.ai_service import AIService

from bot.pipeline.line.line_ends import UnfinishedFrame
from bot.pipeline.pipecat_internals import ContextTTS, word_baseline
from bot.pipeline.tts.first_clause import FirstClauseAggregator
from bot.pipeline.tts.markup import without_marks
from bot.pipeline.tts.spoken_text import SpokenText
from bot.pipeline.tts.utterance import CHARACTER_MS


class TtsFallback(ContextTTS):
    """A TTS that others stand behind, or that stands in for others; its replies begin with their first clause.

    A subclass says what it still owes when it calls `give_up`, and asks `gave_up` before it speaks.

    Its words carry `metadata["offset_ms"]`, from the context's first sample: pipecat turns word times into
    presentation times of the moment of sending, and the line knows when each sample is heard. Where two sentences
    touch without a space, and at the end of a reply, pipecat gives a word the time of the word before it; that
    one is placed by the length of the other. A word that was timed by a TTS before this one keeps its place.
    """

    _last_word: tuple[str | None, float, float] = (None, 0.0, 0.0)
    """Context, given offset, and estimated end of the word before, in ms."""

    def __init__(self, *, speech: SpokenText | None = None, **kwargs: Any) -> None:
        """`speech`: turns what is written into what is spoken; of this service alone."""
        super().__init__(text_transforms=[("*", speech)] if speech else None, **kwargs)
        self._speech = speech
        self.aggregate_by(FirstClauseAggregator(language=self.text_aggregation_language))
        self.gave_up = False
        self._speaks: set[str] = set()
        """Contexts of TTSSpeakFrames; the others are replies'."""
        self._unsaid: set[str] = set()
        """Contexts whose missing words were not spoken here."""

    @property
    def is_last(self) -> bool:
        return not isinstance(self.next, TtsFallback)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if direction is FrameDirection.DOWNSTREAM and self._is_not_ours(frame):
            await AIService.process_frame(self, frame, direction)
            if self.gave_up and not self.is_last and (waiting := self._take_waiting()):
                await self.queue_in_order(LLMTextFrame(waiting))
            await self.queue_in_order(frame)
        elif isinstance(frame, UnfinishedFrame):
            await AIService.process_frame(self, frame, direction)
            self._take_waiting()
        else:
            await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, TTSTextFrame) and frame.pts is not None and "offset_ms" not in frame.metadata:
            baseline = word_baseline(self)
            if baseline is not None:
                frame.metadata["offset_ms"] = self._place(frame, (frame.pts - baseline) / 1e6)
            if not self._is_written(frame):
                return
        await super().push_frame(frame, direction)

    def _is_written(self, frame: TTSTextFrame) -> bool:
        """Give a spoken word the text it stands for; False inside of "$5", whose last spoken word carries it."""
        context = self.tts_contexts.get(frame.context_id or "")
        raw = without_marks(frame.raw_text or "")
        if raw:
            frame.text = raw
        return bool(raw) or frame.append_to_context or context is None or not context.append_to_context

    def _place(self, frame: TTSTextFrame, given_ms: float) -> float:
        context, last_given_ms, last_end_ms = self._last_word
        moved = context == frame.context_id and given_ms <= last_given_ms
        start_ms = last_end_ms if moved else given_ms
        end_ms = start_ms + CHARACTER_MS * (len(frame.text.strip()) + 1)
        self._last_word = (frame.context_id, given_ms, end_ms)
        return start_ms

    def _is_not_ours(self, frame: Frame) -> bool:
        if self.gave_up and not self.is_last:
            return not isinstance(frame, SystemFrame | EndFrame)
        spoken = isinstance(frame, AggregatedTextFrame) and frame.will_be_spoken
        return isinstance(frame, TTSTextFrame) or spoken

    def _take_waiting(self) -> str:
        aggregator = self.aggregator
        assert isinstance(aggregator, FirstClauseAggregator)
        return aggregator.take()

    async def give_up(self, why: str, owed: Mapping[str, str]) -> None:
        """Say no more. `owed`: by context, in order, what has not sounded of it.

        The last one reports a permanent error instead of handing on.
        """
        if self.gave_up:
            return
        self.gave_up = True
        if self.is_last:
            await self.push_error(why, force_treat_as_permanent=True)
        else:
            logger.warning("{} gives up, {} goes on: {}", self, self.next, why)
        for context_id, text in owed.items():
            await self.hand_on(context_id, text)

    async def hand_on(self, context_id: str, text: str) -> None:
        """Close a context of speech; what is left of it is said by the next TTS, in its place."""
        self._unsaid.add(context_id)
        text = self._speech.written(text) if self._speech else text
        order = self._order(context_id, text) if text.strip() and not self.is_last else None
        await self.append_to_audio_context(context_id, TTSStoppedFrame(context_id=context_id))
        if order is not None:
            await self.append_to_audio_context(context_id, order)
        await self.remove_audio_context(context_id)

    async def pass_on(self, context_id: str, text: str) -> None:
        """Text that came as this one gave up: for the next, behind what was handed on."""
        if not self.is_last:
            written = self._speech.written(text) if self._speech else text
            await self.queue_in_order(self._order(context_id, written))

    def _order(self, context_id: str, text: str) -> Frame:
        context = self.tts_contexts.get(context_id)
        if context_id not in self._speaks or context is None:
            return LLMTextFrame(text.strip() + " ")
        # The utterance is written down once, when all of it was said.
        context.push_assistant_aggregation = False
        frame = TTSSpeakFrame(text.strip(), append_to_context=context.append_to_context)
        frame.interruptible = context.interruptible
        return frame

    async def on_turn_context_created(self, context_id: str) -> None:
        await super().on_turn_context_created(context_id)
        if context_id in self.tts_contexts:
            self._speaks.add(context_id)

    async def on_audio_context_completed(self, context_id: str) -> None:
        await super().on_audio_context_completed(context_id)
        self._forget(context_id)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        await super().on_audio_context_interrupted(context_id)
        self._forget(context_id)

    def _forget(self, context_id: str) -> None:
        self._speaks.discard(context_id)
        self._unsaid.discard(context_id)

    def is_unsaid(self, context_id: str) -> bool:
        return context_id in self._unsaid
