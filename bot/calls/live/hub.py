"""The events of this process's calls: a short log a call, and those who follow.

While nobody follows, an event is an object in a bounded log: nothing is serialised or sent. A reader that does
not keep up is dropped rather than waited for; it resumes by the id of its last event.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from bot.calls.live.events import LiveEvent, TurnWords

LOG_EVENTS = 400
"""Of one call. TurnWords that only grow take one place a turn, so this is more than a hundred turns."""
LOG_SECONDS = 300.0
"""How long the log of a call without news is kept."""
QUEUE_EVENTS = 256
"""How far behind a reader may be."""
SKEW_MS = 1000
"""How much the clocks of two processes may differ, when a reader resumes with the id of the other's event."""


@dataclass(frozen=True)
class EventId:
    """Where a stream stands: the event's time, its origin's count, its origin."""

    ms: int
    number: int
    origin: str

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}-{self.origin}"

    @classmethod
    def read(cls, text: str) -> EventId:
        """ValueError where it is none of ours."""
        ms, number, origin = text.split("-")
        if not (
            ms.isascii() and ms.isdigit() and number.isascii() and number.isdigit() and len(ms + number) < 32
        ):
            raise ValueError(text)
        return cls(int(ms), int(number), origin)

    def is_after(self, other: EventId) -> bool:
        """News to who has seen `other`; of another origin also what may be."""
        if self.origin == other.origin:
            return self.number > other.number
        return self.ms >= other.ms - SKEW_MS


@dataclass(frozen=True)
class Stamped:
    """An event with its id."""

    id: EventId
    event: LiveEvent

    @cached_property
    def json(self) -> str:
        """Made once, however many read it."""
        return self.event.model_dump_json()


class Subscription:
    """What one reader is still to get. Ends by itself where the reader is too slow."""

    def __init__(self, call_id: str | None, names: frozenset[str] | None, *, limit: int = QUEUE_EVENTS) -> None:
        """None: of any call, of any name."""
        self.call_id, self.names = call_id, names
        self.closed = False
        self._limit = limit
        self._waiting: deque[Stamped] = deque()
        self._wake = asyncio.Event()

    def wants(self, event: LiveEvent) -> bool:
        return self.call_id in (None, event.call_id) and (self.names is None or event.event in self.names)

    def offer(self, stamped: Stamped) -> None:
        if self.closed:
            return
        if len(self._waiting) >= self._limit:
            self.close()
            return
        self._waiting.append(stamped)
        self._wake.set()

    def close(self) -> None:
        """What waits is still given."""
        self.closed = True
        self._wake.set()

    def drain(self) -> list[Stamped]:
        """All that waits now."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    async def next(self, timeout_seconds: float) -> Stamped | None:
        """The next one; None where none came in time, or none comes any more (`closed`)."""
        while not self._waiting:
            if self.closed:
                return None
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._wake.wait()
            except TimeoutError:
                return None
        return self._waiting.popleft()


def milliseconds(at: str) -> int:
    """Of the epoch, of an event's time."""
    return round(datetime.fromisoformat(at).timestamp() * 1000)


Forward = Callable[[Stamped], None]


@dataclass
class _Log:
    entries: deque[Stamped] = field(default_factory=lambda: deque(maxlen=LOG_EVENTS))
    touched_at: float = 0.0


class EventHub:
    """One process's. `clock`: seconds of the epoch."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.origin = secrets.token_hex(3)
        self._clock = clock
        self._count = 0
        self._logs: OrderedDict[str, _Log] = OrderedDict()
        self._subscriptions: set[Subscription] = set()
        self._forwards: set[Forward] = set()
        self.closed = False

    # -- what happens ---------------------------------------------------------------------------------

    def publish(self, event: LiveEvent) -> None:
        """Something has happened here."""
        self._count += 1
        stamped = Stamped(EventId(milliseconds(event.at), self._count, self.origin), event)
        self._keep(stamped)
        for forward in self._forwards:
            forward(stamped)
        self.deliver(stamped)

    def deliver(self, stamped: Stamped) -> None:
        """To those of this process that want it."""
        for subscription in self._subscriptions:
            if subscription.wants(stamped.event):
                subscription.offer(stamped)

    def _keep(self, stamped: Stamped) -> None:
        event, now = stamped.event, self._clock()
        log = self._logs.get(event.call_id)
        if log is None:
            self._forget_old(now)
            log = self._logs[event.call_id] = _Log()
        log.touched_at = now
        self._logs.move_to_end(event.call_id)
        last = log.entries[-1].event if log.entries else None
        if isinstance(event, TurnWords) and type(last) is type(event) and last.turn == event.turn:
            log.entries.pop()
        log.entries.append(stamped)

    def _forget_old(self, now: float) -> None:
        while self._logs:
            call_id, oldest = next(iter(self._logs.items()))
            if now - oldest.touched_at < LOG_SECONDS:
                return
            del self._logs[call_id]

    # -- who follows ----------------------------------------------------------------------------------

    def log_of(self, call_id: str) -> list[Stamped]:
        """What is kept of a call's events, in order."""
        log = self._logs.get(call_id)
        return [] if log is None else list(log.entries)

    def reaches(self, call_id: str, after: EventId) -> bool:
        """Whether the log of a call has all that came after `after`."""
        log = self._logs.get(call_id)
        return log is not None and not log.entries[0].id.is_after(after)

    def logged(self, call_id: str | None, after: EventId) -> Iterator[Stamped]:
        """What is kept of a call, or of all, and is news after `after`; one call's in order."""
        logs: Iterable[_Log] = self._logs.values()
        if call_id is not None:
            logs = [self._logs[call_id]] if call_id in self._logs else []
        return (entry for log in logs for entry in log.entries if entry.id.is_after(after))

    def subscribe(self, call_id: str | None, names: frozenset[str] | None) -> Subscription:
        subscription = Subscription(call_id, names)
        if self.closed:
            subscription.close()
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    @property
    def subscriptions(self) -> frozenset[Subscription]:
        return frozenset(self._subscriptions)

    def forward_to(self, forward: Forward) -> None:
        """Gets every event of this process, too; it must be cheap."""
        self._forwards.add(forward)

    def close(self) -> None:
        """End all streams: the server stops."""
        self.closed = True
        for subscription in self._subscriptions:
            subscription.close()
