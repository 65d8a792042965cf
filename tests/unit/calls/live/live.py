"""Processes with a hub each, joined by news in memory that are JSON, as NOTIFY's are."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from bot.calls.live.feed import Feed, Feeds
from bot.calls.live.hub import EventHub, Stamped
from bot.calls.live.neighbours import Neighbours
from bot.store import SqlCallStore
from bot.store.deliveries import SqlDeliveryStore
from bot.store.notify import MOST_BYTES, Handler, News


@dataclass
class MemoryNews(News):
    process: str = ""
    all: list[MemoryNews] = field(default_factory=list)
    alone: bool = False
    handlers: dict[str, Handler] = field(default_factory=dict)
    sent: list[tuple[str, str | None]] = field(default_factory=list)

    def on(self, kind: str, handler: Handler) -> None:
        self.handlers[kind] = handler

    async def send(self, call_id: str, kind: str, data: Any = None, *, to: str | None = None) -> None:
        payload = json.dumps(data)
        assert len(payload) < MOST_BYTES - 300, kind
        self.sent.append((kind, to))
        for other in self.all:
            if other is not self and to in (None, other.process):
                await other.handlers[kind](call_id, json.loads(payload))


@dataclass
class OneProcess:
    hub: EventHub
    neighbours: Neighbours
    news: News
    feeds: Feeds
    held: set[str]


def processes(store: SqlCallStore, count: int = 1) -> list[OneProcess]:
    every: list[MemoryNews] = []
    made = []
    for number in range(count):
        news = MemoryNews(f"process-{number}", every) if count > 1 else News()
        if isinstance(news, MemoryNews):
            every.append(news)
        hub, held = EventHub(), set[str]()
        neighbours = Neighbours(hub, news, held.__contains__)
        feeds = Feeds(hub, neighbours, store, SqlDeliveryStore(store.database), held.__contains__)
        made.append(OneProcess(hub, neighbours, news, feeds, held))
    return made


async def first(feed: Feed, count: int) -> list[Stamped]:
    """The first events of a stream, which ends with it."""
    got: list[Stamped] = []
    async for stamped in feed.events():
        if stamped is not None:
            got.append(stamped)
        if len(got) == count:
            break
    feed.close()
    return got


def names(events: list[Stamped]) -> list[str]:
    return [stamped.event.event for stamped in events]
