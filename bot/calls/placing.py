"""Where calls are asked for: placed, registered for others to dial, canceled, hung up.

What can be refused at once is refused here, with a reason; what is kept is the dialler's from then on.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bot.calls.active_calls import ActiveCalls
from bot.calls.capacity import Asking
from bot.calls.carrier_events import REGISTERED, CarrierNews
from bot.calls.cluster.elsewhere import Elsewhere
from bot.calls.dialling.dialler import Dialler
from bot.calls.dialling.gate import DialGate
from bot.calls.dialling.policy import Refuse, Wait, WaitUntil
from bot.calls.idempotency import UNASKED, Asked, check_same
from bot.calls.ingress import Ingress
from bot.calls.planner import Planner
from bot.calls.webhooks import Webhooks
from bot.errors import BusyError, ConflictError, NotFoundError
from bot.policy import DEFAULT_TERMS, Terms
from bot.records import CallRecord, CallSpec, Direction, EndedReason, Registration, Status
from bot.settings import Settings
from bot.store import CallChange, SqlCallStore
from bot.store.durable.engine import DurableEngine
from bot.telephony.carrier import Carrier

REGISTRATION_SECONDS = 3600.0
"""How long a registered call waits to be dialled."""
TOLD_SECONDS = 5.0
"""How long a request waits for the carrier's word."""
EXPIRE = "expire_registration"


@dataclass
class Placing:
    """One process's. `register_work` before the engine is opened."""

    settings: Settings
    store: SqlCallStore
    carrier: Carrier
    active_calls: ActiveCalls
    engine: DurableEngine
    planner: Planner
    ingress: Ingress
    gate: DialGate
    dialler: Dialler
    news: CarrierNews
    elsewhere: Elsewhere
    webhooks: Webhooks
    plan_again: Callable[[str], Awaitable[object]]
    """Names the attempt that follows a call which is over, if one does."""

    def register_work(self) -> None:
        self.engine.workflow(EXPIRE, self.expire)
        self.engine.queue(EXPIRE, poll_seconds=5.0)

    async def get(self, call_id: str) -> CallRecord:
        record = await self.store.get(call_id)
        if record is None:
            raise NotFoundError(f"There is no call {call_id!r}.", field="call_id")
        return record

    async def place(self, spec: CallSpec, terms: Terms = DEFAULT_TERMS, asked: Asked = UNASKED) -> CallRecord:
        """The call, dialled or queued: kept, and begun by some process whatever becomes of this one.

        Waits a moment for the carrier's word. With the Idempotency-Key of a call it is that call, ever.
        CarrierError as the carrier refused it, RequestError, BusyError when the caller does not wait,
        ConflictError when the key came with another request.
        """
        await self.ingress.origin()
        record = self.planner.record(spec, Direction.OUTBOUND, call_id=asked.id_of("call"))
        record = replace(
            record,
            terms=terms,
            scheduled_at=terms.schedule_at,
            key_id=asked.key_id,
            request_hash=asked.request_hash,
        )
        known = None if asked.idempotency_key is None else await self.store.get(record.call_id)
        if known is None:
            await self._check(record)
        record = await self.dialler.place(record)
        check_same(record.request_hash, asked.request_hash, "call")
        return await self._word_of(record)

    async def _check(self, record: CallRecord) -> None:
        """What can be refused at once. RequestError, BusyError."""
        self.webhooks.check_url(record.terms.webhook_url)
        now = datetime.now(UTC)
        decision = await self.gate(record, now)
        if isinstance(decision, Refuse):
            raise decision.error()
        if record.terms.wait:
            return
        if isinstance(decision, WaitUntil):
            message = f"This number is not dialled before {decision.at:%Y-%m-%d %H:%M} UTC: {decision.why}."
            seconds = math.ceil((decision.at - now).total_seconds())
            code = "outside_calling_hours" if decision.why is Wait.CALLING_HOURS else None
            raise BusyError(message, retry_after_seconds=seconds, code=code)
        if await self._is_full():
            raise BusyError("All lines are in use; ask again, or wait.", retry_after_seconds=10)

    async def _is_full(self) -> bool:
        if self.settings.max_lines is not None and await self.store.lines_taken() >= self.settings.max_lines:
            return True
        return not self.store.database.shared and self.active_calls.refusal(Asking.NEW) is not None

    def _dials_later(self, record: CallRecord) -> bool:
        """Nobody asks the carrier before its time, or before the next start."""
        if record.scheduled_at is not None and record.scheduled_at > datetime.now(UTC):
            return True
        return not self.store.database.shared and self.active_calls.draining

    async def _word_of(self, record: CallRecord) -> CallRecord:
        """The record once its first dialling is told of; as it stands where that takes long. CarrierError."""
        if record.call_sid is not None:
            return record
        told = None
        if not self._dials_later(record):
            # Of a call that is over there is a word already, or none any more.
            told = await self.dialler.told(record.call_id, 0.0 if record.status.final else TOLD_SECONDS)
        record = await self.get(record.call_id)
        if not record.terms.wait and (told is None or told.waits):
            await self._do_not_wait(record)
        if told is not None and told.error and record.dialling_at is None and record.status is Status.CANCELED:
            return record
        if told is not None and told.error:
            raise told.failure()
        return record

    async def _do_not_wait(self, record: CallRecord) -> None:
        """BusyError for a call that was not dialled; it is canceled."""
        if await self.dialler.cancel(record.call_id) or (
            record.status is Status.CANCELED and record.dialling_at is None
        ):
            message = "No line was free, and the call was canceled: ask again, with a new Idempotency-Key if any."
            raise BusyError(message, retry_after_seconds=10)

    async def register(self, spec: CallSpec, terms: Terms = DEFAULT_TERMS) -> Registration:
        """Keep a call for a caller who dials by himself; our voice webhook answers it."""
        origin = await self.ingress.origin()
        self.webhooks.check_url(terms.webhook_url)
        record = self.planner.record(spec, Direction.OUTBOUND)
        await self.gate.do_not_call.check(spec.phone_number)
        plan = self.planner.plan(record)
        record = replace(record, terms=terms, vendors=self.planner.vendors(plan), followed_by=REGISTERED)
        await self.store.add(record)
        await self.engine.enqueue(
            EXPIRE,
            record.call_id,
            id=f"{record.call_id}:expire",
            queue=EXPIRE,
            delay_seconds=REGISTRATION_SECONDS,
        )
        slot = self.active_calls.expect(plan)
        if slot is not None:
            self.active_calls.prepare(slot)
            gone = functools.partial(self.expire, record.call_id)
            self.active_calls.release_after(slot, REGISTRATION_SECONDS, gone)
        order = self.planner.order(plan, origin)
        return Registration(
            call_id=plan.call_id,
            voice_url=order.voice_url,
            status_url=order.status_url,
            token_seconds=float(plan.scenario.limits.ring_seconds),
            expires_at=record.created_at + timedelta(seconds=REGISTRATION_SECONDS),
        )

    async def expire(self, call_id: str) -> None:
        """A registered call that nobody dialled in time."""
        record = await self.store.get(call_id)
        if record is not None and record.followed_by == REGISTERED and not record.status.final:
            await self.news.never_came(record, Status.CANCELED, EndedReason.CANCELED)
            await self.dialler.after(call_id)

    async def hang_up(self, call_id: str) -> CallRecord:
        """End a call wherever it stands."""
        record = await self.get(call_id)
        if record.status.final:
            raise ConflictError(f"Call {call_id!r} is over already: {record.status}.", field="call_id")
        slot = self.active_calls.slot_of(call_id)
        if slot is not None and slot.holding is not None:
            await slot.hang_up(EndedReason.AGENT_HANGUP)
            return record
        if record.held_by is not None and await self.elsewhere.hang_up(call_id, EndedReason.AGENT_HANGUP):
            return record
        if await self.dialler.cancel(record.call_id):
            return await self.get(call_id)
        answered = record.status is Status.IN_PROGRESS
        reason = EndedReason.AGENT_HANGUP if answered else EndedReason.CANCELED
        status = Status.COMPLETED if answered else Status.CANCELED
        await self.store.advance(call_id, status, at=datetime.now(UTC), change=CallChange(ended_reason=reason))
        await self.active_calls.release(call_id)
        await self.news.ended(call_id)
        if record.call_sid is not None:
            await self.carrier.hang_up(record.call_sid)
        return await self.get(call_id)

    async def cancel(self, call_id: str) -> CallRecord:
        """Before it is dialled; the attempt that waits, where this one is over. ConflictError when none does."""
        record = await self.get(call_id)
        if record.status.final and record.retried_as is None and record.campaign_id is None:
            # It may have ended just now: what is not planned yet is planned, to be canceled.
            await self.plan_again(call_id)
            record = await self.get(call_id)
        while record.status.final and record.retried_as is not None:
            following = await self.store.get(record.retried_as)
            if following is None:
                message = "The next attempt waits for its campaign to have room: cancel the campaign."
                raise ConflictError(message, field="call_id")
            record = following
        if not await self.dialler.cancel(record.call_id):
            where = "over already" if record.status.final else "being dialled or on the line: hang it up"
            raise ConflictError(f"Call {record.call_id!r} is {where}.", field="call_id")
        return await self.get(record.call_id)
