"""What is due when a call is over: its end is announced, its outcome filled, another attempt planned and begun.

A workflow of its own, so that the line's place in its queue is free as soon as the carrier's call is over. What
waits for a model is another one behind it, with a queue of its own: however slow the model is, the end of other
calls and their next attempts do not wait for it. Every step can be repeated: events and calls have ids that
follow from the call.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from loguru import logger

from bot.calls.campaigns import Campaigns
from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.dialling.policy import ending_of, next_attempt
from bot.calls.outcome import Analyst
from bot.calls.planner import Planner
from bot.calls.queues import (
    AFTER_CALL,
    AFTER_CALLS,
    ANALYSES,
    ANALYSIS,
    AfterCallQueue,
    DialQueue,
    independent_step,
)
from bot.calls.webhooks import EventType
from bot.calls.webhooks.delivery import CallEvents
from bot.errors import ConflictError
from bot.records import CallRecord, Direction, Status
from bot.store import CallChange, SqlCallStore
from bot.store.connections import retry_database
from bot.store.durable.engine import DurableEngine
from bot.store.retention import SqlRetentionStore, is_erased
from bot.telemetry import tally, tracing

AFTERS_AT_ONCE = 64
"""In one process: they wait for the database, and one goes on while another does."""
ANALYSES_AT_ONCE = 16
"""In one process: what they wait for is a model."""


@dataclass(frozen=True)
class Retries:
    """The attempts that follow calls: planned as soon as one is over, kept, named in its record, begun.

    A campaign dials its next attempts itself, when it has room.
    """

    store: SqlCallStore
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


@dataclass(frozen=True)
class AfterCall:
    """One process's. `register` before the engine is opened."""

    engine: DurableEngine
    store: SqlCallStore
    events: CallEvents
    analyst: Analyst
    retries: Retries
    do_not_call: DoNotCall
    kept: SqlRetentionStore

    def register(self) -> None:
        self.engine.workflow(AFTER_CALL, self._after)
        self.engine.queue(AFTER_CALLS, per_process=AFTERS_AT_ONCE)
        self.engine.workflow(ANALYSIS, self._analysis)
        self.engine.queue(ANALYSES, per_process=ANALYSES_AT_ONCE)

    async def _after(self, call_id: str) -> None:
        with logger.contextualize(call_id=call_id):
            await independent_step(self.engine, "tally", lambda: self._count(call_id))
            await independent_step(self.engine, "promises", lambda: self._settle(call_id))
            again = await independent_step(self.engine, "retry", lambda: self.retries.plan(call_id))
            await self.events.announce(call_id, EventType.CALL_ENDED)
            if again is not None:
                await self._follow_up(call_id, again)
            queue = AfterCallQueue(self.engine)
            await retry_database(lambda: queue.begin_analysis(call_id, last=again is None))

    async def _analysis(self, call_id: str, last: bool) -> None:
        """`last`: no attempt follows; the call is done with its outcome. What need not stay of it goes."""
        planner = self.retries.planner
        with logger.contextualize(call_id=call_id):
            await independent_step(self.engine, "analyse", lambda: self._analyse(call_id))
            await self.events.announce(call_id, EventType.CALL_ANALYZED)
            if last:
                await self._follow_up(call_id, None)
            await independent_step(self.engine, "drop", lambda: self.kept.keep_only(call_id, planner.kept))
            planner.forget(call_id)

    async def _follow_up(self, call_id: str, again: dict[str, str] | None) -> None:
        try:
            await retry_database(lambda: self.retries.follow_up(call_id, again))
        except Exception as e:
            logger.opt(exception=e).error("what follows call {} could not be begun", call_id)

    async def _count(self, call_id: str) -> None:
        record = await self.store.get(call_id)
        if record is not None:
            tally.call_over(record)

    async def _settle(self, call_id: str) -> None:
        record = await self.store.get(call_id)
        if record is not None:
            await self.analyst.settle(record)
            # Of a call that a killed process left, what the agent promised is known from here on.
            await self.do_not_call.keep_promise(await self.store.get(call_id) or record)

    async def _analyse(self, call_id: str) -> None:
        """Where it fails, the rules' outcome stands."""
        record = await self.store.get(call_id)
        if record is not None:
            with tracing.span("analysis", call_id):
                await self.analyst.keep(record)


def _next_attempt_of(record: CallRecord, call_id: str, at: datetime) -> CallRecord:
    return CallRecord(
        call_id=call_id,
        spec=record.spec,
        direction=record.direction,
        status=Status.QUEUED,
        created_at=datetime.now(UTC),
        terms=replace(record.terms, schedule_at=None),
        compliance=record.compliance,
        attempt=record.attempt + 1,
        first_call_id=record.first_call_id or record.call_id,
        scheduled_at=at,
        key_id=record.key_id,
        campaign_id=record.campaign_id,
        contact_id=record.contact_id,
    )
