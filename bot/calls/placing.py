"""Calls that are asked for: placed, and canceled before they are dialled.

What can be refused at once is refused here, with a reason; a call that is kept is dialled by a workflow.
"""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bot.calls.after_call import Retries
from bot.calls.capacity import LineRequest, wait_of
from bot.calls.dialling.dial_once import DialGate
from bot.calls.dialling.policy import Refuse, WaitUntil
from bot.calls.idempotency import UNASKED, Asked, check_same
from bot.calls.ingress import Ingress
from bot.calls.process import Process
from bot.calls.queues import DialQueue
from bot.calls.webhooks import Webhooks
from bot.errors import BusyError, ConflictError
from bot.phone_numbers import is_client
from bot.policy import DEFAULT_TERMS, Terms
from bot.records import CallRecord, CallSpec, Direction, Status, Wait
from bot.store import CallChange

RESULT_SECONDS = 5.0
"""How long a request waits for the carrier's answer."""


@dataclass(frozen=True)
class Placing:
    """One process's."""

    process: Process
    ingress: Ingress
    gate: DialGate
    queue: DialQueue
    retries: Retries
    webhooks: Webhooks

    async def place(self, spec: CallSpec, terms: Terms = DEFAULT_TERMS, asked: Asked = UNASKED) -> CallRecord:
        """The call, dialled or queued: kept, and begun by some process whatever becomes of this one.

        Waits a moment for the carrier's answer. With the Idempotency-Key of a call it is that call, ever.
        CarrierError as the carrier refused it, RequestError, BusyError when the caller does not wait,
        ConflictError when the key came with another request.
        """
        await self.ingress.origin(phones=not is_client(spec.phone_number))
        record = self.process.planner.record(spec, Direction.OUTBOUND, terms, call_id=asked.id_of("call"))
        record = replace(record, key_id=asked.key_id, request_hash=asked.request_hash)
        known = None if asked.idempotency_key is None else await self.process.store.get(record.call_id)
        if known is None:
            await self._check(record)
        record = await self.queue.place(record)
        check_same(record.request_hash, asked.request_hash, "call")
        return await self._with_result(record)

    async def _check(self, record: CallRecord) -> None:
        """What can be refused at once. RequestError, BusyError."""
        self.webhooks.check_url(record.terms.webhook_url)
        self.process.planner.check_consent(record)
        if not is_client(record.spec.phone_number):
            self.process.planner.check_callee(record.terms.simulated_callee)
        now = datetime.now(UTC)
        decision = await self.gate(record, now)
        if isinstance(decision, Refuse):
            raise decision.error()
        if record.terms.wait:
            return
        if isinstance(decision, WaitUntil):
            message = f"This number is not dialled before {decision.at:%Y-%m-%d %H:%M} UTC: {decision.why}."
            seconds = math.ceil((decision.at - now).total_seconds())
            if decision.why is Wait.NUMBER_BUSY:
                message = "This number is on another call of this server: ask again."
            code = "outside_calling_hours" if decision.why is Wait.CALLING_HOURS else None
            raise BusyError(message, retry_after_seconds=seconds, code=code)
        if await self._is_full():
            raise BusyError("All lines are in use; ask again, or wait.", retry_after_seconds=10)

    async def _is_full(self) -> bool:
        lines, store = self.process.settings.max_lines, self.process.store
        if lines is not None and await store.lines_taken() >= lines:
            return True
        return not store.database.shared and self.process.active_calls.refusal(LineRequest.NEW) is not None

    def _dials_later(self, record: CallRecord) -> bool:
        """The carrier is not asked before the call's time, or before the next start."""
        if record.scheduled_at is not None and record.scheduled_at > datetime.now(UTC):
            return True
        return not self.process.store.database.shared and self.process.active_calls.draining

    async def _with_result(self, record: CallRecord) -> CallRecord:
        """The record once its first dialling has a result; as it stands where that takes long. CarrierError."""
        if record.call_sid is not None:
            return record
        result = None
        if not self._dials_later(record):
            # A call that is over has its result already, or none any more.
            seconds = 0.0 if record.status.final else RESULT_SECONDS
            result = await self.queue.result(record.call_id, seconds)
        record = await self.process.store.find(record.call_id)
        if not record.terms.wait and (result is None or result.waits):
            await self._do_not_wait(record)
        if result is None or not result.error:
            return await self._with_reason(record)
        if record.dialling_at is None and record.status is Status.CANCELED:
            return record
        raise result.failure()

    async def _with_reason(self, record: CallRecord) -> CallRecord:
        """With why it waits, where nothing has put it off yet: its turn did not come."""
        if record.status is not Status.QUEUED or record.dialling_at is not None or record.waiting_for is not None:
            return record
        why = wait_of(self.process.active_calls.refusal())
        if record.scheduled_at is not None and record.scheduled_at > datetime.now(UTC):
            why = Wait.SCHEDULED
        elif why is None and await self._is_full():
            why = Wait.NO_LINE
        if why is None:
            return record
        await self.process.store.update(record.call_id, CallChange(waiting_for=why))
        return replace(record, waiting_for=why)

    async def _do_not_wait(self, record: CallRecord) -> None:
        """BusyError for a call that was not dialled; it is canceled."""
        if await self.queue.cancel(record.call_id) or (
            record.status is Status.CANCELED and record.dialling_at is None
        ):
            message = "No line was free, and the call was canceled: ask again, with a new Idempotency-Key if any."
            raise BusyError(message, retry_after_seconds=10)

    async def cancel(self, call_id: str) -> CallRecord:
        """Before it is dialled; the attempt that waits, where this one is over. ConflictError when none does."""
        store = self.process.store
        record = await store.find(call_id)
        if record.status.final and record.retried_as is None and record.campaign_id is None:
            # It may have ended just now: what is not planned yet is planned, to be canceled.
            await self.retries.plan(call_id)
            record = await store.find(call_id)
        while record.status.final and record.retried_as is not None:
            following = await store.get(record.retried_as)
            if following is None:
                message = "The next attempt waits for its campaign to have room: cancel the campaign."
                raise ConflictError(message, field="call_id")
            record = following
        if not await self.queue.cancel(record.call_id):
            where = "over already" if record.status.final else "being dialled or on the line: hang it up"
            raise ConflictError(f"Call {record.call_id!r} is {where}.", field="call_id")
        return await store.find(record.call_id)
