"""The attempt that follows a call: planned as soon as the call is over, kept, named in its record, begun."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from loguru import logger

from bot.calls.campaigns import Campaigns
from bot.calls.dialling.policy import ending_of, next_attempt
from bot.calls.planner import Planner
from bot.calls.queues import DialQueue
from bot.errors import ConflictError
from bot.records import CallRecord, Direction, Status
from bot.store import CallChange, CallStore
from bot.store.retention import is_erased


@dataclass(frozen=True)
class Retries:
    """One process's. A campaign dials its next attempts itself, when it has room."""

    store: CallStore
    planner: Planner
    queue: DialQueue
    campaigns: Campaigns

    async def plan(self, call_id: str) -> dict[str, str] | None:
        """The next attempt's id and time, named in this call's record before its end is announced; None: none
        follows.

        It is kept before it is named, so that it can be canceled from then on; a campaign keeps its own. May be
        done again, also by a request that cannot wait for the workflow.
        """
        record = await self.store.get(call_id)
        if record is None or record.direction is not Direction.OUTBOUND or record.dialling_at is None:
            return None
        if is_erased(record.spec.phone_number):
            return None  # there is no number to call again
        ending = ending_of(record.status, record.ended_reason, record.answered_by)
        at = next_attempt(ending, record.attempt, self.planner.retry_of(record), datetime.now(UTC))
        if at is None or (record.campaign_id is not None and not await self.campaigns.goes_on(record)):
            return None
        first = record.first_call_id or record.call_id
        again = f"{first}_{record.attempt + 1}"
        if record.campaign_id is None:
            at = await self._keep(_next_attempt_of(record, again, at), at)
        await self.store.update(record.call_id, CallChange(retried_as=again))
        logger.info("call {}: attempt {} at {:%Y-%m-%d %H:%M} UTC", call_id, record.attempt + 1, at)
        return {"call_id": again, "at": at.isoformat()}

    async def _keep(self, following: CallRecord, at: datetime) -> datetime:
        """When it is due: as it was kept by a run of this step that died, if so."""
        try:
            await self.store.add(following)
        except ConflictError:
            kept = await self.store.get(following.call_id)
            return at if kept is None or kept.scheduled_at is None else kept.scheduled_at
        return at

    async def follow_up(self, call_id: str, again: dict[str, str] | None) -> None:
        """Begin the planned attempt, or report that none follows. May be done again."""
        record = await self.store.get(call_id)
        if record is None:
            return  # erased meanwhile
        if again is None or is_erased(record.spec.phone_number):
            await self.campaigns.contact_done(record)
            return
        following = _next_attempt_of(record, again["call_id"], datetime.fromisoformat(again["at"]))
        if record.campaign_id is None:
            await self.queue.place(following)
        else:
            await self.campaigns.retry(record, following)


def _next_attempt_of(record: CallRecord, call_id: str, at: datetime) -> CallRecord:
    return CallRecord(
        call_id=call_id,
        spec=record.spec,
        direction=record.direction,
        status=Status.QUEUED,
        created_at=datetime.now(UTC),
        terms=replace(record.terms, schedule_at=None),
        attempt=record.attempt + 1,
        first_call_id=record.first_call_id or record.call_id,
        scheduled_at=at,
        key_id=record.key_id,
        campaign_id=record.campaign_id,
        contact_id=record.contact_id,
    )
