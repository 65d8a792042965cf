"""The pages of campaigns: their list, one campaign, the order of its results."""

from __future__ import annotations

import pytest

from bot.records import EndedReason, Status
from bot.store.campaign_records import Campaign, CampaignStatus, Ending, Progress
from bot.store.campaign_search import ORDERS
from bot.web.campaigns import ResultsOrder, shares
from tests.browser.seeded import CAMPAIGN, calls, keep_campaign
from tests.unit.store.examples import NOON, a_call
from tests.unit.web.conftest import Pages


async def keep(pages: Pages, count: int = 60) -> None:
    kept = list(calls(count, NOON, turns=False))
    for call in kept:
        await pages.store.add(call)
    await keep_campaign(pages.store.database, kept)


async def test_no_campaign_yet(pages: Pages) -> None:
    text = (await pages.http.get("/campaigns")).text
    assert "No campaigns yet" in text
    assert 'href="/campaigns/new"' in text


async def test_the_list_says_how_far_each_is(pages: Pages) -> None:
    await keep(pages)
    text = (await pages.http.get("/campaigns")).text
    assert "Reminders of November" in text
    assert "83 %" in text
    assert "paused by request" in text


async def test_one_campaign(pages: Pages) -> None:
    await keep(pages)
    text = (await pages.http.get(f"/campaigns/{CAMPAIGN}")).text
    for words in (
        "goal reached",
        "is no phone number",
        f"/api/phone/campaigns/{CAMPAIGN}/resume",
        "page ",
        "of 2",
    ):
        assert words in text.replace('<data value="2">2</data>', "2"), words
    assert f"/api/phone/campaigns/{CAMPAIGN}/pause" not in text
    second = (await pages.http.get(f"/campaigns/{CAMPAIGN}?page=1")).text
    assert "+12025550050" in second
    assert "+12025550049" not in second


async def test_a_campaign_that_is_not_there(pages: Pages) -> None:
    answer = await pages.http.get("/campaigns/none")
    assert answer.status_code == 404
    assert "There is no campaign" in answer.text


@pytest.mark.parametrize("column", ORDERS)
async def test_results_by_every_column(pages: Pages, column: str) -> None:
    await keep(pages)
    up = await pages.http.get(f"/campaigns/{CAMPAIGN}/results?sort={column}")
    down = await pages.http.get(f"/campaigns/{CAMPAIGN}/results?sort={column}&down=1")
    assert (up.status_code, down.status_code) == (200, 200)
    assert 'aria-sort="ascending"' in up.text
    assert 'aria-sort="descending"' in down.text


async def test_results_by_what_is_no_column(pages: Pages) -> None:
    await keep(pages)
    assert (await pages.http.get(f"/campaigns/{CAMPAIGN}?sort=variables")).status_code == 422
    assert (await pages.http.get(f"/campaigns/{CAMPAIGN}?page=-1")).status_code == 422


async def test_a_new_campaign_offers_scenarios_that_dial(pages: Pages) -> None:
    text = (await pages.http.get("/campaigns/new")).text
    assert '<option value="appointment_confirmation" selected>' in text
    assert "inbound_reception" not in text


def test_links_of_columns() -> None:
    order = ResultsOrder(sort="state", page=3)
    assert order.by("state") == "?sort=state&down=1"
    assert order.by("line") == "?"
    assert order.link(page=4) == "?sort=state&page=4"
    assert ResultsOrder(sort="state", down=True).by("state") == "?sort=state"


def test_the_shares_of_a_bar_are_all_contacts() -> None:
    campaign = Campaign("c", a_call().spec, CampaignStatus.RUNNING, NOON, accepted=8)
    reached = Ending(Status.COMPLETED, EndedReason.AGENT_HANGUP, True, 1)
    found = shares(campaign, Progress(queued=3, dialling=1, on_the_line=1, done=3, endings=(reached,)))
    assert [(share.name, share.contacts) for share in found if share.contacts] == [
        ("goal reached", 1),
        ("done", 2),
        ("on the line", 1),
        ("dialling", 1),
        ("queued", 3),
    ]
    assert found[-1].x == 1000
