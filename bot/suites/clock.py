"""The clock of text mode: an event loop whose waits take no time.

Where every task of a loop waits for a deadline, the clock jumps to the next one. While a socket is open (a model
that is asked over the network), waits take as long as they do; while a thread works, the clock stands still, so
that a busy machine makes no reply late.

The code below reads `time.monotonic()`, as pipecat does; inside `run` it is this loop's time. Passing a clock to
every part was the alternative: sixty places of the running product for the sake of its test.
"""

import asyncio
import contextlib
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")
TICK_SECONDS = 1e-7


class _Jumping(selectors.DefaultSelector):
    """Waits for sockets and threads only; `now` gains what it was asked to wait otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.now = time.monotonic()
        self.threads = 0
        """Jobs that threads are at."""
        self._own = 0

    def settle(self) -> None:
        """What is registered by now is the loop's own."""
        self._own = len(self.get_map())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self.threads:
            return super().select(None)
        if len(self.get_map()) > self._own:
            begun = _real()
            ready = super().select(timeout)
            self.now += _real() - begun
            return ready
        if timeout is None:
            raise RuntimeError("everything waits and nothing is due: a deadlock")
        self.now += timeout
        return super().select(0)


_real = time.monotonic


class JumpingLoop(asyncio.SelectorEventLoop):
    """See above."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self._jumping.settle()

    def time(self) -> float:
        """Later than the last time: what comes after something is so by the clock, too."""
        self._jumping.now += TICK_SECONDS
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        self._jumping.threads += 1
        job = super().run_in_executor(executor, func, *args)
        job.add_done_callback(self._thread_is_done)
        return job

    def stop_jumping(self) -> None:
        """From here on the waits are real ones: the loop is closed."""
        self._jumping.threads += 1

    def _thread_is_done(self, _job: object) -> None:
        self._jumping.threads -= 1


@contextlib.contextmanager
def _time_of(loop: JumpingLoop) -> Iterator[None]:
    time.monotonic = loop.time
    try:
        yield
    finally:
        time.monotonic = _real


def run(main: Coroutine[Any, Any, T]) -> T:
    """`main` to its end on a loop of this clock."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, JumpingLoop)
        try:
            with _time_of(loop):
                return runner.run(main)
        finally:
            loop.stop_jumping()
