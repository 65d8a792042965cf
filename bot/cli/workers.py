"""Several server processes behind one listening socket: started, watched, started again, ended together.

uvicorn's own supervisor was read and left: its workers each make a plain uvicorn.Server, so ours, which drains
and takes leave of callers, has no place in it; it starts a dead worker again without a pause, for ever; and a
Ctrl-C reaches workers from the terminal and from it. Here a worker has a session of its own and gets exactly the
signals that the parent got. One socket for all was chosen over one each (SO_REUSEPORT): what waits in the queue
of a socket whose process died would wait until that process is back.

Between parent and worker runs a socket pair: a byte from the worker says that it serves, its end that the parent
is gone, and then the worker drains as after a SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from loguru import logger

from bot.errors import PhoneAgentError, SettingsError
from bot.settings import Settings
from bot.store.address import SqliteAddress, parse_database_url
from bot.telemetry import metrics

OPTION = "--worker"
"""The parent's option for a worker; not for people."""
_READY = b"!"
STEADY_SECONDS = 30.0
"""A worker that lived so long is started again at once when it dies."""
LONGEST_PAUSE_SECONDS = 10.0


@dataclass(frozen=True)
class Post:
    """A worker's place: its number and the file descriptors it was given."""

    number: int
    listener: int
    parent: int

    def __str__(self) -> str:
        return f"{self.number},{self.listener},{self.parent}"

    @classmethod
    def parse(cls, text: str) -> Post:
        number, listener, parent = map(int, text.split(","))
        return cls(number, listener, parent)


def check(settings: Settings) -> None:
    """SettingsError where several processes have no database that they could share."""
    address = parse_database_url(settings.database_url, settings.data_dir / "calls.db")
    if settings.workers > 1 and isinstance(address, SqliteAddress):
        raise SettingsError(
            f"{settings.workers} workers need a database that several processes can share: set DATABASE_URL to a "
            "PostgreSQL (postgresql://user:password@host/database), or start one worker.",
            field="DATABASE_URL",
        )


def bind(host: str, port: int) -> socket.socket:
    """Bound and not yet listening: no client is kept waiting while the models are loaded. SettingsError."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as e:
        listener.close()
        raise SettingsError(
            f"Cannot listen on {host}:{port} ({e.strerror}). If another server runs there, stop it or set PORT "
            "to another port.",
            field="PORT",
        ) from None
    return listener


# -- the parent's side ------------------------------------------------------------------------------------


def pause_seconds(lived_seconds: float, early_deaths: int) -> float:
    """How long to wait before a worker is started again. `early_deaths`: those in a row, this one with them."""
    if lived_seconds >= STEADY_SECONDS:
        return 0.0
    return float(min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** (early_deaths - 1)))


class Workers:
    """The processes of one parent. `command`: what starts this program again, without `OPTION`."""

    def __init__(self, settings: Settings, command: Sequence[str]) -> None:
        self._count = settings.workers
        self._command = tuple(command)
        self._listener = bind(settings.host, settings.port)
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._serving: dict[int, asyncio.Event] = {number: asyncio.Event() for number in range(self._count)}
        self._stopping = asyncio.Event()
        self._signals: list[signal.Signals] = []
        self._figures = tempfile.TemporaryDirectory(prefix="phone-agent-metrics-", ignore_cleanup_errors=True)

    async def run(self) -> None:
        """Until a signal, and until the last worker has ended. PhoneAgentError when the first does not start.

        The first starts alone: what is wrong with the settings is said once, and it migrates the database.
        """
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sig, self._pass_on, sig)
        try:
            first = asyncio.create_task(self._keep(0), name="worker 0")
            serving = asyncio.create_task(self._serving[0].wait(), name="first worker")
            await asyncio.wait({first, serving}, return_when=asyncio.FIRST_COMPLETED)
            serving.cancel()
            if first.done():
                return first.result()
            others = [asyncio.create_task(self._keep(n), name=f"worker {n}") for n in range(1, self._count)]
            await asyncio.gather(first, *others)
        finally:
            for sig in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(sig)
            self._listener.close()
            self._figures.cleanup()

    def _pass_on(self, sig: signal.Signals) -> None:
        """Each signal, as often as it comes: a second one means hurry."""
        logger.info("{}: passed on to {} workers", sig.name, len(self._running))
        self._stopping.set()
        self._signals.append(sig)
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(sig)

    async def _keep(self, number: int) -> None:
        early_deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                code: int | OSError = await self._run_once(number)
            except OSError as e:
                code = e  # no process to be had now
            if self._stopping.is_set():
                return
            if not self._serving[0].is_set():
                raise PhoneAgentError(f"the server did not start ({code}); see above")
            lived = time.monotonic() - began
            early_deaths = early_deaths + 1 if lived < STEADY_SECONDS else 0
            pause = pause_seconds(lived, early_deaths)
            logger.error("worker {} ended after {:.0f} s with {}; again in {:.1f} s", number, lived, code, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _run_once(self, number: int) -> int:
        """The exit code; negative for a signal."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            post = Post(number, self._listener.fileno(), theirs.fileno())
            process = await asyncio.create_subprocess_exec(
                *self._command,
                f"{OPTION}={post}",
                pass_fds=(post.listener, post.parent),
                env={**os.environ, metrics.FOLDER_VARIABLE: self._figures.name},
                start_new_session=True,
            )
            theirs.close()
            self._running[number] = process
            for sig in self._signals:  # while it was being started
                process.send_signal(sig)
            heard = asyncio.create_task(self._hear(number, ours), name=f"worker {number} serves")
            try:
                return await process.wait()
            finally:
                metrics.process_gone(Path(self._figures.name), process.pid)
                del self._running[number]
                heard.cancel()
                await asyncio.gather(heard, return_exceptions=True)

    async def _hear(self, number: int, worker: socket.socket) -> None:
        if await asyncio.get_running_loop().sock_recv(worker, 1) == _READY:
            logger.info("worker {} serves (pid {})", number, self._running[number].pid)
            self._serving[number].set()


def command() -> list[str]:
    """What started this program, to start it again."""
    return [sys.executable, *sys.orig_argv[1:]]


# -- a worker's side --------------------------------------------------------------------------------------


class Parent:
    """The parent of this worker, at the other end of the post's socket; closed behind a `with`."""

    def __init__(self, post: Post) -> None:
        self._socket = socket.socket(fileno=post.parent)
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def report_serving(self) -> None:
        """Tell the parent that this worker serves."""
        with contextlib.suppress(OSError):
            self._socket.send(_READY)

    @asynccontextmanager
    async def watched(self, gone: Callable[[], None]) -> AsyncIterator[None]:
        """Call `gone` when the parent has died."""
        watching = asyncio.create_task(self._outlive(gone), name="parent")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _outlive(self, gone: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_recv(self._socket, 1)
        logger.error("the parent process is gone; this worker drains")
        gone()
