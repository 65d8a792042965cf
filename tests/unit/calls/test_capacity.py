"""Who gets a line: new calls while there is room and time, those that were answered nearly always.

The loop's lag: a spike is none, a state is one, and the probe sees a loop that is held.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.calls import capacity
from bot.calls.capacity import (
    KEPT_LOOKS,
    LATE_SECONDS,
    ON_TIME,
    LagWatch,
    LineRequest,
    Load,
    LoopProbe,
    Refusal,
    ceiling,
    refusal,
)
from bot.telemetry import metrics
from bot.telemetry.supervisor import Supervisor

NEW, ANSWERED = LineRequest.NEW, LineRequest.ANSWERED


@pytest.mark.parametrize(
    ("asked", "load", "expected"),
    [
        (NEW, Load(0, late=False), None),
        (NEW, Load(19, late=False), None),
        (NEW, Load(20, late=False), Refusal.FULL),
        (NEW, Load(20, late=True), Refusal.FULL),
        (NEW, Load(7, late=True), Refusal.LATE),
        (NEW, Load(0, late=True), None),
        (NEW, Load(0, late=False, draining=True), Refusal.DRAINING),
        (NEW, Load(25, late=True, draining=True), Refusal.DRAINING),
        (ANSWERED, Load(7, late=True), None),
        (ANSWERED, Load(20, late=True), None),
        (ANSWERED, Load(24, late=True, draining=True), None),
        (ANSWERED, Load(25, late=False), Refusal.FULL),
        (ANSWERED, Load(0, late=False, draining=True, closed=True), Refusal.DRAINING),
    ],
)
def test_of_twenty_lines(asked: LineRequest, load: Load, expected: Refusal | None) -> None:
    assert refusal(asked, load, 20) is expected


def test_one_line_has_room_for_one_that_was_answered() -> None:
    assert [ceiling(lines) for lines in (1, 4, 5, 20)] == [2, 5, 7, 25]


BETWEEN = LATE_SECONDS * (1 + ON_TIME) / 2


def noted(watch: LagWatch, *lags: float) -> LagWatch:
    for lag in lags:
        watch.note(lag)
    return watch


def test_a_loop_on_time_is_not_late() -> None:
    watch = noted(LagWatch(), *[0.002] * 200)
    assert not watch.late
    assert watch.lag_seconds == 0.002


def test_nothing_was_looked_at_yet() -> None:
    assert (LagWatch().late, LagWatch().lag_seconds) == (False, 0.0)


@pytest.mark.parametrize("seconds", [0.1, 5.0, 60.0])
def test_spikes_are_no_state(seconds: float) -> None:
    watch = LagWatch()
    for _ in range(20):
        noted(watch, seconds, *[0.001] * (KEPT_LOOKS // 2))
        assert not watch.late


def test_a_loop_that_is_late_again_and_again_is_late_at_the_third_look() -> None:
    watch = noted(LagWatch(), 1.0, 1.0)
    assert not watch.late
    assert noted(watch, 1.0).late


def test_between_the_two_thresholds_it_stays_as_it_is() -> None:
    assert not noted(LagWatch(), *[BETWEEN] * 500).late
    watch = noted(LagWatch(), *[LATE_SECONDS] * KEPT_LOOKS)
    assert watch.late
    assert noted(watch, *[BETWEEN] * 500).late, "it would flap with each call that ends"
    assert not noted(watch, *[ON_TIME * LATE_SECONDS / 2] * KEPT_LOOKS).late


def test_it_is_on_time_again_when_all_but_two_looks_were() -> None:
    watch = noted(LagWatch(), *[0.2] * KEPT_LOOKS, *[0.0] * (KEPT_LOOKS - 3))
    assert watch.late
    assert not noted(watch, 0.0).late


def test_a_clock_that_wakes_early_is_not_ahead() -> None:
    assert noted(LagWatch(), *[-0.5] * KEPT_LOOKS).lag_seconds == 0.0


async def test_the_probe_sees_a_loop_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "PROBE_SECONDS", 0.005)
    watch = LagWatch()
    probing = asyncio.create_task(LoopProbe(watch).run())
    looks = 0
    while not watch.late:
        await asyncio.sleep(0.006)
        time.sleep(0.1)  # noqa: ASYNC251  # somebody holds the loop
        looks += 1
    assert looks <= 5
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)


async def test_a_probe_that_failed_is_begun_again_and_late_is_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures = iter([RuntimeError("no metrics")])
    watch = noted(LagWatch(late_seconds=3600.0), *[7200.0] * KEPT_LOOKS)
    on_time = asyncio.Event()

    def observe(_lag: float) -> None:
        for failure in failures:
            raise failure
        if not watch.late:
            on_time.set()

    monkeypatch.setattr(capacity, "PROBE_SECONDS", 0.001)
    monkeypatch.setattr(metrics, "observe_loop_lag", observe)
    supervisor = Supervisor(first_pause_seconds=0.001)
    supervisor.keep("the watch", LoopProbe(watch).run)
    await on_time.wait()
    await supervisor.close()


def test_how_late_is_late_can_be_set() -> None:
    watch = noted(LagWatch(late_seconds=0.2), *[0.19] * KEPT_LOOKS)
    assert not watch.late
    assert noted(watch, *[0.2] * KEPT_LOOKS).late
    assert noted(watch, *[0.11] * KEPT_LOOKS).late
    assert not noted(watch, *[0.09] * KEPT_LOOKS).late
