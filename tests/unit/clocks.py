"""Clocks of a test's event loop: one that jumps from deadline to deadline, and one that a test moves on."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Instant(selectors.SelectSelector):
    """Never waits; the time it was asked to wait is what the clock gains."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits and nothing is due: a deadlock")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Minutes of a call in seconds, without a sleep: for code that waits on timers and events only.

    No sockets and no threads: time would pass before they answer. Tests marked `virtual_time` run on it.
    """

    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.now

    def monotonic(self) -> float:
        """Stands in for `time.monotonic` of the modules under test."""
        return self._instant.now


def run(loop: VirtualLoop, main: Coroutine[Any, Any, T]) -> T:
    """`main` to its end; the loop is closed."""
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


def let_pass(seconds: float) -> None:
    """Move the running loop's clock on: its deadlines within `seconds` are due now, whatever the machine does."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
