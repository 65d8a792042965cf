"""What the carrier tells of calls: picked up, further on, over, who answered, how a transfer goes.

In any order, more than once, late, or of nobody we know; and to any process, whoever dialled or holds the call.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from loguru import logger

from bot.calls.active_calls import ActiveCalls, CallSlot
from bot.calls.capacity import Asking
from bot.calls.cluster.elsewhere import Elsewhere
from bot.calls.dialling.dialler import Dialler
from bot.calls.dialling.ending import BY_STATUS
from bot.calls.ingress import HANDSHAKE_SECONDS, Ingress
from bot.calls.planner import Planner
from bot.conversation.transfers.transfers import Transfers
from bot.errors import BusyError, ConflictError
from bot.records import CallRecord, CallSpec, Direction, EndedReason, Status
from bot.store import CallChange, CallStore
from bot.store.connections import DATABASE_ERRORS
from bot.telephony.twilio import twiml

MOST_TRIES = 3
"""Processes asked to take a call, before it is turned away; maybe the same one again."""
TRIES = "tries"


async def _alone() -> bool:
    return False


@dataclass
class CarrierNews:
    """One process's ear for its carrier. Every method raises ForbiddenError when the signature does not hold.

    `max_lines`: calls on the line over all processes beyond which none is taken that comes in.
    `others`: whether there are other processes behind our public address.
    """

    ingress: Ingress
    store: CallStore
    active_calls: ActiveCalls
    planner: Planner
    dialler: Dialler
    transfers: Transfers
    elsewhere: Elsewhere
    max_lines: int | None = None
    others: Callable[[], Awaitable[bool]] = _alone
    on_ended: Callable[[str], None] = lambda _call_id: None
    """Told of a call that has a final status by the carrier's word."""

    async def voice(self, url_path_and_query: str, form: Mapping[str, str], signature: str | None) -> str:
        """TwiML that connects the media stream, sends the call to another process, or turns it away."""
        await self.ingress.check(url_path_and_query, form, signature)
        call_sid = form.get("CallSid", "")
        try:
            record = await self._called(url_path_and_query, form)
        except ConflictError as e:
            logger.warning("a voice webhook for a call that is over: {}", e.message)
            return twiml.hang_up()
        plan = self.planner.plan(record)
        inbound = record.direction is Direction.INBOUND
        dialled_here = self.active_calls.slot_of(record.call_id) is not None
        if record.followed_by in (None, REGISTERED):
            # First of all: also a call that is turned away is told of.
            await self.dialler.follow(record.call_id)
        all_taken = inbound and await self._all_lines_taken()
        try:
            if all_taken:
                raise BusyError(f"All {self.max_lines} lines are in use; ask again.", retry_after_seconds=10)
            slot = self.active_calls.take_line(plan, Asking.NEW if inbound else Asking.ANSWERED)
        except BusyError as e:
            again = None if all_taken else await self._again(url_path_and_query)
            if again is not None:
                logger.info("call {} asks for another process: {}", plan.call_id, e.message)
                return twiml.ask_again(again)
            logger.warning("call {} is turned away: {}", plan.call_id, e.message)
            change = CallChange(ended_reason=EndedReason.DIAL_BUSY)
            await self._end(record, Status.BUSY, change)
            turned_away = twiml.turn_away(plan.scenario.inbound.busy_message, plan.scenario.language)
            return turned_away if inbound else twiml.hang_up()
        slot.call_sid = call_sid
        # Before anything is awaited: whatever fails from here on, the line is freed in time.
        seconds = plan.scenario.limits.ring_seconds
        gone = functools.partial(self.never_came, record, Status.COMPLETED, EndedReason.ERROR_LINE)
        self.active_calls.release_after(slot, seconds + HANDSHAKE_SECONDS, gone)
        if record.dialling_at is not None and not dialled_here:
            # Only now: the process that dialled gives up the line it keeps for the call.
            await self.dialler.news(record, "answered")
        if record.call_sid is None:
            await self.store.update(plan.call_id, CallChange(call_sid=call_sid))
        await self.store.advance(plan.call_id, Status.IN_PROGRESS, at=datetime.now(UTC))
        self.active_calls.prepare(slot, answered=True)
        self.active_calls.build_ahead(slot, call_sid)
        stream = await self.ingress.stream(plan.call_id, seconds, held_here=False)
        return twiml.connect_stream(stream.url, stream.parameters)

    async def _all_lines_taken(self) -> bool:
        """Of all processes, by others than the call that asks."""
        return self.max_lines is not None and await self.store.lines_taken() - 1 >= self.max_lines

    async def _again(self, url_path_and_query: str) -> str | None:
        """Where the carrier may find a process that takes the call; None: nowhere, or it has looked enough.

        Not where this is the only one: a call that is sent on is answered, and hears no busy tone any more.
        """
        again = next_try(url_path_and_query)
        try:
            if again is None or not await self.others():
                return None
        except DATABASE_ERRORS as e:
            logger.warning("nobody can tell whether there are other processes: {}", e)
            return None
        return f"{await self.ingress.origin()}{again}"

    async def status(self, url_path_and_query: str, form: Mapping[str, str], signature: str | None) -> None:
        """The carrier's news of a call. In any order, more than once, or of nobody we know: no error."""
        await self.ingress.check(url_path_and_query, form, signature)
        call_sid = form.get("CallSid", "")
        record = await self._known(url_path_and_query, call_sid)
        try:
            status = Status(form.get("CallStatus", ""))
        except ValueError:
            return
        if record is None:
            logger.warning("status {} of a call nobody here knows", status)
            return
        if record.call_sid not in (None, call_sid):
            # A registered call that was dialled twice, say: the one call's end is not the other's.
            logger.warning("status {} of another call than the {} that its URL names", status, record.call_id)
            return
        if record.call_sid is None and call_sid:
            await self._name(record, call_sid)
        if not status.final:
            await self.store.advance(record.call_id, status, at=datetime.now(UTC))
            return
        await self.transfers.call_over(call_sid)
        if self.active_calls.slot_of(record.call_id) is None:
            await self.elsewhere.over(record.call_id, call_sid)
        seconds = _seconds(form.get("CallDuration")) if status is Status.COMPLETED else None
        await self._over(record, status, seconds)

    async def _over(self, record: CallRecord, status: Status, seconds: float | None) -> None:
        slot = self.active_calls.slot_of(record.call_id)
        if slot is not None and slot.holding is not None:
            if slot.call is not None:
                slot.call.carrier_ended()
            return  # the line ends by itself in a moment, and its end knows more than this word
        if await self._held_elsewhere(record):
            # Its holder's end knows more; should none come, the workflow asks the carrier itself.
            await self.store.update(record.call_id, CallChange(carrier_ended_at=datetime.now(UTC)))
            await self.dialler.news(record, "ended")
            return
        reason = BY_STATUS.get(status, EndedReason.CALLEE_HANGUP)
        await self._end(record, status, CallChange(ended_reason=reason, duration_seconds=seconds))

    async def _held_elsewhere(self, record: CallRecord) -> bool:
        kept = await self.store.get(record.call_id)
        return kept is not None and kept.held_by is not None and not kept.status.final

    async def _end(self, record: CallRecord, status: Status, change: CallChange) -> None:
        news = await self.store.advance(record.call_id, status, at=datetime.now(UTC), change=change)
        await self.active_calls.release(record.call_id)
        if news:
            await self.ended(record.call_id)

    async def ended(self, call_id: str) -> None:
        """The record has its final status: whoever follows the call is told."""
        record = await self.store.get(call_id)
        if record is not None:
            await self.dialler.news(record, "over")
        self.on_ended(call_id)

    async def never_came(self, record: CallRecord, status: Status, reason: EndedReason) -> None:
        """Nobody dialled a registered call, or an answered one never opened its media stream."""
        if await self._held_elsewhere(record):
            return
        logger.warning("call {} never came: {}", record.call_id, reason)
        await self._end(record, status, CallChange(ended_reason=reason))

    async def amd(self, url_path_and_query: str, form: Mapping[str, str], signature: str | None) -> None:
        """Who the carrier thinks has answered. Late, again, or of a call that is over: no error."""
        await self.ingress.check(url_path_and_query, form, signature)
        call_id, call_sid = query(url_path_and_query, "call_id"), form.get("CallSid")
        slots = [s for s in self.active_calls.slots if s.plan.call_id == call_id or s.call_sid == call_sid]
        for slot in slots[:1]:
            self.note_amd(slot, form.get("AnsweredBy", ""))
        if not slots and call_id is not None:
            await self.elsewhere.note_amd(call_id, form.get("AnsweredBy", ""))

    def note_amd(self, slot: CallSlot, answered_by: str) -> None:
        logger.info("call {}: the carrier heard {}", slot.plan.call_id, answered_by)
        slot.note_amd(answered_by)

    async def transfer(
        self, url_path_and_query: str, form: Mapping[str, str], signature: str | None, *, token: str, step: str
    ) -> str:
        """TwiML for the leg of a person a call is put through to, or for the callee who comes back; or none."""
        await self.ingress.check(url_path_and_query, form, signature)
        return await self.elsewhere.transfer(
            token, step, form, dict(parse_qsl(urlsplit(url_path_and_query).query))
        )

    # -- whose call it is -----------------------------------------------------------------------------

    async def _known(self, url_path_and_query: str, call_sid: str) -> CallRecord | None:
        """By the sid before the URL: of two calls to one number a crash may have given one the other's."""
        record = await self.store.get_by_sid(call_sid) if call_sid else None
        if record is None:
            call_id = query(url_path_and_query, "call_id")
            record = None if call_id is None else await self.store.get(call_id)
        return record

    async def _called(self, url_path_and_query: str, form: Mapping[str, str]) -> CallRecord:
        """The call a voice webhook is about; an unknown one is inbound. ConflictError when it is over."""
        record = await self._known(url_path_and_query, form.get("CallSid", ""))
        if record is None:
            return await self._inbound(form)
        slot = self.active_calls.slot_of(record.call_id)
        if record.status.final or record.held_by is not None or (slot is not None and slot.holding is not None):
            raise ConflictError(f"call {record.call_id} is {record.status}")
        return record

    async def _name(self, record: CallRecord, call_sid: str) -> None:
        try:
            await self.store.update(record.call_id, CallChange(call_sid=call_sid))
        except ConflictError:
            logger.warning("call {} is told of under another call's id", record.call_id)

    async def _inbound(self, form: Mapping[str, str]) -> CallRecord:
        ours = form.get("To", "")
        spec = CallSpec(
            phone_number=form.get("From", ""),
            scenario=self.planner.scenarios.for_number(ours),
            from_number=ours or None,
        )
        record = replace(self.planner.record(spec, Direction.INBOUND), call_sid=form.get("CallSid") or None)
        record = replace(record, vendors=self.planner.vendors(self.planner.plan(record)))
        try:
            await self.store.add(record)
        except ConflictError:
            # The carrier asked twice at once.
            known = await self.store.get_by_sid(record.call_sid or "")
            if known is None:
                raise
            record = known
        return record


REGISTERED = "registered"
"""What follows a call that somebody else is to dial, until he has."""


def next_try(path_and_query: str) -> str | None:
    """The same webhook once more; None when there were MOST_TRIES."""
    parts = urlsplit(path_and_query)
    fields = parse_qsl(parts.query, keep_blank_values=True)
    tried = next((value for name, value in fields if name == TRIES), "1")
    if not tried.isdecimal() or int(tried) >= MOST_TRIES:
        return None
    kept = [(name, value) for name, value in fields if name != TRIES]
    return urlunsplit(("", "", parts.path, urlencode([*kept, (TRIES, int(tried) + 1)]), ""))


def query(path_and_query: str, name: str) -> str | None:
    values = parse_qs(urlsplit(path_and_query).query).get(name)
    return values[0] if values else None


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
