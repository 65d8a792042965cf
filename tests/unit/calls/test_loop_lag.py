"""The loop's lag: a spike is none, a state is one, and the probe sees a loop that is held."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.calls import loop_lag
from bot.calls.loop_lag import KEPT_LOOKS, LATE_SECONDS, ON_TIME, LagWatch, LoopProbe

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
    monkeypatch.setattr(loop_lag, "PROBE_SECONDS", 0.005)
    seen: list[float] = []
    looked = asyncio.Event()

    def told(lag: float) -> None:
        seen.append(lag)
        looked.set()

    watch = LagWatch()
    probe = LoopProbe(watch, told=told)
    before = asyncio.all_tasks()
    probe.open()
    while not watch.late:
        looked.clear()
        await looked.wait()
        time.sleep(0.1)  # noqa: ASYNC251  # somebody holds the loop
    assert len(seen) <= 4
    assert max(seen) > 0.09
    await probe.close()
    await probe.close()
    assert asyncio.all_tasks() == before


def test_how_late_is_late_can_be_set() -> None:
    watch = noted(LagWatch(late_seconds=0.2), *[0.19] * KEPT_LOOKS)
    assert not watch.late
    assert noted(watch, *[0.2] * KEPT_LOOKS).late
    assert noted(watch, *[0.11] * KEPT_LOOKS).late
    assert not noted(watch, *[0.09] * KEPT_LOOKS).late
