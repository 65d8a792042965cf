"""The recording: two tracks on one clock, a file that plays after every flush."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audio import MULAW_SILENCE, mulaw_to_pcm
from bot.pipeline.line import recording as recording_module
from bot.pipeline.line.recording import Recording, Track, wav_header

SILENCE = bytes([MULAW_SILENCE])
HOLD = recording_module._HOLD_MS * 8
"""Samples that wait for late news of the agent."""


def channels(path: Path) -> tuple[bytes, bytes]:
    """The callee's and the agent's PCM, as any player reads them."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        pairs = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    return pairs[:, 0].tobytes(), pairs[:, 1].tobytes()


puts = st.tuples(st.just("put"), st.integers(0, 400), st.binary(max_size=60))
takes = st.tuples(st.just("take"), st.integers(0, 500), st.just(b""))


@given(st.lists(puts | takes, max_size=30))
def test_a_track_is_a_line_of_samples_written_once(script: list[tuple[str, int, bytes]]) -> None:
    """Whatever is put where: the first audio on a sample stays, gaps are silence, nothing moves."""
    track, line, end, taken = Track(), dict[int, int](), 0, 0
    out = b""
    for action, at, mulaw in script:
        if action == "put":
            track.put(mulaw, at)
            for number, code in enumerate(mulaw):
                if at + number >= end:
                    line[at + number] = code
            if at + len(mulaw) > end and mulaw:
                end = at + len(mulaw)
        else:
            out += track.take(at)
            taken = max(taken, at)
            end = max(end, taken)
            assert track.base == taken
    out += track.take(max(end, taken))
    assert out == bytes(line.get(at, MULAW_SILENCE) for at in range(len(out)))
    assert len(out) == max(end, taken)


def test_the_header_is_riff() -> None:
    header = wav_header(100)
    assert len(header) == 44
    assert header[:4] == b"RIFF"
    assert int.from_bytes(header[4:8], "little") == 36 + 400
    assert int.from_bytes(header[40:44], "little") == 400


async def test_both_sides_on_one_clock(tmp_path: Path) -> None:
    path = tmp_path / "recordings" / "call.wav"
    recording = Recording(path)
    await recording.open()
    recording.callee(b"\x10" * 160, 0)
    recording.callee(b"\x11" * 160, 60)
    recording.agent(b"\x20" * 80, 30)
    recording.agent(b"\x21" * 80, 35)
    await recording.close()
    left, right = channels(path)
    expected = b"\x10" * 160 + SILENCE * 320 + b"\x11" * 160
    assert left == mulaw_to_pcm(expected)
    agent = SILENCE * 240 + b"\x20" * 80 + b"\x21" * 40
    assert right == mulaw_to_pcm(agent + SILENCE * (640 - len(agent)))


async def test_an_agent_who_is_still_heard_when_the_callee_is_gone_is_kept(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "call.wav")
    await recording.open()
    recording.callee(b"\x10" * 160, 0)
    recording.agent(b"\x20" * 800, 10)
    await recording.close()
    left, right = channels(recording.path)
    assert len(left) == len(right) == 2 * 880
    assert right.endswith(mulaw_to_pcm(b"\x20" * 800))


async def test_a_killed_server_leaves_a_file_that_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any flush, without `close`: all but the last moments are there, and the header counts them."""
    assert HOLD < 2 * 8000, "less than two seconds may be lost"
    monkeypatch.setattr(recording_module, "FLUSH_SECONDS", 0.005)
    recording = Recording(tmp_path / "call.wav")
    await recording.open()
    assert channels(recording.path) == (b"", b"")
    sizes = set()
    for second in range(4):
        for frame in range(50):
            recording.callee(bytes([second + 1]) * 160, second * 1000 + frame * 20)
        recording.agent(bytes([0x40 + second]) * 4000, second * 1000 + 200)
        flushed = max(0, (second + 1) * 8000 - HOLD)
        while recording._frames < flushed:  # noqa: ASYNC110  # written by a task of the recording
            await asyncio.sleep(0.002)
        while recording.path.stat().st_size < 44 + 4 * flushed:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.02)
        left, right = channels(recording.path)
        assert len(left) == len(right) == 2 * flushed
        sizes.add(len(left))
        said = b"".join(bytes([n + 1]) * 8000 for n in range(second + 1))
        heard = b"".join(SILENCE * 1600 + bytes([0x40 + n]) * 4000 + SILENCE * 2400 for n in range(second + 1))
        assert left == mulaw_to_pcm(said[:flushed])
        assert right == mulaw_to_pcm(heard[:flushed])
    assert len(sizes) > 2
    await recording.close()


async def test_news_of_the_agent_may_come_a_second_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_module, "FLUSH_SECONDS", 0.005)
    recording = Recording(tmp_path / "call.wav")
    await recording.open()
    recording.callee(b"\x10" * (8000 + HOLD), 0)
    while recording._frames < 8000:  # noqa: ASYNC110  # written by a task of the recording
        await asyncio.sleep(0.002)
    recording.agent(b"\x20" * 800, 1000)
    await recording.close()
    _, right = channels(recording.path)
    assert right[16_000 : 16_000 + 1600] == mulaw_to_pcm(b"\x20" * 800)


async def test_closing_twice_and_a_folder_that_cannot_be(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "call.wav")
    await recording.open()
    await recording.close()
    await recording.close()
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="file"):
        await Recording(tmp_path / "file" / "call.wav").open()


async def test_a_recording_that_begins_later_holds_nothing_from_before(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "call.wav")
    loud, quiet = b"\x00" * 800, b"\x80" * 800
    recording.callee(loud, 0)
    recording.agent(loud, 100)
    assert not recording.path.exists()
    recording.callee(quiet, 200)
    await recording.begin(200)
    recording.callee(quiet, 300)
    recording.agent(loud, 150)  # heard before it began, and reported now: the part from before is cut
    await recording.close()
    assert recording.kept
    with wave.open(str(recording.path)) as wav:
        pairs = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").reshape(-1, 2)
    assert len(pairs) == 1600
    assert abs(pairs[:800, 0]).max() == abs(pairs[800:, 0]).max(), "only what was said since"
    assert (pairs[400:, 1] == 0).all()


@pytest.mark.parametrize("delete", [True, False])
async def test_a_recording_that_is_stopped_takes_no_more(tmp_path: Path, delete: bool) -> None:
    recording = Recording(tmp_path / "call.wav")
    await recording.open()
    recording.callee(b"\x00" * 800, 0)
    await recording.stop(delete=delete)
    recording.callee(b"\x00" * 800, 100)
    await recording.begin(100)
    await recording.close()
    assert recording.kept is not delete
    assert recording.path.exists() is not delete
    if not delete:
        with wave.open(str(recording.path)) as wav:
            assert wav.getnframes() == 800


async def test_both_sides_are_silent_where_it_was_redacted(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "a.wav")
    await recording.open()
    speech = bytes([0x10]) * 8000
    recording.callee(speech, 0)
    recording.agent(speech, 0)
    await recording.close()
    whole = channels(tmp_path / "a.wav")
    await recording.silence([(-500, 100), (300, 400), (900, None), (5000, 6000)])
    for before, after in zip(whole, channels(tmp_path / "a.wav"), strict=True):
        assert len(after) == len(before)
        for begin, end, silent in (
            (0, 100, True),
            (100, 300, False),
            (300, 400, True),
            (400, 900, False),
            (900, 1000, True),
        ):
            piece = slice(begin * 16, end * 16)
            assert after[piece] == (bytes(len(before[piece])) if silent else before[piece])


async def test_there_is_nothing_to_silence_of_a_recording_that_is_gone(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "a.wav")
    await recording.open()
    await recording.stop(delete=True)
    await recording.silence([(0, 100)])
    assert not (tmp_path / "a.wav").exists()
