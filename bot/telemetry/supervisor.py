"""Background tasks that outlive what began them: a failure is logged, and a task that is to last begins again."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from loguru import logger

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""Before a task that failed begins again: at first, and after many failures in a row."""
STEADY_SECONDS = 60.0
"""A task that ran so long before it failed begins again after the first pause."""


class Supervisor:
    """Owns the lasting tasks of a process until `close`."""

    def __init__(self, *, first_pause_seconds: float = FIRST_PAUSE_SECONDS) -> None:
        self._first_pause_seconds = first_pause_seconds
        self._tasks: list[asyncio.Task[None]] = []

    def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run it until `close`; it begins again whenever it fails or returns."""
        self._tasks.append(asyncio.create_task(self._again_and_again(name, run), name=name))

    async def close(self) -> None:
        """Harmless when nothing runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _again_and_again(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        pause = self._first_pause_seconds
        while True:
            began = loop.time()
            try:
                await run()
                logger.error("{} ended by itself; it begins again in {:.0f} s", name, pause)
            except Exception as e:
                logger.opt(exception=e).error("{} failed; it begins again in {:.0f} s", name, pause)
            if loop.time() - began >= STEADY_SECONDS:
                pause = self._first_pause_seconds
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def watched(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    """A task whose failure is logged, although its result may never be asked for."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    return task


def _log_failure(task: asyncio.Task[Any]) -> None:
    failure = None if task.cancelled() else task.exception()
    if failure is not None:
        logger.opt(exception=failure).error("{} failed", task.get_name())
