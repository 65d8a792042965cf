"""The opening of a call, written and spoken while the phone rings, so that it is ready before the hello."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from bot import languages
from bot.audio import Speech, TimedWord
from bot.conversation import prompt
from bot.errors import VendorError
from bot.pipeline.llm import vendors as llm
from bot.pipeline.llm.vendors import LlmBrief, LlmVendor
from bot.pipeline.resources import Resources
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.tts.spoken_text import SpokenText
from bot.pipeline.tts.vendors import Hibari, TtsVendor
from bot.pipeline.usage import NO_USAGE, Usage, count_for

PREPARE_SECONDS = 6.0
"""A vendor that has not answered by then is left alone; the opening is then spoken by the pipeline."""
FLUSH_SECONDS = 2.0
"""For the last words of a stage that is through, and its socket's goodbye."""


class Listener(Protocol):
    """What plays a stream: the line's output."""

    def play(self, pcm: bytes) -> None: ...

    def place(self, word: TimedWord) -> None: ...

    def end(self) -> None: ...


class Openings(Protocol):
    """Keeps complete openings for other processes."""

    async def put(self, call_id: str, speech: Speech) -> None: ...

    async def get(self, call_id: str) -> Speech | None: ...


class NotKept:
    """Openings that stay in the process that made them."""

    async def put(self, call_id: str, speech: Speech) -> None:
        return

    async def get(self, call_id: str) -> Speech | None:
        return None


class SpeechStream:
    """Speech that is being made: what is there can be played while the rest comes.

    Fed by `add_audio` and `add_word`, ended by `finish`. A listener is given what there is, then what comes.
    """

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        """None until it is written."""
        self.pcm = bytearray()
        self.words: list[TimedWord] = []
        self.finished = False
        self._listener: Listener | None = None
        self._given: Callable[[], None] = lambda: None

    @property
    def silent(self) -> bool:
        """Over, and nothing was spoken."""
        return self.finished and not self.pcm

    def speech(self) -> Speech:
        return Speech(self.text or "", bytes(self.pcm), tuple(self.words))

    def add_audio(self, pcm: bytes) -> None:
        self.pcm += pcm
        if self._listener is not None:
            self._listener.play(pcm)

    def add_word(self, word: TimedWord) -> None:
        self.words.append(word)
        if self._listener is not None:
            self._listener.place(word)

    def add(self, speech: Speech) -> None:
        """Speech that is there as a whole."""
        self.add_audio(speech.pcm)
        for word in speech.words:
            self.add_word(word)

    def finish(self) -> None:
        """No more comes. Harmless when said twice."""
        if not self.finished:
            self.finished = True
            self._end()

    def play_to(self, listener: Listener, given: Callable[[], None] = lambda: None) -> None:
        """Give `listener` all of it, as it comes; then call `given`. One listener at a time."""
        if self.pcm:
            listener.play(bytes(self.pcm))
        for word in self.words:
            listener.place(word)
        self._listener, self._given = listener, given
        if self.finished:
            self._end()

    def _end(self) -> None:
        if self._listener is not None:
            self._listener.end()
            self._given()


class _Collector(FrameProcessor):
    """Keeps what a single stage produces; ends its pipeline at the first error."""

    def __init__(self, stream: SpeechStream | None = None) -> None:
        super().__init__(name="OpeningCollector")
        self.stream = stream or SpeechStream()
        self.text = ""
        self.complete = asyncio.Event()
        """The stage has said all it has to say."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.stream.add_audio(frame.audio)
        elif isinstance(frame, TTSTextFrame):
            words = self.stream.words
            start = float(frame.metadata.get("offset_ms", words[-1].end_ms if words else 0.0))
            self.stream.add_word(TimedWord(frame.text, start, start))
        elif isinstance(frame, LLMTextFrame):
            self.text += frame.text
        elif isinstance(frame, LLMFullResponseEndFrame | TTSStoppedFrame):
            self.complete.set()
        if not isinstance(frame, TTSAudioRawFrame | TextFrame):
            await self.push_frame(frame, direction)


@dataclass
class _OneStage:
    """A pipeline of one stage, with those that stand in for it, and a collector."""

    services: Sequence[FrameProcessor]
    collector: _Collector = field(default_factory=_Collector)
    error: ErrorFrame | None = None

    async def run(self, frame: Frame) -> _Collector:
        """Feed one frame, collect what comes of it. VendorError on any error or after PREPARE_SECONDS.

        The EndFrame follows when the stage is through: a pipeline that waits for one cannot be cancelled.
        """
        self._pipeline = pipeline = RunningPipeline([*self.services, self.collector], on_error=self._stop)
        await pipeline.queue(frame)
        running = asyncio.create_task(pipeline.run(), name="opening")
        complete = asyncio.create_task(self.collector.complete.wait(), name="opening complete")
        try:
            done, _ = await asyncio.wait(
                {running, complete}, timeout=PREPARE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise VendorError("the opening took too long", provider=self.services[0].name, retryable=True)
            if running not in done:
                await pipeline.queue(EndFrame())
                await asyncio.wait({running}, timeout=FLUSH_SECONDS)
        finally:
            complete.cancel()
            if not running.done():
                await pipeline.cancel()
            await asyncio.gather(running, complete, return_exceptions=True)
        if failure := running.exception():
            raise failure
        if self.error is not None:
            raise VendorError(self.error.error, provider=self.services[0].name, retryable=True)
        return self.collector

    async def _stop(self, frame: ErrorFrame) -> None:
        self.error = self.error or frame
        await self._pipeline.cancel()


async def write(
    resources: Resources, members: Sequence[LlmVendor], brief: LlmBrief, *, usage: Usage = NO_USAGE
) -> str:
    """The opening of the first model that has one. VendorError when it does not come."""
    context = LLMContext(messages=[{"role": "user", "content": prompt.WRITE_OPENING}])
    # Nothing stands in for an opening that is refused: the scenario's spare one does.
    brief = replace(brief, cannot_answer="")
    services = await asyncio.to_thread(llm.build, members, resources, brief)
    count_for(usage, services)
    collector = await _OneStage(services).run(LLMContextFrame(context=context))
    text = collector.text.strip()
    if not text:
        raise VendorError("the model wrote no opening", provider=members[0].vendor, retryable=True)
    return text


async def speak(
    resources: Resources,
    member: TtsVendor,
    text: str,
    *,
    language: str,
    pronunciation: Mapping[str, str] | None = None,
    stream: SpeechStream | None = None,
    usage: Usage = NO_USAGE,
) -> Speech:
    """`text` in the call's voice; `stream` is given the audio as it comes. VendorError: there is none.

    `pronunciation`: the scenario's.
    """
    stream = stream or SpeechStream(text)
    # In a thread: the first of a language compiles its rules, some 50 ms.
    spoken = await asyncio.to_thread(SpokenText, languages.of(language).speech, pronunciation or {})
    if isinstance(member, Hibari):
        said = await resources.voice.speak(await spoken(text, "sentence"), speed=member.speed)
        speech = Speech(text, said.pcm, spoken.written_words(said.words))
        usage.add(member.vendor, "speech", "characters", len(text))
        stream.add(speech)
        return speech
    service = await asyncio.to_thread(member.build, resources, language=language, speech=spoken)
    count_for(usage, (service,))
    await _OneStage((service,), _Collector(stream)).run(TTSSpeakFrame(text, append_to_context=True))
    if not stream.pcm:
        raise VendorError("the voice sent no audio", provider=member.vendor, retryable=True)
    return stream.speech()
