"""Streams of events for readers: what was, then what happens, until the call is over.

A reader of one call who comes late first gets its history, from the record and the log. One who resumes gets
what came after its last event where the log still reaches back to it, and else the history again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bot.calls.live.events import StatusChanged, StreamEnded
from bot.calls.live.history import history, is_told
from bot.calls.live.hub import EventHub, EventId, Stamped, Subscription, milliseconds
from bot.calls.live.neighbours import Neighbours, Replay
from bot.errors import BusyError
from bot.records import CallRecord
from bot.store import SqlCallStore
from bot.store.deliveries import Delivery, SqlDeliveryStore

LINGER_SECONDS = 20.0
"""How long a call's stream goes on after its end: the model's outcome and the webhooks come then."""
HEARTBEAT_SECONDS = 15.0
GATHER_SECONDS = 0.05
END = "end"
"""Origin of the id of a stream's last event: who resumes with it has all."""
MOST_STREAMS = 250
"""Of one process."""


@dataclass(frozen=True)
class Feeds:
    """One process's streams. `held_here`: whether a call's line is in this process; `shown`: what may be seen of
    a record."""

    hub: EventHub
    neighbours: Neighbours
    store: SqlCallStore
    deliveries: SqlDeliveryStore
    held_here: Callable[[str], bool]
    shown: Callable[[CallRecord], CallRecord] = lambda record: record

    async def of_call(self, call_id: str, names: frozenset[str] | None, after: EventId | None) -> Feed:
        """NotFoundError; BusyError."""
        with self._begun(call_id, names) as feed:
            record = await self.store.find(call_id)
            others = Replay()
            if not (record.status.final or self.held_here(call_id)):
                others = await self.neighbours.join(feed.subscription, after)
                record = await self.store.find(call_id)
            kept = [*self.hub.log_of(call_id), *others.events, *feed.subscription.drain()]
            covers = after is not None and (others.covers or self.hub.reaches(call_id, after))
            if covers and after is not None:
                feed.begin([entry for entry in kept if entry.id.is_after(after)], record)
            else:
                told = history(self.shown(record), await self._deliveries(record))
                feed.begin([*told, *(entry for entry in kept if not is_told(entry.event, record))], record)
        return feed

    async def of_all(self, names: frozenset[str] | None, after: EventId | None) -> Feed:
        """From now on, or from `after` on as far as the logs reach. BusyError."""
        with self._begun(None, names) as feed:
            others = await self.neighbours.join(feed.subscription, after)
            logged = [] if after is None else self.hub.logged(None, after)
            feed.begin([*logged, *others.events, *feed.subscription.drain()], None)
        return feed

    async def _deliveries(self, record: CallRecord) -> list[Delivery]:
        if not record.status.final:
            return []
        page = await self.deliveries.page(call_id=record.call_id)
        kept = [await self.deliveries.get(one.delivery_id) for one in page.items]
        return [delivery for delivery in kept if delivery is not None]

    @contextmanager
    def _begun(self, call_id: str | None, names: frozenset[str] | None) -> Iterator[Feed]:
        """A feed that hears from here on; closed where what comes before cannot be had. BusyError."""
        if len(self.hub.subscriptions) >= MOST_STREAMS:
            words = f"This server has {MOST_STREAMS} streams of events open; close some."
            raise BusyError(words, retry_after_seconds=5)
        # Its end is known by its status.
        heard = names if names is None or call_id is None else names | {"status_changed"}
        feed = Feed(self.hub, self.hub.subscribe(call_id, heard), names)
        try:
            yield feed
        except BaseException:
            feed.close()
            raise


@dataclass
class Feed:
    """One reader's stream; to be iterated once, or closed."""

    hub: EventHub
    subscription: Subscription
    names: frozenset[str] | None
    _first: list[Stamped] = field(default_factory=list, init=False)
    _over_at: float | None = field(default=None, init=False)
    """When nothing more is waited for, seconds of the epoch."""

    def begin(self, first: Iterable[Stamped], record: CallRecord | None) -> None:
        """`first`: what was before, in any order, some of it twice."""
        once = {entry.id: entry for entry in first}
        self._first = sorted(once.values(), key=lambda entry: (entry.id.ms, entry.id.origin, entry.id.number))
        if record is not None and record.status.final:
            ended_at = record.ended_at or record.created_at
            self._over_at = ended_at.timestamp() + LINGER_SECONDS

    def close(self) -> None:
        self.hub.unsubscribe(self.subscription)

    async def events(self) -> AsyncIterator[Stamped | None]:
        """Each event; None where nothing came for HEARTBEAT_SECONDS. The reader that is too slow gets an end."""
        try:
            for stamped in self._first:
                if self._notes(stamped):
                    yield stamped
            self._first = []
            while (left := self._left()) > 0:
                following = await self.subscription.next(min(left, HEARTBEAT_SECONDS))
                if following is None and self.subscription.closed:
                    return
                if following is None:
                    yield None
                elif self._notes(following):
                    yield following
            assert self.subscription.call_id is not None
            yield self.last(self.subscription.call_id)
        finally:
            self.close()

    async def moments(self) -> AsyncIterator[list[Stamped]]:
        """The same, what happens within GATHER_SECONDS together: a sending costs more than what it carries."""
        first, self._first = self._first, []
        yield [stamped for stamped in first if self._notes(stamped)]
        async for stamped in self.events():
            if stamped is None:
                yield []
                continue
            if stamped.id.origin != END:
                await asyncio.sleep(GATHER_SECONDS)
            yield [stamped, *(more for more in self.subscription.drain() if self._notes(more))]

    def _left(self) -> float:
        return HEARTBEAT_SECONDS if self._over_at is None else self._over_at - time.time()

    def _notes(self, stamped: Stamped) -> bool:
        """Whether it is one for the reader."""
        event = stamped.event
        if isinstance(event, StatusChanged) and event.status.final and self.subscription.call_id is not None:
            self._over_at = self._over_at or time.time() + LINGER_SECONDS
        return self.names is None or event.event in self.names

    @staticmethod
    def last(call_id: str) -> Stamped:
        event = StreamEnded(call_id=call_id)
        return Stamped(EventId(milliseconds(event.at), 0, END), event)
