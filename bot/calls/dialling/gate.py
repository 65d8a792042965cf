"""Whether and when a call may be dialled: what the rules ask for, gathered; and the one step that decides."""

from datetime import datetime
from typing import Protocol

from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.dialling.policy import LISTED, Go, Number, Refuse, WaitUntil, may_dial
from bot.calls.dialling.time_zones import local_day, zones_of
from bot.calls.planner import Planner
from bot.policy import HoursTerms
from bot.records import CallRecord
from bot.store import SqlCallStore
from bot.store.claims import Claim, SqlClaims


class CampaignGate(Protocol):
    """Campaigns, as far as the gate asks them."""

    async def gate(self, record: CallRecord) -> WaitUntil | Refuse | None:
        """Whether the campaign of a call holds it back: it is paused, over, or has no room."""
        ...


class DialGate:
    """One process's, over the lists and counts of all."""

    def __init__(
        self, store: SqlCallStore, planner: Planner, do_not_call: DoNotCall, campaigns: CampaignGate
    ) -> None:
        self._do_not_call = do_not_call
        self._claims = SqlClaims(store.database)
        self._planner, self._campaigns = planner, campaigns
        settings = planner.settings
        self._max_per_day, self._lines = settings.max_calls_per_number_per_day, settings.max_lines

    async def __call__(self, record: CallRecord, now: datetime) -> Go | WaitUntil | Refuse:
        """As things stand: asked when the call is wished for, and again when its turn comes."""
        held = None if record.campaign_id is None else await self._campaigns.gate(record)
        if held is not None:
            return held
        number = record.spec.phone_number
        since, capped = self._day(record, now), self._max_per_day is not None
        known = Number(
            zones_of(number, record.terms.time_zone),
            do_not_call=await self._do_not_call.is_listed(number),
            dialled_today=await self._claims.dialled_since(number, since) if capped else 0,
        )
        return self._rule(record, now, known)

    async def begin(self, record: CallRecord, now: datetime) -> Claim | WaitUntil | Refuse:
        """Decide to dial, for good: `dialling_at` is written by the transaction that looks again."""
        since = self._day(record, now)
        claim = await self._claims.begin_dialling(
            record.call_id, at=now, since=since, max_per_day=self._max_per_day, lines=self._lines
        )
        if claim is Claim.DO_NOT_CALL:
            return LISTED
        if claim is not Claim.CAPPED:
            return claim
        zones = zones_of(record.spec.phone_number, record.terms.time_zone)
        put_off = self._rule(record, now, Number(zones, dialled_today=self._max_per_day or 0))
        assert not isinstance(put_off, Go)
        return put_off

    async def begin_again(self, record: CallRecord, now: datetime) -> bool:
        """Take over the decision as `record` has it; False: another process did, or it was carried out."""
        assert record.dialling_at is not None
        return await self._claims.dial_again(record.call_id, decided=record.dialling_at, at=now)

    def _rule(self, record: CallRecord, now: datetime, known: Number) -> Go | WaitUntil | Refuse:
        return may_dial(
            now,
            known,
            hours=self._hours(record),
            not_before=record.scheduled_at or record.terms.schedule_at,
            max_per_day=self._max_per_day,
        )

    def _day(self, record: CallRecord, now: datetime) -> datetime:
        return local_day(now, zones_of(record.spec.phone_number, record.terms.time_zone))[0]

    def _hours(self, record: CallRecord) -> HoursTerms:
        if record.terms.hours is not None or record.spec.scenario not in self._planner.scenarios.names:
            return record.terms.hours or HoursTerms()
        return self._planner.scenarios.get(record.spec.scenario).hours.terms
