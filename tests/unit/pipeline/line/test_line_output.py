"""The last processors of the pipeline: only what the callee has heard reaches the assistant's context."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.utils.text.base_text_aggregator import TextType

from bot.audio import SAMPLES_PER_MS, Speech, TimedWord, mulaw_to_pcm, pcm_to_mulaw
from bot.conversation.opening import SpeechStream
from bot.pipeline.line.line import Line, LineEnd
from bot.pipeline.line.line_ends import MADE_AT, NOTED, AllHeardFrame, LineInput, LineOutput
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.turns.context import AssistantContext
from tests.unit.pipeline.conversation import Collector, Diary, Reports, running, until
from tests.unit.pipeline.memory_socket import MemorySocket, media, stream_on

WORD_MS = 200


@dataclass
class Call:
    socket: MemorySocket
    line: Line
    output: LineOutput
    behind: Collector
    """Between the output and the assistant's context."""
    before: Collector
    diary: Diary
    context: LLMContext
    pipeline: RunningPipeline
    speaking: list[bool]

    async def echo_all(self) -> None:
        """Playback reaches the end of everything sent, in order."""
        while not self.line.idle:
            for name in self.socket.marks:
                self.socket.echo(name)
            await asyncio.sleep(0.002)

    @property
    def assistant(self) -> list[Any]:
        return [m["content"] for m in self.context.get_messages() if m["role"] == "assistant"]  # type: ignore[index]


@asynccontextmanager
async def a_call() -> AsyncIterator[Call]:
    socket = MemorySocket()
    line = Line(stream_on(socket))
    diary, context = Diary(), LLMContext(messages=[{"role": "user", "content": "hi"}])
    reports = Reports()
    output = LineOutput(line, reports)
    before, behind = Collector("Before"), Collector("Behind")
    holding = asyncio.create_task(line.run(output))
    stages = [LineInput(line, reports), before, output, behind, AssistantContext(context, diary)]
    async with running(stages) as pipeline:
        yield Call(socket, line, output, behind, before, diary, context, pipeline, reports.speaking)
    await line.close()
    assert await holding is LineEnd.HUNG_UP


def spoken(text: str, context_id: str, *, word_ms: int = WORD_MS) -> list[Frame]:
    """A reply as a voice sends it: each word's audio, then the word with its place in the context's audio."""
    frames: list[Frame] = [LLMFullResponseStartFrame(), TTSStartedFrame(context_id=context_id)]
    for number, word in enumerate(text.split()):
        pcm = mulaw_to_pcm(bytes([number + 1]) * (word_ms * SAMPLES_PER_MS))
        frames.append(TTSAudioRawFrame(pcm, 8000, 1, context_id=context_id))
        frame = TTSTextFrame(word, TextType.WORD, context_id=context_id)
        frame.metadata["offset_ms"] = float(number * word_ms)
        frames.append(frame)
    frames += [TTSStoppedFrame(context_id=context_id), LLMFullResponseEndFrame()]
    return frames


async def test_words_are_released_as_they_are_heard_and_the_turn_when_all_of_it_was() -> None:
    async with a_call() as call:
        await call.pipeline.queue(*spoken("one two three four five six", "c1"))
        await until(lambda: bool(call.socket.marks))
        assert call.diary.of("heard") == []
        assert call.assistant == []
        call.socket.echo(call.socket.marks[0])
        await call.diary.until("heard")
        heard = call.diary.of("heard")
        assert heard == ["one", "two", "three", "four", "five", "six"][: len(heard)]
        assert len(heard) < 3, "no word before its audio"
        assert call.diary.of("agent") == []
        await call.echo_all()
        await call.diary.until("agent")
        assert call.diary.of("agent") == ["one two three four five six"]
        assert call.assistant == ["one two three four five six"]
        assert call.socket.audio == b"".join(bytes([n + 1]) * 1600 for n in range(6))


async def test_an_interruption_keeps_exactly_the_heard_words_and_the_cut_sign() -> None:
    async with a_call() as call:
        await call.pipeline.queue(*spoken("one two three four five six seven", "c1"))
        await until(lambda: len(call.socket.marks) >= 2)
        call.socket.echo(call.socket.marks[0])
        await call.diary.until("heard")
        await call.pipeline.queue(InterruptionFrame())
        await call.diary.until("agent, cut")
        heard = call.diary.of("heard")
        assert 1 <= len(heard) < 7
        assert call.assistant == [" ".join([*map(str, heard), "—"])]
        assert call.diary.of("agent, cut") == call.assistant
        said = ["one", "two", "three", "four", "five", "six", "seven"]
        assert str(call.diary.of("cut")[0]).split() == said[len(heard) :], "the words that nobody heard"
        sent = [message["event"] for message in call.socket.sent]
        assert sent[-1] == "clear"
        await call.pipeline.queue(*spoken("again", "c2"))
        await until(lambda: call.socket.sent[-1]["event"] == "mark")
        await call.echo_all()
        await call.diary.until("agent")
        assert call.assistant[1:] == ["again"]
        assert call.socket.audio.endswith(b"\x01" * 1600)


async def test_an_interruption_before_any_word_was_heard_leaves_no_turn() -> None:
    async with a_call() as call:
        await call.pipeline.queue(*spoken("one two", "c1"))
        await until(lambda: bool(call.socket.marks))
        await call.pipeline.queue(InterruptionFrame())
        await call.socket.until_sent("clear")
        await until(lambda: bool(call.behind.of(InterruptionFrame)))
        await asyncio.sleep(0.02)
        assert call.assistant == []
        assert call.diary.of("heard") == []


async def test_a_word_beyond_the_end_of_its_audio_holds_up_nothing() -> None:
    """The last word is 60 ms long and counts as heard 100 ms after its start."""
    async with a_call() as call:
        said: list[str] = []

        async def heard() -> None:
            said.append("farewell")

        await call.pipeline.queue(*spoken("bye a b", "c1", word_ms=60), AllHeardFrame(heard))
        await until(lambda: bool(call.socket.marks))
        await call.echo_all()
        await until(lambda: bool(said))
        await call.diary.until("agent")
        assert call.assistant == ["bye a b"]


async def test_a_farewell_is_heard_after_the_goodbye_and_never_after_an_interruption() -> None:
    async with a_call() as call:
        told: list[tuple[str, list[object]]] = []

        async def first() -> None:
            told.append(("first", call.diary.of("heard")))

        await call.pipeline.queue(*spoken("good bye", "c1"), AllHeardFrame(first))
        await until(lambda: bool(call.socket.marks))
        await asyncio.sleep(0.02)
        assert told == []
        await call.echo_all()
        await until(lambda: bool(told))
        assert [name for name, _ in told] == ["first"]

        async def second() -> None:
            told.append(("second", []))

        await call.pipeline.queue(*spoken("good bye", "c2"), AllHeardFrame(second))
        await call.socket.until_sent("mark", len(call.socket.marks) + 1)
        await call.pipeline.queue(InterruptionFrame())
        await call.socket.until_sent("clear")
        await call.echo_all()
        assert [name for name, _ in told] == ["first"]


async def test_the_announced_text_never_reaches_the_context() -> None:
    async with a_call() as call:
        frames = spoken("one", "c1")
        frames.insert(1, LLMTextFrame("one and much that will never be heard"))
        await call.pipeline.queue(*frames)
        await until(lambda: bool(call.socket.marks))
        await call.echo_all()
        await call.diary.until("agent")
        assert call.assistant == ["one"]
        assert call.behind.of(LLMTextFrame) == []


async def test_speaking_is_told_from_the_first_sent_to_the_last_heard() -> None:
    async with a_call() as call:
        await call.pipeline.queue(*spoken("one two", "c1"))
        await until(lambda: bool(call.socket.marks))
        assert call.speaking == [True]
        assert any(isinstance(frame, BotStartedSpeakingFrame) for frame in call.before.up)
        assert not any(isinstance(frame, BotStoppedSpeakingFrame) for frame in call.before.up)
        await call.echo_all()
        await until(lambda: call.speaking == [True, False])
        await until(lambda: any(isinstance(frame, BotStoppedSpeakingFrame) for frame in call.before.up))


async def test_a_prepared_opening_is_a_turn_of_its_own() -> None:
    async with a_call() as call:
        pcm = mulaw_to_pcm(b"\x21" * 4800)
        words = (TimedWord("Hello", 0, 300), TimedWord("there", 300, 600))
        call.output.speak(Speech("Hello there", pcm, words), context_id="opening")
        await call.socket.until_sent("mark")
        assert call.assistant == []
        await call.echo_all()
        await call.diary.until("agent")
        assert call.assistant == ["Hello there"]
        assert call.socket.audio == pcm_to_mulaw(pcm)
        call.output.speak(Speech("No word times", pcm), context_id="apology")
        await until(lambda: not call.line.idle)
        await call.echo_all()
        await call.diary.until("agent", 2)
        assert call.assistant == ["Hello there", "No word times"]


async def test_an_interrupted_opening_keeps_what_was_heard() -> None:
    async with a_call() as call:
        pcm = mulaw_to_pcm(b"\x21" * 8000)
        words = tuple(TimedWord(f"w{number}", number * 200, number * 200 + 200) for number in range(5))
        call.output.speak(Speech("w0 w1 w2 w3 w4", pcm, words), context_id="opening")
        await call.socket.until_sent("mark")
        call.socket.echo(call.socket.marks[0])
        await call.diary.until("heard")
        await call.pipeline.queue(InterruptionFrame())
        await call.diary.until("agent, cut")
        heard = [str(word) for word in call.diary.of("heard")]
        assert 1 <= len(heard) < 5
        assert call.assistant == [" ".join([*heard, "—"])]


async def test_a_stream_is_heard_while_it_is_being_made() -> None:
    async with a_call() as call:
        stream = SpeechStream("one two three")
        stream.add_audio(pcm_of(b"\x21"))
        stream.add_word(TimedWord("one", 0, 200))
        stream.play_to(call.output.begin("opening", "one two three"))
        await until(lambda: bool(call.socket.marks))
        assert call.socket.audio == b"\x21" * 1600, "what there is goes out at once"
        stream.add_audio(pcm_of(b"\x22"))
        stream.add_word(TimedWord("two", 200, 400))
        await until(lambda: call.socket.audio.endswith(b"\x22" * 1600))
        await call.echo_all()
        assert call.diary.of("heard") == ["one", "two"]
        assert call.diary.of("agent") == [], "it is not over while more may come"
        assert call.speaking == [True]
        stream.add_audio(pcm_of(b"\x23"))
        stream.add_word(TimedWord("three", 400, 600))
        stream.finish()
        await until(lambda: len(call.socket.audio) == 4800)
        await call.echo_all()
        await call.diary.until("agent")
        assert call.assistant == ["one two three"]
        await until(lambda: call.speaking == [True, False])


async def test_an_interruption_from_before_the_opening_does_not_cut_it() -> None:
    """The hello that the opening answers: it was on its way through the pipeline when that began."""
    async with a_call() as call:
        late, noted = InterruptionFrame(), asyncio.Event()
        late.metadata |= {MADE_AT: time.monotonic(), NOTED: noted}
        playback = call.output.begin("opening", opening=True)
        for number, word in enumerate(("one", "two")):
            playback.play(pcm_of(b"\x21"))
            playback.place(TimedWord(word, number * 200, number * 200 + 200))
        playback.end()
        await call.pipeline.queue(late)
        await asyncio.wait_for(noted.wait(), 20)
        await until(lambda: len(call.socket.audio) == 3200)
        await call.echo_all()
        await call.diary.until("agent")
        assert call.assistant == ["one two"]
        assert call.behind.of(InterruptionFrame) == []
        playback = call.output.begin("opening", opening=True)
        playback.play(pcm_of(b"\x21"))
        meant = InterruptionFrame()
        meant.metadata[MADE_AT] = time.monotonic()
        await call.pipeline.queue(meant)
        await until(lambda: call.behind.of(InterruptionFrame) == [meant])


async def test_what_comes_of_a_stream_after_an_interruption_is_not_played() -> None:
    async with a_call() as call:
        stream = SpeechStream("one two three")
        stream.play_to(call.output.begin("opening", "one two three"))
        for number, word in enumerate(("one", "two")):
            stream.add_audio(pcm_of(b"\x21"))
            stream.add_word(TimedWord(word, number * 200, number * 200 + 200))
        await until(lambda: len(call.socket.audio) == 3200)
        call.socket.echo(call.socket.marks[0])
        await call.diary.until("heard")
        await call.pipeline.queue(InterruptionFrame())
        await call.diary.until("agent, cut")
        cut = call.assistant
        sent = len(call.socket.sent)
        stream.add_audio(pcm_of(b"\x55"))
        stream.add_word(TimedWord("three", 400, 600))
        stream.finish()
        assert call.line.idle
        await call.pipeline.queue(*spoken("again", "c2"))
        await until(lambda: call.socket.audio.endswith(b"\x01" * 1600))
        await call.echo_all()
        await call.diary.until("agent")
        assert b"\x55" not in call.socket.audio
        assert call.socket.sent[sent]["event"] == "media", "and no mark of it either"
        assert call.assistant == [*cut, "again"]
        assert "three" not in call.diary.of("heard")


async def test_a_stream_that_stays_silent_leaves_no_turn() -> None:
    async with a_call() as call:
        stream = SpeechStream("one")
        stream.play_to(call.output.begin("opening", "one"))
        stream.finish()
        await call.pipeline.queue(*spoken("instead", "c2"))
        await until(lambda: call.socket.audio.endswith(b"\x01" * 1600))
        await call.echo_all()
        await call.diary.until("agent")
        await until(lambda: call.assistant == ["instead"])
        assert call.diary.of("heard") == ["instead"]


def pcm_of(mulaw: bytes) -> bytes:
    """200 ms."""
    return mulaw_to_pcm(mulaw * 1600)


async def test_metrics_stop_here() -> None:
    socket = MemorySocket()
    line = Line(stream_on(socket))
    reports, behind = Reports(), Collector()
    async with running([LineOutput(line, reports), behind]) as pipeline:
        await pipeline.queue(MetricsFrame(data=[]))
        await until(lambda: bool(reports.metrics))
        assert behind.of(MetricsFrame) == []


async def test_the_end_waits_for_the_last_word() -> None:
    async with a_call() as call:
        await call.pipeline.queue(*spoken("one", "c1"), EndFrame())
        await until(lambda: bool(call.socket.marks))
        await asyncio.sleep(0.02)
        assert call.behind.of(EndFrame) == []
        await call.echo_all()
        await until(lambda: bool(call.behind.of(EndFrame)))
        assert call.diary.of("heard") == ["one"]


async def test_the_callees_audio_enters_at_the_line() -> None:
    async with a_call() as call:
        call.socket.say(media(b"\x10" * 512, 0))
        await until(lambda: len(call.before.of(InputAudioRawFrame)) == 2)
        first = call.before.of(InputAudioRawFrame)[0]
        assert isinstance(first, InputAudioRawFrame)
        assert (first.sample_rate, first.num_channels, len(first.audio)) == (8000, 1, 512)
