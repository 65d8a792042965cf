"""Which calls a process takes on: by how late its event loop is, and by a hard number of lines.

Processor load was rejected as the measure: a core at 95 % whose loop is on time holds its calls without a gap,
and one at 50 % whose loop waits for another thread does not. A late loop also shows other processes, threads that
take the interpreter, and a slow disk.

An answered call is worth more than a good moment: it, or a media stream that was promised, is refused only above
a ceiling. That lies above the lines given to new calls, because another server may have dialled the call.
"""

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass
from enum import Enum

from loguru import logger

from bot.records import Wait
from bot.telemetry import metrics

ROOM_FOR_ANSWERED = 0.25
"""Of the lines, on top of them."""
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


class LineRequest(Enum):
    """What a line is asked for."""

    NEW = "new"
    """A call to be dialled, or one that comes in: it can wait, or try elsewhere."""
    ANSWERED = "answered"
    """A call of ours that was answered, or a media stream of a call that was let in."""


class Refusal(Enum):
    """Why a call is not taken, in the words of the answer."""

    DRAINING = "This server is shutting down."
    FULL = "All lines are in use; ask again."
    LATE = "This server is at its limit; ask again."


def wait_of(refusal: Refusal | None) -> Wait | None:
    """Why a call waits that is not taken now."""
    if refusal is None:
        return None
    return Wait.NO_LINE if refusal is Refusal.FULL else Wait.SERVER_BUSY


@dataclass(frozen=True)
class Load:
    """The process at one moment."""

    lines_taken: int
    late: bool
    """Its event loop, as `LagWatch` sees it."""
    draining: bool = False
    """No new call is to be taken."""
    closed: bool = False
    """Nothing is."""


def ceiling(lines: int) -> int:
    """How many calls are held at most, with those that were answered already."""
    return lines + max(1, math.ceil(lines * ROOM_FOR_ANSWERED))


def refusal(request: LineRequest, load: Load, lines: int) -> Refusal | None:
    """Why not, or None: the call is taken. `lines`: what the process gives to new calls at most.

    A process that holds no call takes one although its loop is late: there is no call to disturb, and what makes
    it late would not go away by waiting for its own calls to end.
    """
    if load.closed or (load.draining and request is LineRequest.NEW):
        return Refusal.DRAINING
    if request is LineRequest.ANSWERED:
        return Refusal.FULL if load.lines_taken >= ceiling(lines) else None
    if load.lines_taken >= lines:
        return Refusal.FULL
    return Refusal.LATE if load.late and load.lines_taken else None


class LagWatch:
    """Whether the loop has been late for long enough to matter. Pure; lags are seconds.

    `late` begins when the 95th percentile of the last looks reaches `late_seconds`, and ends when it is below
    half of that: between the two it stays as it is, so that it does not flap with every call that ends.
    """

    def __init__(self, *, late_seconds: float = LATE_SECONDS) -> None:
        self._late_seconds = late_seconds
        self._lags: deque[float] = deque([0.0] * KEPT_LOOKS, maxlen=KEPT_LOOKS)
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
    """Measures how late its event loop is, for `watch`."""

    def __init__(self, watch: LagWatch) -> None:
        self._watch = watch

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            due_at = time.monotonic() + PROBE_SECONDS
            await asyncio.sleep(PROBE_SECONDS)
            lag = max(0.0, time.monotonic() - due_at)
            was_late = self._watch.late
            self._watch.note(lag)
            metrics.observe_loop_lag(lag)
            if self._watch.late is not was_late:
                self._log()

    def _log(self) -> None:
        lag_ms = self._watch.lag_seconds * 1000
        if self._watch.late:
            logger.info(
                "this machine is busy ({:.0f} ms late): calls go on, and new ones wait until it is on time",
                lag_ms,
            )
        else:
            logger.debug("on time again ({:.0f} ms): new calls are taken", lag_ms)
