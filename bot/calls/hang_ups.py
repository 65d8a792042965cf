"""A client's wish to end a call, wherever it stands: waiting, ringing, on the line here or in another process."""

from dataclasses import dataclass
from datetime import UTC, datetime

from bot.calls.carrier_events import CarrierEvents
from bot.calls.cluster.other_processes import OtherProcesses
from bot.calls.process import Process
from bot.calls.queues import DialQueue
from bot.errors import ConflictError
from bot.records import CallRecord, EndedReason, Status
from bot.store import CallChange
from bot.telephony.carrier import try_hang_up


@dataclass(frozen=True)
class HangUps:
    """One process's."""

    process: Process
    queue: DialQueue
    others: OtherProcesses
    carrier_events: CarrierEvents

    async def hang_up(self, call_id: str, *, again: bool = False) -> CallRecord:
        """End it. NotFoundError; ConflictError when it is over; CarrierError, and then it is not over.
        `again`: the wish may have been heard before: a call that was ended by one is no conflict.

        The carrier is asked before the record is final: a request that the carrier refused can be repeated.
        """
        store, active_calls = self.process.store, self.process.active_calls
        record = await store.find(call_id)
        if record.status.final:
            if again and record.ended_reason in (EndedReason.API_HANGUP, EndedReason.CANCELED):
                return record
            raise ConflictError(f"Call {call_id!r} is over already: {record.status}.", field="call_id")
        slot = active_calls.slot_of(call_id)
        if slot is not None and slot.holding is not None:
            await slot.hang_up(EndedReason.API_HANGUP)
            return record
        if record.held_by is not None and await self.others.hang_up(call_id, EndedReason.API_HANGUP):
            return record
        if await self.queue.cancel(record.call_id):
            return await store.find(call_id)
        record = await store.find(call_id)  # the carrier may have taken it meanwhile
        if record.call_sid is not None:
            await self.process.carrier.hang_up(record.call_sid)
        answered = record.status is Status.IN_PROGRESS
        reason = EndedReason.API_HANGUP if answered else EndedReason.CANCELED
        status = Status.COMPLETED if answered else Status.CANCELED
        await store.advance(call_id, status, at=datetime.now(UTC), change=CallChange(ended_reason=reason))
        await active_calls.release(call_id)
        await self.carrier_events.ended(call_id)
        ended = await store.find(call_id)
        if record.call_sid is None and ended.call_sid is not None:
            # It took it in this moment: where its dialling was noted before this end, nothing else hangs it up.
            await try_hang_up(self.process.carrier, ended.call_sid)
        return ended
