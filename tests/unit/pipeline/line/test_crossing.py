"""A line that goes from one media stream to the next: what is heard again, what the clocks say, how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.pipeline.line.crossing import Crossing
from bot.pipeline.line.line import Line, LineEnd, Payload
from bot.pipeline.line.line_ends import HeardTextFrame
from bot.pipeline.line.recording import Recording
from tests.unit.pipeline.conversation import Reports, until
from tests.unit.pipeline.memory_socket import MemorySocket, media, stream_on

TONE = bytes([0x21]) * 160


@asynccontextmanager
async def running(
    socket: MemorySocket, listener: Reports | None = None, **options: Any
) -> AsyncIterator[tuple[Line, asyncio.Task[LineEnd]]]:
    line = Line(stream_on(socket), **options)
    task = asyncio.create_task(line.run(listener or Reports()))
    try:
        yield line, task
    finally:
        await line.close()
        await task


async def test_the_line_goes_on_on_the_stream_that_was_expected() -> None:
    first, second = MemorySocket(), MemorySocket()
    async with running(first) as (line, task):
        line.expect_stream(5)
        first.hang_up()
        await until(lambda: line.away)
        line.play(TONE * 5)
        attached = asyncio.create_task(line.attach(stream_on(second, "MZ2")))
        assert await line.next_stream()
        await second.until_sent("mark")
        assert (line.away, line._stream.id, first.closed_with) == (False, "MZ2", 1000)
        assert second.audio == TONE * 5
        assert {message["streamSid"] for message in second.sent} == {"MZ2"}
        assert first.audio == b""
        assert not attached.done(), "its socket is held open"
        second.hang_up()
        assert await task is LineEnd.STOPPED
        assert await attached


async def test_what_was_sent_and_not_heard_is_sent_again() -> None:
    first, second = MemorySocket(), MemorySocket()
    heard: list[str] = []

    class Words(Reports):
        async def heard(self, payload: Payload) -> None:
            assert isinstance(payload, HeardTextFrame)
            heard.append(payload.text)

    async with running(first, Words()) as (line, _):
        line.play(TONE * 10)
        line.when_heard(HeardTextFrame("first"), mark=True)
        await first.until_sent("mark")
        first.echo(first.marks[0])
        await until(lambda: heard == ["first"])
        line.play(bytes([0x22]) * 1600)
        line.when_heard(HeardTextFrame("second"), mark=True)
        await first.until_sent("media", 3)
        line.expect_stream(5)
        first.hang_up()
        await until(lambda: line.away)
        attached = asyncio.create_task(line.attach(stream_on(second, "MZ2")))
        await second.until_sent("mark")
        assert second.audio
        assert set(second.audio) == {0x22}, "what was heard is not repeated"
        assert heard == ["first"]
        second.say(json.dumps({"event": "mark", "streamSid": "MZ2", "mark": {"name": second.marks[-1]}}))
        await until(lambda: heard == ["first", "second"])
        attached.cancel()


async def test_the_media_clock_goes_on_over_the_gap(tmp_path: Path) -> None:
    first, second = MemorySocket(), MemorySocket()
    recording = Recording(tmp_path / "a.wav")
    await recording.open()
    async with running(first, recording=recording) as (line, _):
        first.say(media(TONE, 0), media(TONE, 20))
        line.expect_stream(5)
        first.hang_up()
        await until(lambda: line.away)
        assert line.media_ms == 40
        await asyncio.sleep(0.1)
        attached = asyncio.create_task(line.attach(stream_on(second, "MZ2")))
        await line.next_stream()
        begins = line.media_ms
        assert 130 <= begins <= 1000
        second.say(media(TONE, 0), media(TONE, 20), media(TONE, 60))
        await until(lambda: line.media_ms >= begins + 80)
        assert line.media_ms == begins + 80, "its timestamps begin again; a lost frame counts"
        attached.cancel()
    await recording.close()


async def test_the_next_stream_may_come_before_the_last_one_ends() -> None:
    first, second = MemorySocket(), MemorySocket()
    async with running(first) as (line, _):
        line.expect_stream(5)
        attached = asyncio.create_task(line.attach(stream_on(second, "MZ2")))
        assert await line.next_stream()
        assert (line._stream.id, first.closed_with) == ("MZ2", 1000)
        attached.cancel()


async def test_a_stream_nobody_expects_is_refused() -> None:
    first, second = MemorySocket(), MemorySocket()
    async with running(first) as (line, task):
        assert not await line.attach(stream_on(second, "MZ2"))
        first.hang_up()
        assert await task is LineEnd.STOPPED
        assert not await line.attach(stream_on(second, "MZ2"))


async def test_a_stream_that_never_comes_ends_the_line() -> None:
    socket = MemorySocket()
    async with running(socket) as (line, task):
        line.expect_stream(0.05)
        socket.hang_up()
        assert await task is LineEnd.LOST
        assert not await line.next_stream()


async def test_a_carrier_that_refuses_leaves_the_stream_as_it_is() -> None:
    socket = MemorySocket()
    async with running(socket) as (line, task):
        line.expect_stream(5)
        line.expect_no_stream()
        assert not await line.next_stream()
        socket.hang_up()
        assert await task is LineEnd.STOPPED


async def test_a_call_that_ended_before_its_carrier_could_move_it_has_just_ended() -> None:
    socket = MemorySocket()
    async with running(socket) as (line, task):
        line.expect_stream(5)
        socket.hang_up()
        await until(lambda: line.away)
        line.expect_no_stream()
        assert await task is LineEnd.STOPPED


async def test_a_call_that_ends_between_two_streams_is_told_by_its_carrier() -> None:
    socket = MemorySocket()
    async with running(socket) as (line, task):
        line.carrier_ended()
        assert not line.ended, "a line with a stream hears it from that"
        line.expect_stream(5)
        socket.hang_up()
        await until(lambda: line.away)
        line.carrier_ended()
        assert await task is LineEnd.STOPPED


async def test_a_broken_socket_does_not_end_a_line_that_crosses() -> None:
    first, second = MemorySocket(), MemorySocket()
    async with running(first) as (line, task):
        line.expect_stream(5)
        first.broken = True
        line.play(TONE * 3000)
        await asyncio.sleep(0.01)
        assert not task.done()
        first.say(None)
        attached = asyncio.create_task(line.attach(stream_on(second, "MZ2")))
        assert await line.next_stream()
        await second.until_sent("media")
        assert (first.audio, set(second.audio)) == (b"", set(TONE)), "the rest goes to the next stream"
        attached.cancel()


async def test_an_interruption_between_two_streams_sends_nothing_and_drops_what_waits() -> None:
    first, second = MemorySocket(), MemorySocket()
    async with running(first) as (line, task):
        line.expect_stream(5)
        first.hang_up()
        await until(lambda: line.away)
        line.play(TONE)
        await line.interrupt()
        assert not task.done()
        attached = asyncio.create_task(line.attach(stream_on(second, "MZ2")))
        assert await line.next_stream()
        line.play(TONE * 2)
        await second.until_sent("mark")
        assert second.audio == TONE * 2
        assert first.of("clear") == []
        attached.cancel()


async def test_an_expectation_can_be_made_longer_and_ends_once() -> None:
    crossing = Crossing()
    assert not crossing.open
    crossing.expect(0.01)
    crossing.expect(5)
    stream = stream_on(MemorySocket(), "MZ2")
    assert crossing.arrive(stream)
    assert not crossing.arrive(stream_on(MemorySocket(), "MZ3")), "one stream at a time"
    crossing.call_off()
    assert await crossing.next() is stream
    assert await crossing.settled()
    assert not crossing.open


@pytest.mark.parametrize("came", [True, False])
async def test_the_end_of_the_line_lets_a_late_stream_go(came: bool) -> None:
    crossing = Crossing()
    crossing.expect(5)
    stream = stream_on(MemorySocket(), "MZ2")
    if came:
        crossing.arrive(stream)
    crossing.close()
    assert stream.over.is_set() is came
    assert not await crossing.settled()
