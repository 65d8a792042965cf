"""Campaigns: uploaded, paused, resumed, canceled, and dialled round by round, durably.

A round is one short workflow: it looks what the store says, places as many calls as there is room for, and ends.
Rounds of one campaign are on a queue that runs one at a time for each campaign. One workflow that lives as long
as its campaign was the other way: each of its steps is a row for ever, and a day of dialling would be replayed
after a crash. A round may be begun again from its start at any time: a call's id follows from its contact and
attempt, so that placing it again is no second call.

News (a call is over, the campaign was resumed) begin a round at once. Its id is the quarter of a second they came
in: all further news of the same quarter are one more round, at its end, however many calls end together. Once a
minute each running campaign gets a round anyway: whatever was lost, it goes on.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from loguru import logger

from bot.calls.campaigns import rules
from bot.calls.campaigns.contacts import RawRow
from bot.calls.campaigns.dry_run import Tried, try_out
from bot.calls.campaigns.loader import TOLD_ROWS, Loaded, load
from bot.calls.dialling.policy import Refuse, WaitUntil, unlimited
from bot.calls.idempotency import check_same
from bot.calls.planner import Planner
from bot.calls.queues import DialQueue
from bot.errors import ConflictError, NotFoundError, PhoneAgentError
from bot.policy import HoursTerms
from bot.records import CallRecord, Direction, EndedReason, Status, Wait
from bot.store.campaign_records import Campaign, CampaignStatus, Contact, Progress
from bot.store.campaigns import SqlCampaignStore
from bot.store.durable.engine import DurableEngine

ROUND, ROUNDS = "campaign_round", "campaigns"
BUCKET_SECONDS = 0.25
AT_ONCE = 50
"""Calls placed in one round; the next follows at once."""
MOST_PUT_OFF = 1000
"""Calls that wait for their hours or caps hold no place, up to here. Once they are due the gate gives them
theirs, one by one, and no other is begun."""
ABANDONED_SECONDS = 120.0
"""An upload that was not heard of for so long died with its process."""
FORGOTTEN_SECONDS = 600.0
"""A call that ended so long ago and told nobody is looked after by the round."""
FOR_ITS_START = "waits for its start"
PAUSED_SECONDS = 30.0
"""How often a call that waits for its line asks whether its campaign is still paused."""


class Campaigns:
    """One process's. `register` before the engine is opened."""

    def __init__(
        self,
        *,
        engine: DurableEngine,
        store: SqlCampaignStore,
        planner: Planner,
        queue: DialQueue,
        check_url: Callable[[str | None], None] = lambda _url: None,
    ) -> None:
        """`check_url`: RequestError for a webhook URL that events may not be sent to."""
        self._engine, self.store = engine, store
        self._planner, self._scenarios = planner, planner.scenarios
        self._queue, self._check_url = queue, check_url

    def register(self) -> None:
        """Name the workflow, its queue and the schedule."""
        self._engine.workflow(ROUND, self._round)
        self._engine.queue(ROUNDS, per_partition=1)
        self._engine.schedule("campaigns", "0 * * * * *", self._tick)

    # -- what the routes ask --------------------------------------------------------------------------

    async def create(
        self,
        campaign: Campaign,
        rows: Iterable[RawRow],
        *,
        columns: Collection[str] | None = None,
        country: str | None = None,
    ) -> Loaded:
        """Keeps the campaign with its contacts, and begins it. A campaign with that id and request_hash is given
        as it is. `columns`: the variables, where all contacts have the same. RequestError, ConflictError."""
        judge = self._judge(campaign, columns, country)
        kept = await self._kept(campaign)
        if kept is not None:
            rejected = await self.store.bad_rows(kept.campaign_id, limit=TOLD_ROWS)
            return Loaded(kept, tuple(rejected), repeated=True)
        loaded = await load(self.store, campaign, rows, judge)
        if campaign.start_at is not None and datetime.now(UTC) < campaign.start_at:
            await self.store.note_why(campaign.campaign_id, FOR_ITS_START)
            loaded = replace(loaded, campaign=replace(loaded.campaign, why=FOR_ITS_START))
        await self._wake(campaign.campaign_id)
        return loaded

    async def try_out(
        self,
        campaign: Campaign,
        rows: Iterable[RawRow],
        *,
        columns: Collection[str] | None = None,
        country: str | None = None,
    ) -> Tried:
        """What `create` would do, without doing it."""
        judge, scenario = self._judge(campaign, columns, country), self._scenarios.get(campaign.spec.scenario)
        hours = self._hours_of(campaign)
        return await try_out(self.store, campaign, rows, judge, scenario=scenario, hours=hours)

    def _judge(self, campaign: Campaign, columns: Collection[str] | None, country: str | None) -> rules.Judge:
        """Of the campaign's rows. RequestError where it cannot be held."""
        self._planner.forget(self._planner.record(campaign.spec, Direction.OUTBOUND).call_id)
        self._check_url(campaign.terms.webhook_url)
        self._planner.check_callee(campaign.terms.simulated_callee)
        hours = self._hours_of(campaign)
        rules.check_texts(campaign.spec)
        if columns is not None:
            rules.check_columns(campaign.spec, columns)
        needs_consent = self._planner.needs_consent(campaign.spec.scenario, campaign.terms.purpose)
        return rules.Judge(campaign, country=country, hours=hours, needs_consent=needs_consent)

    async def _kept(self, campaign: Campaign) -> Campaign | None:
        """The campaign that is there with its id; None: it is ours to load."""
        while not await self.store.add(replace(campaign, touched_at=datetime.now(UTC))):
            kept = await self.store.get(campaign.campaign_id)
            if kept is None:
                continue
            check_same(kept.request_hash, campaign.request_hash, "campaign")
            if kept.touched_at is None:
                return kept
            if datetime.now(UTC) - kept.touched_at < timedelta(seconds=ABANDONED_SECONDS):
                raise ConflictError("This campaign is just being uploaded.", code="being_loaded", retryable=True)
            await self.store.drop(campaign.campaign_id)
        return None

    async def get(self, campaign_id: str) -> Campaign:
        """NotFoundError."""
        campaign = await self.store.get(campaign_id)
        if campaign is None:
            raise NotFoundError(f"There is no campaign {campaign_id!r}.", field="campaign_id")
        return campaign

    async def progress(self, campaign_id: str) -> Progress:
        return await self.store.progress(campaign_id, datetime.now(UTC))

    async def pause(self, campaign_id: str, why: str = "paused by request") -> Campaign:
        """No further call is dialled; those on the line go on. ConflictError when it does not run."""
        return await self._change(campaign_id, (CampaignStatus.RUNNING,), CampaignStatus.PAUSED, why)

    async def resume(self, campaign_id: str) -> Campaign:
        """ConflictError when it is not paused."""
        campaign = await self._change(campaign_id, (CampaignStatus.PAUSED,), CampaignStatus.RUNNING, None)
        await self._wake(campaign_id)
        return campaign

    async def cancel(self, campaign_id: str) -> Campaign:
        """Nobody else is called, for good; calls on the line go on. ConflictError when it is over."""
        before = (CampaignStatus.RUNNING, CampaignStatus.PAUSED)
        campaign = await self._change(campaign_id, before, CampaignStatus.CANCELED, "canceled by request")
        # Here too, not in the round alone: whoever reads the campaign now finds nobody queued.
        await self.store.leave(campaign)
        await self._wake(campaign_id)
        return campaign

    async def _change(
        self, campaign_id: str, allowed: tuple[CampaignStatus, ...], status: CampaignStatus, why: str | None
    ) -> Campaign:
        moved = await self.store.change_status(campaign_id, allowed, status, why=why, at=datetime.now(UTC))
        campaign = await self.get(campaign_id)
        if not moved and campaign.status is not status:
            raise ConflictError(f"The campaign is {campaign.status}.", code=f"campaign_{campaign.status}")
        return campaign

    def outcome_fields(self, campaign: Campaign) -> list[str]:
        """The names of `outcome.fields`; those of a scenario that is gone are not known."""
        if campaign.terms.outcome_schema is not None:
            return list(campaign.terms.outcome_schema.get("properties", {}))
        if campaign.spec.scenario not in self._scenarios.names:
            return []
        return [field.name for field in self._scenarios.get(campaign.spec.scenario).outcome]

    def _hours_of(self, campaign: Campaign) -> HoursTerms:
        """The campaign's, or else its scenario's. UnknownScenarioError when that is gone."""
        scenario = self._scenarios.get(campaign.spec.scenario)
        return self._planner.hours(scenario.name, campaign.terms.hours)

    # -- what dialling asks and tells -----------------------------------------------------------------

    async def gate(self, record: CallRecord) -> WaitUntil | Refuse | None:
        """Whether a campaign's call that waits for its line may still be dialled; None: it may, and has its place
        among the campaign's calls under way until it is put off or over."""
        campaign = None if record.campaign_id is None else await self.store.get(record.campaign_id)
        if campaign is None:
            return None
        now = datetime.now(UTC)
        if campaign.status is CampaignStatus.PAUSED:
            return WaitUntil(now + timedelta(seconds=PAUSED_SECONDS), Wait.CAMPAIGN_PAUSED)
        if campaign.status is CampaignStatus.CANCELED or _is_past(campaign.end_at, now):
            why = "was canceled" if campaign.status is CampaignStatus.CANCELED else "has come to its end"
            return Refuse("campaign_over", f"The campaign of this call {why}.", "campaign_id")
        if record.scheduled_at is None:
            return None  # it has its place
        waiting = await self.store.take_place(record, campaign.concurrency, now)
        if waiting == 0:
            return None
        seconds = rules.turn_seconds(waiting, campaign.concurrency, random.random())
        return WaitUntil(now + timedelta(seconds=seconds), Wait.CONCURRENCY)

    async def goes_on(self, record: CallRecord) -> bool:
        """Whether another attempt may follow a campaign's call."""
        campaign = await self.store.get(record.campaign_id or "")
        return (
            campaign is not None and not campaign.status.over and not _is_past(campaign.end_at, datetime.now(UTC))
        )

    async def contact_done(self, record: CallRecord) -> None:
        """A call is over, its outcome known, and no attempt follows. May be told again, and of any call."""
        if record.contact_id is None:
            return
        unheard = record.ended_reason is EndedReason.SERVER_SHUTDOWN and record.answered_at is None
        if unheard and await self.goes_on(record):
            # It rang while this server was stopped: the contact was not reached for, and that was no attempt.
            again = f"{record.call_id}_again"
            await self.store.put_back(record, again, datetime.now(UTC), attempts=record.attempt - 1)
        else:
            await self.store.note_end(record)
        await self._wake_of(record)

    async def retry(self, record: CallRecord, following: CallRecord) -> None:
        """A campaign's call is over, and `following` is to be its next attempt: it is placed by a round, when its
        `scheduled_at` has come and there is room. None follows if the campaign came to its end meanwhile."""
        await self._call_again(record, following.call_id, following.scheduled_at or datetime.now(UTC))

    async def _call_again(self, record: CallRecord, call_id: str, at: datetime) -> None:
        if await self.goes_on(record):
            await self.store.put_back(record, call_id, at)
        else:
            await self.store.note_end(record)
        await self._wake_of(record)

    async def _wake_of(self, record: CallRecord) -> None:
        if record.campaign_id is not None:
            await self._wake(record.campaign_id)

    # -- rounds ---------------------------------------------------------------------------------------

    async def _wake(self, campaign_id: str, at: datetime | None = None) -> None:
        """A round that begins after now, or after `at`."""
        now = time.time()
        if at is not None and at.timestamp() > now:
            await self._enqueue(campaign_id, math.floor(at.timestamp() / BUCKET_SECONDS) + 1, now)
            return
        bucket = math.floor(now / BUCKET_SECONDS)
        if not await self._enqueue(campaign_id, bucket, now):
            # It may have begun before this news; the next one begins behind it.
            await self._enqueue(campaign_id, bucket + 1, now)

    async def _enqueue(self, campaign_id: str, bucket: int, now: float) -> bool:
        return await self._engine.enqueue(
            ROUND,
            campaign_id,
            id=f"{campaign_id}:{bucket}",
            queue=ROUNDS,
            partition=campaign_id,
            delay_seconds=max(0.0, bucket * BUCKET_SECONDS - now),
        )

    async def _tick(self) -> None:
        """Once a minute: a round for all that run or were just canceled; cut off uploads are deleted."""
        for campaign_id in await self.store.abandoned(datetime.now(UTC) - timedelta(seconds=ABANDONED_SECONDS)):
            logger.warning("campaign {}: its upload was cut off; it is deleted", campaign_id)
            await self.store.drop(campaign_id)
        for campaign_id in await self.store.active(datetime.now(UTC) - timedelta(seconds=FORGOTTEN_SECONDS)):
            await self._wake(campaign_id)

    async def _round(self, campaign_id: str) -> None:
        with logger.contextualize(campaign_id=campaign_id):
            await self._work(campaign_id)

    async def _work(self, campaign_id: str) -> None:
        campaign = await self.store.get(campaign_id)
        if campaign is None:
            return
        if campaign.status is CampaignStatus.CANCELED:
            await self._close(campaign)
        elif campaign.status is CampaignStatus.RUNNING:
            await self._run(campaign)

    async def _run(self, campaign: Campaign) -> None:
        now = datetime.now(UTC)
        await self._settle(campaign, now)
        if not await self.store.open_contacts(campaign.campaign_id):
            await self._finish(campaign, now)
        elif _is_past(campaign.end_at, now):
            await self.store.leave(campaign)
            await self.store.note_why(campaign.campaign_id, "its end has come; calls under way go on")
            if not await self.store.open_contacts(campaign.campaign_id):
                await self._finish(campaign, now)
        elif campaign.start_at is not None and now < campaign.start_at:
            await self.store.note_why(campaign.campaign_id, FOR_ITS_START)
            await self._wake(campaign.campaign_id, campaign.start_at)
        elif why := await self._breaks(campaign, now):
            await self._pause(campaign, why)
        else:
            try:
                await self._dial_some(campaign, now)
            except PhoneAgentError as e:
                # What one call of the campaign lacks, all lack: its scenario, or a setting.
                await self._pause(campaign, e.message)

    async def _settle(self, campaign: Campaign, now: datetime) -> None:
        """Calls that ended long ago and told nobody. What is due after a call decides whether another attempt
        follows: only where that broke, what it has left in the record counts."""
        found = await self.store.over(campaign.campaign_id, now - timedelta(seconds=FORGOTTEN_SECONDS))
        due = await self._queue.after_calls.still_due([record.call_id for record in found]) if found else ()
        for record in found:
            if record.call_id in due:
                continue
            if record.retried_as is None:
                await self.contact_done(record)
            else:
                await self._call_again(record, record.retried_as, now)

    async def _pause(self, campaign: Campaign, why: str) -> None:
        logger.warning("campaign {} is paused: {}", campaign.campaign_id, why)
        running = (CampaignStatus.RUNNING,)
        await self.store.change_status(
            campaign.campaign_id, running, CampaignStatus.PAUSED, why=why, at=datetime.now(UTC)
        )

    async def _finish(self, campaign: Campaign, now: datetime) -> None:
        running = (CampaignStatus.RUNNING,)
        completed = CampaignStatus.COMPLETED
        if await self.store.change_status(campaign.campaign_id, running, completed, why=None, at=now):
            logger.info("campaign {} is completed", campaign.campaign_id)

    async def _close(self, campaign: Campaign) -> None:
        """A canceled campaign: nobody is left waiting."""
        await self.store.leave(campaign)
        for record in await self.store.not_yet_dialled(campaign.campaign_id):
            await self._queue.cancel(record.call_id)

    async def _breaks(self, campaign: Campaign, now: datetime) -> str | None:
        since = rules.breaker_since(now, campaign.resumed_at)
        why = rules.breaker(await self.store.endings(campaign.campaign_id, since))
        if why is not None or campaign.spec.scenario not in self._scenarios.names:
            return why
        most = self._scenarios.get(campaign.spec.scenario).compliance.max_abandoned_percent
        if most >= 100:
            return None
        since = rules.abandonment_since(now, campaign.resumed_at)
        return rules.abandonment(*await self.store.greeted(campaign.campaign_id, since), most)

    async def _dial_some(self, campaign: Campaign, now: datetime) -> None:
        """Attempts that are due first, then contacts not called yet, in the order of the upload."""
        campaign_id = campaign.campaign_id
        calling, put_off = await self.store.calling(campaign_id, now)
        room = min(campaign.concurrency - calling, MOST_PUT_OFF - put_off, AT_ONCE)
        hours, keys, next_open = self._hours_of(campaign), None, None
        if not unlimited(hours):
            known = rules.open_zones(now, hours, campaign.zones)
            keys, next_open = known.open, known.next_open
        scenario_rules = self._scenarios.get(campaign.spec.scenario).rules
        chosen: list[Contact] = []
        if room > 0:
            chosen += await self.store.due(campaign_id, now, room, keys)
            chosen += await self.store.queued(campaign_id, room - len(chosen), keys)
        for contact in chosen:
            record = replace(next_call(campaign, contact, now), compliance=scenario_rules)
            await self._queue.place(record)
            await self.store.begin(contact, record.call_id, record.attempt)
        why = None
        if put_off >= MOST_PUT_OFF:
            why = f"{put_off} calls are put off, to their hours or another day: no other is begun before them"
        elif not chosen and not calling and next_open is not None:
            why = "outside of its contacts' calling hours"
        await self.store.note_why(campaign_id, why)
        if len(chosen) == AT_ONCE:
            await self._wake(campaign_id)
        # Who is due already waits for room or for hours: a call's end begins a round, and so does `next_open`.
        for at in (campaign.end_at, next_open, await self.store.next_due(campaign_id, now)):
            if at is not None:
                await self._wake(campaign_id, at)


def next_call(campaign: Campaign, contact: Contact, now: datetime) -> CallRecord:
    """The call to a contact: the same id for the same attempt, however often it is made."""
    spec, _ = rules.spec_for(campaign.spec, contact.phone_number, contact.variables)
    time_zone = rules.said(contact.variables.get(rules.TIME_ZONE)) or campaign.terms.time_zone
    attempt = contact.attempts + 1
    first = call_id_of(contact.contact_id, 1)
    return CallRecord(
        call_id=contact.next_call_id or call_id_of(contact.contact_id, attempt),
        spec=spec,
        direction=Direction.OUTBOUND,
        status=Status.QUEUED,
        created_at=now,
        terms=replace(
            campaign.terms,
            time_zone=time_zone,
            extension=rules.extension_of(contact.variables),
            consent=rules.consent_of(contact.variables) or campaign.terms.consent,
        ),
        scheduled_at=now,
        attempt=attempt,
        first_call_id=None if attempt == 1 else first,
        key_id=campaign.key_id,
        campaign_id=campaign.campaign_id,
        contact_id=contact.contact_id,
    )


def call_id_of(contact_id: str, attempt: int) -> str:
    """As any call's: 24 hex digits, but no others for the same contact and attempt."""
    return f"call_{hashlib.sha256(f'{contact_id}/{attempt}'.encode()).hexdigest()[:24]}"


def _is_past(at: datetime | None, now: datetime) -> bool:
    return at is not None and at <= now
