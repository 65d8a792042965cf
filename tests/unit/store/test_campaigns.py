"""Campaigns in both databases: loading, taking in order, the ends of calls, deletion in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.errors import ConflictError, NotFoundError
from bot.policy import HoursTerms, RetryOn, RetryTerms, Terms
from bot.records import CallRecord, CallSpec, Direction, EndedReason, Outcome, Speaker, Status
from bot.store import CallChange, SqlCallStore
from bot.store.campaign_records import (
    BadRow,
    Campaign,
    CampaignStatus,
    Contact,
    ContactState,
    Ending,
    contact_place,
)
from bot.store.campaigns import SqlCampaignStore
from tests.unit.store.examples import NOON

ID = "campaign_1"
CAMPAIGN = Campaign(
    ID,
    CallSpec(
        "", "s", "Confirm {date}", {"a": [1]}, agent_name="Zoë", first_speaker=Speaker.AGENT, metadata={"k": None}
    ),
    CampaignStatus.LOADING,
    NOON,
    name="March",
    concurrency=7,
    start_at=NOON,
    end_at=NOON + timedelta(days=1),
    terms=Terms(retry=RetryTerms(3, 60.0, 2.0, (RetryOn.BUSY,)), hours=HoursTerms("09:00", "20:00")),
    key_id="key",
    request_hash="hash",
    touched_at=NOON,
)


@pytest.fixture
def campaigns(store: SqlCallStore) -> SqlCampaignStore:
    return SqlCampaignStore(store.database)


def contact(position: int, zone: str = "Europe/Madrid") -> Contact:
    number = f"+1202555{position:04}"
    return Contact(ID, position, position + 2, number, {"date": "☃", "n": 5, "none": None}, zone)


async def load(campaigns: SqlCampaignStore, count: int, *, bad: int = 0) -> Campaign:
    assert await campaigns.add(CAMPAIGN)
    rows = [BadRow(1000 + index, "code", "words \x00", "field", "te\x00xt") for index in range(bad)]
    await campaigns.add_rows(ID, [contact(position) for position in range(count)], rows, NOON)
    assert await campaigns.loaded(ID, accepted=count, rejected=bad, columns=["date", "n"], zones={"b", "a"})
    found = await campaigns.get(ID)
    assert found is not None
    return found


async def call(store: SqlCallStore, campaigns: SqlCampaignStore, position: int, attempt: int = 1) -> CallRecord:
    """The contact's call, placed."""
    (result,) = await campaigns.results(ID, after=position - 1, limit=1)
    call_id = f"call_{position}_{attempt}"
    record = CallRecord(
        call_id,
        CallSpec(result.contact.phone_number, "s"),
        Direction.OUTBOUND,
        Status.QUEUED,
        NOON,
        attempt=attempt,
        campaign_id=ID,
        contact_id=result.contact.contact_id,
    )
    await store.add(record)
    assert await campaigns.begin(result.contact, call_id, attempt)
    return record


async def ended(
    store: SqlCallStore, record: CallRecord, reason: EndedReason, *, reached: bool | None = None
) -> CallRecord:
    outcome = None if reached is None else Outcome(reached, "Done.", {})
    change = CallChange(ended_reason=reason, outcome=outcome)
    await store.advance(record.call_id, Status.COMPLETED, at=NOON + timedelta(seconds=30), change=change)
    found = await store.get(record.call_id)
    assert found is not None
    return found


async def test_a_campaign_comes_back_as_it_was_kept(campaigns: SqlCampaignStore) -> None:
    assert await campaigns.add(CAMPAIGN)
    assert not await campaigns.add(replace(CAMPAIGN, name="Other"))
    assert await campaigns.get(ID) == CAMPAIGN
    assert await campaigns.get("other") is None


async def test_contacts_and_bad_rows_come_back_in_order(campaigns: SqlCampaignStore) -> None:
    found = await load(campaigns, 3, bad=2)
    assert (found.status, found.accepted, found.rejected) == (CampaignStatus.RUNNING, 3, 2)
    assert (found.columns, found.zones, found.touched_at) == (("date", "n"), ("a", "b"), None)
    results = await campaigns.results(ID, after=0, limit=10)
    assert [result.contact for result in results] == [contact(1), contact(2)]
    assert [bad.line for bad in await campaigns.bad_rows(ID, after=1000)] == [1001]
    assert (await campaigns.bad_rows(ID))[0].text == "text"
    assert await campaigns.queued(ID, 2) == [contact(0), contact(1)]


async def test_only_a_loading_campaign_takes_rows(campaigns: SqlCampaignStore) -> None:
    await load(campaigns, 1)
    with pytest.raises(ConflictError):
        await campaigns.add_rows(ID, [contact(1)], [], NOON)
    assert not await campaigns.loaded(ID, accepted=9, rejected=0, columns=[], zones=[])
    assert len(await campaigns.results(ID)) == 1


async def test_what_was_never_loaded_is_deleted_and_nothing_else(campaigns: SqlCampaignStore) -> None:
    assert await campaigns.add(CAMPAIGN)
    for begin in range(0, 2500, 500):
        await campaigns.add_rows(ID, [contact(begin + n) for n in range(500)], [BadRow(begin, "c", "m")], NOON)
    assert await campaigns.abandoned(NOON) == []
    assert await campaigns.abandoned(NOON + timedelta(seconds=1)) == [ID]
    await campaigns.drop(ID)
    assert await campaigns.get(ID) is None
    assert (await campaigns.results(ID), await campaigns.bad_rows(ID)) == ([], [])
    await load(campaigns, 2)
    await campaigns.drop(ID)
    assert len(await campaigns.results(ID)) == 2


async def test_contacts_of_zones(campaigns: SqlCampaignStore) -> None:
    assert await campaigns.add(CAMPAIGN)
    await campaigns.add_rows(ID, [contact(0, "a"), contact(1, "b"), contact(2, "a")], [], NOON)
    assert [found.position for found in await campaigns.queued(ID, 9, ["a"])] == [0, 2]
    assert await campaigns.queued(ID, 9, []) == []


async def test_those_to_be_called_again_of_zones(store: SqlCallStore, campaigns: SqlCampaignStore) -> None:
    assert await campaigns.add(CAMPAIGN)
    await campaigns.add_rows(ID, [contact(0, "a"), contact(1, "b"), contact(2, "a")], [], NOON)
    for position in range(3):
        record = await ended(store, await call(store, campaigns, position), EndedReason.DIAL_BUSY)
        assert await campaigns.put_back(record, f"call_{position}_2", NOON)
    assert [found.position for found in await campaigns.due(ID, NOON, 9, ["a"])] == [0, 2]
    assert [found.position for found in await campaigns.due(ID, NOON, 9)] == [0, 1, 2]
    assert await campaigns.due(ID, NOON, 9, []) == []


async def test_an_attempt_is_begun_once(store: SqlCallStore, campaigns: SqlCampaignStore) -> None:
    await load(campaigns, 2)
    await call(store, campaigns, 0)
    (first, _) = await campaigns.results(ID)
    assert (first.contact.state, first.contact.attempts, first.contact.call_id) == (
        ContactState.CALLING,
        1,
        "call_0_1",
    )
    assert first.call is not None
    assert first.call.call_id == "call_0_1"
    assert not await campaigns.begin(contact(0), "call_other", 1)
    assert [found.position for found in await campaigns.queued(ID, 9)] == [1]


async def test_the_end_of_a_call_is_noted_once_and_of_the_right_call(
    store: SqlCallStore, campaigns: SqlCampaignStore
) -> None:
    await load(campaigns, 1)
    record = await ended(store, await call(store, campaigns, 0), EndedReason.AGENT_HANGUP, reached=True)
    assert not await campaigns.note_end(replace(record, call_id="call_stranger", attempt=2))
    assert await campaigns.note_end(record)
    assert not await campaigns.note_end(record)
    (result,) = await campaigns.results(ID)
    done = result.contact
    assert (done.state, done.status, done.ended_reason, done.reached_goal) == (
        ContactState.DONE,
        Status.COMPLETED,
        EndedReason.AGENT_HANGUP,
        True,
    )
    assert not await campaigns.open_contacts(ID)
    with pytest.raises(NotFoundError):
        await campaigns.note_end(replace(record, contact_id=None))


async def test_a_call_over_before_its_beginning_was_noted(
    store: SqlCallStore, campaigns: SqlCampaignStore
) -> None:
    await load(campaigns, 1)
    (result,) = await campaigns.results(ID)
    early = CallRecord(
        "call_0_1",
        CallSpec("+12025550000", "s"),
        Direction.OUTBOUND,
        Status.FAILED,
        NOON,
        campaign_id=ID,
        contact_id=result.contact.contact_id,
        ended_reason=EndedReason.DIAL_FAILED,
    )
    assert await campaigns.note_end(early)
    assert not await campaigns.begin(result.contact, "call_0_1", 1)
    (result,) = await campaigns.results(ID)
    assert (result.contact.state, result.contact.attempts, result.contact.call_id) == (
        ContactState.DONE,
        1,
        "call_0_1",
    )


async def test_retries_wait_for_their_time_the_longest_waiting_first(
    store: SqlCallStore, campaigns: SqlCampaignStore
) -> None:
    await load(campaigns, 3)
    for position, minutes in ((0, 20), (1, 10), (2, 30)):
        record = await ended(store, await call(store, campaigns, position), EndedReason.DIAL_BUSY)
        assert await campaigns.put_back(record, f"call_{position}_2", NOON + timedelta(minutes=minutes))
        assert not await campaigns.put_back(record, "call_other", NOON)
    assert await campaigns.next_due(ID, NOON) == NOON + timedelta(minutes=10)
    assert await campaigns.next_due(ID, NOON + timedelta(minutes=10)) == NOON + timedelta(minutes=20)
    assert await campaigns.next_due(ID, NOON + timedelta(minutes=30)) is None
    due = await campaigns.due(ID, NOON + timedelta(minutes=20), 9)
    assert [(found.position, found.next_call_id) for found in due] == [(1, "call_1_2"), (0, "call_0_2")]
    again = await call(store, campaigns, 1, attempt=2)
    assert await campaigns.note_end(await ended(store, again, EndedReason.AGENT_HANGUP))
    progress = await campaigns.progress(ID, NOON)
    assert (progress.waiting, progress.done, progress.queued) == (2, 1, 0)


async def test_a_contact_is_done_whatever_attempt_was_planned(
    store: SqlCallStore, campaigns: SqlCampaignStore
) -> None:
    await load(campaigns, 1)
    record = await ended(store, await call(store, campaigns, 0), EndedReason.DIAL_BUSY)
    assert await campaigns.note_end(replace(record, retried_as="call_0_2"))
    (result,) = await campaigns.results(ID)
    assert (result.contact.state, result.contact.call_id, result.contact.attempts) == (
        ContactState.DONE,
        "call_0_1",
        1,
    )


async def test_progress_tells_where_the_contacts_stand(store: SqlCallStore, campaigns: SqlCampaignStore) -> None:
    await load(campaigns, 7)
    on_line = await call(store, campaigns, 0)
    await store.advance(on_line.call_id, Status.IN_PROGRESS, at=NOON)
    ringing = await call(store, campaigns, 1)
    await store.advance(ringing.call_id, Status.RINGING, at=NOON)
    put_off = await call(store, campaigns, 2)
    await store.update(put_off.call_id, CallChange(scheduled_at=NOON + timedelta(hours=1)))
    for position, reached in ((3, True), (4, False), (5, True)):
        record = await ended(
            store, await call(store, campaigns, position), EndedReason.AGENT_HANGUP, reached=reached
        )
        await campaigns.note_end(record)
    progress = await campaigns.progress(ID, NOON)
    assert (progress.queued, progress.waiting, progress.dialling, progress.on_the_line) == (1, 1, 1, 1)
    assert (progress.done, progress.left) == (3, 0)
    assert progress.endings == (
        Ending(Status.COMPLETED, EndedReason.AGENT_HANGUP, True, 2),
        Ending(Status.COMPLETED, EndedReason.AGENT_HANGUP, False, 1),
    )
    assert await campaigns.calling(ID, NOON) == (2, 1)
    assert await campaigns.calling(ID, NOON + timedelta(hours=2)) == (3, 0)
    assert [found.call_id for found in await campaigns.not_yet_dialled(ID)] == [put_off.call_id]
    assert await campaigns.endings(ID, NOON) == [(Status.COMPLETED, EndedReason.AGENT_HANGUP, 3)]
    assert await campaigns.endings(ID, NOON + timedelta(minutes=1)) == []


async def test_calls_whose_end_nobody_told_are_found(store: SqlCallStore, campaigns: SqlCampaignStore) -> None:
    await load(campaigns, 2)
    await call(store, campaigns, 0)
    await ended(store, await call(store, campaigns, 1), EndedReason.AGENT_HANGUP)
    assert await campaigns.over(ID, NOON) == []
    (found,) = await campaigns.over(ID, NOON + timedelta(minutes=1))
    assert found.call_id == "call_1_1"
    assert await campaigns.note_end(found)
    assert await campaigns.over(ID, NOON + timedelta(minutes=1)) == []


async def test_a_campaign_s_places_are_taken_once_and_given_back(
    store: SqlCallStore, campaigns: SqlCampaignStore
) -> None:
    """Calls that are due at once ask at once."""
    await load(campaigns, 6)
    due, later = NOON + timedelta(minutes=1), NOON + timedelta(hours=1)
    records = {record.call_id: record for record in [await call(store, campaigns, n) for n in range(6)]}
    for call_id in records:
        await store.update(call_id, CallChange(scheduled_at=due))

    async def ask(ids: Collection[str]) -> dict[str, int]:
        asked = [campaigns.take_place(records[call_id], 2, due) for call_id in ids]
        return dict(zip(ids, await asyncio.gather(*asked), strict=True))

    answers = await ask(records)
    assert sorted(answers.values()) == [0, 0, 4, 4, 4, 4]
    assert await ask(records) == answers, "who has a place keeps it"
    (one, two), rest = [c for c, waiting in answers.items() if not waiting], {c for c in answers if answers[c]}
    found = await store.get(one)
    assert found is not None
    assert found.scheduled_at is None
    await store.update(one, CallChange(scheduled_at=later))
    (three,) = {c for c, waiting in (await ask(rest)).items() if not waiting}
    await store.advance(two, Status.IN_PROGRESS, at=NOON)
    assert sorted((await ask(rest)).values()) == [0, 3, 3, 3], "a call on the line has its place"
    progress = await campaigns.progress(ID, due)
    assert (progress.waiting, progress.dialling, progress.on_the_line) == (4, 1, 1)
    await store.advance(two, Status.COMPLETED, at=NOON)
    assert sorted((await ask(rest - {three})).values()) == [0, 2, 2]


async def test_who_is_left_when_it_is_over(store: SqlCallStore, campaigns: SqlCampaignStore) -> None:
    campaign = await load(campaigns, 1500)
    record = await ended(store, await call(store, campaigns, 1400), EndedReason.DIAL_BUSY)
    await campaigns.put_back(record, "call_next", NOON)
    await call(store, campaigns, 3)
    await campaigns.leave(campaign)
    progress = await campaigns.progress(ID, NOON)
    assert (progress.left, progress.done, progress.dialling, progress.waiting) == (1498, 1, 1, 0)
    assert progress.endings == (Ending(Status.COMPLETED, EndedReason.DIAL_BUSY, None, 1),)


async def test_a_status_moves_only_from_where_it_may(campaigns: SqlCampaignStore) -> None:
    await load(campaigns, 1)
    later = NOON + timedelta(hours=1)
    running, paused = (CampaignStatus.RUNNING,), (CampaignStatus.PAUSED,)
    assert not await campaigns.change_status(ID, paused, CampaignStatus.RUNNING, why=None, at=later)
    assert await campaigns.change_status(ID, running, CampaignStatus.PAUSED, why="because", at=later)
    await campaigns.note_why(ID, "no")
    found = await campaigns.get(ID)
    assert found is not None
    assert (found.status, found.why, found.resumed_at) == (CampaignStatus.PAUSED, "because", None)
    assert await campaigns.active(NOON) == []
    assert await campaigns.change_status(ID, paused, CampaignStatus.RUNNING, why=None, at=later)
    await campaigns.note_why(ID, "waits")
    found = await campaigns.get(ID)
    assert found is not None
    assert (found.why, found.resumed_at) == ("waits", later)
    assert await campaigns.active(NOON) == [ID]
    assert await campaigns.change_status(ID, running, CampaignStatus.CANCELED, why=None, at=later)
    assert (await campaigns.active(NOON), await campaigns.active(later)) == ([ID], [])


async def test_pages_of_campaigns_newest_first(campaigns: SqlCampaignStore) -> None:
    for number in range(3):
        moment = NOON + timedelta(minutes=number // 2)
        await campaigns.add(replace(CAMPAIGN, campaign_id=f"c{number}", created_at=moment))
    first = await campaigns.page(limit=2)
    assert [found.campaign_id for found in first.items] == ["c2", "c1"]
    rest = await campaigns.page(limit=2, cursor=first.next_cursor)
    assert [found.campaign_id for found in rest.items] == ["c0"]
    assert rest.next_cursor is None
    assert (await campaigns.page(status=CampaignStatus.PAUSED)).items == ()


def test_the_place_of_a_contact() -> None:
    assert contact_place(contact(17).contact_id) == (ID, 17)
    for wrong in ("", "campaign_1", "campaign_1-x", "-"):
        with pytest.raises(ValueError, match="no contact's id"):
            contact_place(wrong)
