"""When a queue's thread looks for work, without a thread."""

from __future__ import annotations

import threading

import pytest

from bot.store.durable.wake_up import DUE_SLACK_SECONDS, IDLE_SECONDS, MOVE_SECONDS, SHARED_FACTOR, QueueWake


class Bell:
    """Notes how long it is waited for, and returns at once."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    def set(self) -> None: ...

    def clear(self) -> None: ...


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> Bell:
    bell = Bell()
    monkeypatch.setattr(QueueWake, "_new_bell", staticmethod(lambda: bell))
    return bell


def test_a_queue_without_work_is_left_alone(bell: Bell) -> None:
    QueueWake(shared=False).wait(0.1)
    QueueWake(shared=True).wait(0.1)
    QueueWake(shared=True).wait(5.0)
    assert bell.waits == [IDLE_SECONDS, pytest.approx(0.1 * SHARED_FACTOR), IDLE_SECONDS]


def test_a_queue_with_work_is_looked_at_at_its_own_interval(bell: Bell) -> None:
    wake = QueueWake(shared=False)
    wake.found(True)
    wake.wait(0.1)
    wake.found(False)
    wake.wait(0.1)
    assert bell.waits == [0.1, IDLE_SECONDS]


def test_delayed_work_is_looked_for_when_it_is_due(bell: Bell) -> None:
    now, slack = [1000.0], MOVE_SECONDS[False] + DUE_SLACK_SECONDS
    wake = QueueWake(shared=False, clock=lambda: now[0])
    for due_at in (1012.0, 1003.0):
        wake.ring(due_at)
    wake.wait(0.1)
    now[0] = 1003.0 + slack
    wake.wait(0.1)
    wake.wait(0.1)
    assert bell.waits == [pytest.approx(3.0 + slack), 0.0, pytest.approx(9.0)]


def test_a_ring_ends_the_wait_and_only_the_stop_event_stops() -> None:
    stop, wake, returned = threading.Event(), QueueWake(shared=False), []
    wake.stop_with(stop)
    wake.ring()
    assert not wake.wait(0.1)
    waiting = threading.Thread(target=lambda: returned.append(wake.wait(0.1)))
    waiting.start()
    stop.set()
    wake.ring()
    waiting.join(IDLE_SECONDS / 2)
    assert returned == [True]
    assert wake.is_set()
