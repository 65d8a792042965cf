"""Playback: what is heard, when marks come back, what a clear forgets; against a sample-by-sample model."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from bot.audio import MULAW_SILENCE
from bot.telephony.simulated.stream import LONGEST_PLAYOUT_SAMPLES, Playback

SILENCE = MULAW_SILENCE


def test_audio_starts_at_once_in_an_empty_queue_and_follows_in_a_full_one() -> None:
    playout = Playback()
    playout.media(100, b"a" * 50)
    playout.media(120, b"b" * 50)
    assert playout.end == 200
    heard = playout.take(240)
    assert heard == bytes([SILENCE]) * 100 + b"a" * 50 + b"b" * 50 + bytes([SILENCE]) * 40
    assert playout.take(400) is None


def test_take_cuts_a_message_at_the_frame() -> None:
    playout = Playback()
    playout.media(0, bytes(range(1, 251)))
    assert playout.take(160) == bytes(range(1, 161))
    assert playout.take(320) == bytes(range(161, 251)) + bytes([SILENCE]) * 70


def test_a_mark_waits_for_the_audio_before_it_and_not_for_the_audio_behind() -> None:
    playout = Playback()
    playout.media(0, b"x" * 800)
    playout.mark(10, "first")
    playout.media(20, b"y" * 800)
    playout.mark(30, "second")
    assert playout.marks_due(799) == []
    assert playout.next_mark == 800
    assert playout.marks_due(800) == ["first"]
    assert playout.marks_due(1600) == ["second"]
    assert playout.next_mark is None


def test_a_mark_with_nothing_to_wait_for_is_due_now() -> None:
    playout = Playback()
    playout.mark(500, "now")
    assert playout.marks_due(500) == ["now"]


def test_clear_gives_every_pending_mark_in_order_and_keeps_what_was_heard() -> None:
    playout = Playback()
    playout.media(0, b"x" * 800)
    playout.mark(0, "one")
    playout.media(0, b"y" * 800)
    playout.mark(0, "two")
    assert playout.clear(300) == ["one", "two"]
    assert playout.take(800) == b"x" * 300 + bytes([SILENCE]) * 500
    playout.media(900, b"z" * 10)
    assert playout.take(920) == bytes([SILENCE]) * 100 + b"z" * 10 + bytes([SILENCE]) * 10


def test_a_playout_is_bounded() -> None:
    playout = Playback()
    assert playout.media(0, bytes(LONGEST_PLAYOUT_SAMPLES))
    assert not playout.media(0, b"x")
    assert playout.media(1, b"x")


@dataclass
class Model:
    """The same rules, a list entry per sample."""

    line: dict[int, int] = field(default_factory=dict)
    end: int = 0
    marks: list[tuple[int, str]] = field(default_factory=list)

    def media(self, now: int, mulaw: bytes) -> None:
        start = max(self.end, now)
        for offset, value in enumerate(mulaw):
            self.line[start + offset] = value
        if mulaw:
            self.end = start + len(mulaw)

    def clear(self, now: int) -> list[str]:
        self.line = {at: value for at, value in self.line.items() if at < now}
        self.end = min(self.end, now)
        names, self.marks = [name for _, name in self.marks], []
        return names


Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["media", "media", "media", "mark", "clear", "take", "due"]),
        st.integers(0, 400),
        st.integers(0, 700),
    ),
    max_size=40,
)


@given(steps)
def test_playout_is_the_model(script: list[Step]) -> None:
    playout, model = Playback(), Model()
    now = taken = 0
    for number, (action, wait, size) in enumerate(script):
        now += wait
        if action == "media":
            mulaw = bytes([number % 250 + 1]) * size
            playout.media(now, mulaw)
            model.media(now, mulaw)
        elif action == "mark":
            playout.mark(now, str(number))
            model.marks.append((max(model.end, now), str(number)))
        elif action == "clear":
            assert playout.clear(now) == model.clear(now)
        elif action == "due":
            due = [name for at, name in model.marks if at <= now]
            model.marks = [mark for mark in model.marks if mark[0] > now]
            assert playout.marks_due(now) == due
        else:
            expected = bytes(model.line.get(at, SILENCE) for at in range(taken, now))
            heard = playout.take(now)
            assert (heard or bytes([SILENCE]) * (now - taken)) == expected
            taken = now
    assert playout.end == model.end
