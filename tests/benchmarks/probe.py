"""An event loop watched from inside its process: how late a ticker comes, and what held it.

The ticker is a task of the loop. With `watch_ms` a thread looks, every millisecond, at when the ticker last
ran, and writes down where the loop's thread stands while it is overdue.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from tests.benchmarks.figures import median, percentile

_DEPTH = 7


@dataclass
class _Stall:
    ms: float
    where: Counter[str] = field(default_factory=Counter)


class LoopProbe:
    """`run` is a task of the loop to be watched; `report` gives and forgets what was seen."""

    def __init__(self, *, tick_ms: float, watch_ms: float | None = None) -> None:
        self._tick_ms = tick_ms
        self._watch_ms = watch_ms
        self._last = time.perf_counter()
        self._lags: list[float] = []
        self._stalls: list[_Stall] = []
        self._current: Counter[str] = Counter()
        self._stop = threading.Event()

    async def run(self) -> None:
        thread = threading.get_ident()
        watcher = threading.Thread(target=self._watch, args=(thread,), name="loop watch", daemon=True)
        if self._watch_ms is not None:
            watcher.start()
        try:
            self._last = time.perf_counter()
            while True:
                await asyncio.sleep(self._tick_ms / 1000)
                now = time.perf_counter()
                lag = (now - self._last) * 1000 - self._tick_ms
                self._last = now
                self._lags.append(lag)
                if self._watch_ms is not None and lag > self._watch_ms:
                    self._stalls.append(_Stall(lag, self._current))
                self._current = Counter()
        finally:
            self._stop.set()

    def report(self) -> dict[str, Any]:
        lags, self._lags = self._lags, []
        stalls, self._stalls = self._stalls, []
        stalls.sort(key=lambda stall: -stall.ms)
        return {
            "pid": os.getpid(),
            "tasks": len(asyncio.all_tasks()),
            "lag_p50_ms": median(lags),
            "lag_p95_ms": percentile(lags, 0.95),
            "lag_p99_ms": percentile(lags, 0.99),
            "lag_max_ms": max(lags, default=0.0),
            "stalls": [{"ms": stall.ms, "where": stall.where.most_common(6)} for stall in stalls[:40]],
            "stall_count": len(stalls),
        }

    def _watch(self, thread: int) -> None:
        assert self._watch_ms is not None
        while not self._stop.wait(0.001):
            late_ms = (time.perf_counter() - self._last) * 1000 - self._tick_ms
            if late_ms > self._watch_ms / 2:
                frame = sys._current_frames().get(thread)
                if frame is not None:
                    self._current[_where(frame)] += 1


def probe_from_environment() -> LoopProbe:
    """PROBE_TICK_MS, and PROBE_WATCH_MS to name what holds the loop for longer."""
    watch = os.environ.get("PROBE_WATCH_MS")
    return LoopProbe(
        tick_ms=float(os.environ.get("PROBE_TICK_MS", "20")), watch_ms=None if watch is None else float(watch)
    )


def _where(frame: FrameType) -> str:
    """The innermost frames, outermost first, as file:line function."""
    found: list[str] = []
    at: FrameType | None = frame
    while at is not None and len(found) < _DEPTH:
        code = at.f_code
        place = code.co_filename.rsplit("site-packages/", 1)[-1].rsplit("/main/", 1)[-1]
        found.append(f"{place}:{at.f_lineno} {code.co_name}")
        at = at.f_back
    return " < ".join(found)
