"""How late this process's event loop is: a task that sleeps and measures, and whether that has become a state.

A call is heard to suffer from a late loop, not from a busy core: other processes, threads that take the
interpreter and a slow disk all show here, and a core at 95 % with a loop on time is full, not strained.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from loguru import logger

PROBE_SECONDS = 0.1
"""Between two looks: a wake-up costs about 40 µs, so ten a second are 0.04 % of a core."""
KEPT_LOOKS = 50
"""Five seconds of a loop that is on time. Counted in looks, not in seconds: a loop that stands for a second at
every look is known to be late after three of them, and one that stood once, however long, is not."""
QUANTILE = 0.95
"""Two late looks of the fifty are spikes (a model that loads, the collector), three are a state."""
LATE_SECONDS = 0.050
"""From here on the process takes no more calls. Measured on one core (tests/benchmarks/capacity): calls, 95th
percentile of the lag, end of speech to first audio, replies without a gap.

    12 calls    4 ms   0.8 s   100 %
    18 calls   13 ms   0.9 s   100 %
    21 calls   27 ms   1.7 s   100 %
    24 calls   57 ms   2.2 s    91 %

The agent's audio leads the ear by 300 ms and is sent in pieces of 100, so a gap is heard when the loop stands for
200 ms; that begins where one look in twenty is 50 ms late. Replies are late before it."""
ON_TIME = 0.5
"""Below this much of it the process takes calls again: some three calls fewer."""


class LagWatch:
    """Whether the loop has been late for long enough to matter. Pure; lags are seconds.

    `late` begins when the 95th percentile of the last looks reaches `late_seconds`, and ends when it is below
    half of that: between the two it stays as it is, so that it does not flap with every call that ends.
    """

    def __init__(
        self,
        *,
        late_seconds: float = LATE_SECONDS,
        looks: int = KEPT_LOOKS,
    ) -> None:
        self._late_seconds = late_seconds
        self._lags: deque[float] = deque([0.0] * looks, maxlen=looks)
        self.late = False

    def note(self, lag_seconds: float) -> None:
        """One look. What the loop was late by before the first counts as nothing."""
        self._lags.append(max(0.0, lag_seconds))
        lag = self.lag_seconds
        if lag >= self._late_seconds:
            self.late = True
        elif lag < ON_TIME * self._late_seconds:
            self.late = False

    @property
    def lag_seconds(self) -> float:
        """The 95th percentile of the last looks."""
        ordered = sorted(self._lags)
        return ordered[math.ceil(QUANTILE * len(ordered)) - 1]


class LoopProbe:
    """Looks at the loop it runs in until `close`; tells `watch`, and `told` (a metric) of every look."""

    def __init__(self, watch: LagWatch, *, told: Callable[[float], None] | None = None) -> None:
        self._watch, self._told = watch, told
        self._looking: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._looking = asyncio.create_task(self._look(), name="loop lag")

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None

    async def _look(self) -> None:
        while True:
            due_at = time.monotonic() + PROBE_SECONDS
            await asyncio.sleep(PROBE_SECONDS)
            lag = max(0.0, time.monotonic() - due_at)
            was_late = self._watch.late
            self._watch.note(lag)
            if self._told is not None:
                self._told(lag)
            if self._watch.late is not was_late:
                self._say()

    def _say(self) -> None:
        lag_ms = self._watch.lag_seconds * 1000
        if self._watch.late:
            logger.warning(
                "the event loop is {:.0f} ms late: no more calls are taken until it is on time", lag_ms
            )
        else:
            logger.info("the event loop is on time again ({:.0f} ms): calls are taken", lag_ms)
