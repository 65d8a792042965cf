"""From an upload to a campaign that is dialled: rows judged one by one, kept by the hundred, then set running.

It runs on the event loop in slices of two milliseconds; between two of them everybody who waits for the loop has
a turn. A thread was the other way: it would hold the interpreter for five milliseconds at a time, taken anew at
each of the loop's system calls, and running calls would hear it. Two milliseconds are a tenth of an audio packet.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from loguru import logger

from bot.calls.campaigns.contacts import RawRow
from bot.calls.campaigns.rules import Judge
from bot.errors import RequestError
from bot.store.campaign_records import BadRow, Campaign, CampaignStatus, Contact
from bot.store.campaigns import SqlCampaignStore

SLICE_SECONDS = 0.002
CHUNK = 500
"""Rows in one transaction: some ten milliseconds of the writer that all calls share."""
TOLD_ROWS = 100
"""Bad rows that are told with the answer; all of them are kept."""
Overlaps = dict[str | None, int]
"""How many of a campaign's numbers others are still to call: by campaign; None: calls asked for one by one."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Loaded:
    """`rejected` holds the first of the bad rows; `campaign.rejected` counts all."""

    campaign: Campaign
    rejected: tuple[BadRow, ...] = ()
    overlaps: Mapping[str | None, int] = field(default_factory=dict)
    repeated: bool = False
    """The campaign was there already, by the same Idempotency-Key."""


class NoContactError(RequestError):
    """Not one row can be called. `rejected` holds the first of them, and there are `rows`."""

    code = "no_contacts"

    def __init__(self, message: str, rejected: Sequence[BadRow], rows: int) -> None:
        super().__init__(message, field="contacts")
        self.rejected, self.rows = tuple(rejected), rows


async def in_slices(items: Iterable[_T]) -> AsyncIterator[_T]:
    """`items`; after each slice of work, theirs and their consumer's, all others have a turn."""
    begun = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - begun >= SLICE_SECONDS:
            await asyncio.sleep(0)
            begun = time.perf_counter()


async def load(store: SqlCampaignStore, campaign: Campaign, rows: Iterable[RawRow], judge: Judge) -> Loaded:
    """Keeps the campaign with all its rows. RequestError when the upload breaks off or nobody can be called.

    Whatever goes wrong, nothing of the campaign is left; what a killed process leaves is not dialled.
    """
    try:
        loaded = await _load(store, campaign, rows, judge)
    except BaseException:
        await _drop(store, campaign.campaign_id)
        raise
    logger.info(
        "campaign {}: {} contacts, {} bad rows", campaign.campaign_id, judge.accepted, loaded.campaign.rejected
    )
    return loaded


async def _load(store: SqlCampaignStore, campaign: Campaign, rows: Iterable[RawRow], judge: Judge) -> Loaded:
    good: list[Contact] = []
    bad: list[BadRow] = []
    told: list[BadRow] = []
    overlaps: Overlaps = {}
    rejected = 0

    async def keep() -> None:
        await store.add_rows(campaign.campaign_id, good, bad, datetime.now(UTC))
        await count_overlaps(store, campaign, [contact.phone_number for contact in good], overlaps)
        good.clear()
        bad.clear()

    async for raw in in_slices(rows):
        judged = judge.judge(raw)
        if isinstance(judged, Contact):
            good.append(judged)
        else:
            bad.append(judged)
            rejected += 1
            if len(told) < TOLD_ROWS:
                told.append(judged)
        if len(good) + len(bad) >= CHUNK:
            await keep()
    await keep()
    check_any(judge, told, rejected)
    columns = tuple(judge.columns)
    await store.loaded(
        campaign.campaign_id,
        accepted=judge.accepted,
        rejected=rejected,
        columns=columns,
        zones=judge.zones,
    )
    campaign = replace(
        campaign,
        status=CampaignStatus.RUNNING,
        accepted=judge.accepted,
        rejected=rejected,
        columns=columns,
        zones=tuple(sorted(judge.zones)),
        touched_at=None,
    )
    return Loaded(campaign, tuple(told), overlaps)


async def count_overlaps(
    store: SqlCampaignStore, campaign: Campaign, numbers: Sequence[str], counted: Overlaps
) -> None:
    """Adds to `counted` who else is still to call these numbers."""
    found = await store.overlaps(campaign.campaign_id, numbers) if numbers else {}
    for other, contacts in found.items():
        counted[other] = counted.get(other, 0) + contacts


def check_any(judge: Judge, told: Sequence[BadRow], rejected: int) -> None:
    """NoContactError where not one row can be called."""
    if not judge.accepted:
        first = "; ".join(f"line {row.line}: {row.message}" for row in told[:3])
        message = f"None of the {rejected} rows can be called. {first}" if rejected else "There are no contacts."
        raise NoContactError(message, told, rejected)


async def _drop(store: SqlCampaignStore, campaign_id: str) -> None:
    try:
        await store.drop(campaign_id)
    except Exception as e:
        # The reason of the dropping goes on; the sweep of abandoned uploads deletes it later.
        logger.error("campaign {} could not be deleted: {}", campaign_id, e)
