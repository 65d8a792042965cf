"""Statuses only move forward."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.records import EndedReason, Status, may_follow

ORDER = [Status.QUEUED, Status.INITIATED, Status.RINGING, Status.IN_PROGRESS]
FINAL = [status for status in Status if status.final]


def test_the_words_are_twilios() -> None:
    assert [status.value for status in Status] == [
        "queued",
        "initiated",
        "ringing",
        "in-progress",
        "completed",
        "busy",
        "no-answer",
        "failed",
        "canceled",
    ]
    assert set(ORDER) | set(FINAL) == set(Status)
    assert "callee_hangup" in set(EndedReason)


@pytest.mark.parametrize(("old", "new"), list(permutations(ORDER, 2)))
def test_a_later_status_may_follow_an_earlier_one(old: Status, new: Status) -> None:
    assert may_follow(old, new) is (ORDER.index(new) > ORDER.index(old))


@pytest.mark.parametrize("status", Status)
def test_nothing_follows_itself_and_nothing_follows_an_end(status: Status) -> None:
    assert not may_follow(status, status)
    for final in FINAL:
        assert not may_follow(final, status)
        assert may_follow(status, final) is not status.final


@given(st.permutations([*ORDER, Status.COMPLETED]))
def test_callbacks_in_any_order_end_at_the_end(arrived: list[Status]) -> None:
    status = Status.QUEUED
    for new in arrived:
        status = new if may_follow(status, new) else status
    assert status is Status.COMPLETED
