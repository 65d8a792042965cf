"""What the carrier reports of calls: answered, further on, over, who answered, how a transfer goes.

In any order, more than once, late, or of a call we do not know; and to any process, also one that neither
dialled nor holds it.
"""

import functools
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from loguru import logger

from bot.calls.active_calls import CallSlot
from bot.calls.capacity import LineRequest
from bot.calls.cluster.other_processes import OtherProcesses
from bot.calls.dialling.dialler import Dialler
from bot.calls.dialling.following import BY_STATUS
from bot.calls.ingress import HANDSHAKE_SECONDS, Ingress
from bot.calls.process import Process
from bot.errors import BusyError, ConflictError
from bot.records import CallRecord, CallSpec, Direction, EndedReason, Status
from bot.store import CallChange
from bot.store.connections import DATABASE_ERRORS
from bot.telephony.carrier import (
    Answered,
    AskAgain,
    CarrierReply,
    CarrierRequest,
    ConnectStream,
    Detected,
    EndCall,
    Instruction,
    LegEvent,
    PressKeys,
    RefuseBusy,
    SayAndEnd,
    StatusReported,
    seconds_for,
)

MOST_TRIES = 3
"""Processes asked to take a call, before it is turned away; maybe the same one again."""
REGISTERED = "registered"
"""What follows a call that somebody else is to dial, until it is answered."""


@dataclass(frozen=True)
class CarrierEvents:
    """One process's receiver of what its carrier reports."""

    process: Process
    ingress: Ingress
    dialler: Dialler
    others: OtherProcesses

    async def handle(self, request: CarrierRequest) -> CarrierReply:
        """Act on a webhook. ForbiddenError when the carrier did not sign it, RequestError when it is none."""
        origin, carrier = await self.ingress.origin(phones=False), self.process.carrier
        instruction: Instruction | None = None
        match carrier.read(request, origin):
            case Answered() as event:
                instruction = await self.answered(event)
            case StatusReported() as event:
                await self.status(event)
            case Detected(call_sid, call_id, detection):
                logger.info("call {}: the carrier heard: {}", call_id or call_sid, detection)
                slots = self.process.active_calls.slots
                slot = next((s for s in slots if call_id == s.plan.call_id or call_sid == s.call_sid), None)
                if slot is not None:
                    slot.plan.detections.report(detection)
                elif call_id is not None:
                    await self.others.detected(call_id, detection)
            case LegEvent() as event:
                instruction = await self.others.transfer(event)
        return carrier.reply(request, instruction, origin)

    async def answered(self, event: Answered) -> Instruction:
        """Connect the media stream, let the carrier ask another process, or turn the call away."""
        try:
            record = await self._called(event)
        except ConflictError as e:
            logger.warning("the carrier asks what to do with a call that is over: {}", e.message)
            return EndCall()
        plan = self.process.planner.plan(record)
        inbound = record.direction is Direction.INBOUND
        dialled_here = self.process.active_calls.slot_of(record.call_id) is not None
        if record.followed_by in (None, REGISTERED):
            # First of all: also a call that is turned away has a follower.
            await self.dialler.follow(record.call_id)
        max_lines = self.process.settings.max_lines
        # Lines of all processes, but for the call that asks.
        all_taken = inbound and max_lines is not None and await self.process.store.lines_taken() - 1 >= max_lines
        try:
            if all_taken:
                raise BusyError(f"All {max_lines} lines are in use; ask again.", retry_after_seconds=10)
            slot = self.process.active_calls.take_line(plan, LineRequest.NEW if inbound else LineRequest.ANSWERED)
        except BusyError as e:
            if not all_taken and await self._may_ask_again(event.tries):
                logger.info("call {} asks for another process: {}", plan.call_id, e.message)
                return AskAgain()
            logger.warning("call {} is turned away: {}", plan.call_id, e.message)
            await self._end(record, Status.BUSY, CallChange(ended_reason=EndedReason.DIAL_BUSY))
            message = plan.scenario.inbound.busy_message
            if not inbound:
                return EndCall()
            return SayAndEnd(message, plan.scenario.language) if message else RefuseBusy()
        # Before anything is awaited: whatever fails from here on, the line is freed in time.
        extension = None if inbound else plan.extension
        seconds = self.keep_line(record, slot, event.call_sid, seconds_for(extension or ""))
        if record.dialling_at is not None and not dialled_here:
            # Only now: the process that dialled gives up the line it keeps for the call.
            await self.dialler.news(record, "answered")
        if record.call_sid is None:
            await self.process.store.update(plan.call_id, CallChange(call_sid=event.call_sid))
        await self.connecting(slot, CallChange(caller_identity=event.caller_identity or None))
        stream = await self.ingress.stream(plan.call_id, seconds, held_here=False)
        return ConnectStream(stream) if extension is None else PressKeys(extension, stream)

    def keep_line(self, record: CallRecord, slot: CallSlot, call_sid: str, more_seconds: float = 0.0) -> float:
        """For the call's media stream, which has so many seconds to open; without it the line is free again."""
        slot.call_sid = call_sid
        seconds = slot.plan.scenario.limits.ring_seconds + more_seconds
        gone = functools.partial(self.never_came, record, Status.COMPLETED, EndedReason.ERROR_LINE)
        self.process.active_calls.release_after(slot, seconds + HANDSHAKE_SECONDS, gone)
        return seconds

    async def connecting(self, slot: CallSlot, change: CallChange) -> None:
        """The call is answered, its media stream about to open."""
        call_id, active_calls = slot.plan.call_id, self.process.active_calls
        await self.process.store.advance(call_id, Status.IN_PROGRESS, at=datetime.now(UTC), change=change)
        active_calls.prepare(slot, answered=True)
        active_calls.build_ahead(slot, slot.call_sid or "")

    async def _may_ask_again(self, tries: int) -> bool:
        """Whether another process may take the call.

        Not where this is the only one: a call that is sent on is answered, and hears no busy tone any more.
        """
        try:
            return tries < MOST_TRIES and await self.others.exist()
        except DATABASE_ERRORS as e:
            logger.warning("whether there are other processes cannot be looked up: {}", e)
            return False

    async def status(self, event: StatusReported) -> None:
        status, record = event.status, await self._known(event.call_sid, event.call_id)
        if record is None:
            logger.warning("status {} of an unknown call", status)
            return
        if record.call_sid not in (None, event.call_sid):
            # A registered call that was dialled twice, say: the one call's end is not the other's.
            logger.warning("status {} of another call than the {} that its URL names", status, record.call_id)
            return
        if record.call_sid is None and event.call_sid:
            await self._name(record, event.call_sid)
        if event.caller_identity:
            known = {**record.caller_identity, **event.caller_identity}
            await self.process.store.update(record.call_id, CallChange(caller_identity=known))
        if not status.final:
            await self.process.store.advance(record.call_id, status, at=datetime.now(UTC))
            return
        await self.others.transfers.call_over(event.call_sid)
        if self.process.active_calls.slot_of(record.call_id) is None:
            await self.others.over(record.call_id, event.call_sid)
        # Looked up again: it may have been held meanwhile.
        slot = self.process.active_calls.slot_of(record.call_id)
        if slot is not None and slot.holding is not None:
            if slot.call is not None:
                slot.call.carrier_ended()
            return  # the line ends by itself in a moment, and its end knows more than this word
        if await self._held_elsewhere(record):
            # Its holder's end knows more; should none come, the workflow asks the carrier itself.
            await self.process.store.update(record.call_id, CallChange(carrier_ended_at=datetime.now(UTC)))
            await self.dialler.news(record, "ended")
            return
        reason = BY_STATUS.get(status, EndedReason.CALLEE_HANGUP)
        seconds = event.duration_seconds if status is Status.COMPLETED else None
        await self._end(record, status, CallChange(ended_reason=reason, duration_seconds=seconds))

    async def _held_elsewhere(self, record: CallRecord) -> bool:
        kept = await self.process.store.get(record.call_id)
        return kept is not None and kept.held_by is not None and not kept.status.final

    async def _end(self, record: CallRecord, status: Status, change: CallChange) -> None:
        news = await self.process.store.advance(record.call_id, status, at=datetime.now(UTC), change=change)
        await self.process.active_calls.release(record.call_id)
        if news:
            await self.ended(record.call_id)

    async def ended(self, call_id: str) -> None:
        """The record has its final status: the workflow that follows the call is notified."""
        record = await self.process.store.get(call_id)
        if record is not None:
            await self.dialler.news(record, "over")
        self.process.listener.call_ended(call_id)

    async def never_came(self, record: CallRecord, status: Status, reason: EndedReason) -> None:
        """A registered call was not dialled, or an answered one never opened its media stream."""
        if await self._held_elsewhere(record):
            return
        logger.warning("call {} never came: {}", record.call_id, reason)
        await self._end(record, status, CallChange(ended_reason=reason))

    # -- whose call it is -----------------------------------------------------------------------------

    async def _known(self, call_sid: str, call_id: str | None) -> CallRecord | None:
        """By the sid before the URL: of two calls to one number a crash may have given one the other's."""
        record = await self.process.store.get_by_sid(call_sid) if call_sid else None
        if record is None:
            record = None if call_id is None else await self.process.store.get(call_id)
        return record

    async def _called(self, event: Answered) -> CallRecord:
        """The call that was answered; an unknown one is inbound. ConflictError when it is over."""
        record = await self._known(event.call_sid, event.call_id)
        if record is None:
            return await self._inbound(event)
        slot = self.process.active_calls.slot_of(record.call_id)
        if record.status.final or record.held_by is not None or (slot is not None and slot.holding is not None):
            raise ConflictError(f"call {record.call_id} is {record.status}")
        return record

    async def _name(self, record: CallRecord, call_sid: str) -> None:
        try:
            await self.process.store.update(record.call_id, CallChange(call_sid=call_sid))
        except ConflictError:
            logger.warning("call {} is reported under another call's id", record.call_id)

    async def _inbound(self, event: Answered) -> CallRecord:
        spec = CallSpec(
            phone_number=event.from_number,
            scenario=self.process.planner.scenarios.for_number(event.to),
            from_number=event.to or None,
        )
        record = replace(self.process.planner.record(spec, Direction.INBOUND), call_sid=event.call_sid or None)
        record = replace(record, vendors=self.process.planner.vendors(self.process.planner.plan(record)))
        try:
            await self.process.store.add(record)
        except ConflictError:
            # The carrier asked twice at once.
            known = await self.process.store.get_by_sid(record.call_sid or "")
            if known is None:
                raise
            record = known
        return record
