"""The sound for those who listen along: both sides with their places, and bounded."""

from __future__ import annotations

import asyncio

from bot.pipeline.line.live_sound import MOST_PIECES, LiveSound, SoundPiece
from bot.records import Speaker


async def test_both_sides_come_with_their_places() -> None:
    sound = LiveSound()
    assert not sound.wanted
    listening = sound.join()
    assert sound.wanted
    for frame in range(5):
        sound.callee(bytes([frame]) * 160, 1000 + frame * 20)
    sound.agent(b"\x01" * 2000, 900.4)
    callee = await listening.next()
    assert callee == SoundPiece(Speaker.CALLEE, 1000, b"".join(bytes([f]) * 160 for f in range(5)))
    assert await listening.next() == SoundPiece(Speaker.AGENT, 900, b"\x01" * 2000)
    sound.leave(listening)
    assert not sound.wanted


async def test_what_was_gathered_for_one_who_left_is_not_given_to_the_next() -> None:
    sound = LiveSound()
    first = sound.join()
    sound.callee(b"\x01" * 160, 0)
    sound.leave(first)
    second = sound.join()
    for frame in range(5):
        sound.callee(b"\x02" * 160, 5000 + frame * 20)
    assert await second.next() == SoundPiece(Speaker.CALLEE, 5000, b"\x02" * 800)


async def test_a_listener_who_falls_behind_loses_the_oldest() -> None:
    sound = LiveSound()
    listening = sound.join()
    for number in range(MOST_PIECES + 3):
        sound.agent(b"\x01", number)
    assert listening.lost == 3
    piece = await listening.next()
    assert piece is not None
    assert piece.at_ms == 3


async def test_the_end_of_the_line_ends_listening() -> None:
    sound = LiveSound()
    listening = sound.join()
    waiting = asyncio.create_task(listening.next())
    await asyncio.sleep(0)
    sound.close()
    assert await waiting is None
    assert await sound.join().next() is None
