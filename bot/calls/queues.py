"""The durable queues of calls: those that wait to be dialled, and those that are over.

Each part that begins something durable needs only these, and not the parts that will do it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from loguru import logger

from bot.calls.process import Process
from bot.errors import CarrierError, ConflictError, DialUnconfirmedError, PhoneAgentError
from bot.records import CallRecord, EndedReason, Status
from bot.store.call_store import CallChange
from bot.store.claims import SqlClaims
from bot.store.connections import DATABASE_ERRORS
from bot.store.durable.engine import DurableEngine

LINES, KEYS = "lines", "keys"
"""Queues: of lines, and of the places of each API key."""
DIAL, HOLD_KEY = "dial", "hold_key"
"""Their workflows."""
AFTER_SINGLE_CALLS = 10
"""A campaign's calls take the lines, and the places of a key, that calls asked for one by one leave."""
RESULT = "dial_result"
AFTER_CALL, AFTER_CALLS = "after_call", "after_calls"
ANALYSIS, ANALYSES = "analyse_call", "analyse_calls"
_T = TypeVar("_T")


class AfterCallQueue:
    """What is due after calls: begun once for each, and known whether it is done."""

    def __init__(self, engine: DurableEngine) -> None:
        self._engine = engine

    async def begin(self, call_id: str) -> None:
        await self._engine.enqueue(AFTER_CALL, call_id, id=_after_id(call_id), queue=AFTER_CALLS)

    async def begin_analysis(self, call_id: str, *, last: bool) -> None:
        """`last`: no attempt follows the call."""
        await self._engine.enqueue(ANALYSIS, call_id, last, id=_analysis_id(call_id), queue=ANALYSES)

    async def still_due(self, call_ids: Collection[str]) -> Collection[str]:
        """Of calls that are over, those after which something is still due; it is begun where it was not."""
        ids = [id_of(call_id) for call_id in call_ids for id_of in (_after_id, _analysis_id)]
        known = await self._engine.unfinished(ids)
        due = []
        for call_id in call_ids:
            after, analysis = known.get(_after_id(call_id)), known.get(_analysis_id(call_id), False)
            if after is None:
                await self.begin(call_id)
            if after is None or after or analysis:
                due.append(call_id)
        return due


@dataclass(frozen=True)
class DialOutcome:
    """How a try to dial went: `waits` for a later one, or was refused by the carrier or by us."""

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


class DialQueue:
    """One process's."""

    def __init__(self, process: Process) -> None:
        self._engine, self._store, self._listener = process.engine, process.store, process.listener
        self.after_calls = AfterCallQueue(process.engine)
        self._claims = SqlClaims(process.store.database)
        self._default_from = process.carrier.default_from
        self._keys_limited = process.settings.max_lines_per_key is not None
        """Calls of one API key wait for a place among its own before they wait for a line."""
        self._awaited: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        """Workflow → the request of this process that waits for its result."""

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
            await self.begin(record)
        return record

    async def begin(self, record: CallRecord) -> None:
        delay = 0.0
        if record.scheduled_at is not None:
            delay = max(0.0, (record.scheduled_at - datetime.now(UTC)).total_seconds())
        await self.hop(record, 1, delay)
        # Not over a later hop: this one may have been begun, by a process that died here, and put off.
        await self._store.follow_first(record.call_id, hop_id(record.call_id, 1))

    async def hop(self, record: CallRecord, hop: int, delay_seconds: float) -> None:
        """Begin a hop, behind its key's limit where there is one."""
        if not self._keys_limited:
            await self.enqueue(record, hop, delay_seconds)
            return
        await self._engine.enqueue(
            HOLD_KEY,
            record.call_id,
            hop,
            id=key_id(record.call_id, hop),
            queue=KEYS,
            partition=record.key_id or "none",
            delay_seconds=delay_seconds,
            priority=_priority(record),
        )

    async def enqueue(self, record: CallRecord, hop: int, delay_seconds: float) -> None:
        await self._engine.enqueue(
            DIAL,
            record.call_id,
            hop,
            id=hop_id(record.call_id, hop),
            queue=LINES,
            # Without a limit, too: a call without one would wait for ever once there is a limit.
            partition=record.spec.from_number or self._default_from or "default",
            delay_seconds=delay_seconds,
            priority=_priority(record),
        )

    async def result(self, call_id: str, within_seconds: float) -> DialOutcome | None:
        """How its dialling went; None while that is not known. A short wait for a line is waited for too."""
        loop = asyncio.get_running_loop()
        until, hop = loop.time() + within_seconds, 1
        while True:
            result = await self._result_of(hop_id(call_id, hop), max(0.0, until - loop.time()))
            again = None if result is None else result.again_seconds
            if again is None or loop.time() + again >= until:
                return result
            hop += 1

    async def _result_of(self, workflow: str, within_seconds: float) -> DialOutcome | None:
        here = self._awaited.setdefault(workflow, asyncio.get_running_loop().create_future())
        # Another process's comes through the database, this one's at once.
        there = asyncio.ensure_future(self._engine.event(workflow, RESULT, within_seconds))
        try:
            done, _ = await asyncio.wait(
                {here, there}, timeout=max(within_seconds, 1.0), return_when=asyncio.FIRST_COMPLETED
            )
            found = next((each.result() for each in done if each.result() is not None), None)
            return None if found is None else DialOutcome(**found)
        finally:
            self._awaited.pop(workflow, None)
            there.cancel()
            await asyncio.gather(there, return_exceptions=True)

    async def publish(self, workflow: str, result: Mapping[str, Any]) -> None:
        """Within the workflow: the fields of its DialOutcome, for `result` in any process."""
        here = self._awaited.get(workflow)
        if here is not None and not here.done():
            here.set_result(result)
        await self._engine.publish(RESULT, result)

    async def cancel(self, call_id: str) -> bool:
        """End a call that waits to be dialled. False: its dialling has begun, or it is over."""
        if not await self._claims.cancel_waiting(call_id, at=datetime.now(UTC)):
            return False
        self._store.listener.status_changed(
            call_id, Status.CANCELED, CallChange(ended_reason=EndedReason.CANCELED)
        )
        # Its workflow finds it over when its time comes; what is due after a call is due now.
        await self.after_calls.begin(call_id)
        self._listener.call_ended(call_id)
        return True


def _priority(record: CallRecord) -> int | None:
    return None if record.campaign_id is None else AFTER_SINGLE_CALLS


def key_id(call_id: str, hop: int) -> str:
    return f"{call_id}:{hop}:key"


def hop_id(call_id: str, hop: int) -> str:
    return f"{call_id}:{hop}"


def _after_id(call_id: str) -> str:
    return f"{call_id}:after"


def _analysis_id(call_id: str) -> str:
    return f"{call_id}:analysis"


async def independent_step(engine: DurableEngine, name: str, run: Callable[[], Awaitable[_T]]) -> _T | None:
    """A step of a workflow on which its others do not depend; None where it failed, which is logged."""

    async def attempt() -> _T | None:
        try:
            return await run()
        except DATABASE_ERRORS:
            raise  # the step is tried again
        except Exception as e:
            logger.opt(exception=e).error("{} failed", name)
            return None

    return await engine.step(name, attempt)
