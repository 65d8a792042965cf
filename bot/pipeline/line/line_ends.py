"""The line's two processors in the pipeline, and the frames that say what was heard.

`LineInput` pushes the callee's audio in; `LineOutput` takes the agent's audio out and gives back, in order, what
was heard of it. A `PlayedSpeech` is speech from outside the pipeline: an opening made while it rang, a filler.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    ControlFrame,
    DataFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMAssistantPushAggregationFrame,
    LLMFullResponseEndFrame,
    MetricsFrame,
    OutputAudioRawFrame,
    StartFrame,
    SystemFrame,
    TextFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from bot.audio import (
    SAMPLE_RATE,
    SAMPLES_PER_MS,
    Speech,
    TimedWord,
    pcm_to_mulaw,
)
from bot.pipeline.line.line import Line, Payload
from bot.pipeline.pipecat_internals import PassesAudio

FILLER = "filler"
"""The context of speech that only fills a wait."""
WORD_HEARD_MS = 100
"""A word counts as heard this long after its start: engines time starts, not ends."""


@dataclass
class HeardTextFrame(SystemFrame):
    """Words of the agent the callee has heard. A system frame: it must not be overtaken by the
    InterruptionFrame that it precedes."""

    text: str


@dataclass
class ReplyWithdrawnFrame(InterruptionFrame):
    """Drops what is being prepared of a reply that nobody has heard: no interruption by the callee, so what was
    heard meanwhile, a filler, stays the beginning of the reply to come."""


@dataclass
class AllHeardFrame(ControlFrame):
    """Queued behind the goodbye; `heard` is called when all of it was heard."""

    heard: Callable[[], Awaitable[None]] = field(repr=False)
    interruptible: bool = field(default=False, init=False)


@dataclass
class UnfinishedFrame(DataFrame):
    """The reply ends with its last whole sentence: what waits behind that is not spoken."""


UNHEARD = "unheard"
"""In an InterruptionFrame's metadata: the words that were spoken and that it keeps from being heard."""
NOTED = "noted"
"""In the metadata of an interruption that passes the callee's half: set once the agent's half knows of it."""
MADE_AT = "made_at"
"""The same: when it passed the callee's half, time.monotonic()."""


@dataclass
class HushFrame(InterruptionFrame):
    """Drops what is being said and what the pipeline is about to say; `passed` once that is so."""

    passed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


class MediaListener(Protocol):
    """What the two ends of the line report."""

    def listening_began(self) -> None:
        """The pipeline takes the callee's audio from now on, what was kept for it first."""
        ...

    def callee_window(self, pcm: bytes) -> None:
        """A frame the pipeline is about to take: INPUT_FRAME_SAMPLES, 16 bit."""
        ...

    def agent_audio_begins(self, now: float) -> None:
        """Audio is sent to a line that was silent, time.monotonic()."""
        ...

    def agent_speaks(self, speaking: bool) -> None: ...

    async def key_pressed(self, key: str) -> None:
        """The callee pressed 0-9, *, # or A-D."""
        ...

    def metrics_came(self, frame: MetricsFrame) -> None: ...


class LineInput(PassesAudio):
    """First of the pipeline: the callee's audio, 8 kHz 16-bit mono, 32 ms a frame."""

    def __init__(self, line: Line, listener: MediaListener) -> None:
        super().__init__(name="LineInput", enable_direct_mode=True)
        self._line, self._listener = line, listener

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._line.give_audio_to(self._push_audio)
            self._listener.listening_began()
        elif isinstance(frame, EndFrame | CancelFrame):
            self._line.give_audio_to(None)

    async def _push_audio(self, pcm: bytes) -> None:
        self._listener.callee_window(pcm)
        await self.push_frame(InputAudioRawFrame(audio=pcm, sample_rate=SAMPLE_RATE, num_channels=1))


@dataclass
class Saying:
    """What is known of the speech that is on its way to the callee."""

    opening: bool = False
    protected: bool = False
    """It is to be heard whole: a goodbye, what the law wants said."""
    complete: bool = False
    """All of it is there."""
    asks: bool = False
    """It ends with a question, as far as it is there."""

    def word(self, text: str) -> None:
        self.asks = text.rstrip().endswith("?")


class PlayedSpeech:
    """Speech from outside the pipeline on its way to the line: audio, words, an end, in the order they come."""

    def __init__(
        self, line: Line, context_id: str, text: str, saying: Saying, *, begins_reply: bool = False
    ) -> None:
        self.began_at = time.monotonic()
        self.opening = saying.opening
        self._line = line
        self._saying = saying
        self._context_id = context_id
        self._text = text
        self._begins_reply = begins_reply
        self._start = line.position
        self._played = self._worded = self._over = False
        line.when_heard(TTSStartedFrame(context_id=context_id), position=self._start)

    def play(self, pcm: bytes) -> None:
        if not self._over:
            self._played = True
            self._line.play(pcm_to_mulaw(pcm))

    def place(self, word: TimedWord) -> None:
        if not self._over:
            self._worded = True
            at = self._start + round((word.start_ms + WORD_HEARD_MS) * SAMPLES_PER_MS)
            self._line.when_heard(HeardTextFrame(word.text), position=at)

    def end(self) -> None:
        if not self._over:
            self._over = True
            self._saying.complete = not self._begins_reply
            self._saying.word(self._text)
            if self._played and not self._worded and self._text:
                self._line.when_heard(HeardTextFrame(self._text))
            if not self._begins_reply:
                self._line.when_heard(LLMAssistantPushAggregationFrame(), mark=True)
            self._line.when_heard(TTSStoppedFrame(context_id=self._context_id), mark=self._begins_reply)

    def stop(self) -> None:
        """What still comes is not played."""
        self._over = True


class LineOutput(FrameProcessor):
    """Last before the assistant's context: plays the agent's audio, gives back what was heard; the line's
    listener.

    Text and the ends of replies travel on only when the callee has heard what they belong to, so what
    stands behind this processor never knows more than the callee does.
    """

    def __init__(
        self, line: Line, listener: MediaListener, must_be_heard: Callable[[], bool] = lambda: False
    ) -> None:
        """`must_be_heard`: what is being said now is not to be cut by the callee."""
        super().__init__(name="LineOutput")
        self._must_be_heard = must_be_heard
        self.last_word_at = 0.0
        """When the last word was heard, time.monotonic()."""
        self.last_audio_at = 0.0
        """When the pipeline last gave audio, time.monotonic(); what is played past it does not count."""
        self._line, self._listener = line, listener
        self._starts: dict[str | None, int] = {}
        """Context of speech → position of its first sample."""
        self._last_word_at: dict[str | None, int] = {}
        self._speaking = False
        self._playback: PlayedSpeech | None = None
        self.saying = Saying()

    def begin(
        self,
        context_id: str,
        text: str = "",
        *,
        begins_reply: bool = False,
        opening: bool = False,
        protected: bool = False,
    ) -> PlayedSpeech:
        """Play speech that comes from elsewhere, as a turn of its own. Works before the pipeline runs.

        `text` is taken as heard where no words are placed. An interruption ends the playback. With
        `begins_reply` it is no turn of its own: what was heard of it begins the reply that follows.
        """
        self.saying = Saying(opening, protected)
        self._playback = PlayedSpeech(self._line, context_id, text, self.saying, begins_reply=begins_reply)
        return self._playback

    def speak(self, speech: Speech, *, context_id: str = "prepared", begins_reply: bool = False) -> None:
        """Play speech that is there as a whole."""
        playback = self.begin(context_id, speech.text, begins_reply=begins_reply)
        playback.play(speech.pcm)
        for word in speech.words:
            playback.place(word)
        playback.end()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
            return
        match frame:
            case OutputAudioRawFrame():
                await self._play(frame)
            case TTSTextFrame():
                self._place_word(frame)
            case InterruptionFrame():
                await self._interrupt(frame)
            case TTSStoppedFrame():
                self.saying.complete = True
                self._line.when_heard(frame, mark=True)
            case LLMFullResponseEndFrame() | LLMAssistantPushAggregationFrame():
                self._line.when_heard(frame)
            case AllHeardFrame():
                self._line.when_heard(frame.heard, mark=True)
            case EndFrame():
                self._line.when_heard(frame)
            case TextFrame():
                pass  # announcements of text to be spoken; the heard words follow
            case MetricsFrame():
                self._listener.metrics_came(frame)
            case _:
                await self.push_frame(frame, direction)

    async def _play(self, frame: OutputAudioRawFrame) -> None:
        context_id = getattr(frame, "context_id", None)
        if context_id not in self._starts:
            self._starts = {context_id: self._line.position}
            self._last_word_at = {}
            self.saying = Saying()
        self.last_audio_at = time.monotonic()
        self._line.play(pcm_to_mulaw(frame.audio))
        await self._note_speaking()

    def _place_word(self, frame: TTSTextFrame) -> None:
        """A word belongs where its audio is, and never before its predecessor."""
        self.saying.word(frame.text)
        offset_ms = frame.metadata.get("offset_ms")
        start = self._starts.get(frame.context_id)
        position = None
        if offset_ms is not None and start is not None:
            position = start + round((offset_ms + WORD_HEARD_MS) * SAMPLES_PER_MS)
            position = max(position, self._last_word_at.get(frame.context_id, 0))
            self._last_word_at[frame.context_id] = position
        self._line.when_heard(HeardTextFrame(frame.text), position=position)

    async def _interrupt(self, frame: InterruptionFrame) -> None:
        if self._is_from_before_the_opening(frame) or self._cuts_what_must_be_heard(frame):
            if NOTED in frame.metadata:
                frame.metadata[NOTED].set()
            return
        if self._playback is not None:
            self._playback.stop()
            self._playback = None
        dropped = await self._line.interrupt()
        frame.metadata[UNHEARD] = " ".join(each.text for each in dropped if isinstance(each, HeardTextFrame))
        self._starts.clear()
        await self._note_silent()
        if isinstance(frame, HushFrame):
            frame.passed.set()
        await self.push_frame(frame)

    def _is_from_before_the_opening(self, frame: InterruptionFrame) -> bool:
        """The callee's hello, which the opening answers: it took so long to get here. Nothing was said before."""
        made_at = frame.metadata.get(MADE_AT)
        playback = self._playback
        return (
            made_at is not None
            and not isinstance(frame, HushFrame)
            and playback is not None
            and playback.opening
            and made_at < playback.began_at
        )

    def _cuts_what_must_be_heard(self, frame: InterruptionFrame) -> bool:
        """A hello that began before the opening becomes a turn, which interrupts, although nothing else may."""
        playback = self._playback
        protected = self.saying.protected or self._must_be_heard()
        playing = playback is not None and playback.opening and not self._line.idle
        return playing and protected and not isinstance(frame, HushFrame)

    def audio_begins(self, now: float) -> None:
        self._listener.agent_audio_begins(now)

    async def key_pressed(self, key: str) -> None:
        await self._listener.key_pressed(key)

    async def heard(self, payload: Payload) -> None:
        if not isinstance(payload, Frame):
            await payload()
            return
        if isinstance(payload, HeardTextFrame):
            self.last_word_at = time.monotonic()
        elif isinstance(payload, TTSStartedFrame):
            await self._note_speaking()
        await self.push_frame(payload)
        if isinstance(payload, TTSStoppedFrame) and self._line.idle:
            await self._note_silent()

    async def _note_speaking(self) -> None:
        if not self._speaking:
            self._speaking = True
            self._listener.agent_speaks(True)
            await self.broadcast_frame(BotStartedSpeakingFrame)

    async def _note_silent(self) -> None:
        if self._speaking:
            self._speaking = False
            self._listener.agent_speaks(False)
            await self.broadcast_frame(BotStoppedSpeakingFrame)
