"""Calls that ended long ago while no server heard of it: what is due after them is done, and nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.calls.campaigns.rounds import FORGOTTEN_SECONDS
from bot.policy import RetryOn, RetryTerms, Terms
from bot.records import CallRecord, EndedReason
from bot.store.campaign_records import CampaignStatus, ContactState
from tests.unit.calls.campaigns.campaigns import BUSY, COMPLETED, CampaignHarness, campaign_harness, number, table

TWICE = Terms(retry=RetryTerms(2, 1.0, 1.0, (RetryOn.BUSY,)))


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=FORGOTTEN_SECONDS + 60)


async def one_busy(harness: CampaignHarness) -> CallRecord:
    """A campaign's call, busy long ago."""
    await harness.create(table(1), terms=TWICE)
    await harness.until(lambda: len(harness.placed) == 1)
    await harness.until(lambda: is_calling(harness))
    await harness.end_unheard(harness.placed[0], BUSY, long_ago())
    return harness.placed[0]


async def is_calling(harness: CampaignHarness) -> bool:
    (result,) = await harness.campaigns.store.results("campaign_1", after=-1, limit=10)
    return result.contact.state is ContactState.CALLING


async def is_tried_again(harness: CampaignHarness, first: CallRecord) -> None:
    """The second attempt comes, and the campaign to its end."""
    await harness.until(lambda: len(harness.placed) == 2, 30)
    again = harness.placed[1]
    assert (again.spec.phone_number, again.attempt, again.call_id) == (number(0), 2, f"{first.call_id}_2")
    await harness.until(lambda: is_calling(harness))
    await harness.end(again, COMPLETED)
    await harness.stands(CampaignStatus.COMPLETED)
    (result,) = await harness.campaigns.store.results("campaign_1", after=-1, limit=10)
    assert (result.contact.attempts, result.contact.ended_reason) == (2, EndedReason.AGENT_HANGUP)


async def test_a_busy_call_that_nobody_saw_to_is_tried_again(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        first = await one_busy(harness)
        await harness.campaigns._tick()
        await is_tried_again(harness, first)
        assert harness.told.count(f"{first.call_id} call_ended") == 1


async def test_a_round_leaves_a_call_to_what_is_just_done_after_it(tmp_path: Path) -> None:
    """The next attempt is planned and named; before it is handed over, rounds come."""
    async with campaign_harness(tmp_path) as harness:
        harness.telling.clear()
        first = await one_busy(harness)
        await harness.after_calls.begin(first.call_id)
        await harness.until(lambda: f"{first.call_id} call_ended" in harness.told)
        kept = await harness.store.get(first.call_id)
        assert kept is not None
        assert kept.retried_as == f"{first.call_id}_2"
        await harness.campaigns._run(await harness.campaigns.get("campaign_1"))
        progress = await harness.campaigns.progress("campaign_1")
        assert (progress.dialling, progress.waiting, progress.done) == (1, 0, 0)
        harness.telling.set()
        await is_tried_again(harness, first)


async def test_where_what_is_due_after_a_call_broke_the_round_goes_on_from_its_record(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        retry = harness.campaigns.retry

        async def breaks(_record: CallRecord, _following: CallRecord) -> None:
            raise RuntimeError("at the last step")

        harness.campaigns.retry = breaks  # type: ignore[method-assign,assignment]
        first = await one_busy(harness)
        await harness.after_calls.begin(first.call_id)

        async def over() -> bool:
            return not await harness.after_calls.still_due([first.call_id])

        await harness.until(over)
        harness.campaigns.retry = retry  # type: ignore[method-assign]
        await harness.campaigns._tick()
        await is_tried_again(harness, first)


async def test_a_contact_whose_campaign_was_canceled_meanwhile_is_done(tmp_path: Path) -> None:
    """The next attempt is named in the record of a call after which none follows."""
    async with campaign_harness(tmp_path) as harness:
        harness.telling.clear()
        first = await one_busy(harness)
        await harness.after_calls.begin(first.call_id)
        await harness.until(lambda: len(harness.told) == 1)
        await harness.campaigns.cancel("campaign_1")
        harness.telling.set()

        async def done() -> bool:
            return (await harness.campaigns.progress("campaign_1")).done == 1

        await harness.until(done)
        assert len(harness.placed) == 1
