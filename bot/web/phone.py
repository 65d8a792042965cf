"""The softphone: hold a call in the browser, or watch a simulated callee hold one."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from bot.web.page import LockedPage, agent_of, render

router = APIRouter(route_class=LockedPage, include_in_schema=False)


@router.get("/phone")
async def softphone(request: Request, scenario: str | None = None) -> Response:
    agent = agent_of(request)
    scenarios = [agent.planner.scenarios.get(name) for name in agent.planner.scenarios.names]
    return render(
        request,
        "phone.html",
        scenarios=scenarios,
        chosen=scenario,
        hears={each.name: agent.browser_calls.hears(each.name) or "" for each in scenarios},
        callees=agent.browser_calls.callees(),
    )
