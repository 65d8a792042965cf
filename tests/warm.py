"""`server.py` as a process that has the product imported already: a fork costs milliseconds, an import seconds.

Everything else is as in a process of its own: its environment, folder, log, signals and exit code. The program as
a user starts it is run by tests/calls/test_kill.py and tests/scale/test_workers.py.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

_SET_BY_IMPORT = ("OPENBLAS_NUM_THREADS", "ORT_DISABLE_TELEMETRY")
"""By the package itself, before it imports what reads them."""


class Process(Protocol):
    """What tests need of `asyncio.subprocess.Process`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, signal: int, /) -> None: ...

    def kill(self) -> None: ...

    async def wait(self) -> int: ...


class WarmProcess:
    """A forked one."""

    def __init__(self, process: BaseProcess) -> None:
        assert process.pid is not None
        self._process = process
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        """Minus the signal that killed it; None while it runs."""
        return self._process.exitcode

    def send_signal(self, signal: int, /) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._process.sentinel, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        assert self.returncode is not None
        return self.returncode


async def start_server(folder: Path, environment: Mapping[str, str], log: Path) -> WarmProcess:
    """`server.py` in `folder`, knowing nothing but `environment`; what it prints goes to the end of `log`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warm", "bot.api.app"])
    process = context.Process(target=_serve, args=(folder, dict(environment), log), daemon=True)
    # The first one waits until the product is imported there.
    await asyncio.to_thread(process.start)
    return WarmProcess(process)


def _serve(folder: Path, environment: Mapping[str, str], log: Path) -> None:
    imported = {name: os.environ[name] for name in _SET_BY_IMPORT}
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(imported | dict(environment))
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
    sys.argv = ["server.py"]
    from bot.telemetry.logs import set_up

    set_up("INFO")
    from bot.cli.serve import main

    main([])
