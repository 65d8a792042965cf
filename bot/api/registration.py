"""Calls that somebody else dials: keep what the call is about, say which webhook to use."""

from __future__ import annotations

from fastapi import APIRouter, Request

from bot.api.answers import RegistrationAnswer
from bot.api.auth import KEY_REQUIRED
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.api.requests import RegisterRequest

router = APIRouter(tags=["calls"], route_class=ProblemRoute, dependencies=[KEY_REQUIRED])


@router.post(
    "/register-call",
    status_code=201,
    summary="Register a call that you dial yourself",
    responses=responses(401, 413, 422, 429, 500, 502),
)
async def register_call(body: RegisterRequest, request: Request) -> RegistrationAnswer:
    return RegistrationAnswer.of(await agent_of(request).registrations.register(body.spec(), body.terms()))
