"""What the pages ask of campaigns, on both databases."""

from __future__ import annotations

from bot.store import SqlCallStore
from bot.store.campaign_records import ContactState
from bot.store.campaign_search import CampaignSearch
from tests.browser.seeded import CAMPAIGN, calls, keep_campaign
from tests.unit.store.examples import NOON


async def test_states_and_sorted_results(store: SqlCallStore) -> None:
    kept = list(calls(30, NOON, turns=False))
    for call in kept:
        await store.add(call)
    await keep_campaign(store.database, kept, waiting=5)
    search = CampaignSearch(store.database)
    assert await search.states([CAMPAIGN, "none"]) == {CAMPAIGN: {ContactState.DONE: 30, ContactState.QUEUED: 5}}
    lines = [result.contact.position for result in await search.results(CAMPAIGN, skip=28, limit=5)]
    assert lines == [28, 29, 30, 31, 32]
    newest = await search.results(CAMPAIGN, order="ended_at", descending=True, limit=40)
    assert [result.contact.position for result in newest] == list(range(35)), "without an end they come last"
    assert [result.call for result in newest[:2]] == kept[:2]
    reached = await search.results(CAMPAIGN, order="reached_goal", descending=True, limit=35)
    goals = [result.contact.reached_goal for result in reached]
    assert goals == sorted(goals, key=lambda goal: {True: 0, False: 1, None: 2}[goal])
