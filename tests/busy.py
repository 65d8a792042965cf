"""Tests share their machine: how busy it is decides nothing that they do not ask for.

Whole calls run in real time, and a machine that holds too many of them at once is late for all. So those that run
in real time take places, over all runs of the tests on the machine: two runs at once take turns.
"""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANY_LAG_MS = 60_000
"""A server that takes calls however late its event loop is, for MAX_LOOP_LAG_MS."""
ANY_CALLS = 1000
"""Calls with one number at a time, for tests whose calls all go to the same: MAX_CALLS_PER_NUMBER."""
PLACES = 4 * (os.cpu_count() or 1)
"""A test of a call takes a fifth of a core, and more as it begins: both ends, its vendors and its server."""
_FOLDER = Path(tempfile.gettempdir()) / f"phone-agent-tests-{os.getuid()}"
_LOOK_SECONDS = 0.1


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
