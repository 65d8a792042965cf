"""What all tests need of the machine: memory to write to, and a collector that looks at their own objects only.

Whole calls run in real time. A disk that is synced for one test's database holds up the files of all others, and
so their calls; a restart or a kill loses nothing of what is written to memory.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.busy import in_real_time
from tests.postgres import PostgresServer

_MEMORY = Path("/dev/shm")
_ENOUGH = 4 << 30
"""Bytes: the tests leave some hundred MB."""

if "PYTEST_DEBUG_TEMPROOT" not in os.environ and os.access(_MEMORY, os.W_OK):
    free = os.statvfs(_MEMORY)
    if free.f_bavail * free.f_frsize >= _ENOUGH:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)

# What is imported is no garbage; the server itself spares the collector from walking it.
gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.enable()


_HERE = Path(__file__).parent
_IN_REAL_TIME = [_HERE / name for name in ("benchmarks", "browser", "calls", "crash", "scale")]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Outermost: the time that a test may take begins when it has its place."""
    if not any(folder in item.path.parents for folder in _IN_REAL_TIME):
        return (yield)
    with in_real_time():
        return (yield)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for all tests of this process: each takes a schema of its own."""
    server = PostgresServer()
    yield server
    server.stop()
