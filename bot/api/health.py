"""Whether this process can take a call now. Asks for no key and tells no secrets: load balancers read it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from bot.api.answers import HealthAnswer
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses

router = APIRouter(tags=["health"], route_class=ProblemRoute)


@router.get(
    "/health",
    summary="Ready or not, who fills each slot, calls on the line",
    responses={
        503: {"model": HealthAnswer, "description": "Not ready: why_not_ready says why."},
        **responses(500),
    },
)
async def health(request: Request, response: Response) -> HealthAnswer:
    answer = HealthAnswer.of(agent_of(request).health())
    response.status_code = 200 if answer.ready else 503
    return answer
