"""A reply asked of one model after another, until one of them speaks.

Each model is asked twice. One that refuses is asked again at once, then the next; one that only is slow
goes on being asked while the same question is put a second time, and then to the next model: the first word
wins, the others are dropped. Giving a slow request up was rejected: where all are slow by the same second,
each would be cut off just before its answer. The price is a second prompt, only where the callee waits anyway.

`Steps` decides, `Attempts` asks, `Circuit` remembers across replies.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from loguru import logger

from bot.pipeline.llm import events
from bot.pipeline.vendor import Circuit

ATTEMPTS_EACH = 2
SHORT_RETRY_AFTER_SECONDS = 1.0
"""A vendor that names a longer wait is asked again at once all the same: on a phone it is the whole turn."""
LAST_PAUSE_SECONDS = 1.0
"""Before the very last attempt: with nobody behind it, a moment's outage should be over first."""
TAIL_SECONDS = 0.25
"""For the end of a stream whose reply is whole: read to it, the connection serves the next request."""

_HOPELESS = frozenset({400, 401, 403, 404, 413, 422})
"""Statuses the same request gets again."""


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
class Candidate:
    """`ask` opens a request and yields what comes; it raises AttemptError, and closing it closes the request."""

    name: str
    ask: Callable[[], AsyncGenerator[events.Event, None]]


@dataclass
class Steps:
    """Which candidate is to be asked next, and when. Pure; seconds of one clock."""

    waiting: list[int]
    """Candidates, in the order they are to be asked."""
    first_seconds: float
    """How long the newest request may be without a word before the next is made beside it."""
    last_pause: float = LAST_PAUSE_SECONDS
    running: list[int] = field(default_factory=list)
    """Requests that are out, oldest first, each by its number."""
    candidate_of: list[int] = field(default_factory=list)
    """The candidate of each request."""
    _next_at: float = 0.0

    @property
    def exhausted(self) -> bool:
        return not self.waiting and not self.running

    def due(self, now: float) -> int | None:
        """The number of a request to be made now."""
        if not self.waiting or now < self._next_at:
            return None
        number = len(self.candidate_of)
        self.candidate_of.append(self.waiting.pop(0))
        self.running.append(number)
        self._next_at = now + self.first_seconds
        return number

    def wake_in(self, now: float) -> float | None:
        """Seconds until `due`; None when nothing is left to be asked."""
        return max(0.0, self._next_at - now) if self.waiting else None

    def failed(self, number: int, now: float, *, retryable: bool, retry_after: float | None = None) -> None:
        """A request came to nothing."""
        self.running.remove(number)
        candidate = self.candidate_of[number]
        if not retryable:
            self.waiting = [other for other in self.waiting if other != candidate]
        if any(other > number for other in self.running) or not self.waiting:
            return  # a newer one is out: its time goes on
        again = self.waiting[0] == candidate
        pause = 0.0
        if again and retry_after is not None and 0 < retry_after < SHORT_RETRY_AFTER_SECONDS:
            pause = retry_after
        if again and len(self.waiting) == 1:
            pause = max(pause, self.last_pause)
        self._next_at = now + pause


class Attempts:
    """One reply."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        circuit: Circuit,
        *,
        waits: Waits,
    ) -> None:
        self._candidates = candidates
        self._circuit = circuit
        self._stall_seconds = waits.stall
        order = sorted(range(len(candidates)), key=lambda candidate: circuit.is_open(candidates[candidate].name))
        waiting = [candidate for candidate in order for _ in range(ATTEMPTS_EACH)]
        self._steps = Steps(waiting, waits.first_token, waits.last_pause)
        self._streams: dict[int, AsyncGenerator[events.Event, None]] = {}
        self._begun: dict[int, list[events.Event]] = {}
        self._tasks: dict[asyncio.Task[None], int] = {}
        self.speaking: int | None = None
        """The candidate whose reply it is, once one speaks."""
        self.refused: set[str] = set()
        """The names of those that would not answer this. They have not failed: other calls go on with them."""

    async def reply(self) -> AsyncGenerator[events.Event, None]:
        """What the first candidate to speak says. AttemptError: none did, or it broke off or stalled.

        The caller closes it (`aclosing`): requests are out until then.
        """
        try:
            winner = await self._first_to_speak()
            self.speaking = self._steps.candidate_of[winner]
            candidate = self._candidates[self.speaking]
            ended = False
            for event in self._begun[winner]:
                ended = ended or events.ends(event)
                yield event
            while (following := await self._next(winner, ended=ended)) is not None:
                ended = ended or events.ends(following)
                yield following
        except _BrokenOffError:
            self._circuit.trip(candidate.name)
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
                name = self._candidates[self._steps.candidate_of[number]].name
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
        """A candidate that others had to be asked after, and that did not win, has failed."""
        steps = self._steps
        won = None if winner is None else steps.candidate_of[winner]
        for candidate in dict.fromkeys(steps.candidate_of):
            if candidate == won:
                self._circuit.close(self._candidates[candidate].name)
                break
            if self._candidates[candidate].name not in self.refused:
                self._circuit.trip(self._candidates[candidate].name)

    def _ask(self, number: int) -> None:
        candidate = self._candidates[self._steps.candidate_of[number]]
        if number:
            logger.info("asking {}, request {} of this reply", candidate.name, number + 1)
        self._streams[number] = candidate.ask()
        self._begun[number] = []
        task = asyncio.create_task(self._listen(number), name=f"ask {candidate.name}")
        self._tasks[task] = number

    async def _listen(self, number: int) -> None:
        """Until the first word."""
        async for event in self._streams[number]:
            self._begun[number].append(event)
            if events.refuses(event):
                raise RefusedError
            if events.speaks(event):
                return
        raise AttemptError("the stream ended before a word")

    async def _next(self, number: int, *, ended: bool) -> events.Event | None:
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
