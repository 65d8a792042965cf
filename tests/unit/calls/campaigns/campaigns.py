"""A harness for campaigns without telephones: the real engine and store on SQLite, and calls that end as told."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from bot.calls.after_call import AfterCall, Retries
from bot.calls.campaigns import Campaigns, CsvContacts, Loaded
from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.outcome import Analyst
from bot.calls.planner import Planner
from bot.calls.queues import AfterCallQueue, DialQueue
from bot.calls.webhooks.delivery import CallEvents, Webhooks
from bot.conversation.scenario.scenario import Scenario, Scenarios
from bot.errors import ConflictError
from bot.records import CallRecord, CallSpec, EndedReason, Outcome, Status
from bot.settings import Settings
from bot.store import CallChange, Database, SqlCallStore
from bot.store.address import SqliteAddress
from bot.store.campaign_records import Campaign, CampaignStatus
from bot.store.campaigns import SqlCampaignStore
from bot.store.claims import Claim, SqlClaims
from bot.store.do_not_call import SqlDoNotCallStore
from bot.store.durable.engine import DurableEngine
from bot.store.retention import SqlRetentionStore

SCENARIO = Scenario.model_validate(
    {
        "compliance": {"profile": "none"},
        "name": "reminder",
        "description": "A test.",
        "instructions": "Remind.",
        "outcome": [{"name": "confirmed", "type": "boolean", "description": "Whether."}],
    }
)
OFFER = Scenario.model_validate(
    {
        "compliance": {"profile": "us_marketing"},
        "name": "offer",
        "description": "A test.",
        "instructions": "Offer.",
    }
)
COMPLETED = (Status.COMPLETED, EndedReason.AGENT_HANGUP)
BUSY = (Status.BUSY, EndedReason.DIAL_BUSY)
FAILED = (Status.FAILED, EndedReason.DIAL_FAILED)
How = tuple[Status, EndedReason]


def number(index: int) -> str:
    """A number that exists."""
    return f"+1202555{index:04}"


def table(count: int, extra: str = "") -> bytes:
    rows = "".join(f"{number(index)},day {index}\n" for index in range(count))
    return f"phone_number,date\n{rows}{extra}".encode()


def a_campaign(campaign_id: str = "campaign_1", **changes: Any) -> Campaign:
    spec = CallSpec(phone_number="", scenario="reminder", action="Confirm {{date}}")
    campaign = Campaign(campaign_id, spec, CampaignStatus.LOADING, datetime.now(UTC), concurrency=2)
    return replace(campaign, **changes)


@dataclass
class CampaignHarness:
    """`placed` calls stand in the store and wait until `end` says how they end."""

    store: SqlCallStore
    kept: SqlCampaignStore
    engine: DurableEngine
    placed: list[CallRecord] = field(default_factory=list)
    placings: int = 0
    called_off: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    most: int = 0
    """Calls under way at once, at most."""
    during: Callable[[CallRecord], Awaitable[None]] | None = None
    """What happens at a call's placing, once it is kept."""
    telling: asyncio.Event = field(default_factory=asyncio.Event)
    """Whoever is told of a call's end answers."""
    told: list[str] = field(default_factory=list)
    campaigns: Campaigns = field(init=False)
    after_calls: AfterCallQueue = field(init=False)
    after: AfterCall = field(init=False)
    """What is due after a call: begun by rounds alone, for the end of a call is told by `end` here."""

    def __post_init__(self) -> None:
        self.after_calls = AfterCallQueue(self.engine)
        planner = planner_of(SCENARIO, OFFER)
        self.campaigns = Campaigns(
            engine=self.engine, store=self.kept, planner=planner, queue=cast(DialQueue, self)
        )
        self.after = AfterCall(
            self.engine,
            self.store,
            CallEvents(self.engine, self.store, cast(Webhooks, self), lambda record: record),
            cast(Analyst, _NoAnalyst()),
            Retries(self.store, planner, cast(DialQueue, self), self.campaigns),
            DoNotCall(SqlDoNotCallStore(self.store.database)),
            SqlRetentionStore(self.store.database),
        )

    async def place(self, record: CallRecord) -> None:
        self.placings += 1
        try:
            await self.store.add(record)
        except ConflictError:
            return
        self.placed.append(record)
        self.most = max(self.most, len(self.placed) - len(self.ended))
        if self.during is not None:
            await self.during(record)

    async def cancel(self, call_id: str) -> None:
        self.called_off.append(call_id)
        record = await self.store.find(call_id)
        await self.end(record, (Status.CANCELED, EndedReason.CANCELED))

    async def end(self, call: CallRecord, how: How = COMPLETED, *, retry_at: datetime | None = None) -> None:
        """The carrier's end of a call, and what the product does after it."""
        now = datetime.now(UTC)
        outcome = Outcome(True, "Confirmed.", {"confirmed": True}) if how == COMPLETED else None
        change = CallChange(ended_reason=how[1], outcome=outcome, duration_seconds=12.5)
        await self.store.advance(call.call_id, how[0], at=now, change=change)
        self.ended.add(call.call_id)
        record = await self.store.get(call.call_id)
        assert record is not None
        if retry_at is None:
            await self.campaigns.contact_done(record)
            return
        following = replace(
            record, call_id=f"{record.call_id}_again", attempt=record.attempt + 1, scheduled_at=retry_at
        )
        await self.store.update(record.call_id, CallChange(retried_as=following.call_id))
        await self.campaigns.retry(replace(record, retried_as=following.call_id), following)

    async def end_unheard(self, call: CallRecord, how: How, at: datetime) -> None:
        """The carrier's end of a call that was dialled, and nothing after it."""
        claimed = await SqlClaims(self.store.database).begin_dialling(
            call.call_id, at=at, since=at, max_per_day=None
        )
        assert claimed is Claim.GO
        await self.store.advance(call.call_id, how[0], at=at, change=CallChange(ended_reason=how[1]))
        self.ended.add(call.call_id)

    async def announce(self, call_id: str, event: str, data: Any, url: str | None) -> None:
        self.told.append(f"{call_id} {event}")
        await self.telling.wait()

    async def create(self, data: bytes, **changes: Any) -> Loaded:
        rows = CsvContacts(io.BytesIO(data))
        return await self.campaigns.create(a_campaign(**changes), rows, columns=rows.columns)

    async def until(self, holds: Callable[[], Any], within: float = 10.0) -> None:
        deadline = asyncio.get_running_loop().time() + within
        while True:
            found = holds()
            if found if not asyncio.iscoroutine(found) else await found:
                return
            assert asyncio.get_running_loop().time() < deadline, "not in time"
            await asyncio.sleep(0.02)

    async def stands(self, status: CampaignStatus, campaign_id: str = "campaign_1") -> Campaign:
        async def there() -> bool:
            return (await self.campaigns.get(campaign_id)).status is status

        await self.until(there)
        return await self.campaigns.get(campaign_id)

    def has_placed(self, calls: int) -> bool:
        return len(self.placed) >= calls

    def numbers(self) -> Sequence[str]:
        return [record.spec.phone_number for record in self.placed]


class _NoAnalyst:
    async def settle(self, _record: CallRecord) -> None:
        return

    async def keep(self, _record: CallRecord) -> None:
        return


def planner_of(*scenarios: Scenario) -> Planner:
    settings = Settings(_env_file=None)
    return Planner(Scenarios(scenarios), settings, {}, "simulated", simulated_line=True)


@asynccontextmanager
async def campaign_harness(folder: Path) -> AsyncIterator[CampaignHarness]:
    address = SqliteAddress(folder / "calls.db")
    database = Database(address)
    engine = DurableEngine(address, poll_seconds=0.02, look_seconds=0.05)
    store, kept = SqlCallStore(database), SqlCampaignStore(database)
    harness = CampaignHarness(store, kept, engine)
    harness.telling.set()
    harness.campaigns.register()
    harness.after.register()
    await database.open()
    await engine.open()
    try:
        yield harness
    finally:
        await engine.close()
        await database.close()
