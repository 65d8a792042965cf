"""What is due when a call is over: its end is announced, its outcome filled, another attempt begun.

A workflow of its own, so that the line's place in its queue is free as soon as the carrier's call is over. What
waits for a model is another one behind it, with a queue of its own: however slow the model is, the end of other
calls and their next attempts do not wait for it. Every step can be repeated: events and calls have ids that
follow from the call.
"""

from __future__ import annotations

from dataclasses import dataclass

from loguru import logger

from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.dialling.retries import Retries
from bot.calls.outcome import Analyst
from bot.calls.queues import AFTER_CALL, AFTER_CALLS, ANALYSES, ANALYSIS, AfterCallQueue, independent_step
from bot.calls.webhooks import EventType
from bot.calls.webhooks.delivery import CallEvents
from bot.store import CallStore
from bot.store.connections import retry_database
from bot.store.durable.engine import DurableEngine
from bot.telemetry import tally, tracing

AFTERS_AT_ONCE = 64
"""In one process: they wait for the database, and one goes on while another does."""
ANALYSES_AT_ONCE = 16
"""In one process: what they wait for is a model."""


@dataclass(frozen=True)
class AfterCall:
    """One process's. `register` before the engine is opened."""

    engine: DurableEngine
    store: CallStore
    events: CallEvents
    analyst: Analyst
    retries: Retries
    do_not_call: DoNotCall

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
        """`last`: no attempt follows; the call is done with its outcome."""
        with logger.contextualize(call_id=call_id):
            await independent_step(self.engine, "analyse", lambda: self._analyse(call_id))
            await self.events.announce(call_id, EventType.CALL_ANALYZED)
            if last:
                await self._follow_up(call_id, None)
            self.retries.planner.forget(call_id)

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
