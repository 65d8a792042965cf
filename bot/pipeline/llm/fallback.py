"""A reply asked of one model after another, until one of them speaks.

Each rung is asked twice. A rung that refuses is asked again at once, then the next; one that only is slow
goes on being asked while the same question is put a second time, and then to the next rung: the first word
wins, the others are dropped. Giving a slow request up was rejected: where all are slow by the same second,
each would be cut off just before its answer. The price is a second prompt, only where the callee waits anyway.

`Steps` decides, `Ladder` asks, `Circuit` remembers across replies.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from loguru import logger

from bot.pipeline.vendor import Circuit

ATTEMPTS_PER_RUNG = 2
SHORT_RETRY_AFTER_SECONDS = 1.0
"""A vendor that names a longer wait is asked again at once all the same: on a phone it is the whole turn."""
LAST_PAUSE_SECONDS = 1.0
"""Before the very last attempt: with nobody behind it, a moment's outage should be over first."""
TAIL_SECONDS = 0.25
"""For the end of a stream whose reply is whole: read to it, the connection serves the next request."""

_HOPELESS = frozenset({400, 401, 403, 404, 413, 422})
"""Statuses the same request gets again."""

E = TypeVar("E")


class AttemptError(Exception):
    """A request that failed. `retryable`: the same request may work now; `retry_after`: seconds, as it said."""

    def __init__(self, message: str, *, retryable: bool = True, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


def refused(status: int, error: object, retry_after: str | None) -> AttemptError:
    """Of an HTTP status, the body's `error` object, and the Retry-After header."""
    message = error.get("message") if isinstance(error, Mapping) else None
    try:
        seconds = None if retry_after is None else float(retry_after)
    except ValueError:
        seconds = None  # a date
    why = f"status {status}: {message or 'no reason given'}"
    return AttemptError(why, retryable=status not in _HOPELESS, retry_after=seconds)


class RefusedError(AttemptError):
    """The model will not answer this."""

    def __init__(self) -> None:
        super().__init__("it refuses to answer", retryable=False)


class _BrokenOffError(AttemptError):
    """In mid-reply."""


@dataclass(frozen=True)
class Waits:
    """How long a reply is waited for, in seconds."""

    first_token: float
    """Without a word by then, the next request is made beside this one."""
    stall: float
    """A reply that stands still for so long in its middle has broken off."""
    tool: float | None = None
    """A tool that has no result by then has failed; None: it may take for ever."""
    last_pause: float = LAST_PAUSE_SECONDS


@dataclass(frozen=True)
class Rung(Generic[E]):
    """`ask` opens a request and yields what comes; it raises AttemptError, and closing it closes the request."""

    name: str
    ask: Callable[[], AsyncGenerator[E, None]]


@dataclass
class Steps:
    """Which rung is to be asked next, and when. Pure; seconds of one clock."""

    waiting: list[int]
    """Rungs, in the order they are to be asked."""
    first_seconds: float
    """How long the newest request may be without a word before the next is made beside it."""
    last_pause: float = LAST_PAUSE_SECONDS
    running: list[int] = field(default_factory=list)
    """Requests that are out, oldest first, each by its number."""
    rung_of: list[int] = field(default_factory=list)
    """The rung of each request."""
    _next_at: float = 0.0

    @property
    def exhausted(self) -> bool:
        return not self.waiting and not self.running

    def due(self, now: float) -> int | None:
        """The number of a request to be made now."""
        if not self.waiting or now < self._next_at:
            return None
        number = len(self.rung_of)
        self.rung_of.append(self.waiting.pop(0))
        self.running.append(number)
        self._next_at = now + self.first_seconds
        return number

    def wake_in(self, now: float) -> float | None:
        """Seconds until `due`; None when nothing is left to be asked."""
        return max(0.0, self._next_at - now) if self.waiting else None

    def failed(self, number: int, now: float, *, retryable: bool, retry_after: float | None = None) -> None:
        """A request came to nothing."""
        self.running.remove(number)
        rung = self.rung_of[number]
        if not retryable:
            self.waiting = [other for other in self.waiting if other != rung]
        if any(other > number for other in self.running) or not self.waiting:
            return  # a newer one is out: its time goes on
        again = self.waiting[0] == rung
        pause = 0.0
        if again and retry_after is not None and 0 < retry_after < SHORT_RETRY_AFTER_SECONDS:
            pause = retry_after
        if again and len(self.waiting) == 1:
            pause = max(pause, self.last_pause)
        self._next_at = now + pause


@dataclass(frozen=True)
class Signs(Generic[E]):
    """What an event of a reply says about it."""

    speaks: Callable[[E], bool]
    """The model has begun to answer."""
    ends: Callable[[E], bool]
    """The stream is whole from here on."""
    refuses: Callable[[E], bool]
    """The model will not answer. It would refuse the same request again, so the next one is asked at once."""


class Ladder(Generic[E]):
    """One reply."""

    def __init__(
        self,
        rungs: Sequence[Rung[E]],
        circuit: Circuit,
        signs: Signs[E],
        *,
        waits: Waits,
    ) -> None:
        self._rungs = rungs
        self._circuit = circuit
        self._stall_seconds = waits.stall
        self._signs = signs
        order = sorted(range(len(rungs)), key=lambda rung: circuit.is_open(rungs[rung].name))
        waiting = [rung for rung in order for _ in range(ATTEMPTS_PER_RUNG)]
        self._steps = Steps(waiting, waits.first_token, waits.last_pause)
        self._streams: dict[int, AsyncGenerator[E, None]] = {}
        self._begun: dict[int, list[E]] = {}
        self._tasks: dict[asyncio.Task[None], int] = {}
        self.speaking: int | None = None
        """The rung whose reply it is, once one speaks."""
        self.refused: set[str] = set()
        """The names of rungs that would not answer this. They have not failed: other calls go on with them."""

    async def climb(self) -> AsyncGenerator[E, None]:
        """What the first rung to speak says. AttemptError: none did, or it broke off or stalled.

        The caller closes it (`aclosing`): requests are out until then.
        """
        try:
            winner = await self._first_to_speak()
            self.speaking = self._steps.rung_of[winner]
            rung = self._rungs[self.speaking]
            ended = False
            for event in self._begun[winner]:
                ended = ended or self._signs.ends(event)
                yield event
            while (following := await self._next(winner, ended=ended)) is not None:
                ended = ended or self._signs.ends(following)
                yield following
        except _BrokenOffError:
            self._circuit.trip(rung.name)
            raise
        finally:
            await self._close()

    async def _first_to_speak(self) -> int:
        loop, steps = asyncio.get_running_loop(), self._steps
        while True:
            number = steps.due(loop.time())
            if number is not None:
                self._ask(number)
            wait = steps.wake_in(loop.time())
            if not self._tasks:
                await asyncio.sleep(wait or 0.0)
                continue
            done, _ = await asyncio.wait(self._tasks, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            winner, error = self._settled(done)
            if winner is not None:
                self._judge(winner)
                return winner
            if error is not None and steps.exhausted:
                self._judge(None)
                raise error

    def _settled(self, done: set[asyncio.Task[None]]) -> tuple[int | None, AttemptError | None]:
        """The oldest of these requests that speaks, else why the last of them failed."""
        error: AttemptError | None = None
        winner: int | None = None
        for task in sorted(done, key=lambda task: self._tasks[task]):
            number = self._tasks.pop(task)
            failure = task.exception()
            if failure is None:
                winner = number if winner is None else winner
            elif isinstance(failure, AttemptError):
                error = failure
                name = self._rungs[self._steps.rung_of[number]].name
                if isinstance(failure, RefusedError):
                    self.refused.add(name)
                logger.warning("{} gave no reply: {}", name, failure)
                now = asyncio.get_running_loop().time()
                retry_after = failure.retry_after
                self._steps.failed(number, now, retryable=failure.retryable, retry_after=retry_after)
            else:
                raise failure
        return winner, error

    def _judge(self, winner: int | None) -> None:
        """A rung that others had to be asked after, and that did not win, has failed."""
        steps = self._steps
        won = None if winner is None else steps.rung_of[winner]
        for rung in dict.fromkeys(steps.rung_of):
            if rung == won:
                self._circuit.close(self._rungs[rung].name)
                break
            if self._rungs[rung].name not in self.refused:
                self._circuit.trip(self._rungs[rung].name)

    def _ask(self, number: int) -> None:
        rung = self._rungs[self._steps.rung_of[number]]
        if number:
            logger.info("asking {}, request {} of this reply", rung.name, number + 1)
        self._streams[number] = rung.ask()
        self._begun[number] = []
        task = asyncio.create_task(self._listen(number), name=f"ask {rung.name}")
        self._tasks[task] = number

    async def _listen(self, number: int) -> None:
        """Until the first word."""
        async for event in self._streams[number]:
            self._begun[number].append(event)
            if self._signs.refuses(event):
                raise RefusedError
            if self._signs.speaks(event):
                return
        raise AttemptError("the stream ended before a word")

    async def _next(self, number: int, *, ended: bool) -> E | None:
        """What comes next of the reply; None: it is over. `ended`: all of it is here, only its tail is not."""
        try:
            async with asyncio.timeout(TAIL_SECONDS if ended else self._stall_seconds):
                return await anext(self._streams[number])
        except StopAsyncIteration:
            why = "the stream broke off"
        except TimeoutError:
            why = f"the stream stood still for {self._stall_seconds:g} s"
        except AttemptError as e:
            why = str(e)
        if ended:
            return None
        raise _BrokenOffError(why)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self._streams.values():
            with suppress(AttemptError):
                await stream.aclose()
