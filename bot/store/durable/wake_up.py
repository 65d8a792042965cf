"""When a queue's thread looks for work: at once when there may be some, often while there is, else seldom.

DBOS polls each queue at one interval, idle or not: at 0.1 s an idle process spent 5 % of a core on it. Its
threads wait on the event that stops them; a QueueWake takes that event's place.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable

IDLE_SECONDS = 30.0
"""How often a queue without work is looked at where no other process uses the database."""
SHARED_FACTOR = 30.0
"""How many of its intervals else: another process's work rings no bell here."""
MOVE_SECONDS = 1.0, 3.0
"""How often delayed work is moved into its queue: alone on a database, and where others use it, too."""
DUE_SLACK_SECONDS = 0.1


class QueueWake:
    """Stands for one thread's stop event. `ring` may be called from any thread."""

    def __init__(self, *, shared: bool, clock: Callable[[], float] = time.time) -> None:
        """`shared`: other processes put work into the queue, too."""
        self._stop = threading.Event()
        self._bell = self._new_bell()
        self._shared, self._clock = shared, clock
        self._due: list[float] = []
        self._busy = False

    def stop_with(self, stop: threading.Event) -> None:
        """The event that DBOS sets to stop the thread."""
        self._stop = stop

    def ring(self, due_at: float | None = None) -> None:
        """There may be work: now, or at that Unix time."""
        if due_at is None:
            self._bell.set()
        else:
            heapq.heappush(self._due, due_at + MOVE_SECONDS[self._shared] + DUE_SLACK_SECONDS)
            self._bell.set()

    def found(self, work: bool) -> None:
        """Whether the last look found work, taken or not: while there is, the next look comes soon."""
        self._busy = work

    @staticmethod
    def _new_bell() -> threading.Event:
        return threading.Event()

    # -- what DBOS's threads ask of a threading.Event ---------------------------------------------------

    def is_set(self) -> bool:
        return self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        """Until the bell, something due, or `timeout` seconds (far longer without work); True: stop."""
        self._bell.wait(self._pause(timeout))
        self._bell.clear()
        return self._stop.is_set()

    def _pause(self, timeout: float) -> float:
        if self._busy:
            return timeout
        now = self._clock()
        longest = min(timeout * SHARED_FACTOR, IDLE_SECONDS) if self._shared else max(timeout, IDLE_SECONDS)
        while self._due and self._due[0] <= now:
            heapq.heappop(self._due)
            return 0.0
        return min(longest, self._due[0] - now) if self._due else longest
