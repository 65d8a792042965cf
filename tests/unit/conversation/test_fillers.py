"""Phrases made ahead, said when nobody speaks; what was heard of one begins the reply that follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pipecat.frames.frames import (
    FunctionCallFromLLM,
    FunctionCallInProgressFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext

from bot.audio import SAMPLES_PER_MS, Speech, TimedWord
from bot.conversation import opening
from bot.conversation.fillers import Fillers, PhraseBook
from bot.errors import VendorError
from bot.pipeline.line.line import Line
from bot.pipeline.line.line_ends import LineInput, LineOutput, ReplyWithdrawnFrame
from bot.pipeline.resources import Resources
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.tts.vendors import Hibari
from bot.pipeline.turns.context import AssistantContext
from bot.pipeline.usage import Usage
from bot.settings import Settings
from tests.unit.pipeline.conversation import Collector, Diary, Reports, running
from tests.unit.pipeline.line.test_line_output import spoken
from tests.unit.pipeline.memory_socket import MemorySocket, stream_on

VOICE = Hibari()


def speech(text: str) -> Speech:
    """200 ms a word."""
    words = tuple(TimedWord(word, 200.0 * n, 200.0 * (n + 1)) for n, word in enumerate(text.split()))
    return Speech(text, b"\x01\x02" * 200 * SAMPLES_PER_MS * len(words), words)


@dataclass
class Talk:
    fillers: Fillers
    line: Line
    socket: MemorySocket
    diary: Diary
    context: LLMContext
    pipeline: RunningPipeline
    quiet: list[bool]

    @property
    def assistant(self) -> list[Any]:
        return [m["content"] for m in self.context.get_messages() if m["role"] == "assistant"]  # type: ignore[index]

    async def hear_all(self) -> None:
        """Playback reaches the end of everything sent, in order."""
        while not self.line.idle:
            for name in self.socket.marks:
                self.socket.echo(name)
            await asyncio.sleep(0.002)


@asynccontextmanager
async def a_talk(*ready: str) -> AsyncIterator[Talk]:
    socket = MemorySocket()
    line, diary = Line(stream_on(socket)), Diary()
    context = LLMContext(messages=[{"role": "user", "content": "hi"}])
    reports = Reports()
    output = LineOutput(line, reports)
    quiet = [True]
    phrases = {text: speech(text) for text in ready}
    filling = Fillers(
        line, output, ["One moment.", "Let me see."], spoken=phrases.get, may_speak=lambda: quiet[0]
    )
    holding = asyncio.create_task(line.run(output))
    stages = [LineInput(line, reports), Collector("Before"), output, AssistantContext(context, diary)]
    async with running(stages) as pipeline:
        yield Talk(filling, line, socket, diary, context, pipeline, quiet)
    await line.close()
    await holding


async def test_a_filler_is_no_message_of_its_own_and_begins_the_reply() -> None:
    async with a_talk("One moment.") as talk:
        assert talk.fillers.say()
        await talk.hear_all()
        await talk.diary.until("heard", 2)
        assert talk.assistant == [], "a request made now would end with the assistant"
        await talk.pipeline.queue(*spoken("Thursday works.", "c1"))
        assert await _heard(talk)
        assert talk.assistant == ["One moment. Thursday works."]
        assert talk.diary.of("agent") == ["One moment. Thursday works."]


async def test_a_reply_that_comes_while_it_plays_follows_it() -> None:
    async with a_talk("One moment.") as talk:
        assert talk.fillers.say()
        await talk.pipeline.queue(*spoken("Thursday works.", "c1"))
        assert await _heard(talk)
        assert talk.assistant == ["One moment. Thursday works."]


async def test_an_interruption_of_it_is_one_like_any_other() -> None:
    async with a_talk("One moment.") as talk:
        assert talk.fillers.say()
        await talk.hear_all()
        await talk.diary.until("heard", 2)
        await talk.pipeline.queue(InterruptionFrame())
        await talk.diary.until("agent, cut")
        assert talk.assistant == ["One moment. —"]


async def test_a_reply_withdrawn_by_us_leaves_it_where_it_is() -> None:
    async with a_talk("One moment.") as talk:
        assert talk.fillers.say()
        await talk.hear_all()
        await talk.diary.until("heard", 2)
        await talk.pipeline.queue(ReplyWithdrawnFrame(), *spoken("Thursday works.", "c1"))
        assert await _heard(talk)
        assert talk.assistant == ["One moment. Thursday works."]
        assert talk.diary.of("agent, cut") == []


async def test_a_tools_call_stands_behind_it_and_the_transcript_keeps_it() -> None:
    async with a_talk("One moment.") as talk:
        assert talk.fillers.say()
        await talk.hear_all()
        await talk.diary.until("heard", 2)
        call = FunctionCallFromLLM("look_up", "t1", {}, talk.context)
        await talk.pipeline.queue(
            LLMFullResponseStartFrame(),
            FunctionCallsStartedFrame([call]),
            FunctionCallInProgressFrame("look_up", "t1", {}, cancel_on_interruption=True),
            LLMFullResponseEndFrame(),
        )
        await talk.diary.until("agent")
        roles = [(m["role"], m.get("content")) for m in talk.context.get_messages()]  # type: ignore[index,union-attr]
        assert roles[1] == ("assistant", "One moment.")
        assert roles[-1][0] == "tool", "the tool's result ends the next request"
        assert talk.diary.of("agent") == ["One moment."]


async def test_it_is_not_said_where_it_is_not_ready_or_somebody_speaks() -> None:
    async with a_talk("Let me see.", "Checking.") as talk:
        talk.quiet[0] = False
        assert not talk.fillers.say()
        talk.quiet[0] = True
        assert not talk.fillers.say("Unknown.")
        assert talk.fillers.say(), "the one that is ready"
        assert not talk.fillers.say("Checking."), "one at a time"
        await talk.hear_all()
        assert talk.fillers.say("Checking.")


# -- made ahead ---------------------------------------------------------------------------------------


class Voice:
    """Stands for opening.speak; counts, and fails on "bad"."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.may_speak = asyncio.Event()
        self.may_speak.set()

    async def __call__(
        self,
        _resources: object,
        _member: object,
        text: str,
        *,
        language: str,
        pronunciation: object,
        usage: Usage,
    ) -> Speech:
        self.made.append(text)
        await self.may_speak.wait()
        if text == "bad":
            raise VendorError("no", provider="x", retryable=True)
        return speech(text)


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> Voice:
    voice = Voice()
    monkeypatch.setattr(opening, "speak", voice)
    return voice


@pytest.fixture
def book() -> PhraseBook:
    return PhraseBook(Resources(Settings(_env_file=None)), keep=2)


async def test_each_phrase_is_made_once_per_voice_and_language(voice: Voice, book: PhraseBook) -> None:
    await book.prepare(VOICE, "en", ["a"])
    await book.prepare(VOICE, "en", ["a"])
    assert voice.made == ["a"]
    assert book.get(VOICE, "en", "a") == speech("a")
    assert book.get(VOICE, "es", "a") is None
    assert book.get(Hibari(speed=1.5), "en", "a") is None


async def test_two_calls_at_once_share_the_work(voice: Voice, book: PhraseBook) -> None:
    voice.may_speak.clear()
    first = asyncio.create_task(book.prepare(VOICE, "en", ["a", "b"]))
    second = asyncio.create_task(book.prepare(VOICE, "en", ["a", "b"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    voice.may_speak.set()
    await asyncio.gather(first, second)
    assert sorted(voice.made) == ["a", "b"]


async def test_a_voice_that_fails_is_left_alone_and_tried_at_the_next_call(
    voice: Voice, book: PhraseBook
) -> None:
    await book.prepare(VOICE, "en", ["bad", "a"])
    assert voice.made == ["bad"]
    await book.prepare(VOICE, "en", ["a"])
    assert book.get(VOICE, "en", "a") is not None


async def test_only_so_many_are_kept(voice: Voice, book: PhraseBook) -> None:
    await book.prepare(VOICE, "en", ["a", "b"])
    assert book.get(VOICE, "en", "a")
    await book.prepare(VOICE, "en", ["c"])
    assert [bool(book.get(VOICE, "en", text)) for text in "abc"] == [True, False, True]


async def _heard(talk: Talk) -> bool:
    """Until the reply was heard to its end."""
    while not talk.diary.of("agent"):  # bounded by the test's timeout
        await talk.hear_all()
        await asyncio.sleep(0.002)
    return True


async def test_while_the_agent_pauses_for_a_sound_nothing_is_filled() -> None:
    async with a_talk("One moment.") as talk:
        await talk.line.hold()
        assert not talk.fillers.say()
        await talk.line.resume()
        assert talk.fillers.say()


async def test_a_phrase_is_made_as_its_scenario_says_it(
    book: PhraseBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    async def speak(*_: Any, pronunciation: Any, **__: Any) -> Speech:
        given.append(dict(pronunciation))
        return speech("Siobhan is here.")

    monkeypatch.setattr(opening, "speak", speak)
    said = {"Siobhan": "shivawn"}
    await book.prepare(VOICE, "en", ["Siobhan is here."], said)
    assert given == [said]
    assert book.get(VOICE, "en", "Siobhan is here.", said) is not None
    assert book.get(VOICE, "en", "Siobhan is here.") is None, "another scenario says it otherwise"
