"""Calls a former process left open: found at start, settled with the carrier, never dialled again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from loguru import logger

from bot.errors import CarrierError
from bot.records import CallRecord, EndedReason, Status
from bot.scenario import Scenarios
from bot.settings import Settings
from bot.store import CallChange, CallStore
from bot.telephony.carrier import Carrier

REGISTRATION_SECONDS = 3600.0
"""How long a registered call waits to be dialled."""
SETTLED_AT_ONCE = 8
ENDED_BY_STATUS = {
    Status.BUSY: EndedReason.DIAL_BUSY,
    Status.NO_ANSWER: EndedReason.DIAL_NO_ANSWER,
    Status.FAILED: EndedReason.DIAL_FAILED,
    Status.CANCELED: EndedReason.CANCELED,
}
"""What the carrier's last word says of a call that nobody answered."""


@dataclass(frozen=True)
class Recovery:
    """One start of a server that is alone with its data folder."""

    store: CallStore
    carrier: Carrier
    scenarios: Scenarios
    settings: Settings

    async def settle(self) -> None:
        """Calls a former process left open: ask the carrier, and close what nobody holds any more."""
        abandoned = [record for record in await self.store.unfinished() if self._is_abandoned(record)]
        for start in range(0, len(abandoned), SETTLED_AT_ONCE):
            await asyncio.gather(*map(self._settle_one, abandoned[start : start + SETTLED_AT_ONCE]))

    async def _settle_one(self, record: CallRecord) -> None:
        known = None
        if record.call_sid is not None:
            try:
                known = await self.carrier.fetch(record.call_sid)
                if known is not None and not known.status.final:
                    await self.carrier.hang_up(record.call_sid)
            except CarrierError as e:
                logger.warning("call {} cannot be settled now: {}", record.call_id, e.message)
                return
        status = known.status if known is not None and known.status.final else Status.FAILED
        if record.answered_at is not None:
            status = Status.COMPLETED
        reason = EndedReason.SERVER_SHUTDOWN
        if known is not None:
            reason = ENDED_BY_STATUS.get(status, reason)
        duration = None if known is None else known.duration_seconds
        change = CallChange(ended_reason=reason, duration_seconds=duration)
        await self.store.advance(record.call_id, status, at=datetime.now(UTC), change=change)
        logger.warning("call {} was left open by a former process: {}", record.call_id, status)

    def _is_abandoned(self, record: CallRecord) -> bool:
        """In a database of our own every open call is; in a shared one, those too old to be on a line."""
        age = (datetime.now(UTC) - record.created_at).total_seconds()
        if record.call_sid is None and record.started_at is None and age < REGISTRATION_SECONDS:
            return False  # registered, and still to be dialled by somebody else
        address = self.settings.database_url or "sqlite:"
        limits = (
            self.scenarios.get(record.spec.scenario).limits
            if record.spec.scenario in self.scenarios.names
            else None
        )
        longest = 14400.0 if limits is None else limits.ring_seconds + limits.max_duration_seconds
        return address.startswith("sqlite") or age > longest + 120
