"""Campaigns round by round, on the real engine: order, room, retries, pauses, ends, and crashes in between."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from bot.calls.campaigns import rounds as dialer
from bot.calls.campaigns.contacts import RawRow
from bot.calls.campaigns.rounds import call_id_of, next_call
from bot.calls.campaigns.rules import BREAKER_CALLS
from bot.calls.dialling.policy import Refuse, WaitUntil
from bot.errors import ConflictError, NotFoundError, RequestError
from bot.policy import CallConsent, HoursTerms, Terms
from bot.records import CallRecord, EndedReason, Status, Wait
from bot.store import CallChange
from bot.store.campaign_records import CampaignStatus, Contact, ContactState
from bot.store.campaign_rows import contacts
from tests.unit.calls.campaigns.campaigns import (
    BUSY,
    COMPLETED,
    FAILED,
    CampaignHarness,
    a_campaign,
    campaign_harness,
    number,
    table,
)


async def quiet(harness: CampaignHarness) -> None:
    """Until the rounds that news began are over: two quarters of a second without a new call."""
    seen = -1
    while seen != harness.placings:
        seen = harness.placings
        await asyncio.sleep(0.6)


async def test_contacts_are_called_in_order_and_never_more_at_once_than_allowed(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        loaded = await harness.create(table(5))
        assert (loaded.campaign.accepted, loaded.campaign.rejected) == (5, 0)
        await harness.until(lambda: len(harness.placed) == 2)
        await quiet(harness)
        assert harness.numbers() == [number(0), number(1)]
        progress = await harness.campaigns.progress("campaign_1")
        assert (progress.queued, progress.dialling, progress.done) == (3, 2, 0)
        for index in range(5):
            await harness.until(functools.partial(harness.has_placed, index + 1))
            await harness.end(harness.placed[index])
        campaign = await harness.stands(CampaignStatus.COMPLETED)
        assert campaign.ended_at is not None
        assert harness.numbers() == [number(index) for index in range(5)]
        assert [call.spec.action for call in harness.placed] == [f"Confirm day {index}" for index in range(5)]
        assert harness.most == 2
        progress = await harness.campaigns.progress("campaign_1")
        assert (progress.queued, progress.dialling, progress.done) == (0, 0, 5)
        assert [(e.ended_reason, e.reached_goal, e.contacts) for e in progress.endings] == [
            (EndedReason.AGENT_HANGUP, True, 5)
        ]


async def test_the_line_is_told_from_the_ringing(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(2))
        await harness.until(lambda: len(harness.placed) == 2)
        await harness.store.advance(harness.placed[0].call_id, Status.IN_PROGRESS, at=datetime.now(UTC))
        await quiet(harness)
        progress = await harness.campaigns.progress("campaign_1")
        assert (progress.on_the_line, progress.dialling) == (1, 1)


async def test_a_retry_waits_for_its_time_and_its_room_and_goes_before_new_contacts(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(3), concurrency=1)
        await harness.until(lambda: len(harness.placed) == 1)
        first = harness.placed[0]
        await harness.end(first, BUSY, retry_at=datetime.now(UTC) + timedelta(hours=1))
        await harness.until(lambda: len(harness.placed) == 2)
        await quiet(harness)
        progress = await harness.campaigns.progress("campaign_1")
        assert (progress.waiting, progress.queued, progress.dialling) == (1, 1, 1)
        async with harness.store.database.writer.begin() as connection:
            retries = sa.update(contacts).where(contacts.c.due_at.is_not(None))
            await connection.execute(retries.values(due_at=datetime.now(UTC)))
        await quiet(harness)
        assert harness.numbers() == [number(0), number(1)], "due, and without room"
        await harness.end(harness.placed[1])
        await harness.until(lambda: len(harness.placed) == 3)
        again = harness.placed[2]
        assert (again.spec.phone_number, again.attempt, again.first_call_id, again.call_id) == (
            number(0),
            2,
            first.call_id,
            f"{first.call_id}_again",
        )
        await harness.end(again)
        await harness.until(lambda: len(harness.placed) == 4)
        await harness.end(harness.placed[3])
        await harness.stands(CampaignStatus.COMPLETED)
        assert harness.most == 1
        results = await harness.campaigns.store.results("campaign_1", after=-1, limit=10)
        assert (results[0].contact.attempts, results[0].contact.call_id) == (2, again.call_id)


async def test_a_paused_campaign_dials_nobody_not_even_a_retry(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(3), concurrency=1)
        await harness.until(lambda: len(harness.placed) == 1)
        assert (await harness.campaigns.pause("campaign_1")).status is CampaignStatus.PAUSED
        held = await harness.campaigns.gate(harness.placed[0])
        assert isinstance(held, WaitUntil)
        await harness.end(harness.placed[0], BUSY, retry_at=datetime.now(UTC))
        await quiet(harness)
        assert len(harness.placed) == 1
        with pytest.raises(ConflictError) as caught:
            await harness.campaigns.resume("campaign_1")
            await harness.campaigns.cancel("campaign_1")
            await harness.campaigns.resume("campaign_1")
        assert caught.value.code == "campaign_canceled"


async def test_resuming_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(2), concurrency=1)
        await harness.until(lambda: len(harness.placed) == 1)
        await harness.campaigns.pause("campaign_1")
        await harness.end(harness.placed[0])
        await quiet(harness)
        assert len(harness.placed) == 1
        await harness.campaigns.resume("campaign_1")
        await harness.until(lambda: len(harness.placed) == 2)
        assert await harness.campaigns.gate(harness.placed[1]) is None


async def test_a_canceled_campaign_calls_off_what_was_not_dialled(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(4))
        await harness.until(lambda: len(harness.placed) == 2)
        talking, waiting = harness.placed
        await harness.store.advance(talking.call_id, Status.IN_PROGRESS, at=datetime.now(UTC))
        await quiet(harness)
        await harness.campaigns.cancel("campaign_1")
        await harness.until(lambda: harness.called_off == [waiting.call_id])
        assert isinstance(await harness.campaigns.gate(waiting), Refuse)
        await harness.end(talking)
        await quiet(harness)
        progress = await harness.campaigns.progress("campaign_1")
        assert (progress.left, progress.done, progress.queued, progress.dialling) == (2, 2, 0, 0)
        assert len(harness.placed) == 2


async def test_a_retry_of_a_canceled_campaign_is_refused_and_the_contact_done(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(1))
        await harness.until(lambda: len(harness.placed) == 1)
        await quiet(harness)
        await harness.store.advance(harness.placed[0].call_id, Status.INITIATED, at=datetime.now(UTC))
        assert await harness.campaigns.goes_on(harness.placed[0])
        await harness.campaigns.cancel("campaign_1")
        assert not await harness.campaigns.goes_on(harness.placed[0])
        await harness.end(harness.placed[0], BUSY, retry_at=datetime.now(UTC))
        (result,) = await harness.campaigns.store.results("campaign_1", after=-1, limit=10)
        assert (result.contact.state, result.contact.status) == (ContactState.DONE, Status.BUSY)


async def test_nobody_is_called_before_the_start_or_after_the_end(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    async with campaign_harness(tmp_path) as harness:
        start, end = now + timedelta(seconds=2), now + timedelta(seconds=5)
        await harness.create(table(3), concurrency=1, start_at=start, end_at=end)

        async def says() -> bool:
            return (await harness.campaigns.get("campaign_1")).why == "waits for its start"

        await harness.until(says)
        assert harness.placed == []
        await harness.until(lambda: len(harness.placed) == 1)
        assert datetime.now(UTC) >= start
        await harness.until(lambda: datetime.now(UTC) >= end)
        await harness.end(harness.placed[0], BUSY, retry_at=end)
        await harness.stands(CampaignStatus.COMPLETED)
        progress = await harness.campaigns.progress("campaign_1")
        assert (progress.done, progress.left, len(harness.placed)) == (1, 2, 1)


async def test_contacts_outside_of_their_hours_are_passed_over_and_wait(tmp_path: Path) -> None:
    """One hour of the day in Washington: London's clock shows another."""
    washington, london = "America/New_York", "Europe/London"
    hour = datetime.now(UTC).astimezone(ZoneInfo(washington)).hour
    hours = HoursTerms(f"{hour:02}:00", "24:00" if hour == 23 else f"{hour + 1:02}:00")
    rows = f"phone_number,date,time_zone\n{number(0)},a,{london}\n{number(1)},b,{washington}\n"
    async with campaign_harness(tmp_path) as harness:
        await harness.create(rows.encode(), terms=Terms(hours=hours))
        await harness.until(lambda: len(harness.placed) == 1)
        await quiet(harness)
        assert harness.numbers() == [number(1)]
        await harness.end(harness.placed[0])
        await quiet(harness)
        campaign = await harness.campaigns.get("campaign_1")
        assert campaign.status is CampaignStatus.RUNNING
        assert campaign.why == "outside of its contacts' calling hours"


async def test_a_retry_waits_for_its_contact_s_hours(tmp_path: Path) -> None:
    """It comes due when its contact's hours are over, and is not placed to wait for them as a call."""
    washington, london = "America/New_York", "Europe/London"
    hour = datetime.now(UTC).astimezone(ZoneInfo(washington)).hour
    hours = HoursTerms(f"{max(hour - 1, 0):02}:00", f"{min(hour + 2, 24):02}:00")
    rows = f"phone_number,date,time_zone\n{number(0)},a,{london}\n{number(1)},b,{washington}\n"
    async with campaign_harness(tmp_path) as harness:
        await harness.create(rows.encode(), terms=Terms(hours=hours))
        await harness.until(lambda: len(harness.placed) == 1)
        await to_be_called_again(harness, 0)
        await harness.campaigns._run(await harness.campaigns.get("campaign_1"))
        assert harness.numbers() == [number(1)]
        progress = await harness.campaigns.progress("campaign_1")
        assert (progress.waiting, progress.dialling) == (1, 1)


async def test_who_is_due_and_finds_no_room_begins_no_rounds(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(3), concurrency=1)
        await harness.until(lambda: len(harness.placed) == 1)
        await quiet(harness)
        await to_be_called_again(harness, 1)
        later = datetime.now(UTC) + timedelta(hours=2)
        await to_be_called_again(harness, 2, later)
        begun: list[float] = []

        async def enqueue(*_args: Any, delay_seconds: float = 0.0, **_more: Any) -> bool:
            begun.append(delay_seconds)
            return True

        async def nobody(_canceled_since: datetime) -> list[str]:
            return []

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(harness.engine, "enqueue", enqueue)
            patch.setattr(harness.kept, "active", nobody)  # the minute's own round may come just now
            await harness.campaigns._run(await harness.campaigns.get("campaign_1"))
            assert [delay > 3600 for delay in begun] == [True], "one, when the other comes due"
            begun.clear()
            await harness.end(harness.placed[0])
            assert [delay < 10 for delay in begun] == [True], "one, for the place that is free now"


async def to_be_called_again(harness: CampaignHarness, position: int, at: datetime | None = None) -> None:
    """A contact whose first call was busy, with the next due at that time."""
    (result,) = await harness.campaigns.store.results("campaign_1", after=position - 1, limit=1)
    campaign = await harness.campaigns.get("campaign_1")
    first = replace(next_call(campaign, result.contact, datetime.now(UTC)), status=Status.BUSY)
    assert await harness.kept.put_back(first, f"{first.call_id}_2", at or datetime.now(UTC))


async def test_half_of_twenty_calls_failing_pauses_it_and_says_why(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(40), concurrency=4)
        for index in range(BREAKER_CALLS):
            await harness.until(functools.partial(harness.has_placed, index + 1))
            await harness.end(harness.placed[index], FAILED if index % 2 else COMPLETED)
        campaign = await harness.stands(CampaignStatus.PAUSED)
        assert campaign.why is not None
        assert "10 of the 20 calls" in campaign.why
        assert "10 dial_failed" in campaign.why
        for call in harness.placed[BREAKER_CALLS:]:
            await harness.end(call)
        dialled = len(harness.placed)
        await harness.campaigns.resume("campaign_1")
        await harness.until(lambda: len(harness.placed) > dialled)
        assert (await harness.campaigns.get("campaign_1")).status is CampaignStatus.RUNNING, (
            "it begins to count anew"
        )


async def test_a_call_that_is_over_before_it_is_noted_is_no_lost_place(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        harness.during = functools.partial(harness.end, how=FAILED)
        await harness.create(table(5), concurrency=1)
        await harness.stands(CampaignStatus.COMPLETED)
        assert harness.numbers() == [number(index) for index in range(5)]


async def test_who_was_ringing_when_the_server_stopped_is_called_again_and_no_attempt_is_lost(
    tmp_path: Path,
) -> None:
    stopped = (Status.CANCELED, EndedReason.SERVER_SHUTDOWN)
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(2))
        await harness.until(lambda: len(harness.placed) == 2)
        ringing, talking = harness.placed
        await harness.store.advance(talking.call_id, Status.IN_PROGRESS, at=datetime.now(UTC))
        await harness.end(ringing, stopped)
        await harness.end(talking, (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN))
        await harness.until(lambda: len(harness.placed) == 3)
        again = harness.placed[2]
        assert (again.spec.phone_number, again.attempt) == (number(0), 1)
        assert again.call_id != ringing.call_id
        await harness.campaigns.contact_done(replace(ringing, status=stopped[0], ended_reason=stopped[1]))
        await harness.end(again)
        await harness.stands(CampaignStatus.COMPLETED)
        results = await harness.campaigns.store.results("campaign_1", after=-1, limit=10)
        assert [(found.contact.attempts, found.contact.ended_reason) for found in results] == [
            (1, EndedReason.AGENT_HANGUP),
            (1, EndedReason.SERVER_SHUTDOWN),
        ]


async def test_a_round_that_is_cut_off_is_done_again_and_calls_nobody_twice(tmp_path: Path) -> None:
    """The engine is closed between the placing of a call and the note of it, as a kill would."""
    stuck = asyncio.Event()
    async with campaign_harness(tmp_path) as harness:

        async def hang(_record: CallRecord) -> None:
            if len(harness.placed) == 2:
                stuck.set()
                await asyncio.Event().wait()

        harness.during = hang
        await harness.create(table(3), concurrency=3)
        await asyncio.wait_for(stuck.wait(), 10)
        before = harness.numbers()
    async with campaign_harness(tmp_path) as harness:
        await harness.until(lambda: len(harness.placed) == 1)
        await quiet(harness)
        assert [*before, *harness.numbers()] == [number(index) for index in range(3)]
        assert harness.placings == 2, "the second call was placed again, and was there"
        progress = await harness.campaigns.progress("campaign_1")
        assert (progress.dialling, progress.queued) == (3, 0)


async def test_an_upload_that_was_cut_off_is_never_dialled_and_deleted_in_time(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        started = datetime.now(UTC) - timedelta(minutes=10)
        await harness.kept.add(a_campaign("campaign_2", touched_at=started))
        await harness.create(table(1))
        await harness.until(lambda: len(harness.placed) == 1)
        await harness.campaigns._tick()
        with pytest.raises(NotFoundError):
            await harness.campaigns.get("campaign_2")
        assert harness.numbers() == [number(0)]
        assert (await harness.campaigns.get("campaign_1")).status is CampaignStatus.RUNNING


async def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def rows() -> Any:
        for index in range(450):
            yield RawRow(index, "", number(index), {"date": "x"})
        raise RequestError("the body is no JSON")

    async with campaign_harness(tmp_path) as harness:
        with pytest.raises(RequestError):
            await harness.campaigns.create(a_campaign(), rows())
        with pytest.raises(NotFoundError):
            await harness.campaigns.get("campaign_1")
        assert await harness.campaigns.store.results("campaign_1", after=-1, limit=10) == []
        assert not harness.placed


async def test_the_same_upload_again_is_the_same_campaign(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        bad = "junk,x\n"
        first = await harness.create(table(2, bad), request_hash="a")
        again = await harness.create(table(2, bad), request_hash="a")
        assert (first.repeated, again.repeated) == (False, True)
        assert again.rejected == first.rejected
        with pytest.raises(ConflictError) as caught:
            await harness.create(table(2), request_hash="b")
        assert caught.value.code == "idempotency_key_reused"
        await harness.until(lambda: len(harness.placed) == 2)
        await quiet(harness)
        assert len(harness.placed) == 2


async def test_a_campaign_none_of_whose_calls_can_be_placed_is_paused(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:

        async def refuse(_record: CallRecord) -> None:
            raise RequestError("Scenario 'reminder' needs KEY in the environment.")

        harness.during = refuse
        await harness.create(table(2))
        campaign = await harness.stands(CampaignStatus.PAUSED)
        assert campaign.why == "Scenario 'reminder' needs KEY in the environment."


async def test_calls_put_off_to_later_hold_no_place(tmp_path: Path) -> None:
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(3), concurrency=1)
        await harness.until(lambda: len(harness.placed) == 1)
        later = CallChange(scheduled_at=datetime.now(UTC) + timedelta(hours=5))
        await harness.store.update(harness.placed[0].call_id, later)
        await quiet(harness)
        await harness.campaigns._tick()
        await harness.until(lambda: len(harness.placed) == 2)
        await quiet(harness)
        progress = await harness.campaigns.progress("campaign_1")
        assert (progress.waiting, progress.dialling, progress.queued) == (1, 1, 1)


async def test_a_call_without_a_place_waits_and_is_not_counted_as_put_off(tmp_path: Path) -> None:
    """Two come due at once where one may be under way; no third is begun meanwhile."""
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(3), concurrency=2)
        await harness.until(lambda: len(harness.placed) == 2)
        await quiet(harness)
        campaign = replace(await harness.campaigns.get("campaign_1"), concurrency=1)
        harness.kept.get = AsyncMock(return_value=campaign)  # type: ignore[method-assign]
        one, two = harness.placed
        assert await harness.campaigns.gate(one) is None
        held = await harness.campaigns.gate(two)
        assert isinstance(held, WaitUntil)
        assert (held.why, held.at > datetime.now(UTC)) == (Wait.CONCURRENCY, True)
        assert await harness.campaigns.gate(one) is None, "it does not stand in its own way"
        await harness.campaigns._tick()
        await quiet(harness)
        assert len(harness.placed) == 2
        await harness.end(one)
        assert await harness.campaigns.gate(two) is None


async def test_it_is_told_why_a_campaign_with_too_many_put_off_begins_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialer, "MOST_PUT_OFF", 2)
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(4), concurrency=2)
        await harness.until(lambda: len(harness.placed) == 2)
        await quiet(harness)
        for call in harness.placed:
            later = CallChange(scheduled_at=datetime.now(UTC) + timedelta(hours=5))
            await harness.store.update(call.call_id, later)
        await harness.campaigns._run(await harness.campaigns.get("campaign_1"))
        assert len(harness.placed) == 2
        assert "2 calls are put off" in ((await harness.campaigns.get("campaign_1")).why or "")


def test_a_contact_s_call_has_one_id_for_each_attempt() -> None:
    assert call_id_of("c-1", 1) == call_id_of("c-1", 1)
    assert len({call_id_of(contact, attempt) for contact in ("c-1", "c-11") for attempt in (1, 2)}) == 4
    now = datetime.now(UTC)
    contact = Contact("campaign_1", 7, 9, number(7), {"date": "x", "time_zone": "Europe/Madrid"})
    record = next_call(a_campaign(key_id="k", terms=Terms(time_zone="UTC")), contact, now)
    assert (record.campaign_id, record.contact_id, record.key_id) == ("campaign_1", "campaign_1-7", "k")
    assert record.terms.time_zone == "Europe/Madrid"
    assert record.spec.metadata == {"variables": {"date": "x", "time_zone": "Europe/Madrid"}}
    assert record.terms.extension is None
    behind = replace(contact, variables={"extension": ",204"})
    assert next_call(a_campaign(), behind, now).terms.extension == "WW204"


@pytest.mark.parametrize(
    ("scenario", "abandoned", "pauses"), [("offer", 2, True), ("offer", 1, False), ("reminder", 50, False)]
)
async def test_a_marketing_campaign_pauses_above_three_percent_abandoned(
    tmp_path: Path, scenario: str, abandoned: int, pauses: bool
) -> None:
    """Of fifty callees who said hello."""
    terms = Terms(consent=CallConsent("written", "2026-01-01", "form 17"))
    spec = replace(a_campaign().spec, scenario=scenario)
    async with campaign_harness(tmp_path) as harness:
        await harness.create(table(3), spec=spec, terms=terms)
        await harness.until(lambda: len(harness.placed) == 2)
        first, now = harness.placed[0], datetime.now(UTC)
        for index in range(50):
            over = replace(first, call_id=f"over_{index}", contact_id=None, status=Status.COMPLETED)
            await harness.store.add(replace(over, ended_at=now, abandoned=index < abandoned))
        await harness.end(first)
        if not pauses:
            await harness.until(lambda: len(harness.placed) == 3)
            return
        paused = await harness.stands(CampaignStatus.PAUSED)
        assert paused.why is not None
        assert "2 of the 50 callees who said hello heard no word within two seconds" in paused.why
        await quiet(harness)
        assert len(harness.placed) == 2
