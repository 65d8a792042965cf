"""The durable life of one call around its conversation: waits, dials once, is followed to its end, and what is
due afterwards is begun.

One workflow a call and hop, on the queue of lines; a hop is one waiting. A call that may not be dialled yet (its
time, its hours, no free line here) ends its hop and is enqueued anew with a delay, because a workflow that slept
would hold the line it waits for. The queue's slot is held until the carrier's call is over: that is what counts
lines over all processes.

Whatever happens to a call, every hop ends in another one or in what is due after a call. What it does is done in
steps, or can be repeated; a step answers for its errors itself, and a call whose workflow breaks all the same is
looked at until it is over.
"""

import asyncio
import functools
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from loguru import logger

from bot.calls.capacity import wait_of
from bot.calls.dialling.dial_once import DialGate, DialOnce, NotClaimedError
from bot.calls.dialling.following import NEWS, Following, broken
from bot.calls.dialling.policy import Go, Refuse, WaitUntil
from bot.calls.ingress import Ingress
from bot.calls.process import Process
from bot.calls.queues import DIAL, HOLD_KEY, KEYS, LINES, DialQueue, hop_id, key_id
from bot.calls.webhooks import EventType
from bot.calls.webhooks.delivery import CallEvents
from bot.errors import BusyError, CarrierError, ConflictError, DialUnconfirmedError, PhoneAgentError
from bot.phone_numbers import is_client
from bot.records import CallRecord, Direction, EndedReason, Status, Wait
from bot.store import CallChange
from bot.store.claims import Claim
from bot.store.connections import DATABASE_ERRORS, retry_database
from bot.telephony.carrier import try_hang_up

FOLLOW = "follow"
FREED = "freed"
NO_LINE_SECONDS, NO_LINE_LONGEST_SECONDS = 1.0, 30.0
"""Until a call that found no free line when its turn came is enqueued again: at first, and at most. Each time is
rows for a workflow; so a process that knows itself full lets no call's turn come."""
ORPHAN_SECONDS = 5.0
"""Between keeping a call and beginning it lie milliseconds."""
HANG_UP_AGAIN_SECONDS = 2.0
KEY_SECONDS = 600.0
"""How often the holder of a key's place looks whether its call is over, should no news come."""


class Dialler:
    """One process's: the workflows of calls that are dialled, or followed to their end.

    `register` before the engine is opened.
    """

    def __init__(
        self,
        process: Process,
        queue: DialQueue,
        *,
        gate: DialGate,
        ingress: Ingress,
        events: CallEvents,
    ) -> None:
        self._settings, self._engine, self._store = process.settings, process.engine, process.store
        self._carrier, self._active_calls, self._planner = process.carrier, process.active_calls, process.planner
        self._queue, self._gate, self._ingress = queue, gate, ingress
        self._events, self._listener = events, process.listener
        self._once = DialOnce(process.store, process.carrier, gate)
        self._following = Following(process)
        self._full_until = 0.0
        """On the monotonic clock: the lines of all processes were found taken."""

    def register(self) -> None:
        """Name the workflows, and the queues with the limits on calls that are dialled."""
        settings = self._settings
        self._engine.workflow(DIAL, self._dial)
        self._engine.workflow(FOLLOW, self._follow_only)
        per_number = settings.max_lines_per_number
        self._engine.queue(
            LINES,
            concurrency=settings.max_lines,
            per_process=_least(settings.max_calls, settings.max_lines),
            per_partition=_least(per_number, settings.max_lines) if per_number else None,
            per_second=settings.dials_per_second,
            urgent=True,
            load=self._load,
        )
        # Without a limit, too: a call may wait there since one was set.
        self._engine.workflow(HOLD_KEY, self._hold_key)
        self._engine.queue(KEYS, per_partition=settings.max_lines_per_key)

    def _load(self) -> int:
        """Lines of this process that are taken, by whatever calls; all of them while it takes no new one."""
        if time.monotonic() < self._full_until or self._active_calls.refusal() is not None:
            return sys.maxsize
        return self._active_calls.lines_taken

    async def adopt_orphans(self) -> None:
        """Begin, or follow to its end, what a process kept or held that died."""
        for call_id in await self._store.orphans(datetime.now(UTC) - timedelta(seconds=ORPHAN_SECONDS)):
            record = await self._store.get(call_id)
            if record is None or record.status.final:
                continue
            logger.warning("call {} was left by a process that died: it is followed from here on", call_id)
            if record.status is Status.QUEUED and record.direction is Direction.OUTBOUND:
                await self._queue.begin(record)
            else:
                await self._start_following(call_id)
        await self._following.wake_absent()

    # -- from anywhere --------------------------------------------------------------------------------

    async def _hold_key(self, call_id: str, hop: int) -> None:
        """One of a key's places, held until the hop is over."""
        record = await retry_database(lambda: self._store.get(call_id))
        if record is None:
            return  # erased meanwhile
        await self._queue.enqueue(record, hop, 0.0)
        while await self._engine.receive(FREED, KEY_SECONDS) is None:
            if await self._engine.step("look", functools.partial(self._is_over, call_id)):
                return

    async def _is_over(self, call_id: str) -> bool:
        record = await self._store.get(call_id)
        return record is None or record.status.final

    async def follow(self, call_id: str) -> None:
        """Follow a call that was dialled elsewhere, from its answer to its end."""
        self._following.known_here.add(call_id)
        await self._start_following(call_id)

    async def _start_following(self, call_id: str) -> None:
        follower = f"{call_id}:line"
        # Begun first: a call that names a follower there is none of would not be looked for.
        await self._engine.start(FOLLOW, call_id, id=follower)
        await self._store.update(call_id, CallChange(followed_by=follower))

    async def news(self, record: CallRecord, kind: str) -> None:
        """Tell the call's workflow: "over" (the record is final), "ended" (the carrier says so), "answered"."""
        follower = record.followed_by
        heard = follower is not None and await self._engine.send(follower, kind, NEWS)
        if not heard and kind == "over":
            await self._queue.after_calls.begin(record.call_id)  # over before anybody followed it

    # -- the workflow ---------------------------------------------------------------------------------

    async def _dial(self, call_id: str, hop: int) -> None:
        again = None
        with logger.contextualize(call_id=call_id):
            try:
                again = await self._one_hop(call_id, hop)
            except Exception as e:
                logger.opt(exception=e).error("the workflow of call {} broke", call_id)
                await self._following.by_looking(call_id)
            if self._settings.max_lines_per_key is not None:
                await self._engine.send(key_id(call_id, hop), True, FREED)
            if again is None:
                await self._queue.after_calls.begin(call_id)
                return
            record = await retry_database(lambda: self._store.get(call_id))
            if record is not None:
                await self._queue.hop(record, hop + 1, again)

    async def _one_hop(self, call_id: str, hop: int) -> float | None:
        """Seconds until the next one; None: the call is over."""
        workflow = hop_id(call_id, hop)
        outcome = await self._engine.step("dial", lambda: self._try(call_id, hop))
        again: float | None = outcome.get("again_seconds")
        await self._queue.publish(workflow, outcome)
        if outcome.get("dialled"):
            await self._events.announce(call_id, EventType.CALL_STARTED)
            await self._following.to_the_end(call_id)
        return again

    async def _try(self, call_id: str, hop: int) -> dict[str, Any]:
        """Dial, or say why not: the fields of DialOutcome, and `again_seconds` for another hop."""
        record = await self._store.get(call_id)
        if record is None or record.status.final:
            what = "erased" if record is None else f"over: {record.status}"
            if record is not None and record.call_sid is not None:
                await self._hang_up_canceled(record, record.call_sid)  # a run of this step died before it had
            return {"error": _said(ConflictError(f"Call {call_id!r} is {what}."))}
        try:
            decision = Go() if record.dialling_at else await self._gate(record, datetime.now(UTC))
            if not isinstance(decision, Go):
                return await self._put_off(record, decision, hop)
            if not record.dialling_at and await self._is_full():
                return await self._put_off(record, Claim.FULL, hop)
            return await self._dial_now(record, hop_id(call_id, hop))
        except BusyError:
            await self._note_wait(record, wait_of(self._active_calls.refusal()) or Wait.NO_LINE)
            return _waits(hop)
        except NotClaimedError as e:
            return await self._put_off(record, e.why, hop)
        except DATABASE_ERRORS:
            raise  # the step is tried again
        except Exception as e:
            logger.opt(exception=e).error("call {} could not be dialled", call_id)
            await self._active_calls.release(call_id)
            return await self._broke(record, e)

    async def _is_full(self) -> bool:
        """Before anything is prepared; the claim looks again."""
        lines = self._settings.max_lines
        return lines is not None and await self._store.lines_taken() >= lines

    async def _broke(self, record: CallRecord, error: Exception) -> dict[str, Any]:
        status, change = broken(error)
        known = await self._store.get(record.call_id)
        if known is not None and known.call_sid is not None:
            await try_hang_up(self._carrier, known.call_sid)
        await self._store.advance(record.call_id, status, at=datetime.now(UTC), change=change)
        self._listener.call_ended(record.call_id)
        return {"error": _said(ConflictError(change.error or "", code="internal_error"))}

    async def _put_off(self, record: CallRecord, why: Claim | WaitUntil | Refuse, hop: int) -> dict[str, Any]:
        """To a later hop, or for ever."""
        if isinstance(why, WaitUntil):
            stays_due = why.why in (Wait.CONCURRENCY, Wait.NUMBER_BUSY)
            at = None if stays_due else why.at
            await self._store.update(record.call_id, CallChange(scheduled_at=at, waiting_for=why.why))
            seconds = max(1.0, (why.at - datetime.now(UTC)).total_seconds())
            return {"waits": True, "again_seconds": seconds}
        if isinstance(why, Refuse):
            return await self._refused(record, why.error(), why.ended_reason)
        if why is Claim.FULL:
            self._full_until = time.monotonic() + NO_LINE_SECONDS
            await self._note_wait(record, Wait.NO_LINE)
            return _waits(hop)
        # Overtaken: cancelled, or begun by a run of this workflow that died.
        return {"waits": True, "again_seconds": NO_LINE_SECONDS}

    async def _note_wait(self, record: CallRecord, why: Wait) -> None:
        if record.waiting_for is not why:
            await self._store.update(record.call_id, CallChange(waiting_for=why))

    async def _dial_now(self, record: CallRecord, workflow: str) -> dict[str, Any]:
        call_id = record.call_id
        try:
            plan = self._planner.plan(record)
            origin = await self._ingress.origin(phones=not is_client(record.spec.phone_number))
            slot = self._active_calls.take_line(plan)
        except BusyError:
            if record.dialling_at is None:
                raise
            slot = None  # it may be ringing already: that is not put off
        except PhoneAgentError as e:
            return await self._refused(record, e, EndedReason.DIAL_FAILED)
        try:
            if slot is not None:
                self._active_calls.prepare(slot)
            change = CallChange(followed_by=workflow, vendors=self._planner.vendors(plan))
            sid = await self._once.dial(record, self._planner.order(plan, origin), change)
        except CarrierError as e:
            await self._active_calls.release(call_id)
            return await self._refused(record, e, EndedReason.DIAL_FAILED)
        except BaseException:
            await self._active_calls.release(call_id)
            raise
        if slot is not None:
            slot.call_sid = sid
        self._following.known_here.add(call_id)
        if not await self._store.advance(call_id, Status.INITIATED, at=datetime.now(UTC)):
            known = await self._store.get(call_id)
            if known is not None:
                await self._hang_up_canceled(known, sid)
        return {"dialled": True}

    async def _hang_up_canceled(self, record: CallRecord, sid: str) -> None:
        """A call that was canceled while the carrier was asked to dial it, and not only ahead of its callbacks.

        Again until the carrier has done it, or the phone has stopped ringing: an answer then is hung up on.
        """
        if record.status is not Status.CANCELED or record.answered_at is not None:
            return None
        until = time.monotonic() + self._planner.limits(record).ring_seconds
        while True:
            try:
                return await self._carrier.hang_up(sid)
            except CarrierError as e:
                logger.warning("the canceled call {} cannot be hung up yet: {}", record.call_id, e.message)
            if time.monotonic() >= until:
                return logger.error("the canceled call {} was not hung up by the carrier", record.call_id)
            await asyncio.sleep(HANG_UP_AGAIN_SECONDS)

    async def _refused(self, record: CallRecord, error: PhoneAgentError, reason: EndedReason) -> dict[str, Any]:
        carrier = isinstance(error, CarrierError)
        status = Status.FAILED if reason is EndedReason.DIAL_FAILED else Status.CANCELED
        change = CallChange(ended_reason=reason, error=error.message)
        await self._store.advance(record.call_id, status, at=datetime.now(UTC), change=change)
        log = logger.warning if carrier else logger.info
        log("call {} was not dialled: {}", record.call_id, error.message)
        self._listener.call_ended(record.call_id)
        return {"error": _said(error)}

    # -- to its end -----------------------------------------------------------------------------------

    async def _follow_only(self, call_id: str) -> None:
        with logger.contextualize(call_id=call_id):
            try:
                await self._events.announce(call_id, EventType.CALL_STARTED)
                await self._following.to_the_end(call_id)
            except Exception as e:
                logger.opt(exception=e).error("the workflow of call {} broke", call_id)
                await self._following.by_looking(call_id)
            await self._queue.after_calls.begin(call_id)


def _least(first: int, second: int | None) -> int:
    return first if second is None else min(first, second)


def _waits(hop: int) -> dict[str, Any]:
    """For a line, longer each time."""
    seconds = NO_LINE_SECONDS * 2.0 ** min(hop - 1, 10)
    return {"waits": True, "again_seconds": min(seconds, NO_LINE_LONGEST_SECONDS)}


def _said(error: PhoneAgentError) -> dict[str, Any]:
    """An error as a JSON value, for a request that waits in another process."""
    if isinstance(error, CarrierError):
        return {
            "kind": "unconfirmed" if isinstance(error, DialUnconfirmedError) else "carrier",
            "message": error.message,
            "provider": error.provider,
            "status": error.status,
            "carrier_code": error.carrier_code,
            "retryable": error.retryable,
        }
    return {"kind": "ours", "message": error.message, "code": error.code}
