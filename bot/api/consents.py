"""Consents to be called that are kept of a number: the proof, also once the calls are erased."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import Field

from bot.api.answers import ApiAnswer, Time
from bot.api.auth import KEY_REQUIRED
from bot.api.do_not_call import Number
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses

router = APIRouter(tags=["consents"], route_class=ProblemRoute, dependencies=[KEY_REQUIRED])


class KeptConsentAnswer(ApiAnswer):
    call_id: str = Field(description="The call that was dialled under it; it may be erased.")
    phone_number: str
    scenario: str
    purpose: str | None = Field(description="Null: what the scenario's profile said.")
    kind: str
    given_at: str = Field(description="As the request said it.")
    source: str
    dialled_at: Time = Field(description="Of a call that its owner dials: when it was registered.")


class ConsentsAnswer(ApiAnswer):
    consents: list[KeptConsentAnswer] = Field(description="Newest first.")


@router.get(
    "/consents/{number}",
    summary="Read the consents under which a number was called, five years back",
    responses=responses(401, 422, 500),
)
async def list_consents(number: Number, request: Request) -> ConsentsAnswer:
    kept = await agent_of(request).consents.of_number(number)
    return ConsentsAnswer(consents=[KeptConsentAnswer.model_validate(consent) for consent in kept])
