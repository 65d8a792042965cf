"""Calls that their owner dials: kept until the carrier reports their answer, or until they expire."""

import functools
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlsplit

from bot.calls.carrier_events import REGISTERED, CarrierEvents
from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.ingress import Ingress, is_loopback
from bot.calls.process import Process
from bot.calls.queues import AfterCallQueue
from bot.calls.webhooks import Webhooks
from bot.policy import DEFAULT_TERMS, Terms
from bot.records import CallSpec, Direction, EndedReason, Registration, Status
from bot.store.consents import SqlConsentStore

REGISTRATION_SECONDS = 3600.0
"""How long a registered call waits to be dialled."""
_LOCAL = "PUBLIC_HOST is an address of this machine alone: no carrier elsewhere reaches these URLs."
EXPIRE = "expire_registration"


@dataclass(frozen=True)
class Registrations:
    """One process's. `register_work` before the engine is opened."""

    process: Process
    ingress: Ingress
    do_not_call: DoNotCall
    webhooks: Webhooks
    carrier_events: CarrierEvents
    consents: SqlConsentStore

    def register_work(self) -> None:
        self.process.engine.workflow(EXPIRE, self._expire)
        self.process.engine.queue(EXPIRE, poll_seconds=5.0)

    async def register(self, spec: CallSpec, terms: Terms = DEFAULT_TERMS) -> Registration:
        """Keep a call that its owner dials. RequestError."""
        process, origin = self.process, await self.ingress.origin()
        self.webhooks.check_url(terms.webhook_url)
        record = process.planner.record(spec, Direction.OUTBOUND, terms)
        process.planner.check_consent(record)
        await self.do_not_call.check(spec.phone_number)
        plan = process.planner.plan(record)
        record = replace(record, scheduled_at=None, vendors=process.planner.vendors(plan), followed_by=REGISTERED)
        await process.store.add(record)
        await self.consents.keep(record)
        await process.engine.enqueue(
            EXPIRE,
            record.call_id,
            id=f"{record.call_id}:expire",
            queue=EXPIRE,
            delay_seconds=REGISTRATION_SECONDS,
        )
        slot = process.active_calls.expect(plan)
        if slot is not None:
            process.active_calls.prepare(slot)
            gone = functools.partial(self._expire, record.call_id)
            process.active_calls.release_after(slot, REGISTRATION_SECONDS, gone)
        where = process.carrier.callbacks(origin, plan.call_id)
        return Registration(
            call_id=plan.call_id,
            voice_url=where.voice_url,
            status_url=where.status_url,
            warning=_LOCAL if is_loopback(urlsplit(origin).hostname or "") else None,
            token_seconds=float(plan.scenario.limits.ring_seconds),
            expires_at=record.created_at + timedelta(seconds=REGISTRATION_SECONDS),
        )

    async def _expire(self, call_id: str) -> None:
        """A registered call that was not dialled in time."""
        record = await self.process.store.get(call_id)
        if record is not None and record.followed_by == REGISTERED and not record.status.final:
            await self.carrier_events.never_came(record, Status.CANCELED, EndedReason.CANCELED)
            await AfterCallQueue(self.process.engine).begin(call_id)
