"""Campaigns: the list, a form with a preview, one campaign with its progress and results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, field_validator
from starlette.responses import Response

from bot.records import Direction
from bot.store.campaign_records import Campaign, ContactState, Progress
from bot.store.campaign_search import ORDERS, CampaignSearch
from bot.web.bars import placed
from bot.web.page import LockedPage, agent_of, render

router = APIRouter(route_class=LockedPage, include_in_schema=False)
RESULTS = 50
"""On one page."""
BAD_ROWS = 100
"""Shown; the API lists all."""
MANY = 10_000
"""Contacts; those of a larger campaign are counted less often: an open page costs under 1 % of a core."""


class ResultsOrder(BaseModel):
    """How the results are sorted, and where among them."""

    sort: str = "line"
    down: bool = False
    page: int = Field(default=0, ge=0, le=100_000)

    @field_validator("sort")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ORDERS:
            raise ValueError(f"results are sorted by {', '.join(ORDERS)}")
        return value

    def link(self, **changes: Any) -> str:
        """The same results, changed."""
        fields = {**self.model_dump(mode="json"), **changes}
        kept = {name: value for name, value in fields.items() if value and (name, value) != ("sort", "line")}
        return f"?{urlencode(kept)}" if kept else "?"

    def by(self, column: str) -> str:
        """Sorted by the column; the other way round where it is already."""
        return self.link(sort=column, down=int(self.sort == column and not self.down), page=0)


@dataclass(frozen=True)
class Share:
    """A part of a campaign's contacts, in thousandths of all."""

    name: str
    contacts: int
    x: float
    width: float


def shares(campaign: Campaign, progress: Progress) -> list[Share]:
    """What the bar of a campaign shows, from done to left."""
    reached = sum(ending.contacts for ending in progress.endings if ending.reached_goal)
    counts = {
        "goal reached": reached,
        "done": progress.done - reached,
        "on the line": progress.on_the_line,
        "dialling": progress.dialling,
        "waiting": progress.waiting,
        "queued": progress.queued,
        "left": progress.left,
    }
    places = placed(counts.values(), max(campaign.accepted, 1))
    return [Share(name, count, *place) for (name, count), place in zip(counts.items(), places, strict=True)]


@router.get("/campaigns")
async def list_campaigns(request: Request) -> Response:
    agent = agent_of(request)
    page = await agent.campaigns.store.page(cursor=request.query_params.get("cursor") or None)
    search = CampaignSearch(agent.store.database)
    states = await search.states([campaign.campaign_id for campaign in page.items])
    return render(request, "campaigns.html", campaigns=page.items, states=states, older=page.next_cursor)


@router.get("/campaigns/new")
async def new_campaign(request: Request) -> Response:
    agent = agent_of(request)
    scenarios = agent.planner.scenarios
    outbound = [name for name in scenarios.names if scenarios.get(name).direction == "outbound"]
    return render(request, "campaign_new.html", scenarios=outbound, default=scenarios.default(Direction.OUTBOUND))


@router.get("/campaigns/{campaign_id}")
async def one_campaign(campaign_id: str, request: Request) -> Response:
    agent = agent_of(request)
    campaign = await agent.campaigns.get(campaign_id)
    bad = await agent.campaigns.store.bad_rows(campaign_id, limit=BAD_ROWS)
    parts = await _progress(request, campaign) | await _results(request, campaign)
    return render(request, "campaign.html", **parts, bad_rows=bad)


@router.get("/campaigns/{campaign_id}/live")
async def live_campaign(campaign_id: str, request: Request) -> Response:
    """The part of a campaign's page that changes every second while it goes on."""
    campaign = await agent_of(request).campaigns.get(campaign_id)
    return render(request, "_campaign.html", **await _progress(request, campaign))


@router.get("/campaigns/{campaign_id}/results")
async def campaign_results(campaign_id: str, request: Request) -> Response:
    """Its results in the order asked for; they are many times the work."""
    campaign = await agent_of(request).campaigns.get(campaign_id)
    return render(request, "_results.html", **await _results(request, campaign))


async def _progress(request: Request, campaign: Campaign) -> dict[str, Any]:
    progress = await agent_of(request).campaigns.progress(campaign.campaign_id)
    return {
        "campaign": campaign,
        "progress": progress,
        "shares": shares(campaign, progress),
        # A campaign that was canceled still has calls on the line.
        "moving": not campaign.status.over or progress.on_the_line + progress.dialling > 0,
        "every": 2 if campaign.accepted <= MANY else 15,
    }


async def _results(request: Request, campaign: Campaign) -> dict[str, Any]:
    order = ResultsOrder.model_validate(dict(request.query_params))
    results = await CampaignSearch(agent_of(request).store.database).results(
        campaign.campaign_id, order=order.sort, descending=order.down, skip=order.page * RESULTS, limit=RESULTS
    )
    calling = any(result.contact.state is ContactState.CALLING for result in results)
    return {
        "campaign": campaign,
        "results": results,
        "order": order,
        "pages": -(-campaign.accepted // RESULTS),
        "changing": not campaign.status.over or calling,
    }
