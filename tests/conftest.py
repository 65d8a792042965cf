"""What all tests need of the machine: memory to write to, and a collector that looks at their own objects only.

Whole calls run in real time. A disk that is synced for one test's database holds up the files of all others, and
so their calls; a restart or a kill loses nothing of what is written to memory.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from tests.busy import TOO_LATE_MS, Lateness, in_real_time
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


_VOID = "void"
_AT_MOST = 3
"""Times that a test in real time runs, where the machine stood still in each before the last."""


def _in_real_time(item: pytest.Item) -> bool:
    return any(folder in item.path.parents for folder in _IN_REAL_TIME)


@cache
def _lateness() -> Lateness:
    return Lateness()


@pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_protocol")
def pytest_has_its_place(item: pytest.Item) -> Generator[None, object, object]:
    """Outermost: the time that a test may take begins when it has its place."""
    if not _in_real_time(item):
        return (yield)
    with in_real_time():
        return (yield)


@pytest.hookimpl(tryfirst=True, specname="pytest_runtest_protocol")
def pytest_is_not_void(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A failure in real time is void where the machine stood still under it: held again, and said at the end.

    A first failure is held again in any case: a server in a process of its own may have stood still unseen.
    """
    if not _in_real_time(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for times in range(1, _AT_MOST + 1):
        _lateness().worst_ms()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        late_ms = _lateness().worst_ms()
        if not any(report.failed for report in reports) or times == _AT_MOST:
            break
        if times > 1 and late_ms < TOO_LATE_MS:
            break
        item.user_properties.append((_VOID, f"the machine was {late_ms:.0f} ms late"))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if report.when == "call":
            for name, why in report.user_properties:
                if name == _VOID:
                    terminalreporter.write_line(f"held again: {report.nodeid}: {why}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for all tests of this process: each takes a schema of its own."""
    server = PostgresServer()
    yield server
    server.stop()
