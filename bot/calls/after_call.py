"""What is due when a call is over: its end is told, its outcome made out, another attempt begun.

A workflow of its own, so that the line's place in its queue is free as soon as the carrier's call is over. What
waits for a model is another one behind it, with a queue of its own: however slow the model is, the end of other
calls and their next attempts do not wait for it. Every step can be repeated: events and calls have ids that
follow from the call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from loguru import logger

from bot.calls.dialling.dialler import Dialler
from bot.calls.dialling.policy import ending_of, next_attempt
from bot.errors import ConflictError
from bot.policy import RetryTerms
from bot.records import CallRecord, Direction, Status
from bot.store import CallChange, CallStore
from bot.store.connections import DATABASE_ERRORS
from bot.store.durable.engine import DurableEngine
from bot.store.retention import is_erased
from bot.telemetry import tally, tracing

AFTER, AFTERS = "after_call", "after_calls"
AFTERS_AT_ONCE = 64
"""In one process: they wait for the database, and one goes on while another does."""
ANALYSE, ANALYSES = "analyse_call", "analyse_calls"
ANALYSES_AT_ONCE = 16
"""In one process: what they wait for is a model."""
_T = TypeVar("_T")


class Announce(Protocol):
    """Webhooks: an event of a call, once."""

    async def announce(self, call_id: str, event: str, data: Any, url: str | None) -> None: ...


class AfterCall:
    """One process's. `present`: a call as the API shows it. `settle`: what is known at once of a call
    that no line was held for, kept; `analyse`: its outcome, made out and kept."""

    def __init__(
        self,
        *,
        engine: DurableEngine,
        store: CallStore,
        dialler: Dialler,
        webhooks: Announce,
        present: Callable[[CallRecord], Any],
        settle: Callable[[CallRecord], Awaitable[None]],
        analyse: Callable[[CallRecord], Awaitable[None]],
        retry_of: Callable[[CallRecord], RetryTerms | None],
    ) -> None:
        self._engine, self._store, self._dialler = engine, store, dialler
        self._webhooks, self._present = webhooks, present
        self._settle, self._analyse, self._retry_of = settle, analyse, retry_of
        self.promises: Callable[[CallRecord], Awaitable[None]] = _nothing
        """Told of every call that is over: what the agent promised in it is done."""
        self.on_done: Callable[[CallRecord], Awaitable[None]] = _nothing
        """Told of a call that no other attempt follows: a campaign's contact is done."""
        self.may_go_on: Callable[[CallRecord], Awaitable[bool]] = _always
        """Whether another attempt may follow a campaign's call."""
        self.on_retry: Callable[[CallRecord, CallRecord], Awaitable[None]] | None = None
        """Takes a campaign's next attempt, which is dialled when the campaign has room; with the one before."""

    def register(self) -> None:
        self._engine.workflow(AFTER, self._after)
        self._engine.queue(AFTERS, per_process=AFTERS_AT_ONCE)
        self._engine.workflow(ANALYSE, self._analysis)
        self._engine.queue(ANALYSES, per_process=ANALYSES_AT_ONCE)

    async def begin(self, call_id: str) -> None:
        """What is due after the call, once."""
        await self._engine.enqueue(AFTER, call_id, id=_after_of(call_id), queue=AFTERS)

    async def still_due(self, call_ids: Collection[str]) -> Collection[str]:
        """Of calls that are over, those after which something is still to be done; begun where nobody did."""
        ids = [id_of(call_id) for call_id in call_ids for id_of in (_after_of, _analysis_of)]
        known = await self._engine.unfinished(ids)
        due = []
        for call_id in call_ids:
            after, analysis = known.get(_after_of(call_id)), known.get(_analysis_of(call_id), False)
            if after is None:
                await self.begin(call_id)
            if after is None or after or analysis:
                due.append(call_id)
        return due

    async def started(self, call_id: str) -> None:
        """The call was dialled, or has come in."""
        await self._do("call_started", lambda: self._tell(call_id, "call_started"))

    async def _tell(self, call_id: str, event: str) -> None:
        record = await self._store.get(call_id)
        if record is not None:
            await self._webhooks.announce(call_id, event, self._present(record), record.terms.webhook_url)

    async def _after(self, call_id: str) -> None:
        with logger.contextualize(call_id=call_id):
            await self._do("tally", lambda: self._count(call_id))
            await self._do("promises", lambda: self._keep(call_id))
            again = await self._do("retry", lambda: self.plan_again(call_id))
            await self._do("call_ended", lambda: self._tell(call_id, "call_ended"))
            if again is not None:
                await self._follow_up(call_id, again)
            await self._engine.insist(lambda: self._begin_analysis(call_id, again is None))

    async def _begin_analysis(self, call_id: str, last: bool) -> None:
        await self._engine.enqueue(ANALYSE, call_id, last, id=_analysis_of(call_id), queue=ANALYSES)

    async def _analysis(self, call_id: str, last: bool) -> None:
        """`last`: no attempt follows; the call is done with its outcome."""
        with logger.contextualize(call_id=call_id):
            await self._do("analyse", lambda: self._made_out(call_id))
            await self._do("call_analyzed", lambda: self._tell(call_id, "call_analyzed"))
            if last:
                await self._follow_up(call_id, None)

    async def _follow_up(self, call_id: str, again: dict[str, str] | None) -> None:
        try:
            await self._engine.insist(lambda: self._go_on(call_id, again))
        except Exception as e:
            logger.opt(exception=e).error("what follows call {} could not be begun", call_id)

    async def _do(self, name: str, run: Callable[[], Awaitable[_T]]) -> _T | None:
        """A step that the others do not depend on; None where it failed of itself."""

        async def attempt() -> _T | None:
            try:
                return await run()
            except DATABASE_ERRORS:
                raise  # the step is tried again
            except Exception as e:
                logger.opt(exception=e).error("{} failed", name)
                return None

        return await self._engine.step(name, attempt)

    async def _go_on(self, call_id: str, again: dict[str, str] | None) -> None:
        """Another attempt, or none: told, or begun. Every time the same."""
        record = await self._store.get(call_id)
        if record is None:
            return  # erased meanwhile
        if again is None or is_erased(record.spec.phone_number):
            await self.on_done(record)
            return
        following = _again(record, again["call_id"], datetime.fromisoformat(again["at"]))
        if record.campaign_id is None or self.on_retry is None:
            await self._dialler.place(following)
        else:
            await self.on_retry(record, following)

    async def _count(self, call_id: str) -> None:
        record = await self._store.get(call_id)
        if record is not None:
            tally.call_over(record)

    async def _keep(self, call_id: str) -> None:
        record = await self._store.get(call_id)
        if record is not None:
            await self._settle(record)
            # Of a call that a killed process left, what was promised is known from here on.
            await self.promises(await self._store.get(call_id) or record)

    async def _made_out(self, call_id: str) -> None:
        """Where it fails, the rules' outcome stands."""
        record = await self._store.get(call_id)
        if record is not None:
            with tracing.span("analysis", call_id):
                await self._analyse(record)

    async def plan_again(self, call_id: str) -> dict[str, str] | None:
        """The next attempt's id and time, named in this call's record before its end is told; None: none follows.

        It is kept before it is named, so that it can be canceled from then on; a campaign keeps its own. May be
        done again, and by whoever cannot wait for the workflow.
        """
        record = await self._store.get(call_id)
        if record is None or record.direction is not Direction.OUTBOUND or record.dialling_at is None:
            return None
        if is_erased(record.spec.phone_number):
            return None  # there is nobody to call again
        ending = ending_of(record.status, record.ended_reason, record.answered_by)
        at = next_attempt(ending, record.attempt, self._retry_of(record), datetime.now(UTC))
        if at is None or (record.campaign_id is not None and not await self.may_go_on(record)):
            return None
        first = record.first_call_id or record.call_id
        again = f"{first}_{record.attempt + 1}"
        if record.campaign_id is None or self.on_retry is None:
            at = await self._keep_again(_again(record, again, at), at)
        await self._store.update(call_id, CallChange(retried_as=again))
        logger.info("call {}: attempt {} at {:%Y-%m-%d %H:%M} UTC", call_id, record.attempt + 1, at)
        return {"call_id": again, "at": at.isoformat()}

    async def _keep_again(self, following: CallRecord, at: datetime) -> datetime:
        """When it is due: as it was kept by a run of this step that died, if so."""
        try:
            await self._store.add(following)
        except ConflictError:
            kept = await self._store.get(following.call_id)
            return at if kept is None or kept.scheduled_at is None else kept.scheduled_at
        return at


def _after_of(call_id: str) -> str:
    return f"{call_id}:after"


def _analysis_of(call_id: str) -> str:
    return f"{call_id}:analysis"


def _again(record: CallRecord, call_id: str, at: datetime) -> CallRecord:
    """The next attempt of the same wish."""
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


async def _nothing(_record: CallRecord) -> None:
    return


async def _always(_record: CallRecord) -> bool:
    return True
