"""What is done about a reply that is owed: said, asked again, apologised for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from pipecat.frames.frames import Frame, LLMRunFrame

from bot.conversation.replies import Replies
from bot.conversation.scenario.parts import Patience
from bot.conversation.stages import Stages
from bot.pipeline.line.line_ends import ReplyWithdrawnFrame
from bot.records import EndedReason


@dataclass
class World:
    """A line, an output, a pipeline, fillers and a model, as far as replies know them."""

    idle: bool = True
    last_audio_at: float = 0.0
    may_fill: bool = True
    busy: bool = False
    reply_has_text: bool = False
    reply_was_empty: bool = False
    done: list[object] = field(default_factory=list)

    def say(self) -> bool:
        self.done.append("filler")
        return self.may_fill

    async def queue(self, *frames: Frame) -> None:
        self.done += [type(frame) for frame in frames]

    async def queue_frame(self, frame: Frame) -> None:
        await self.queue(frame)

    async def apologise(self, reason: EndedReason, _error: str) -> None:
        self.done.append(reason)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def replies(world: World) -> Replies:
    parts: Any = world
    patience = Patience(filler_seconds=2.5, ask_again_seconds=6, apology_seconds=12)
    stages = Stages(parts, parts, parts, parts, parts, (parts,))
    replies = Replies(patience, stages, fillers=parts, apologise=world.apologise)
    replies.owe()
    return replies


async def attend(replies: Replies, seconds: float) -> None:
    await replies.attend(time.monotonic() + seconds)


async def test_a_filler_that_was_said_is_not_said_again_at_once(replies: Replies, world: World) -> None:
    await attend(replies, 2.6)
    await attend(replies, 2.8)
    assert world.done == ["filler"]


async def test_a_filler_that_could_not_be_said_is_tried_again(replies: Replies, world: World) -> None:
    world.may_fill = False
    await attend(replies, 2.6)
    await attend(replies, 2.8)
    assert world.done == ["filler", "filler"]


async def test_a_lost_reply_is_withdrawn_before_it_is_asked_for_again(replies: Replies, world: World) -> None:
    await attend(replies, 6.1)
    assert world.done == [ReplyWithdrawnFrame, LLMRunFrame]
    assert replies.owed


@pytest.mark.parametrize(
    ("busy", "written", "reason"),
    [
        (True, False, EndedReason.ERROR_LLM),
        (True, True, EndedReason.ERROR_LLM),
        (False, False, EndedReason.ERROR_LLM),
        (False, True, EndedReason.ERROR_TTS),
    ],
)
async def test_the_apology_names_who_was_silent(
    replies: Replies, world: World, busy: bool, written: bool, reason: EndedReason
) -> None:
    world.busy, world.reply_has_text = busy, written
    await attend(replies, 6.1)
    world.done.clear()
    await attend(replies, 12.1)
    assert world.done == [ReplyWithdrawnFrame, reason]
    assert not replies.owed


async def test_audio_pays(replies: Replies, world: World) -> None:
    world.last_audio_at = time.monotonic() + 2
    await attend(replies, 20)
    assert world.done == []
    assert not replies.owed
