"""Whether this process lives, and whether it can take a call now. Asks for no key and holds no secrets.

Live and ready are two questions: a process that drains is not ready, so no new call is sent to it, and it lives,
so it is not killed in the middle of those it has. One without a free line stays ready: a call that rings already
must find its way in, and what is new is put off or turned away.
"""

from fastapi import APIRouter, Request, Response

from bot.api.answers import HealthAnswer, LiveAnswer
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses

router = APIRouter(tags=["health"], route_class=ProblemRoute)


_RESPONSES = {503: {"model": HealthAnswer, "description": "Not ready: why_not_ready says why."}, **responses(500)}


@router.get("/health", summary="Ready or not, who fills each slot, calls on the line", responses=_RESPONSES)
@router.get(
    "/health/ready",
    name="ready",
    summary="The same, for an orchestrator: 503 while starting or draining",
    responses=_RESPONSES,
)
async def health(request: Request, response: Response) -> HealthAnswer:
    answer = HealthAnswer.model_validate(agent_of(request).health())
    response.status_code = 200 if answer.ready else 503
    return answer


@router.get("/health/live", summary="200 as long as the process answers at all", responses=responses(500))
async def live() -> LiveAnswer:
    return LiveAnswer()
