"""When a reply that is owed is filled for, asked for again, apologised for; on a clock that the test holds."""

from __future__ import annotations

from typing import Any

import pytest

from bot.conversation.replies import FILLER_AGAIN_SECONDS, ReplyStep, ReplyWatch
from bot.conversation.scenario.parts import Patience

T = 100.0


@pytest.fixture
def watch() -> ReplyWatch:
    watch = ReplyWatch(Patience(filler_seconds=2.5, ask_again_seconds=6, apology_seconds=12))
    watch.owe(T)
    return watch


def decide(watch: ReplyWatch, at: float, **state: Any) -> ReplyStep:
    """`at` seconds after the turn's end; by default a model is at work and nothing is heard."""
    known = {"audio_at": 0.0, "playing": False, "busy": True, "wordless": False} | state
    return watch.decide(T + at, **known)


def test_a_reply_in_time_calls_for_nothing(watch: ReplyWatch) -> None:
    assert decide(watch, 2.4) is ReplyStep.NOTHING
    assert decide(watch, 2.6, audio_at=T + 2.45) is ReplyStep.NOTHING
    assert not watch.owed
    assert decide(watch, 20, busy=False) is ReplyStep.NOTHING


def test_a_late_reply_is_filled_for_until_a_filler_is_said_and_then_again_later(watch: ReplyWatch) -> None:
    assert decide(watch, 2.5) is ReplyStep.FILLER
    assert decide(watch, 2.75) is ReplyStep.FILLER
    watch.filled(T + 2.75)
    assert decide(watch, 3.0) is ReplyStep.NOTHING
    assert decide(watch, 2.75 + FILLER_AGAIN_SECONDS) is ReplyStep.FILLER
    assert watch.owed


def test_while_a_filler_plays_nothing_is_due(watch: ReplyWatch) -> None:
    assert decide(watch, 13, playing=True) is ReplyStep.NOTHING


def test_a_reply_that_got_lost_is_asked_for_once(watch: ReplyWatch) -> None:
    watch.filled(T + 2.5)
    assert decide(watch, 5.9, busy=False) is ReplyStep.NOTHING
    assert decide(watch, 6.0, busy=False) is ReplyStep.ASK_AGAIN
    assert decide(watch, 6.1, busy=False) is ReplyStep.NOTHING
    assert decide(watch, 11.9, busy=False) is not ReplyStep.ASK_AGAIN
    assert decide(watch, 12.0, busy=False) is ReplyStep.APOLOGISE
    assert not watch.owed


def test_a_model_at_work_is_not_asked_again_but_apologised_for(watch: ReplyWatch) -> None:
    watch.filled(T + 7.5)
    assert decide(watch, 6.0) is ReplyStep.NOTHING
    assert decide(watch, 12.0) is ReplyStep.APOLOGISE


def test_a_reply_that_has_just_been_written_is_given_time_to_be_heard(watch: ReplyWatch) -> None:
    watch.filled(T + 11)
    assert decide(watch, 11.5) is ReplyStep.NOTHING
    assert decide(watch, 11.9, busy=False) is ReplyStep.NOTHING
    assert decide(watch, 12.1, busy=False) is ReplyStep.NOTHING
    assert decide(watch, 12.5, busy=False, audio_at=T + 12.4) is ReplyStep.NOTHING
    assert not watch.owed


def test_a_model_that_says_nothing_twice_means_it(watch: ReplyWatch) -> None:
    watch.filled(T + 5)
    assert decide(watch, 6.0, busy=False, wordless=True) is ReplyStep.ASK_AGAIN
    assert decide(watch, 6.1) is ReplyStep.NOTHING
    assert decide(watch, 7.0, busy=False, wordless=True) is ReplyStep.NOTHING
    assert decide(watch, 9.5, busy=False, wordless=True) is ReplyStep.NOTHING
    assert not watch.owed


def test_while_the_callee_speaks_nothing_is_due_and_a_cough_leaves_the_debt(watch: ReplyWatch) -> None:
    watch.callee_speaks(True, T + 2)
    assert decide(watch, 13) is ReplyStep.NOTHING
    watch.callee_speaks(False, T + 13)
    assert decide(watch, 15.4) is ReplyStep.NOTHING
    assert decide(watch, 15.5) is ReplyStep.FILLER
    assert decide(watch, 25.0) is ReplyStep.APOLOGISE


def test_tools_at_work_are_bridged_elsewhere(watch: ReplyWatch) -> None:
    watch.tools_work(True, T + 1)
    assert decide(watch, 13, busy=False) is ReplyStep.NOTHING
    watch.tools_work(False, T + 13)
    assert decide(watch, 15.5, busy=False) is ReplyStep.FILLER


def test_audio_that_came_while_tools_worked_pays_the_debt(watch: ReplyWatch) -> None:
    watch.tools_work(True, T + 1)
    watch.tools_work(False, T + 2)
    assert decide(watch, 2.1, audio_at=T + 1.9) is ReplyStep.NOTHING
    assert not watch.owed


def test_a_model_at_work_owes_its_reply_whoever_asked_it(watch: ReplyWatch) -> None:
    watch.settle()
    assert decide(watch, 20, playing=True) is ReplyStep.NOTHING
    assert not watch.owed
    assert decide(watch, 21) is ReplyStep.NOTHING
    assert watch.owed
    assert decide(watch, 23.5) is ReplyStep.FILLER


@pytest.mark.parametrize(
    ("at", "wake_in"), [(0.0, 2.5), (2.0, 0.5), (2.6, 0.25), (5.9, 0.1), (11.9, 0.1), (12.5, 0.25)]
)
def test_it_wants_to_be_asked_when_something_is_due(watch: ReplyWatch, at: float, wake_in: float) -> None:
    assert watch.wake_in(T + at) == pytest.approx(wake_in)


def test_after_a_filler_it_sleeps_until_the_next_deadline(watch: ReplyWatch) -> None:
    watch.filled(T + 2.5)
    assert watch.wake_in(T + 2.6) == pytest.approx(3.4)


def test_patience_in_the_wrong_order_is_refused() -> None:
    with pytest.raises(ValueError, match="less than apology_seconds"):
        Patience(ask_again_seconds=12, apology_seconds=12)
