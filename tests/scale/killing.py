"""So many calls through several servers, each of which is killed once in the middle and started again."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.calls.server import HANG_UP, hear, say, steps, vendors
from tests.scale.cluster import Cluster, Server, cluster
from tests.simulators.llm_replies import RuleReplies
from tests.simulators.webhook_receiver import WebhookReceiver

AT_ONCE = 6
CALLEE = steps(say("Hello?"), hear(3000), HANG_UP, ring_ms=300)
EVENTS_SECONDS = 90.0
SECRET = "whsec_" + "c2NhbGUtdGVzdC1zZWNyZXQtMDEyMzQ1Njc4OQ=="


@dataclass(frozen=True)
class Outcome:
    """What became of all of it. `dialled` is the carrier's word: number → how often it was rung."""

    calls: tuple[dict[str, Any], ...]
    dialled: Counter[str]
    events: Counter[tuple[str, str]]
    """(call, type) → how many different events came."""
    took_part: int
    """Servers that held a call."""

    @property
    def reasons(self) -> Counter[str]:
        return Counter(call["ended_reason"] for call in self.calls)


async def run(folder: Path, database_url: str, calls: int, *, within: float) -> Outcome:
    """Each server is killed when its share of the calls is through; all calls are over when this returns."""
    async with (
        WebhookReceiver([SECRET]) as receiver,
        vendors(CALLEE, RuleReplies([], otherwise="I see.")) as sims,
        cluster(
            folder,
            database_url,
            sims,
            max_calls=AT_ONCE,
            webhook_url=f"{receiver.url}/events",
            webhook_secret=SECRET,
            webhook_allow_private=True,
        ) as running,
    ):
        ended = _Count(calls)
        killing = asyncio.create_task(_kill_each(running, ended, calls))
        places = asyncio.Semaphore(2 * AT_ONCE)
        found = await asyncio.gather(*(_one(running, n, places, ended, within) for n in range(calls)))
        await killing
        await receiver.until(
            lambda: len({e.call_id for e in receiver.events if e.type == "call_analyzed"}) == calls,
            seconds=EVENTS_SECONDS,
        )
        assert all(event.verified for event in receiver.events), "an event that was not signed"
        different = {event.id: (event.call_id, event.type) for event in receiver.events}
        return Outcome(
            calls=tuple(found),
            dialled=Counter(call.leg.to for call in sims.twilio.network.calls),
            events=Counter(different.values()),
            took_part=sum("answered:" in server.log for server in running.servers),
        )


class _Count:
    """Calls that are over; wakes whoever waits for so many."""

    def __init__(self, total: int) -> None:
        self._total, self._over = total, 0
        self._changed = asyncio.Condition()

    async def add(self) -> None:
        async with self._changed:
            self._over += 1
            self._changed.notify_all()

    async def reach(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._over >= count)


async def _one(
    running: Cluster, number: int, places: asyncio.Semaphore, ended: _Count, within: float
) -> dict[str, Any]:
    async with places:
        call_id = await running.call(phone_number=f"+1202555{number:04}")
        call = await running.ended(call_id, within)
    await ended.add()
    return call


async def _kill_each(running: Cluster, ended: _Count, calls: int) -> None:
    """Each while it holds a call, and one after the other: the two that are left go on."""
    for number, server in enumerate(running.servers):
        await ended.reach((number * calls) // (len(running.servers) + 1))
        await _on_line(server, ended, calls)
        await server.kill()
        await server.start()


async def _on_line(server: Server, ended: _Count, calls: int) -> None:
    """Until it holds a call; or until there are no more."""

    async def holds() -> None:
        while not await server.calls_on_line():  # noqa: ASYNC110  # another process's state
            await asyncio.sleep(0.1)

    waits = [asyncio.create_task(holds()), asyncio.create_task(ended.reach(calls))]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
