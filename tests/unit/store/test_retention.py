"""What is left of a call after an erasure, on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from bot.policy import CallConsent, CallPurpose, Terms
from bot.records import CallRecord, CallSpec, EndedReason, Outcome, Sentiment, Status
from bot.store import SqlCallStore
from bot.store.call_search import CallFilter, CallSearch
from bot.store.campaign_records import BadRow, Campaign, CampaignStatus, Contact, ContactState
from bot.store.campaign_rows import bad_rows, contacts
from bot.store.campaigns import SqlCampaignStore
from bot.store.claims import SqlClaims
from bot.store.deliveries import Delivery, SqlDeliveryStore
from bot.store.do_not_call import do_not_call
from bot.store.openings import openings
from bot.store.retention import Erased, Kept, SqlRetentionStore, country_of
from bot.store.schema import calls
from tests.unit.store.examples import NOON, a_call, a_turn

LATER = NOON + timedelta(days=40)
NUMBER = "+12025550123"
OUTCOME = Outcome(
    True,
    "John confirmed. He asked for parking.",
    {"confirmed": True, "wish": "parking"},
    "claude",
    Sentiment.POSITIVE,
    {"confirmed": ["Yes, I come."]},
    ["confirmed"],
)


@pytest.fixture
def retention(store: SqlCallStore) -> SqlRetentionStore:
    return SqlRetentionStore(store.database)


async def keep(
    store: SqlCallStore, call_id: str, *, ended: datetime | None = NOON, number: str = NUMBER, **changes: Any
) -> None:
    spec = replace(a_call().spec, phone_number=number)
    record = a_call(
        call_id,
        spec=spec,
        status=Status.COMPLETED if ended else Status.IN_PROGRESS,
        ended_at=ended,
        ended_reason=EndedReason.AGENT_HANGUP if ended else None,
        error="The number +12025550123 is odd",
        duration_seconds=31.5,
        recording=f"{call_id}.wav",
        outcome=OUTCOME,
        request_hash="abc",
        turns=(a_turn(0), a_turn(1, "This is Alex.")),
    )
    await store.add(replace(record, **changes))
    delivery = Delivery(
        f"msg_{call_id}", call_id, "call_ended", "https://a.example/", f'{{"to": "{number}"}}', NOON
    )
    await SqlDeliveryStore(store.database).add(delivery)
    async with store.database.writer.begin() as connection:
        row = {"call_id": call_id, "text": "Hi Zoë", "pcm": b"00", "words": []}
        await connection.execute(openings.insert(), row)


async def test_a_recording_goes_alone(store: SqlCallStore, retention: SqlRetentionStore) -> None:
    await keep(store, "call-1")
    before = await store.get("call-1")
    assert before is not None
    assert await retention.erase(["call-1"], [Kept.RECORDING], LATER) == Erased(calls=1, recordings=1)
    assert await store.get("call-1") == replace(before, recording=None)
    assert await retention.recordings_gone(["call-1", "call-2"], NOON) == {"call-1"}
    assert await retention.erase(["call-1"], [Kept.RECORDING], LATER) == Erased(), "repeated, it finds nothing"


async def test_a_transcript_goes_and_the_figures_stay(store: SqlCallStore, retention: SqlRetentionStore) -> None:
    await keep(store, "call-1")
    before = await store.get("call-1")
    assert before is not None
    erased = await retention.erase(["call-1"], [Kept.TRANSCRIPT], LATER)
    assert erased == Erased(calls=1, turns=2, deliveries=1)
    assert await store.get("call-1") == replace(
        before,
        spec=replace(before.spec, action="", context=""),
        outcome=Outcome(True, "", source="claude", callee_sentiment=Sentiment.POSITIVE),
        turns=tuple(replace(turn, text="", tools=()) for turn in before.turns),
    )
    async with store.database.reader.connect() as connection:
        assert not (await connection.execute(sa.select(openings))).all()
    assert await retention.erase(["call-1"], [Kept.TRANSCRIPT], LATER) == Erased()


async def test_a_number_goes_but_for_its_country(store: SqlCallStore, retention: SqlRetentionStore) -> None:
    await keep(store, "call-1")
    before = await store.get("call-1")
    assert before is not None
    assert await retention.erase(["call-1"], [Kept.NUMBER], LATER) == Erased(calls=1, deliveries=1)
    assert await store.get("call-1") == replace(
        before,
        spec=replace(before.spec, phone_number="+1", callee_name=None, metadata={}),
        error=None,
        request_hash=None,
    )
    assert await retention.erase(["call-1"], [Kept.NUMBER], LATER) == Erased()
    after = await store.get("call-1")
    assert after is not None
    assert after.spec.phone_number == "+1"


async def test_nothing_of_the_callee_is_left_in_any_column(
    store: SqlCallStore, retention: SqlRetentionStore
) -> None:
    spec = CallSpec(NUMBER, "survey", "SECRET", {"a": "SECRET"}, "SECRET", metadata={"SECRET": 1})
    await keep(store, "call-1", spec=spec, turns=(a_turn(0, "SECRET"),), error="SECRET")
    await keep(store, "call-2", number="+442071838750")
    await retention.erase(["call-1"], tuple(Kept), LATER)
    async with store.database.reader.connect() as connection:
        for table in store_tables():
            for row in (await connection.execute(sa.select(table))).mappings():
                if row["call_id"] == "call-1":
                    assert "SECRET" not in str(dict(row)) and "5550123" not in str(dict(row)), table.name
    other = await store.get("call-2")
    assert other is not None
    assert (other.spec.phone_number, other.recording, len(other.turns)) == ("+442071838750", "call-2.wav", 2)


def store_tables() -> list[sa.Table]:
    return [table for table in calls.metadata.sorted_tables if "call_id" in table.c]


async def test_a_call_that_is_not_over_is_left_alone(store: SqlCallStore, retention: SqlRetentionStore) -> None:
    await keep(store, "call-1", ended=None)
    before = await store.get("call-1")
    assert await retention.erase(["call-1"], tuple(Kept), LATER) == Erased()
    assert await store.get("call-1") == before
    assert not await retention.due(Kept.TRANSCRIPT, LATER)


async def test_what_is_due_comes_oldest_first_and_once(store: SqlCallStore, retention: SqlRetentionStore) -> None:
    for day in (3, 1, 2, 9):
        await keep(store, f"call-{day}", ended=NOON + timedelta(days=day))
    before = NOON + timedelta(days=5)
    assert await retention.due(Kept.RECORDING, before, limit=2) == ["call-1", "call-2"]
    await retention.erase(["call-1", "call-2"], [Kept.RECORDING], LATER)
    assert await retention.due(Kept.RECORDING, before) == ["call-3"]
    assert await retention.due(Kept.TRANSCRIPT, before) == ["call-1", "call-2", "call-3"]


async def test_the_calls_of_a_number(store: SqlCallStore, retention: SqlRetentionStore) -> None:
    await keep(store, "call-1", retried_as="call-2")
    await keep(store, "call-2", ended=None)
    await keep(store, "call-3", number="+442071838750")
    found = [(each.call_id, each.status, each.retried_as) for each in await retention.of_number(NUMBER)]
    assert found == [("call-1", Status.COMPLETED, "call-2"), ("call-2", Status.IN_PROGRESS, None)]
    assert [each.call_id for each in await retention.standing(["call-3", "nobody"])] == ["call-3"]


async def a_campaign(store: SqlCallStore, states: dict[int, ContactState]) -> SqlCampaignStore:
    """Three contacts of one number in these states, the call of each `call-POSITION`."""
    kept = SqlCampaignStore(store.database)
    await kept.add(Campaign("camp", CallSpec("", "survey"), CampaignStatus.LOADING, NOON, accepted=3))
    people = [
        Contact("camp", position, position + 2, NUMBER, {"name": "Zoë"}, state=state, call_id=f"call-{position}")
        for position, state in states.items()
    ]
    bad = BadRow(9, "bad_number", "no number", "phone_number", "12, Zoë")
    await kept.add_rows("camp", [replace(each, state=ContactState.QUEUED) for each in people], [bad], NOON)
    await kept.loaded("camp", accepted=3, rejected=1, columns=("name",), zones=())
    async with store.database.writer.begin() as connection:
        for each in people:
            values = {"state": each.state.value, "call_id": each.call_id}
            await connection.execute(contacts.update().where(contacts.c.position == each.position).values(values))
    return kept


async def test_contacts_of_a_number_are_not_called_any_more(
    store: SqlCallStore, retention: SqlRetentionStore
) -> None:
    states = {0: ContactState.QUEUED, 1: ContactState.RETRY, 2: ContactState.CALLING}
    kept = await a_campaign(store, states)
    assert await retention.open_contacts(NUMBER) == ["camp-0", "camp-1", "camp-2"]
    assert await retention.leave(NUMBER) == 3
    found = [result.contact for result in await kept.results("camp")]
    assert [(each.state, each.phone_number, dict(each.variables)) for each in found] == [
        (ContactState.LEFT, "", {}),
        (ContactState.DONE, "", {}),
        (ContactState.CALLING, "", {}),
    ]
    assert await retention.leave(NUMBER) == 0
    assert await retention.open_contacts(NUMBER) == []


async def test_a_contact_erased_during_its_call_is_not_called_again(
    store: SqlCallStore, retention: SqlRetentionStore
) -> None:
    """Whether the erasure or the end of the call comes first."""
    kept = await a_campaign(store, dict.fromkeys(range(3), ContactState.CALLING))
    ended: dict[str, Any] = {
        "ended_reason": EndedReason.DIAL_NO_ANSWER,
        "status": Status.NO_ANSWER,
        "ended_at": NOON,
    }
    first, second = (
        a_call(f"call-{position}", campaign_id="camp", contact_id=f"camp-{position}", attempt=1, **ended)
        for position in range(2)
    )
    async with store.database.writer.begin() as connection:
        await connection.execute(contacts.update().values(attempts=1))
    assert await kept.put_back(first, "call-0-again", LATER)
    assert await retention.leave(NUMBER) == 3
    assert not await kept.put_back(second, "call-1-again", LATER)
    found = [result.contact for result in await kept.results("camp")][:2]
    for each in found:
        assert (each.state, each.status, each.phone_number) == (ContactState.DONE, Status.NO_ANSWER, "")
        assert (each.next_call_id, each.due_at) == (None, None)
    assert not await kept.due("camp", LATER + timedelta(days=9), 9)


async def test_the_calls_of_contacts(store: SqlCallStore, retention: SqlRetentionStore) -> None:
    for call_id, position in (("call-1", 1), ("call-2", 2), ("call-3", 1)):
        await keep(store, call_id, campaign_id="camp", contact_id=f"camp-{position}")
    await keep(store, "call-4", campaign_id="other", contact_id="other-1")
    found = {each.call_id for each in await retention.of_contacts(["camp-1", "camp-9"])}
    assert found == {"call-1", "call-3"}
    assert await retention.of_contacts([]) == []


async def test_a_contact_goes_with_its_last_call(store: SqlCallStore, retention: SqlRetentionStore) -> None:
    states = {0: ContactState.DONE, 1: ContactState.DONE, 2: ContactState.RETRY}
    kept = await a_campaign(store, states)
    await keep(store, "call-0", contact_id="camp-0")
    await keep(store, "call-of-before", contact_id="camp-1")
    await keep(store, "call-2", contact_id="camp-2")
    erased = await retention.erase(["call-0", "call-of-before", "call-2"], [Kept.NUMBER], LATER)
    assert erased.contacts == 1
    numbers = [result.contact.phone_number for result in await kept.results("camp")]
    assert numbers == ["", NUMBER, NUMBER], "one was called again since, one is to be"


async def test_a_campaign_that_is_over_loses_its_people(
    store: SqlCallStore, retention: SqlRetentionStore
) -> None:
    kept = await a_campaign(store, dict.fromkeys(range(3), ContactState.DONE))
    assert not await retention.campaigns_due(LATER)
    running = (CampaignStatus.RUNNING,)
    await kept.change_status("camp", running, CampaignStatus.COMPLETED, why=None, at=NOON)
    assert not await retention.campaigns_due(NOON)
    assert await retention.campaigns_due(LATER) == ["camp"]
    assert await retention.erase_campaign("camp", LATER) == 3
    assert {result.contact.phone_number for result in await kept.results("camp")} == {""}
    (bad,) = await kept.bad_rows("camp")
    assert (bad.line, bad.text) == (9, "")
    assert not await retention.campaigns_due(LATER)
    assert await retention.erase_campaign("camp", LATER) == 0


@pytest.mark.parametrize(
    ("number", "left"),
    [(NUMBER, "+1"), ("+442071838750", "+44"), ("+1", "+1"), ("+353", "+353"), ("", ""), ("anonymous", "")],
)
def test_what_stays_of_a_number(number: str, left: str) -> None:
    assert country_of(number) == left


async def test_a_refused_row_and_a_reason_do_not_keep_the_callee(
    store: SqlCallStore, retention: SqlRetentionStore
) -> None:
    texts = ["+12025550123,John", "(202) 555-0123,John", "1 202.555‐0123,John", "+12025550124,Zoë", "no number"]
    rows = [
        {
            "campaign_id": "campaign-1",
            "line": line,
            "code": "duplicate",
            "message": "",
            "field": None,
            "text": text,
        }
        for line, text in enumerate(texts)
    ]
    listed = [
        {"phone_number": number, "added_at": NOON, "source": "api", "reason": "John is angry"}
        for number in (NUMBER, "+12025550124")
    ]
    async with store.database.writer.begin() as connection:
        await connection.execute(bad_rows.insert(), rows)
        await connection.execute(do_not_call.insert(), listed)
    assert await retention.erase_mentions(NUMBER) == 3
    await retention.overwrite()
    async with store.database.reader.connect() as connection:
        kept = (await connection.execute(sa.select(bad_rows.c.text).order_by(bad_rows.c.line))).scalars().all()
        reasons = dict(
            (await connection.execute(sa.select(do_not_call.c.phone_number, do_not_call.c.reason))).all()
        )
    assert kept == ["", "", "", "+12025550124,Zoë", "no number"]
    assert reasons == {NUMBER: None, "+12025550124": "John is angry"}


def masked(record: CallRecord) -> CallRecord:
    spec = replace(record.spec, phone_number="+1…23", action="", metadata={"cut": len(record.spec.metadata)})
    turns_left = tuple(replace(turn, text="", tools=()) for turn in record.turns)
    return replace(record, spec=spec, turns=turns_left, error=None)


async def test_of_a_call_that_is_over_only_what_is_kept_stays(
    store: SqlCallStore, retention: SqlRetentionStore
) -> None:
    await keep(store, "call-1")
    await keep(store, "call-2", ended=None)
    before = [await store.find("call-1"), await store.find("call-2")]
    for call_id in ("call-1", "call-2", "call-3"):
        await retention.keep_only(call_id, masked)
        await retention.keep_only(call_id, lambda record: record)
    assert await store.find("call-1") == masked(before[0])
    assert await store.find("call-2") == before[1], "it is not over"
    async with store.database.reader.connect() as connection:
        assert [row.call_id for row in (await connection.execute(sa.select(openings))).all()] == ["call-2"]


async def test_a_masked_call_is_found_by_its_whole_number(
    store: SqlCallStore, retention: SqlRetentionStore
) -> None:
    """By a search, an erasure on request and the day's cap, until its number is erased."""
    search, claims = CallSearch(store.database), SqlClaims(store.database)
    await keep(store, "call-1", dialling_at=NOON)
    await retention.keep_only("call-1", masked)

    async def found(number: str) -> tuple[list[str], list[str], int]:
        page = await search.page(CallFilter(text=number))
        standing = await retention.of_number(number)
        counted = await claims.dialled_since(number, NOON)
        return [call.call_id for call in page.items], [each.call_id for each in standing], counted

    assert await found(NUMBER) == (["call-1"], ["call-1"], 1)
    assert await found("+12025550199") == ([], [], 0)
    assert await retention.erase(["call-1"], [Kept.NUMBER], LATER) == Erased(calls=1, deliveries=1)
    assert (await store.find("call-1")).spec.phone_number == "+1"
    assert await found(NUMBER) == ([], [], 0)


async def test_a_contact_is_masked_with_its_last_call(store: SqlCallStore, retention: SqlRetentionStore) -> None:
    campaign_store = SqlCampaignStore(store.database)
    await campaign_store.add(Campaign("camp", CallSpec("", "s"), CampaignStatus.LOADING, NOON))
    rows = [Contact("camp", position, position, NUMBER, {"a": 1, "b": 2}) for position in range(2)]
    await campaign_store.add_rows("camp", rows, [], NOON)
    async with store.database.writer.begin() as connection:
        done = contacts.update().where(contacts.c.position == 0)
        await connection.execute(done.values(state=ContactState.DONE.value, call_id="call-1"))
        again = contacts.update().where(contacts.c.position == 1)
        await connection.execute(again.values(state=ContactState.RETRY.value, call_id="call-2"))
    for position, call_id in enumerate(("call-1", "call-2")):
        await keep(store, call_id, campaign_id="camp", contact_id=rows[position].contact_id)
        await retention.keep_only(call_id, masked)
    results = await campaign_store.results("camp")
    assert [result.contact.phone_number for result in results] == ["+1…23", NUMBER], "one is called again"
    assert [dict(result.contact.variables) for result in results] == [{"cut": 2}, {"a": 1, "b": 2}]


async def test_the_proof_of_a_consent_leaves_the_call_with_its_number(
    store: SqlCallStore, retention: SqlRetentionStore
) -> None:
    terms = Terms(purpose=CallPurpose.MARKETING, consent=CallConsent("web_form", "2026-01-01", "form 17"))
    await keep(store, "call-1", terms=terms)
    await retention.erase(["call-1"], [Kept.TRANSCRIPT], LATER)
    assert (await store.find("call-1")).terms == terms
    await retention.erase(["call-1"], [Kept.NUMBER], LATER)
    assert (await store.find("call-1")).terms == Terms(purpose=CallPurpose.MARKETING)


async def test_a_recording_that_no_call_names_is_nobodys(
    store: SqlCallStore, retention: SqlRetentionStore
) -> None:
    """A process died before it had silenced it."""
    await keep(store, "call-1", recording=None)
    await keep(store, "call-2", recording=None, ended=None)
    await keep(store, "call-3")
    calls_here = ["call-1", "call-2", "call-3", "call-4"]
    assert await retention.recordings_gone(calls_here, NOON) == frozenset(), "its end may just be written"
    assert await retention.recordings_gone(calls_here, LATER) == {"call-1"}
