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

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from loguru import logger

from bot.calls.active_calls import ActiveCalls
from bot.calls.dialling.dial_once import Begin, DialOnce, NotClaimedError
from bot.calls.dialling.following import NEWS, Following, broken
from bot.calls.dialling.policy import Go, Refuse, Wait, WaitUntil
from bot.calls.ingress import Ingress
from bot.calls.planner import Planner
from bot.errors import BusyError, CarrierError, ConflictError, DialUnconfirmedError, PhoneAgentError
from bot.records import CallRecord, Direction, EndedReason, Status
from bot.store import CallChange, CallStore
from bot.store.claims import Claim
from bot.store.connections import DATABASE_ERRORS
from bot.store.durable.engine import DurableEngine
from bot.telephony.carrier import Carrier, try_hang_up

LINES = "lines"
AFTER_SINGLE_CALLS = 10
"""A campaign's calls take the lines, and the places of a key, that calls asked for one by one leave."""
DIAL, FOLLOW = "dial", "follow"
KEYS, KEY = "keys", "hold_key"
FREED = "freed"
NO_LINE_SECONDS, NO_LINE_LONGEST_SECONDS = 1.0, 30.0
"""Until a call that found no free line when its turn came is enqueued again: at first, and at most. Each time is
rows for a workflow; so a process that knows itself full lets no call's turn come."""
ORPHAN_SECONDS = 5.0
"""Between keeping a call and beginning it lie milliseconds."""
KEY_SECONDS = 600.0
"""How often whoever holds a key's place looks whether its call is over, should no word come."""


@dataclass(frozen=True)
class LineLimits:
    """Of calls that are dialled, at once: None is no limit."""

    lines: int | None = None
    """Over all processes."""
    per_process: int = 20
    per_number: int | None = None
    """From one number, over all processes."""
    per_key: int | None = None
    """Asked for with one API key, over all processes."""
    per_second: float | None = None
    """Diallings a second, over all processes."""


class Gate(Begin, Protocol):
    """Whether and when a call may be dialled."""

    async def __call__(self, record: CallRecord, now: datetime) -> Go | WaitUntil | Refuse: ...

    async def cancel(self, call_id: str) -> bool: ...


@dataclass(frozen=True)
class Told:
    """What became of the first try to dial: `waits` for a later one, or the carrier's or our own refusal."""

    dialled: bool = False
    waits: bool = False
    again_seconds: float | None = None
    """From then to the next try."""
    error: dict[str, Any] = field(default_factory=dict)

    def failure(self) -> PhoneAgentError:
        """The error as it was raised where it was dialled."""
        known = dict(self.error)
        kind = known.pop("kind", "")
        if kind == "carrier":
            return CarrierError(**known)
        if kind == "unconfirmed":
            return DialUnconfirmedError(**known)
        return ConflictError(known.get("message", "The call was not dialled."), code=known.get("code"))


class Dialler:
    """One process's. `register` before the engine is opened, `open` after it."""

    def __init__(
        self,
        *,
        engine: DurableEngine,
        store: CallStore,
        carrier: Carrier,
        active_calls: ActiveCalls,
        ingress: Ingress,
        planner: Planner,
        gate: Gate,
        on_point: Callable[[str], None] = lambda _point: None,
    ) -> None:
        self._engine, self._store, self._carrier = engine, store, carrier
        self._active_calls, self._ingress, self._planner, self._gate = active_calls, ingress, planner, gate
        self._once = DialOnce(store, carrier, gate, on_point)
        self._following = Following(engine, store, carrier, active_calls, planner)
        self._full_until = 0.0
        """On the monotonic clock: the lines of all processes were found taken."""
        self._told_here: dict[str, asyncio.Future[dict[str, Any]]] = {}
        """Workflow → who waits in this process for what becomes of it."""
        self.after: Callable[[str], Awaitable[None]] = _nothing
        """Begins what is due after a call, by its id; called within its workflow."""
        self.started: Callable[[str], Awaitable[None]] = _nothing
        """Told within its workflow that a call was dialled, or has come in."""

    @property
    def on_released(self) -> Callable[[str], None]:
        """Told that a call of this process has its final status."""
        return self._following.on_released

    @on_released.setter
    def on_released(self, told: Callable[[str], None]) -> None:
        self._following.on_released = told

    def register(self, limits: LineLimits) -> None:
        """Name the workflows, and the queues with their limits."""
        self._limits = limits
        self._engine.workflow(DIAL, self._dial)
        self._engine.workflow(FOLLOW, self._follow_only)
        self._engine.queue(
            LINES,
            concurrency=limits.lines,
            per_process=_least(limits.per_process, limits.lines),
            per_partition=_least(limits.per_number, limits.lines) if limits.per_number else None,
            per_second=limits.per_second,
            urgent=True,
            load=self._load,
        )
        # Without a limit, too: a call may wait there since one was set.
        self._engine.workflow(KEY, self._hold_key)
        self._engine.queue(KEYS, per_partition=limits.per_key)

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
            logger.warning("call {} was kept and is followed by nobody: it is now", call_id)
            if record.status is Status.QUEUED and record.direction is Direction.OUTBOUND:
                await self._begin(record)
            else:
                await self._start_following(call_id)
        await self._following.tell_of_absent()

    # -- from anywhere --------------------------------------------------------------------------------

    async def place(self, record: CallRecord) -> CallRecord:
        """Keep the call and begin it: both, whatever dies between. Gives the record as kept, maybe another's
        with its id."""
        try:
            await self._store.add(record)
        except ConflictError:
            kept = await self._store.get(record.call_id)
            if kept is None:
                raise
            record = kept
        if record.followed_by is None and not record.status.final:
            await self._begin(record)
        return record

    async def _begin(self, record: CallRecord) -> None:
        delay = 0.0
        if record.scheduled_at is not None:
            delay = max(0.0, (record.scheduled_at - datetime.now(UTC)).total_seconds())
        await self._hop(record, 1, delay)
        # Not over a later hop: this one may have been begun, by whoever died here, and put off.
        await self._store.follow_first(record.call_id, _hop_id(record.call_id, 1))

    async def _hop(self, record: CallRecord, hop: int, delay_seconds: float) -> None:
        """Begin a hop, behind its key's limit where there is one."""
        if self._limits.per_key is None:
            await self._dial_in(record, hop, delay_seconds)
            return
        await self._engine.enqueue(
            KEY,
            record.call_id,
            hop,
            id=_key_id(record.call_id, hop),
            queue=KEYS,
            partition=record.key_id or "none",
            delay_seconds=delay_seconds,
            priority=_priority(record),
        )

    async def _hold_key(self, call_id: str, hop: int) -> None:
        """One of a key's places, held until the hop is over."""
        record = await self._engine.insist(lambda: self._store.get(call_id))
        if record is None:
            return  # erased meanwhile
        await self._dial_in(record, hop, 0.0)
        while await self._engine.receive(FREED, KEY_SECONDS) is None:
            if await self._engine.step("look", functools.partial(self._is_over, call_id)):
                return

    async def _is_over(self, call_id: str) -> bool:
        record = await self._store.get(call_id)
        return record is None or record.status.final

    async def _dial_in(self, record: CallRecord, hop: int, delay_seconds: float) -> None:
        await self._engine.enqueue(
            DIAL,
            record.call_id,
            hop,
            id=_hop_id(record.call_id, hop),
            queue=LINES,
            # Without a limit, too: a call without one would wait for ever once there is a limit.
            partition=self._partition(record),
            delay_seconds=delay_seconds,
            priority=_priority(record),
        )

    def _partition(self, record: CallRecord) -> str:
        return record.spec.from_number or self._carrier.default_from or "default"

    async def told(self, call_id: str, within_seconds: float) -> Told | None:
        """What became of its dialling; None while nobody knows. A short wait for a line is waited for too."""
        loop = asyncio.get_running_loop()
        until, hop = loop.time() + within_seconds, 1
        while True:
            said = await self._told_of(_hop_id(call_id, hop), max(0.0, until - loop.time()))
            again = None if said is None else said.again_seconds
            if again is None or loop.time() + again >= until:
                return said
            hop += 1

    async def _told_of(self, workflow: str, within_seconds: float) -> Told | None:
        here = self._told_here.setdefault(workflow, asyncio.get_running_loop().create_future())
        # By another process it is told through the database, by this one at once.
        there = asyncio.ensure_future(self._engine.event(workflow, "told", within_seconds))
        try:
            done, _ = await asyncio.wait(
                {here, there}, timeout=max(within_seconds, 1.0), return_when=asyncio.FIRST_COMPLETED
            )
            said = next((each.result() for each in done if each.result() is not None), None)
            return None if said is None else Told(**said)
        finally:
            self._told_here.pop(workflow, None)
            there.cancel()
            await asyncio.gather(there, return_exceptions=True)

    async def follow(self, call_id: str) -> None:
        """Follow a call that somebody else dialled, from its answer to its end."""
        self._following.known_here.add(call_id)
        await self._start_following(call_id)

    async def _start_following(self, call_id: str) -> None:
        follower = f"{call_id}:line"
        # Begun first: a call that names a follower there is none of would be looked for by nobody.
        await self._engine.start(FOLLOW, call_id, id=follower)
        await self._store.update(call_id, CallChange(followed_by=follower))

    async def news(self, record: CallRecord, kind: str) -> None:
        """Tell the call's workflow: "over" (the record is final), "ended" (the carrier says so), "answered"."""
        follower = record.followed_by
        heard = follower is not None and await self._engine.send(follower, kind, NEWS)
        if not heard and kind == "over":
            await self.after(record.call_id)  # over before anybody followed it

    async def cancel(self, call_id: str) -> bool:
        """End a call that waits to be dialled. False: it was begun to be dialled, or is over."""
        if not await self._gate.cancel(call_id):
            return False
        # Its workflow finds it over when its time comes; what is due after a call is due now.
        await self.after(call_id)
        self.on_released(call_id)
        return True

    # -- the workflow ---------------------------------------------------------------------------------

    async def _dial(self, call_id: str, hop: int) -> None:
        again = None
        with logger.contextualize(call_id=call_id):
            try:
                again = await self._one_hop(call_id, hop)
            except Exception as e:
                logger.opt(exception=e).error("the workflow of call {} broke", call_id)
                await self._following.by_looking(call_id)
            if self._limits.per_key is not None:
                await self._engine.send(_key_id(call_id, hop), True, FREED)
            if again is None:
                await self.after(call_id)
                return
            record = await self._engine.insist(lambda: self._store.get(call_id))
            if record is not None:
                await self._hop(record, hop + 1, again)

    async def _one_hop(self, call_id: str, hop: int) -> float | None:
        """Seconds until the next one; None: the call is over."""
        workflow = _hop_id(call_id, hop)
        told = await self._engine.step("dial", lambda: self._try(call_id, hop))
        again: float | None = told.get("again_seconds")
        here = self._told_here.get(workflow)
        if here is not None and not here.done():
            here.set_result(told)
        await self._engine.publish("told", told)
        if told.get("dialled"):
            await self.started(call_id)
            await self._following.to_the_end(call_id)
        return again

    async def _try(self, call_id: str, hop: int) -> dict[str, Any]:
        """Dial, or say why not: the fields of Told, and `again_seconds` for another hop."""
        record = await self._store.get(call_id)
        if record is None or record.status.final:
            what = "erased" if record is None else f"over: {record.status}"
            return {"error": _said(ConflictError(f"Call {call_id!r} is {what}."))}
        try:
            decision = Go() if record.dialling_at else await self._gate(record, datetime.now(UTC))
            if not isinstance(decision, Go):
                return await self._put_off(record, decision, hop)
            if not record.dialling_at and await self._is_full():
                return await self._put_off(record, Claim.FULL, hop)
            return await self._dial_now(record, _hop_id(call_id, hop))
        except BusyError:
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
        lines = self._limits.lines
        return lines is not None and await self._store.lines_taken() >= lines

    async def _broke(self, record: CallRecord, error: Exception) -> dict[str, Any]:
        status, change = broken(error)
        known = await self._store.get(record.call_id)
        if known is not None and known.call_sid is not None:
            await try_hang_up(self._carrier, known.call_sid)
        await self._store.advance(record.call_id, status, at=datetime.now(UTC), change=change)
        self.on_released(record.call_id)
        return {"error": _said(ConflictError(change.error or "", code="internal_error"))}

    async def _put_off(self, record: CallRecord, why: Claim | WaitUntil | Refuse, hop: int) -> dict[str, Any]:
        """To a later hop, or for ever."""
        if isinstance(why, WaitUntil):
            if why.why is not Wait.CONCURRENCY:  # it stays due since when it was
                await self._store.update(record.call_id, CallChange(scheduled_at=why.at))
            seconds = max(1.0, (why.at - datetime.now(UTC)).total_seconds())
            return {"waits": True, "again_seconds": seconds}
        if isinstance(why, Refuse):
            return await self._refused(record, why.error(), why.ended_reason)
        if why is Claim.FULL:
            self._full_until = time.monotonic() + NO_LINE_SECONDS
            return _waits(hop)
        # Overtaken: cancelled, or begun by a run of this workflow that died.
        return {"waits": True, "again_seconds": NO_LINE_SECONDS}

    async def _dial_now(self, record: CallRecord, workflow: str) -> dict[str, Any]:
        call_id = record.call_id
        try:
            plan = self._planner.plan(record)
            origin = await self._ingress.origin()
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
            await self._hang_up_cancelled(call_id, sid)
        return {"dialled": True}

    async def _hang_up_cancelled(self, call_id: str, sid: str) -> None:
        """Cancelled while the carrier was being asked; or only ahead of us: its callbacks came first."""
        record = await self._store.get(call_id)
        if record is not None and record.status is Status.CANCELED and record.answered_at is None:
            await try_hang_up(self._carrier, sid)

    async def _refused(self, record: CallRecord, error: PhoneAgentError, reason: EndedReason) -> dict[str, Any]:
        carrier = isinstance(error, CarrierError)
        status = Status.FAILED if reason is EndedReason.DIAL_FAILED else Status.CANCELED
        change = CallChange(ended_reason=reason, error=error.message)
        await self._store.advance(record.call_id, status, at=datetime.now(UTC), change=change)
        log = logger.warning if carrier else logger.info
        log("call {} was not dialled: {}", record.call_id, error.message)
        self.on_released(record.call_id)
        return {"error": _said(error)}

    # -- to its end -----------------------------------------------------------------------------------

    async def _follow_only(self, call_id: str) -> None:
        with logger.contextualize(call_id=call_id):
            try:
                await self.started(call_id)
                await self._following.to_the_end(call_id)
            except Exception as e:
                logger.opt(exception=e).error("the workflow of call {} broke", call_id)
                await self._following.by_looking(call_id)
            await self.after(call_id)


async def _nothing(_call_id: str) -> None:
    return


def _priority(record: CallRecord) -> int | None:
    return None if record.campaign_id is None else AFTER_SINGLE_CALLS


def _least(first: int, second: int | None) -> int:
    return first if second is None else min(first, second)


def _waits(hop: int) -> dict[str, Any]:
    """For a line, longer each time."""
    seconds = NO_LINE_SECONDS * 2.0 ** min(hop - 1, 10)
    return {"waits": True, "again_seconds": min(seconds, NO_LINE_LONGEST_SECONDS)}


def _key_id(call_id: str, hop: int) -> str:
    return f"{call_id}:{hop}:key"


def _hop_id(call_id: str, hop: int) -> str:
    return f"{call_id}:{hop}"


def _said(error: PhoneAgentError) -> dict[str, Any]:
    """An error as a JSON value, for whoever waits in another process."""
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
