"""An upload that is only tried: its rows as they would be called, and nothing is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.calls.campaigns.contacts import RawRow
from bot.calls.campaigns.loader import CHUNK, TOLD_ROWS, Overlaps, check_any, count_overlaps, in_slices
from bot.calls.campaigns.rules import Judge, spec_for, zones_of_key
from bot.calls.dialling.policy import next_allowed
from bot.conversation.prompt import opening_text
from bot.conversation.scenario.scenario import Scenario
from bot.policy import HoursTerms
from bot.records import CallSpec
from bot.store.campaign_records import BadRow, Campaign, Contact
from bot.store.campaigns import SqlCampaignStore

SHOWN_ROWS = 10


@dataclass(frozen=True)
class RowPreview:
    """A row as it would be called now."""

    line: int
    spec: CallSpec
    opening: str | None
    """None where the model writes it."""
    local_times: Mapping[str, datetime]
    """Now, in each time zone that the number may be in."""
    opens_at: datetime | None
    """When it may be called."""


@dataclass(frozen=True)
class Tried:
    accepted: int
    rejected: int
    first: tuple[RowPreview, ...]
    bad: tuple[BadRow, ...]
    columns: tuple[str, ...]
    overlaps: Overlaps


async def try_out(
    store: SqlCampaignStore,
    campaign: Campaign,
    rows: Iterable[RawRow],
    judge: Judge,
    *,
    scenario: Scenario,
    hours: HoursTerms,
) -> Tried:
    """Judges all rows. NoContactError when nobody can be called."""
    first: list[Contact] = []
    bad: list[BadRow] = []
    numbers: list[str] = []
    overlaps: Overlaps = {}
    rejected = 0
    async for raw in in_slices(rows):
        judged = judge.judge(raw)
        if isinstance(judged, BadRow):
            rejected += 1
            bad += [judged] if len(bad) < TOLD_ROWS else []
            continue
        first += [judged] if len(first) < SHOWN_ROWS else []
        numbers.append(judged.phone_number)
        if len(numbers) == CHUNK:
            await count_overlaps(store, campaign, numbers, overlaps)
            numbers = []
    await count_overlaps(store, campaign, numbers, overlaps)
    check_any(judge, bad, rejected)
    shown = tuple(_preview(campaign, contact, scenario, hours) for contact in first)
    return Tried(judge.accepted, rejected, shown, tuple(bad), tuple(judge.columns), overlaps)


def _preview(campaign: Campaign, contact: Contact, scenario: Scenario, hours: HoursTerms) -> RowPreview:
    now, zones = campaign.created_at, zones_of_key(contact.zone)
    spec, _ = spec_for(campaign.spec, contact.phone_number, contact.variables)
    begin = max(now, campaign.start_at or now)
    return RowPreview(
        contact.line,
        spec,
        opening_text(spec, scenario),
        {zone.key: now.astimezone(zone) for zone in zones},
        next_allowed(begin, hours, zones),
    )
