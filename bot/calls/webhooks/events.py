"""The events of a call, announced to its owner as the record stands then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bot.calls.queues import independent_step
from bot.records import CallRecord
from bot.store import CallStore
from bot.store.durable.engine import DurableEngine

Present = Callable[[CallRecord], Any]
"""A call as webhooks show it, a JSON value."""


class Announce(Protocol):
    """Webhooks: an event of a call, once."""

    async def announce(self, call_id: str, event: str, data: Any, url: str | None) -> None: ...


@dataclass(frozen=True)
class CallEvents:
    """One process's. Each announcement is a step of the workflow it is made in."""

    engine: DurableEngine
    store: CallStore
    webhooks: Announce
    present: Present

    async def announce_started(self, call_id: str) -> None:
        """The call was dialled, or has come in."""
        await self._announce(call_id, "call_started")

    async def announce_ended(self, call_id: str) -> None:
        await self._announce(call_id, "call_ended")

    async def announce_analyzed(self, call_id: str) -> None:
        await self._announce(call_id, "call_analyzed")

    async def _announce(self, call_id: str, event: str) -> None:
        async def announce() -> None:
            record = await self.store.get(call_id)
            if record is not None:
                await self.webhooks.announce(call_id, event, self.present(record), record.terms.webhook_url)

        await independent_step(self.engine, event, announce)
