"""Whether and when a call may be dialled, and dialling it once.

The intent is kept before the carrier is asked, and a carrier that may have been asked is looked at before it is
asked again.

Between "decided to dial" and "stored the sid" a process can die at any point. The one that takes the call up
finds the intent without a sid and cannot know whether the request left. The carrier knows: its calls to that
number since then. A request may still be on its way when its sender is gone, so it is first given the time a
request lives.

Nor is the process that decided surely dead: it may only have lost its database for a while, and find its call
taken up when it has it again. So a decision is asked upon at once or not at all, and the process that finds one
that was not carried out takes it over in the database, by naming it: of two one gets it. (A lease was the other
way: it would have to be renewed while the carrier is asked, by a process that may stand still.)
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from loguru import logger

from bot.calls.campaigns import Campaigns
from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.dialling.policy import LISTED, Go, Number, Refuse, WaitUntil, may_dial
from bot.calls.dialling.time_zones import local_day, zones_of
from bot.calls.planner import Planner
from bot.errors import CarrierError, ConflictError, DialUnconfirmedError
from bot.policy import HoursTerms
from bot.records import CallRecord, Wait
from bot.store import CallChange, SqlCallStore
from bot.store.claims import Claim, SqlClaims
from bot.telemetry import tally
from bot.telephony.carrier import Carrier, CarrierCall, DialOrder

CLOCKS_APART = timedelta(seconds=5)
"""Between our clock and the carrier's, which gives its times in whole seconds."""
LOOKS = 3
"""A call may appear in the carrier's list a moment after it was made."""
LOOK_AGAIN_SECONDS = 1.0
FRESH_SECONDS = 2.0
"""Between a decision and the request to the carrier, and for repeats of a request that was refused at first; a
later one would not be waited for by who takes it over."""


NUMBER_BUSY = timedelta(seconds=10)
"""How soon a call asks again whether another one with its number is over."""


class DialGate:
    """One process's, over the lists and counts of all."""

    def __init__(
        self, store: SqlCallStore, planner: Planner, do_not_call: DoNotCall, campaigns: Campaigns
    ) -> None:
        self._do_not_call = do_not_call
        self._claims = SqlClaims(store.database)
        self._planner, self._campaigns = planner, campaigns
        settings = planner.settings
        self._at_once = settings.max_calls_per_number
        self._max_per_day, self._lines = settings.max_calls_per_number_per_day, settings.max_lines

    async def __call__(self, record: CallRecord, now: datetime) -> Go | WaitUntil | Refuse:
        """As things stand: asked when the call is wished for, and again when its turn comes."""
        held = None if record.campaign_id is None else await self._campaigns.gate(record)
        if held is not None:
            return held
        number, since = record.spec.phone_number, self._day(record, now)
        known = Number(
            zones_of(number, record.terms.time_zone), do_not_call=await self._do_not_call.is_listed(number)
        )
        decision = self._rule(record, now, known, capped=await self._is_capped(record, since))
        if isinstance(decision, Go) and await self._claims.with_number(number, record.call_id) >= self._at_once:
            return WaitUntil(now + NUMBER_BUSY, Wait.NUMBER_BUSY)
        return decision

    async def _is_capped(self, record: CallRecord, since: datetime) -> bool:
        """Whether the number had its calls of the day: of all, or about this."""
        number, subject = record.spec.phone_number, record.spec.scenario
        for limit, scenario in (
            (self._max_per_day, None),
            (self._planner.max_per_subject(subject, number), subject),
        ):
            if limit is not None and await self._claims.dialled_since(number, since, scenario) >= limit:
                return True
        return False

    async def begin(self, record: CallRecord, now: datetime) -> Claim | WaitUntil | Refuse:
        """Decide to dial, for good: `dialling_at` is written by the transaction that looks again."""
        since = self._day(record, now)
        claim = await self._claims.begin_dialling(
            record.call_id,
            at=now,
            since=since,
            max_per_day=self._max_per_day,
            max_per_subject=self._planner.max_per_subject(record.spec.scenario, record.spec.phone_number),
            lines=self._lines,
            at_once=self._at_once,
        )
        if claim is Claim.NUMBER_BUSY:
            return WaitUntil(now + NUMBER_BUSY, Wait.NUMBER_BUSY)
        if claim is Claim.DO_NOT_CALL:
            return LISTED
        if claim is not Claim.CAPPED:
            return claim
        zones = zones_of(record.spec.phone_number, record.terms.time_zone)
        put_off = self._rule(record, now, Number(zones), capped=True)
        assert not isinstance(put_off, Go)
        return put_off

    async def begin_again(self, record: CallRecord, now: datetime) -> bool:
        """Take over the decision as `record` has it; False: another process did, or it was carried out."""
        assert record.dialling_at is not None
        return await self._claims.dial_again(record.call_id, decided=record.dialling_at, at=now)

    def _rule(self, record: CallRecord, now: datetime, known: Number, *, capped: bool) -> Go | WaitUntil | Refuse:
        return may_dial(
            now,
            known,
            hours=self._hours(record),
            not_before=record.scheduled_at or record.terms.schedule_at,
            max_per_day=0 if capped else None,
        )

    def _day(self, record: CallRecord, now: datetime) -> datetime:
        return local_day(now, zones_of(record.spec.phone_number, record.terms.time_zone))[0]

    def _hours(self, record: CallRecord) -> HoursTerms:
        return self._planner.hours(record.spec.scenario, record.terms.hours, record.spec.phone_number)


class NotClaimedError(Exception):
    """Why the step from waiting to dialling was not granted."""

    def __init__(self, why: Claim | WaitUntil | Refuse) -> None:
        super().__init__(str(why))
        self.why = why


@dataclass(frozen=True)
class DialOnce:
    """`now` and `sleep` are the clock's."""

    store: SqlCallStore
    carrier: Carrier
    gate: DialGate
    on_point: Callable[[str], None] = lambda _point: None
    """Told of every point at which a crash would tell: what the crash tests die at."""
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    async def dial(self, record: CallRecord, order: DialOrder, change: CallChange) -> str:
        """The sid, kept with the record. `change` is kept with the intent.

        NotClaimedError when it may not be dialled as things stand. CarrierError as the carrier said it;
        DialUnconfirmedError when it gave no answer and knows of no call.
        """
        if record.call_sid is not None:
            return record.call_sid
        decided, known = record.dialling_at, None
        if decided is None:
            decided = self.now()
            self.on_point("decided")
            claim = await self.gate.begin(record, decided)
            if claim is not Claim.GO:
                raise NotClaimedError(claim)
            self.on_point("intent kept")
            await self.store.update(record.call_id, change)
        else:
            await self.store.update(record.call_id, change)
            await self._let_requests_end(decided)
            known = await self._adopt(record.call_id, order, decided)
            if known is None:
                decided = await self._decide_again(record)
        if known is None:
            known = await self._ask(record.call_id, order, decided)
        self.on_point("sid kept")
        return known

    async def _let_requests_end(self, decided: datetime) -> None:
        within = self._within_seconds
        left = 0.0 if within is None else FRESH_SECONDS + within - (self.now() - decided).total_seconds()
        if left > 0:
            await asyncio.sleep(left)

    @property
    def _within_seconds(self) -> float | None:
        """What the carrier is given to dial, repeats and all."""
        return self.carrier.request_seconds + FRESH_SECONDS if self.carrier.request_seconds else None

    async def _decide_again(self, record: CallRecord) -> datetime:
        decided = self.now()
        if not await self.gate.begin_again(record, decided):
            raise NotClaimedError(Claim.BEGUN)
        return decided

    async def _ask(self, call_id: str, order: DialOrder, decided: datetime) -> str:
        if (self.now() - decided).total_seconds() > FRESH_SECONDS:
            raise NotClaimedError(Claim.BEGUN)
        try:
            with tally.dialling(call_id, self.carrier.vendor):
                sid = await self._dial(order)
        except DialUnconfirmedError as unconfirmed:
            try:
                adopted = await self._adopt(call_id, order, decided)
            except CarrierError as e:
                logger.warning("the carrier cannot be asked whether it has dialled: {}", e.message)
                adopted, unconfirmed.retryable = None, True  # all of it is out of order, not this call
            if adopted is None:
                await self._see_that_it_is_ours(call_id, decided)
                raise
            return adopted
        self.on_point("dialled")
        if not await self._claim(call_id, sid):
            raise CarrierError(f"the carrier gave the id of another call, {sid}", provider=self.carrier.vendor)
        return sid

    async def _dial(self, order: DialOrder) -> str:
        try:
            async with asyncio.timeout(self._within_seconds):
                return await self.carrier.dial(order)
        except TimeoutError as e:
            raise DialUnconfirmedError("gave no answer in time", provider=self.carrier.vendor) from e

    async def _see_that_it_is_ours(self, call_id: str, decided: datetime) -> None:
        """Before a failure is made the call's end."""
        known = await self.store.get(call_id)
        if known is not None and known.dialling_at != decided:
            raise NotClaimedError(Claim.BEGUN)

    async def _adopt(self, call_id: str, order: DialOrder, decided: datetime) -> str | None:
        """A call to that number which no record has; None: the carrier has none."""
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            record = await self.store.get(call_id)
            if record is not None and record.call_sid is not None:
                return record.call_sid  # a callback named it meanwhile
            if look + 1 < LOOKS and await self._others_dial(call_id, order.to):
                continue  # what the carrier shows may be theirs; they keep it in a moment
            recent = await self.carrier.recent_calls(order.to, decided - CLOCKS_APART)
            for sid in [call.call_sid for call in _likely(recent, order, decided)]:
                if await self.store.get_by_sid(sid) is None and await self._claim(call_id, sid):
                    logger.warning("the carrier dialled already: {} is this call", sid)
                    return sid
            if not self.carrier.request_seconds:
                break
        return None

    async def _others_dial(self, call_id: str, number: str) -> bool:
        return bool(set(await self.store.dialling(number)) - {call_id})

    async def _claim(self, call_id: str, call_sid: str) -> bool:
        """Of two records that want a sid one gets it."""
        try:
            return await self.store.update(call_id, CallChange(call_sid=call_sid))
        except ConflictError:
            known = await self.store.get(call_id)
            return known is not None and known.call_sid == call_sid


def _likely(calls: Sequence[CarrierCall], order: DialOrder, decided: datetime) -> list[CarrierCall]:
    """From our number where both are known, the nearest to the decision first."""
    ours = [call for call in calls if order.from_number is None or call.from_number in (None, order.from_number)]
    far = timedelta.max
    return sorted(ours, key=lambda call: far if call.created_at is None else abs(call.created_at - decided))
