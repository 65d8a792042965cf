"""From the dialling of a call to its end: reports are waited for, and where none come the carrier is asked.

Runs within the call's workflow, which holds its place among the lines as long. Reports may be lost with the
process that had them. So every wait has an end: the carrier's ring time, or the longest duration of a call, and a
minute. A workflow that was begun again cannot shorten the wait it was in, which is durable; beside it the call is
looked at until a process is known to have it. And the process that holds a call may die with the report of its
end: all that are left look for such calls, and wake their workflows.

The process that holds a call ends it. Another one does so only when the holder is gone for good: a process that
lost its database for half a minute still talks to its callee, and while it does the carrier has the call in
progress.
"""

import asyncio
import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from loguru import logger

from bot.calls.active_calls import CallSlot
from bot.calls.ingress import HANDSHAKE_SECONDS
from bot.calls.process import Process
from bot.errors import CarrierError
from bot.records import AnsweredBy, CallRecord, EndedReason, Speaker, Status, Turn
from bot.store import CallChange
from bot.store.connections import DATABASE_ERRORS, retry_database
from bot.telemetry.supervisor import watched
from bot.telephony.carrier import CarrierCall

NEWS = "news"
LOST_CALLBACK_SECONDS = 60.0
"""Beyond its ringing, or its longest duration, a call without any word is asked about."""
HOLDER_SECONDS = 15.0
"""What the process that has the line gets to complete the record after the carrier said that it is over."""
GONE_SECONDS = 30.0
"""So long a holder must have been absent before its call is hung up. The carrier ends the call of a dead one by
itself, when its media socket closes."""
BY_STATUS = {
    Status.BUSY: EndedReason.DIAL_BUSY,
    Status.NO_ANSWER: EndedReason.DIAL_NO_ANSWER,
    Status.FAILED: EndedReason.DIAL_FAILED,
    Status.CANCELED: EndedReason.CANCELED,
}
"""What the carrier's last word says of a call that was not answered."""


@dataclass
class Following:
    """One process's."""

    process: Process
    known_here: set[str] = field(default_factory=set, init=False)
    """Calls that this process dialled, or heard come in: every report of them came here."""
    woken: set[str] = field(default_factory=set, init=False)
    """Calls whose holder is absent, whose workflows this process has woken."""

    async def to_the_end(self, call_id: str) -> None:
        """Return when the call has its final status; within its workflow."""
        record = await retry_database(lambda: self.process.store.get(call_id))
        if record is None:
            return
        seconds = self.process.planner.limits(record).ring_seconds + LOST_CALLBACK_SECONDS
        beside = None
        if call_id not in self.known_here:
            beside = watched(self._take_up(call_id), f"the taking up of call {call_id}")
        try:
            while True:
                news = await self.process.engine.receive(NEWS, seconds)
                left = await self.process.engine.step("look", functools.partial(self.look, call_id, news))
                if left is None:
                    return
                seconds = left
        finally:
            if beside is not None:
                beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)
            self.known_here.discard(call_id)
            await self.let_go(call_id)

    async def by_looking(self, call_id: str) -> None:
        """The same without a workflow's steps: of a call whose workflow broke."""
        left = await retry_database(lambda: self.look(call_id, None))
        while left is not None:
            await asyncio.sleep(min(left, HOLDER_SECONDS))
            left = await retry_database(lambda: self.look(call_id, None))
        await self.let_go(call_id)

    async def _take_up(self, call_id: str) -> None:
        """A dead process's call: none may be left to report on it."""
        while (left := await retry_database(lambda: self.look(call_id, None))) is not None:
            if left > LOST_CALLBACK_SECONDS:
                return  # a process has it; the workflow's own wait is no longer
            await asyncio.sleep(left)
        record = await retry_database(lambda: self.process.store.get(call_id))
        if record is not None and record.followed_by is not None:
            await self.process.engine.send(record.followed_by, "over", NEWS)

    async def wake_absent(self) -> None:
        """Wake the workflows of calls whose process is absent: the report of their end may have died with it.

        Once for each call: its workflow looks again by itself from then on.
        """
        absent: list[str] = []
        for holder in await self.process.store.holders():
            if await self.process.engine.absent_seconds(holder):
                absent += await self.process.store.held_by(holder)
        self.woken &= set(absent)
        for call_id in absent:
            record = None if call_id in self.woken else await self.process.store.get(call_id)
            if record is not None and record.followed_by is not None:
                self.woken.add(call_id)
                await self.process.engine.send(record.followed_by, "over", NEWS)

    async def look(self, call_id: str, news: str | None) -> float | None:
        """How long to wait for more news, in seconds; None: the call is over."""
        try:
            return await self._look(call_id, news)
        except DATABASE_ERRORS:
            raise
        except Exception as e:
            logger.opt(exception=e).error("call {} could not be looked at", call_id)
            return await self._bear(call_id, e)

    async def _bear(self, call_id: str, error: Exception) -> float | None:
        """The next look may know more; for a call that nothing is left of, nothing ever will."""
        record = await self.process.store.get(call_id)
        if record is None or record.status.final:
            return None
        limits = self.process.planner.limits(record)
        most = limits.ring_seconds + limits.max_duration_seconds + 2 * LOST_CALLBACK_SECONDS
        begun = record.answered_at or record.dialling_at or record.created_at
        if (datetime.now(UTC) - begun).total_seconds() < most:
            return LOST_CALLBACK_SECONDS
        status, change = broken(error)
        await self.process.store.advance(call_id, status, at=datetime.now(UTC), change=change)
        return None

    async def _look(self, call_id: str, news: str | None) -> float | None:
        record = await self.process.store.get(call_id)
        if record is None or record.status.final:
            return None
        longest = self.process.planner.limits(record).max_duration_seconds + LOST_CALLBACK_SECONDS
        if news == "answered":
            if call_id in self.known_here:  # else its slot, if there is one, is that of who answered
                await self.let_go(call_id)
            return longest
        if record.held_by is None or self._let_go_of(record):
            return await self._settle(record)
        absent = await self.process.engine.absent_seconds(record.held_by)
        ended = record.carrier_ended_at
        if ended is not None:
            if absent or (datetime.now(UTC) - ended).total_seconds() >= HOLDER_SECONDS:
                return await self._settle(record)
            return HOLDER_SECONDS
        if absent >= GONE_SECONDS:
            return await self._settle(record)
        return await self._ask_of_absent(record) if absent else longest

    def _let_go_of(self, record: CallRecord) -> bool:
        """This process had the line, and could not keep how the call ended."""
        return (
            record.held_by == self.process.engine.name
            and self.process.active_calls.slot_of(record.call_id) is None
        )

    async def _ask_of_absent(self, record: CallRecord) -> float | None:
        """The holder may come back: only what the carrier ended is over."""
        known = None
        try:
            known = None if record.call_sid is None else await self.process.carrier.fetch(record.call_sid)
        except CarrierError as e:
            logger.warning("the carrier cannot be asked about call {} now: {}", record.call_id, e.message)
        return await self._settle(record) if known is not None and known.status.final else HOLDER_SECONDS

    async def _settle(self, record: CallRecord) -> float | None:
        """No process has the line: what the carrier says is the end, or it is made one."""
        try:
            known = None if record.call_sid is None else await self.process.carrier.fetch(record.call_sid)
            if known is not None and not known.status.final:
                left = self._may_still_be_taken(record, datetime.now(UTC))
                if left is not None:
                    return left
                await self.process.carrier.hang_up(known.call_sid)
        except CarrierError as e:
            logger.warning("the carrier cannot be asked about call {} now: {}", record.call_id, e.message)
            return LOST_CALLBACK_SECONDS
        status, change = ended_by(record, known)
        await self.process.store.advance(record.call_id, status, at=datetime.now(UTC), change=change)
        # The log's context has the call's id.
        if record.answered_at is not None and record.held_by not in (None, self.process.engine.name):
            logger.warning("was on the line when its server died; recorded as {}", change.ended_reason)
        else:
            logger.warning("its end was not reported; recorded as {}, {}", status, change.ended_reason)
        self.process.listener.call_ended(record.call_id)
        return None

    def _may_still_be_taken(self, record: CallRecord, now: datetime) -> float | None:
        """How long to leave alone a call that no process holds: it rings, or its media stream is to open."""
        if record.held_by is not None:
            return None
        ring = self.process.planner.limits(record).ring_seconds
        if record.answered_at is not None:
            left = ring + HANDSHAKE_SECONDS - (now - record.answered_at).total_seconds()
        elif record.dialling_at is not None:
            left = ring + LOST_CALLBACK_SECONDS - (now - record.dialling_at).total_seconds()
        else:
            return None
        return None if left <= 0 else min(max(left, 1.0), LOST_CALLBACK_SECONDS)

    async def let_go(self, call_id: str) -> None:
        """The slot of a call that this process does not hold."""
        slot: CallSlot | None = self.process.active_calls.slot_of(call_id)
        if slot is not None and slot.holding is None:
            await self.process.active_calls.release(call_id)


def broken(error: Exception) -> tuple[Status, CallChange]:
    """The end of a call that this server could not go through with."""
    return Status.FAILED, CallChange(
        ended_reason=EndedReason.DIAL_FAILED, error=f"{type(error).__name__} in this server"
    )


def ended_by(record: CallRecord, known: CarrierCall | None) -> tuple[Status, CallChange]:
    """The final status and what is written with it. `known`: the call as the carrier has it, None if it does not.

    A call that was answered and that no process holds ended with the process that held it: not now, when that is
    noticed, but when the last was heard of it.
    """
    duration = None if known is None else known.duration_seconds
    if record.answered_at is not None:
        ended_at = _ended_at(record, record.answered_at, duration)
        if ended_at is not None:
            duration = round((ended_at - record.answered_at).total_seconds(), 3)
        return Status.COMPLETED, CallChange(
            ended_reason=EndedReason.SERVER_SHUTDOWN,
            ended_at=ended_at,
            duration_seconds=duration,
            answered_by=_answered_by(record),
        )
    if known is not None and known.status.final:
        status = known.status
    else:
        status = Status.NO_ANSWER if known is not None else Status.FAILED
    reason = BY_STATUS.get(status, EndedReason.SERVER_SHUTDOWN)
    return status, CallChange(ended_reason=reason, duration_seconds=duration)


def _ended_at(record: CallRecord, answered_at: datetime, duration: float | None) -> datetime | None:
    """The end of the last kept turn, or later by the carrier's own duration; None: unknown.

    When the carrier's word of the end came stands behind both: it may have waited for the next process. A turn
    that was cut off has no end; it counts by its beginning.
    """
    ends = [_end_of(turn) for turn in record.turns]
    if duration is not None:
        ends.append(answered_at + timedelta(seconds=duration))
    if not ends and record.carrier_ended_at is not None:
        ends.append(record.carrier_ended_at)
    return max((answered_at, *ends)) if ends else None


def _end_of(turn: Turn) -> datetime:
    if turn.end_ms is None:
        return turn.started_at
    return turn.started_at + timedelta(milliseconds=turn.end_ms - turn.start_ms)


def _answered_by(record: CallRecord) -> AnsweredBy | None:
    """None: leave what is kept. Who said something and was not found out to be a machine is a person."""
    spoke = any(turn.speaker is Speaker.CALLEE and turn.text.strip() for turn in record.turns)
    return AnsweredBy.PERSON if spoke and record.answered_by is None else None
