"""The playout against a far end that plays at 8 kHz behind a network with delay, jitter and lost marks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.audio import SAMPLES_PER_MS
from bot.pipeline.line.playout import MARK_PATIENCE_SECONDS, WORD_MS, Audio, Heard, Mark, Playout

SAMPLES_PER_SECOND = 1000 * SAMPLES_PER_MS
EVERY_MARK = 250 * SAMPLES_PER_MS
MESSAGE = 100 * SAMPLES_PER_MS
LEAD = 300 * SAMPLES_PER_MS
ROUNDING = 4
"""Samples: seconds are rounded down to whole ones at each end of a hold."""


@dataclass
class FarEnd:
    """Plays what arrives, at once and at 8 kHz. Messages keep their order, as on one TCP connection."""

    out_ms: list[int]
    """Delay of the nth message to it, cyclic."""
    back_ms: list[int]
    lost: frozenset[int] = frozenset()
    """Marks that are never echoed, counted from 0."""
    events: list[tuple[float, str]] = field(default_factory=list)
    """Echoes on their way back: when they arrive, and their names."""
    received: bytearray = field(default_factory=bytearray)
    """All audio sent to it and not cleared before it was played."""
    spans: list[tuple[float, int, int]] = field(default_factory=list)
    """Contiguous playback: it began at this second with this sample, and so many followed."""
    dry: list[tuple[float, float]] = field(default_factory=list)
    """From when to when it had nothing to play."""
    _standing: list[tuple[float, float, str]] = field(default_factory=list)
    """Every mark that is echoed: when, how long its way back is, its name."""
    _arrived: float = 0.0
    _returned: float = 0.0
    _messages: int = 0
    _echoes: int = 0
    _marks: int = 0

    @property
    def ends_at(self) -> float:
        if not self.spans:
            return 0.0
        began, _, count = self.spans[-1]
        return began + count / SAMPLES_PER_SECOND

    def played(self, now: float) -> int:
        """Samples of `received` that have sounded."""
        if not self.spans:
            return 0
        began, first, count = self.spans[-1]
        return first + min(count, max(0, int((now - began) * SAMPLES_PER_SECOND + 1e-6)))

    def send(self, now: float, message: Audio | Mark) -> None:
        arrives = self._arrive(now)
        if isinstance(message, Mark):
            if self._marks not in self.lost:
                self._echo(max(arrives, self.ends_at), message.name)
            self._marks += 1
            return
        if arrives <= self.ends_at and self.spans:
            began, first, count = self.spans[-1]
            self.spans[-1] = (began, first, count + len(message.mulaw))
        else:
            if self.spans:
                self.dry.append((self.ends_at, arrives))
            self.spans.append((arrives, len(self.received), len(message.mulaw)))
        self.received += message.mulaw

    def clear(self, now: float) -> None:
        arrives = self._arrive(now)
        if not self.spans:
            return
        kept = self.played(arrives)
        began, first, _ = self.spans[-1]
        self.spans[-1] = (began, first, kept - first)
        del self.received[kept:]
        self._echo_cleared(arrives)

    def due(self, now: float) -> list[str]:
        names = [name for at, name in self.events if at <= now]
        self.events = [event for event in self.events if event[0] > now]
        return names

    def next_event(self) -> float | None:
        return self.events[0][0] if self.events else None

    def _arrive(self, now: float) -> float:
        delay = self.out_ms[self._messages % len(self.out_ms)] / 1000
        self._messages += 1
        self._arrived = max(self._arrived, now + delay)
        return self._arrived

    def _echo(self, at: float, name: str) -> None:
        delay = self.back_ms[self._echoes % len(self.back_ms)] / 1000
        self._echoes += 1
        self._standing.append((at, delay, name))
        self._returned = max(self._returned, at + delay)
        self.events.append((self._returned, name))

    def _echo_cleared(self, now: float) -> None:
        """Marks that stand in what is cleared come back at once."""
        self._returned = 0.0
        returns: dict[str, float] = {}
        for number, (at, delay, name) in enumerate(self._standing):
            self._standing[number] = (min(at, now), delay, name)
            returns[name] = self._returned = max(self._returned, min(at, now) + delay)
        self.events = [(returns[name], name) for _, name in self.events]


@dataclass
class Talk:
    """A playout and its far end, driven from event to event; every invariant is checked on the way."""

    far: FarEnd
    lag_ms: list[int] = field(default_factory=lambda: [0])
    """How late the nth wake-up comes: a busy event loop."""
    playout: Playout[str] = field(default_factory=Playout)
    now: float = 0.0
    given: bytearray = field(default_factory=bytearray)
    """All audio queued, what was dropped later included."""
    sent: bytearray = field(default_factory=bytearray)
    heard: bytearray = field(default_factory=bytearray)
    told: list[str] = field(default_factory=list)
    pending: deque[tuple[int, str]] = field(default_factory=deque)
    """Points placed and not yet told, by position."""
    sent_at: int = 0
    """Position of the end of what was sent."""
    marked_at: int = 0
    stops: list[int] = field(default_factory=list)
    wakes: int = 0

    def say(self, mulaw: bytes) -> None:
        self.playout.add_audio(mulaw)
        self.given += mulaw

    def point(self, name: str, *, mark: bool) -> None:
        self.playout.add_point(name, mark=mark)
        self.pending.append((self.playout.queued, name))
        if mark and self.playout.queued > max(self.playout.sent, *self.stops, 0):
            self.stops.append(self.playout.queued)

    def clear(self) -> None:
        before = self.playout.queued
        sent, heard = self.playout.sent, self.playout.heard
        news = self.playout.clear(self.now)
        self.far.clear(self.now)
        assert heard <= news.position <= sent
        self._take(news)
        assert self.playout.idle
        assert self.playout.queued == before
        self.pending.clear()
        self.stops.clear()
        self.sent_at = self.marked_at = before

    def hold(self) -> int:
        """Gives back how much the far end has played when it is silent."""
        news = self.playout.hold(self.now)
        self.far.clear(self.now)
        self._take(news)
        self.sent_at = self.marked_at = self.playout.sent
        return len(self.far.received)

    def resume(self) -> None:
        self._take(self.playout.resume(self.now))
        self.sent_at = self.marked_at = self.playout.sent

    def run(self, until: float) -> None:
        """Play until then, as the line's writer and reader do."""
        for _ in range(100_000):
            self._act()
            wait = self.playout.wake_in(self.now)
            lag = self.lag_ms[self.wakes % len(self.lag_ms)] / 1000
            self.wakes += 1
            times = [until]
            if wait is not None:
                times.append(self.now + max(wait, 1e-6) + lag)
            event = self.far.next_event()
            if event is not None:
                times.append(max(self.now, event))
            self.now = min(times)
            for name in self.far.due(self.now):
                news = self.playout.echoed(name, self.now)
                if news is not None:
                    self._note(news)
            if self.now >= until:
                return
        raise AssertionError("the playout wakes without end")

    def _act(self) -> None:
        news = self.playout.overdue(self.now)
        if news is not None:
            self._note(news)
        for sending in self.playout.due(self.now):
            self.far.send(self.now, sending)
            if isinstance(sending, Audio):
                assert 0 < len(sending.mulaw) <= MESSAGE
                self.sent += sending.mulaw
                self.sent_at += len(sending.mulaw)
                assert not self.stops or self.sent_at <= self.stops[0], "sent past a stop without a mark"
            else:
                self.marked_at = self.sent_at
                while self.stops and self.stops[0] == self.sent_at:
                    self.stops.pop(0)
            assert self.sent_at - self.marked_at <= EVERY_MARK
        assert self.sent_at == self.playout.sent
        if self.playout.sent == self.playout.queued:
            assert self.marked_at == self.sent_at, "the end of what was queued has no mark"

    def _note(self, news: Heard[str]) -> None:
        assert news.position == self.playout.heard <= self.playout.sent
        self._take(news)

    def _take(self, news: Heard[str]) -> None:
        self.heard += news.audio
        for name in news.points:
            position, expected = self.pending.popleft()
            assert name == expected, "points out of order"
            assert position <= news.position, "a point before its audio"
            self.told.append(name)
        assert not self.pending or self.pending[0][0] > news.position, "a point was passed and not told"


def pcm(count: int, seed: int) -> bytes:
    return bytes((seed * 31 + at * 7) % 251 for at in range(count))


delays = st.lists(st.integers(5, 60), min_size=1, max_size=6)


@settings(deadline=None, max_examples=150)
@given(
    out=delays,
    back=delays,
    far_away=st.integers(0, 400),
    lag=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=25),
)
def test_a_far_end_never_runs_dry_and_every_byte_is_played_once_in_order(
    out: list[int], back: list[int], far_away: int, lag: list[int], sizes: list[int]
) -> None:
    """Jitter up to 55 ms each way and a loop up to 40 ms late, at any distance: the lead covers both.

    The first piece is longer than the jitter: a lead takes time to be built up.
    """
    sizes = [800, *sizes]
    far = FarEnd([d + far_away for d in out], [d + far_away for d in back])
    talk = Talk(far, lag)
    for number, size in enumerate(sizes):
        talk.say(pcm(size, number))
        talk.point(f"p{number}", mark=number % 3 == 0)
    talk.run(sum(sizes) / SAMPLES_PER_SECOND + 6)
    assert bytes(talk.sent) == bytes(talk.given) == bytes(far.received)
    assert far.dry == []
    assert bytes(talk.heard) == bytes(talk.given)
    assert talk.told == [f"p{number}" for number in range(len(sizes))]
    assert talk.playout.idle


@settings(deadline=None, max_examples=100)
@given(out=delays, back=delays, far_away=st.integers(0, 300), pause=st.integers(0, 3000))
def test_the_far_end_holds_no_more_than_the_lead(
    out: list[int], back: list[int], far_away: int, pause: int
) -> None:
    far = FarEnd([d + far_away for d in out], [d + far_away for d in back])
    talk = Talk(far)
    talk.say(pcm(16_000, 1))
    talk.run(pause / 1000)
    talk.say(pcm(24_000, 2))
    travelling = (max(out) + far_away) * SAMPLES_PER_MS
    while not talk.playout.idle:
        talk.run(talk.now + 0.02)
        ahead = len(talk.sent) - far.played(talk.now)
        assert ahead <= LEAD + MESSAGE + travelling
        assert talk.now < 30


Step = tuple[str, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "say", "point", "stop", "clear", "wait", "wait"]), st.integers(1, 6000)
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=200)
@given(
    script=steps,
    out=delays,
    back=delays,
    lag=st.lists(st.integers(0, 120), min_size=1, max_size=4),
    lost=st.frozensets(st.integers(0, 30), max_size=8),
)
def test_what_was_heard_is_what_was_played_through_any_talk(
    script: list[Step], out: list[int], back: list[int], lag: list[int], lost: frozenset[int]
) -> None:
    """Points in order, once, never after a clear; heard audio is the given audio less what was cleared."""
    far = FarEnd(out, back, lost)
    talk = Talk(far, lag)
    expected = bytearray()
    kept = 0
    for number, (action, size) in enumerate(script):
        match action:
            case "say":
                talk.say(pcm(size, number))
            case "point" | "stop":
                talk.point(f"p{number}", mark=action == "stop")
            case "wait":
                talk.run(talk.now + size / 8000)
            case _:
                talk.clear()
                # What was reported by now is a prefix of what was given since the last clear.
                fresh = bytes(talk.heard[kept:])
                assert bytes(talk.given[len(talk.given) - _since_clear(talk, expected) :]).startswith(fresh)
                far_played = far.played(talk.now + 1)
                assert len(talk.heard) <= far_played + EVERY_MARK
                kept = len(talk.heard)
                expected[:] = talk.given
    waiting = [name for _, name in talk.pending]
    told_before = list(talk.told)
    talk.run(talk.now + (len(talk.given) - len(expected)) / SAMPLES_PER_SECOND + MARK_PATIENCE_SECONDS + 3)
    assert talk.playout.idle
    assert talk.told == told_before + waiting
    assert bytes(talk.heard[kept:]) == bytes(talk.given[len(expected) :])


def _since_clear(talk: Talk, expected: bytearray) -> int:
    return len(talk.given) - len(expected)


@settings(deadline=None, max_examples=100)
@given(
    out=delays,
    back=delays,
    far_away=st.integers(0, 300),
    size=st.integers(1600, 40_000),
    at=st.integers(50, 4000),
)
def test_an_interruption_never_credits_more_than_was_played(
    out: list[int], back: list[int], far_away: int, size: int, at: int
) -> None:
    far = FarEnd([d + far_away for d in out], [d + far_away for d in back])
    talk = Talk(far)
    talk.say(pcm(size, 3))
    talk.run(at / 1000)
    first_mark_back = talk.playout.heard > 0
    talk.clear()
    ear = far.played(talk.now)
    assert len(talk.heard) <= ear + (0 if first_mark_back else EVERY_MARK)
    spread = (max(out) - min(out) + max(back) - min(back) + 2 * far_away + max(back) + max(out)) * SAMPLES_PER_MS
    assert len(talk.heard) >= min(ear, size) - EVERY_MARK - spread


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=10))
def test_a_far_end_that_echoes_nothing_is_spoken_to_all_the_same(sizes: list[int]) -> None:
    far = FarEnd([20], [20], frozenset(range(1000)))
    talk = Talk(far)
    for number, size in enumerate(sizes):
        talk.say(pcm(size, number))
    talk.point("end", mark=True)
    talk.run(sum(sizes) / SAMPLES_PER_SECOND + MARK_PATIENCE_SECONDS + 1)
    assert bytes(far.received) == bytes(talk.given)
    assert far.dry == []
    assert talk.told == ["end"]


def test_a_stall_of_the_far_end_does_not_let_the_lead_grow() -> None:
    """A message that took two seconds: the far end was dry, and the pace goes back by as much."""
    far = FarEnd([20] * 12 + [2000] + [20] * 1000, [20])
    talk = Talk(far)
    talk.say(pcm(80_000, 1))
    talk.run(6.0)
    assert len(far.dry) == 1
    ahead = len(talk.sent) - far.played(talk.now)
    assert ahead <= LEAD + MESSAGE + 20 * SAMPLES_PER_MS
    talk.run(16.0)
    assert bytes(talk.heard) == bytes(talk.given)
    assert len(far.dry) == 1


def test_an_echo_that_is_not_pending_says_nothing() -> None:
    playout: Playout[str] = Playout()
    playout.add_audio(bytes(800))
    (_, mark) = playout.due(0.0)
    assert isinstance(mark, Mark)
    assert playout.echoed("foreign", 0.1) is None
    assert playout.echoed(mark.name, 0.1) is not None
    assert playout.echoed(mark.name, 0.2) is None
    playout.add_audio(bytes(800))
    (_, cleared) = playout.due(0.3)
    assert isinstance(cleared, Mark)
    playout.clear(0.31)
    assert playout.echoed(cleared.name, 0.4) is None


def test_a_later_mark_answers_for_a_lost_one() -> None:
    playout: Playout[str] = Playout(lead_ms=1000)
    for name in ("a", "b"):
        playout.add_audio(bytes(800))
        playout.add_point(name, mark=True)
    marks = [sending for sending in playout.due(0.0) if isinstance(sending, Mark)]
    news = playout.echoed(marks[-1].name, 0.25)
    assert news is not None
    assert news.points == ("a", "b")
    assert len(news.audio) == 1600


def test_a_point_behind_nothing_is_told_by_the_clock() -> None:
    playout: Playout[str] = Playout()
    playout.add_point("now")
    news = playout.overdue(0.0)
    assert news is not None
    assert news.points == ("now",)
    assert playout.overdue(0.0) is None


def test_a_word_placed_beyond_the_audio_does_not_hold_up_the_end() -> None:
    """A short last word "is heard" 100 ms after its start, which may lie behind the last sample."""
    playout: Playout[str] = Playout()
    playout.add_audio(bytes(800))
    playout.add_point("I", position=1200)
    playout.add_point("end", mark=True)
    marks = [sending for sending in playout.due(0.0) if isinstance(sending, Mark)]
    news = playout.echoed(marks[-1].name, 0.15)
    assert news is not None
    assert news.points == ("I", "end")


def test_points_keep_their_order_wherever_they_are_placed() -> None:
    playout: Playout[str] = Playout()
    playout.add_audio(bytes(8000))
    playout.add_point("late", position=4000)
    playout.add_point("early", position=100)
    playout.due(0.0)
    news = playout.echoed("m1", 0.25)
    assert news is not None
    assert news.points == ()


@pytest.mark.parametrize("lead", [100, 300, 1000])
def test_the_lead_is_a_setting(lead: int) -> None:
    playout: Playout[str] = Playout(lead_ms=lead)
    playout.add_audio(bytes(80_000))
    sent = sum(len(sending.mulaw) for sending in playout.due(0.0) if isinstance(sending, Audio))
    assert lead * SAMPLES_PER_MS <= sent < lead * SAMPLES_PER_MS + MESSAGE
    assert playout.playing_ms(0.0) == 10_000


def test_nothing_to_say_needs_no_waking() -> None:
    playout: Playout[str] = Playout()
    assert playout.wake_in(5.0) is None
    assert playout.due(5.0) == []
    playout.add_audio(b"")
    assert playout.idle


@settings(deadline=None, max_examples=100)
@given(
    out=st.integers(0, 250),
    back=st.integers(0, 250),
    size=st.integers(4000, 40_000),
    holds=st.lists(st.tuples(st.integers(60, 1500), st.integers(20, 900)), min_size=1, max_size=4),
)
def test_speech_that_was_held_goes_on_where_it_stopped(
    out: int, back: int, size: int, holds: list[tuple[int, int]]
) -> None:
    """At any distance nothing is lost, and no more than a word repeated: ROUNDING apart."""
    talk = Talk(FarEnd([out], [back]))
    talk.say(pcm(size, 3))
    talk.point("a word", mark=False)
    again = 0
    for after_ms, for_ms in holds:
        talk.run(talk.now + after_ms / 1000)
        played = talk.hold() - again
        sent = len(talk.sent)
        talk.run(talk.now + for_ms / 1000)
        assert len(talk.sent) == sent, "nothing is sent while it is held"
        stopped_at = talk.playout._resume_at
        assert abs(stopped_at - min(played, size)) <= len(holds) * ROUNDING
        talk.resume()
        again += stopped_at - talk.playout.heard
        assert again <= len(holds) * WORD_MS * SAMPLES_PER_MS
    talk.run(talk.now + 2 * size / SAMPLES_PER_SECOND + MARK_PATIENCE_SECONDS + 1)
    assert talk.playout.idle
    assert talk.told == ["a word"]
    assert len(talk.heard) == size + again
    assert abs(len(talk.far.received) - size - again) <= len(holds) * ROUNDING


def test_a_sentence_that_is_said_again_keeps_its_mark() -> None:
    playout: Playout[str] = Playout()
    playout.add_audio(bytes(1200))
    playout.add_point("sentence", mark=True)
    playout.add_audio(bytes(8000))
    playout.due(0.0)
    playout.hold(0.05)
    assert playout.held
    assert playout.due(0.1) == []
    playout.resume(1.0)
    sent, marked = playout.sent, []
    for sending in playout.due(1.0):
        sent += len(sending.mulaw) if isinstance(sending, Audio) else 0
        if isinstance(sending, Mark):
            marked.append(sent)
    assert marked[0] == 1200


def test_what_is_held_can_still_be_dropped() -> None:
    playout: Playout[str] = Playout()
    playout.add_audio(bytes(8000))
    playout.add_point("end", mark=True)
    playout.due(0.0)
    playout.hold(0.2)
    assert playout.clear(1.0).points == ()
    assert playout.idle
    assert not playout.held


def test_a_word_that_was_cut_in_two_is_said_again_whole() -> None:
    loud, quiet = bytes([0x10, 0x90]) * 800, bytes([0xFF]) * 400
    playout: Playout[str] = Playout()
    playout.add_audio(quiet + loud + quiet + loud * 3)
    playout.due(0.0)
    playout.due(0.25)
    playout.hold(0.35)  # 2,800 samples: 400 into the second word
    news = playout.resume(1.0)
    assert news.position == 2800
    assert 2400 - 160 <= playout.heard <= 2400, "back in the gap before the word"
    sent = b"".join(sending.mulaw for sending in playout.due(1.0) if isinstance(sending, Audio))
    assert sent.lstrip(b"\xff").startswith(loud)
    assert playout.sent == playout.heard + len(sent)


def test_where_there_is_no_gap_it_goes_on_where_it_stopped() -> None:
    playout: Playout[str] = Playout()
    playout.add_audio(bytes([0x10, 0x90]) * 8000)
    playout.due(0.0)
    playout.hold(0.2)
    playout.resume(1.0)
    assert playout.heard == 1600


def test_a_hold_when_all_was_heard_says_nothing_again() -> None:
    """A cough while the reply is awaited: the reply does not begin with the last word of the one before."""
    loud, quiet = bytes([0x10, 0x90]) * 800, bytes([0xFF]) * 400
    playout: Playout[str] = Playout()
    playout.add_audio(loud + quiet + loud)
    for tenths in range(20):
        playout.due(tenths / 10)
        playout.overdue(tenths / 10)
    assert playout.idle
    playout.hold(2.0)
    playout.resume(2.5)
    reply = bytes([0x20]) * 800
    playout.add_audio(reply)
    assert b"".join(sending.mulaw for sending in playout.due(2.5) if isinstance(sending, Audio)) == reply
