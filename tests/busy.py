"""Tests share their machine: how busy it is decides nothing that they do not ask for.

Whole calls run in real time, and a machine that holds too many of them at once is late for all. So those that run
in real time take places, over all runs of the tests on the machine: two runs at once take turns.
"""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANY_LAG_MS = 60_000
"""A server that takes calls however late its event loop is, for MAX_LOOP_LAG_MS."""
ANY_CALLS = 1000
"""Calls with one number at a time, for tests whose calls all go to the same: MAX_CALLS_PER_NUMBER."""
PLACES = 5 * (os.cpu_count() or 1)
"""A test of a call takes a fifth of a core, and more as it begins: both ends, its vendors and its server."""
TOO_LATE_MS = 250
"""A machine later than this stood still for a whole pause of a callee: what a call did on it says nothing. On two
quiet cores the worst of a test is 60 ms in the median."""
_FOLDER = Path(tempfile.gettempdir()) / f"phone-agent-tests-{os.getuid()}"
_LOOK_SECONDS = 0.05


@contextmanager
def in_real_time(folder: Path = _FOLDER, places: int = PLACES) -> Iterator[None]:
    """Holds one of the machine's places; waits for it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        # The lock goes with the file, so with the process, however that ends.
        for number in random.sample(range(places), places):
            with (folder / f"place-{number}").open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield
                return
        time.sleep(_LOOK_SECONDS)


class Lateness:
    """How late the machine is with a thread that asks for a moment every `_LOOK_SECONDS`: as late as a call of
    this process is with its next 20 ms of sound."""

    def __init__(self) -> None:
        self._worst = 0.0
        threading.Thread(target=self._look, name="lateness", daemon=True).start()

    def _look(self) -> None:
        while True:
            due = time.monotonic() + _LOOK_SECONDS
            time.sleep(_LOOK_SECONDS)
            self._worst = max(self._worst, time.monotonic() - due)

    def worst_ms(self) -> float:
        """Since it was last asked."""
        worst, self._worst = self._worst, 0.0
        return worst * 1000
