"""Events between processes of one database: each sends to those that follow, for as long as they say so.

A process with readers tells the others every few seconds what they want (`watch`). While nobody does, nothing is
sent; what is sent goes to the channel of the process that asked, many events a message. Lost messages are lost:
the events hold whole texts, so the next one makes up for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bot.calls.live.events import CallEvent, LiveEvent
from bot.calls.live.hub import EventHub, EventId, Stamped, Subscription
from bot.store.notify import News

RENEW_SECONDS = 10.0
LEASE_SECONDS = 25.0
BATCH_SECONDS = 0.05
"""How long events wait for others to travel with."""
REPLAY_SECONDS = 0.5
"""How long other processes may take to say what they know of a call."""
MESSAGE_BYTES = 7000
"""Of the 8000 that NOTIFY carries; the rest is the envelope's."""
MOST_WAITING = 2000
"""Events that wait to be sent to one process: what is more is dropped."""
Wants = dict[str, list[str] | None]
"""Call id ("": any) to the names of events; None: all."""


@dataclass
class _Watcher:
    """Another process that has readers."""

    until: float
    wants: Wants
    waiting: list[Stamped] = field(default_factory=list)

    def wants_it(self, event: LiveEvent) -> bool:
        for call_id in ("", event.call_id):
            if call_id in self.wants:
                names = self.wants[call_id]
                if names is None or event.event in names:
                    return True
        return False


@dataclass
class Replay:
    """What other processes have of before, for one reader here."""

    events: list[Stamped] = field(default_factory=list)
    covers: bool = False
    """Their log reaches back to where the reader resumes."""
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Neighbours:
    """What this process's readers get of other processes, and theirs of this one."""

    def __init__(
        self,
        hub: EventHub,
        news: News,
        held_here: Callable[[str], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`held_here`: whether a call's line is in this process."""
        self._hub, self._news, self._held_here, self._clock = hub, news, held_here, clock
        self._watchers: dict[str, _Watcher] = {}
        self._replays: dict[int, Replay] = {}
        self._due = asyncio.Event()
        if not news.alone:
            news.on("watch", self._watched)
            news.on("events", self._came)
            hub.forward_to(self._forward)

    # -- readers here ---------------------------------------------------------------------------------

    async def join(self, subscription: Subscription, after: EventId | None) -> Replay:
        """Begin to get the others' events; returns what they have of before."""
        replay = Replay()
        if self._news.alone:
            return replay
        call_id, key = subscription.call_id or "", id(subscription)
        wants = {call_id: None if subscription.names is None else sorted(subscription.names)}
        self._replays[key] = replay
        try:
            asked = {"from": self._news.process, "wants": wants, "after": after and str(after), "to": key}
            await self._news.send(call_id, "watch", asked)
            if call_id or after is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(replay.over.wait(), REPLAY_SECONDS)
        finally:
            del self._replays[key]
        return replay

    def _wanted(self) -> Wants:
        wants: Wants = {}
        for one in self._hub.subscriptions:
            call_id = one.call_id or ""
            known = wants.get(call_id, [])
            both = None if known is None or one.names is None else sorted({*known, *one.names})
            wants[call_id] = both
        return wants

    async def renew(self) -> None:
        """Say again and again what the readers here want."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for some in _in_pieces(self._wanted()):
                await self._news.send("", "watch", {"wants": some, "from": self._news.process})

    async def _came(self, _: str, data: dict[str, Any]) -> None:
        events = [Stamped(EventId.read(i), CallEvent.model_validate(event).root) for i, event in data["events"]]
        if data["to"] is None:
            for stamped in events:
                self._hub.deliver(stamped)
        elif (replay := self._replays.get(data["to"])) is not None:
            replay.events += events
            replay.covers |= data["covers"]
            if data["over"]:
                replay.over.set()

    # -- readers elsewhere ----------------------------------------------------------------------------

    async def _watched(self, call_id: str, data: dict[str, Any]) -> None:
        process, until = data["from"], self._clock() + LEASE_SECONDS
        watcher = self._watchers.setdefault(process, _Watcher(until, {}))
        watcher.until = until
        watcher.wants |= data["wants"]
        if data.get("to") is not None:
            after = None if data["after"] is None else EventId.read(data["after"])
            await self._replay(process, call_id, after, data["to"])

    async def _replay(self, process: str, call_id: str, after: EventId | None, to: int) -> None:
        """What is logged here; a fresh reader of all calls gets nothing of before."""
        covers = after is not None and self._hub.reaches(call_id, after)
        kept = self._hub.log_of(call_id) if after is None else self._hub.logged(call_id or None, after)
        pieces = list(_messages(kept)) or [[]]
        for piece in pieces:
            over = piece is pieces[-1] and self._held_here(call_id)
            data = {"events": piece, "to": to, "covers": covers, "over": over}
            await self._news.send(call_id, "events", data, to=process)

    def _forward(self, stamped: Stamped) -> None:
        if not self._watchers:
            return
        now = self._clock()
        for process, watcher in list(self._watchers.items()):
            if now > watcher.until:
                del self._watchers[process]
            elif watcher.wants_it(stamped.event) and len(watcher.waiting) < MOST_WAITING:
                watcher.waiting.append(stamped)
                self._due.set()

    async def send(self) -> None:
        """Send what the others' readers want, as it comes."""
        while True:
            await self._due.wait()
            await asyncio.sleep(BATCH_SECONDS)
            self._due.clear()
            for process, watcher in list(self._watchers.items()):
                waiting, watcher.waiting = watcher.waiting, []
                for piece in _messages(waiting):
                    await self._news.send("", "events", {"events": piece, "to": None}, to=process)


def _messages(events: Iterable[Stamped]) -> Iterable[list[tuple[str, Any]]]:
    """In pieces that NOTIFY carries."""
    piece: list[tuple[str, Any]] = []
    size = 0
    for stamped in events:
        one = (str(stamped.id), stamped.event.short().model_dump(mode="json"))
        length = len(json.dumps(one))
        if piece and size + length > MESSAGE_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(one)
        size += length + 2
    if piece:
        yield piece


def _in_pieces(wants: Wants) -> Iterable[Wants]:
    names = list(wants)
    return ({call_id: wants[call_id] for call_id in names[i : i + 50]} for i in range(0, len(names), 50))
