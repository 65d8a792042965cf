"""Whatever a database holds, written by whichever version, breaks no list, no webhook, no other call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from bot.api.answers import as_event
from bot.calls.webhooks.rules import EventType, event_body
from bot.cli.server import app_around
from bot.records import EndedReason, Outcome, Status
from bot.store import CallChange
from bot.store.campaign_records import Campaign, CampaignStatus, Contact, ContactState
from bot.store.campaigns import SqlCampaignStore
from bot.store.deliveries import Delivery, SqlDeliveryStore
from bot.store.retention import Kept, SqlRetentionStore
from tests.postgres import PostgresServer
from tests.unit.calls.agent.agents import SPEC, AgentHarness, build, record_of

POISON = {
    "half a character": r'{"reached_goal": true, "summary": "x \ud83d", "\udc00": ["\ud83d"], "note": "\ud83d"}',
    "255 levels": '{"a": ' * 255 + "1" + "}" * 255,
    "1500 levels": "[" * 1500 + "]" * 1500,
    "no number": '{"reached_goal": true, "summary": "x", "fields": {"a": 1e400, "b": -1e999}}',
    "5000 digits": '{"a": ' + "9" * 5000 + "}",
    "NUL": r'{"a": "b\u0000c", "summary": "\u0000"}',
    "a list": '[1, {"x": 2}, "three"]',
    "a text": '"text"',
    "null": "null",
    "other keys": '{"reached_goal": "perhaps", "summary": 7, "new": {}, "phone_number": 3, "hours": "always"}',
}
SQLITE_ONLY = {"not JSON": '{"a": ', "Infinity": '{"a": Infinity, "b": [NaN]}'}
HEADERS = {"Authorization": "Bearer key"}
CALLS = ("context", "metadata", "vendors", "outcome", "terms", "cost_call", "cost_carrier")


@pytest.fixture(params=["sqlite", "postgresql"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AgentHarness]:
    database = None
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        database = server.new_url()
    harness = build(tmp_path, database=database, public_host="https://bot.example.com")
    await harness.agent.open()
    yield harness
    async with asyncio.timeout(10):
        await harness.agent.close()


async def put(harness: AgentHarness, statement: str, **values: Any) -> None:
    async with harness.store.database.writer.begin() as connection:
        await connection.execute(sa.text(statement), values)


def poisons(harness: AgentHarness) -> dict[str, str]:
    return POISON if harness.store.database.shared else POISON | SQLITE_ONLY


async def fill(harness: AgentHarness) -> list[str]:
    """A call, a campaign with a contact, and a delivery for each kind, beside sound ones."""
    database, now = harness.store.database, datetime.now(UTC)
    campaigns, ids = SqlCampaignStore(database), []
    # PostgreSQL's JSON is text that it has parsed; the cast is what its driver would do.
    as_json = "CAST(:poison AS JSON)" if database.shared else ":poison"
    for number, poison in enumerate(("{}", *poisons(harness).values())):
        call_id, campaign_id = f"call_{number}", f"campaign_{number}"
        ids.append(call_id)
        record = record_of(
            call_id,
            ended_reason=EndedReason.CALLEE_HANGUP,
            outcome=Outcome(True, "x"),
            campaign_id=campaign_id,
            contact_id=f"{campaign_id}-0",
        )
        await harness.store.add(record)
        await harness.store.advance(call_id, Status.COMPLETED, at=now - timedelta(days=9))
        await campaigns.add(Campaign(campaign_id, SPEC, CampaignStatus.LOADING, now - timedelta(days=9)))
        contact = Contact(campaign_id, 0, 2, f"+1202555{number:04}", {"name": "x"}, "America/New_York")
        await campaigns.add_rows(campaign_id, [contact], [], now)
        await campaigns.loaded(campaign_id, accepted=1, rejected=0, columns=["name"], zones=[])
        await campaigns.begin(contact, call_id, 1)
        body = event_body(EventType.CALL_ENDED, now, {})
        await SqlDeliveryStore(database).add(
            Delivery(f"msg_{number}", call_id, EventType.CALL_ENDED, "https://x.example", body, now)
        )
        if number:
            columns = ", ".join(f"{column} = {as_json}" for column in CALLS)
            await put(harness, f"UPDATE calls SET {columns} WHERE call_id = :id", id=call_id, poison=poison)
            for column in ("spec", "terms", "columns", "zones"):
                text = f"UPDATE campaigns SET {column} = {as_json} WHERE campaign_id = :id"
                await put(harness, text, id=campaign_id, poison=poison)
            text = f"UPDATE contacts SET variables = {as_json} WHERE campaign_id = :id"
            await put(harness, text, id=campaign_id, poison=poison)
            text = "UPDATE deliveries SET body = :poison WHERE call_id = :id"
            await put(harness, text, id=call_id, poison=poison)
            turn = (
                "INSERT INTO turns (call_id, index, speaker, text, started_at, start_ms, interrupted, complete, "
                f"latency, tools) VALUES (:id, 0, 'robot', 'Hi', :at, 0, false, true, {as_json}, {as_json})"
            ).replace("index,", '"index",')
            at: Any = now if database.shared else now.replace(tzinfo=None).isoformat(" ")
            await put(harness, turn, id=call_id, poison=poison, at=at)
    text = "UPDATE calls SET ended_reason = 'of_a_newer_version', answered_by = 'parrot' WHERE call_id = 'call_1'"
    await put(harness, text)
    return ids


async def test_every_list_and_every_row_is_shown(harness: AgentHarness) -> None:
    ids = await fill(harness)
    transport = httpx.ASGITransport(app_around(harness.agent))
    async with httpx.AsyncClient(transport=transport, base_url="http://bot", headers=HEADERS) as client:

        async def get(path: str) -> Any:
            answer = await client.get(f"/api/phone{path}")
            assert answer.status_code == 200, (path, answer.text)
            return answer.json() if "json" in answer.headers["content-type"] else answer.text

        assert len((await get("/calls"))["calls"]) == len(ids)
        assert len((await get("/campaigns"))["campaigns"]) == len(ids)
        assert len((await get("/webhooks/deliveries"))["deliveries"]) == len(ids)
        for number in range(len(ids)):
            call = await get(f"/calls/call_{number}")
            assert call["status"] == "completed"
            await get(f"/campaigns/campaign_{number}")
            (result,) = (await get(f"/campaigns/campaign_{number}/results"))["results"]
            assert result["phone_number"] == f"+1202555{number:04}"
            table = await get(f"/campaigns/campaign_{number}/results?format=csv")
            assert f"+1202555{number:04}" in table
            await get(f"/campaigns/campaign_{number}/bad-rows")
            await get(f"/webhooks/deliveries/msg_{number}")
        shown = await get("/calls/call_1")
        assert shown["metadata"]["note"] == "\ufffd"
        assert (shown["ended_reason"], shown["answered_by"]) == (None, None)


async def test_every_event_is_made_and_everything_can_be_erased(harness: AgentHarness) -> None:
    ids = await fill(harness)
    retention, now = SqlRetentionStore(harness.store.database), datetime.now(UTC)
    for call_id in ids:
        record = await harness.store.find(call_id)
        assert call_id in event_body(EventType.CALL_ENDED, now, as_event(record))
        await harness.store.update(call_id, change_of(record))
        await retention.erase([call_id], list(Kept), now)
        erased = await harness.store.find(call_id)
        assert (erased.spec.phone_number, erased.spec.metadata) == ("+1", {})


def change_of(record: Any) -> Any:
    """What the analysis of a call writes back."""
    return CallChange(outcome=record.outcome, costs=record.costs)


async def test_the_rounds_of_a_campaign_reach_its_sound_contacts(harness: AgentHarness) -> None:
    """One contact of each kind in one campaign: none keeps the others from being placed."""
    await fill(harness)
    database, now = harness.store.database, datetime.now(UTC)
    campaigns = SqlCampaignStore(database)
    await campaigns.add(Campaign("mixed", SPEC, CampaignStatus.LOADING, now, concurrency=50))
    kinds = list(poisons(harness).values())
    contacts = [Contact("mixed", n, n + 2, f"+1212555{n:04}", {"a": 1}) for n in range(len(kinds) + 1)]
    await campaigns.add_rows("mixed", contacts, [], now)
    as_json = "CAST(:poison AS JSON)" if database.shared else ":poison"
    for number, poison in enumerate(kinds):
        text = f"UPDATE contacts SET variables = {as_json} WHERE campaign_id = 'mixed' AND position = :n"
        await put(harness, text, n=number, poison=poison)
    await campaigns.loaded("mixed", accepted=len(contacts), rejected=0, columns=["a"], zones=[])
    await harness.agent.campaigns._round("mixed")
    rows = await campaigns.results("mixed", limit=100)
    assert [row.contact.state for row in rows] == [ContactState.CALLING] * len(contacts)
