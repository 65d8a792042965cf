"""Erasures: everything kept of one callee, on request."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from bot.api.answers import ApiAnswer
from bot.api.auth import KEY_REQUIRED
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.api.requests import E164
from bot.calls.retention import Erasure

router = APIRouter(tags=["erasures"], route_class=ProblemRoute, dependencies=[KEY_REQUIRED])


class ErasureRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"phone_number": "+12025550123"}]})

    phone_number: E164


class ErasureAnswer(ApiAnswer):
    """How much of each was erased now; what had been erased before does not count."""

    calls: int = Field(description="Their records stay for counting, without number, name, words and metadata.")
    turns: int
    recordings: int = Field(description="Gone at once; their files on other servers within the hour.")
    deliveries: int = Field(description="Webhook deliveries, also those that were still to be sent.")
    contacts: int = Field(description="Of campaigns; none of them is called any more, nor again.")
    calls_canceled: int = Field(description="They were waiting to be dialled.")
    calls_under_way: int = Field(description="They go on, and are erased at their end.")

    @classmethod
    def of(cls, erasure: Erasure) -> ErasureAnswer:
        return cls(
            **vars(erasure.erased),
            calls_canceled=erasure.calls_canceled,
            calls_under_way=erasure.calls_under_way,
        )


@router.post(
    "/erasures",
    summary="Erase what is kept of a callee",
    description="All calls to and from the number, with recordings, transcripts, webhook deliveries and contacts "
    "of campaigns. Its place on the do-not-call list stays: it is what keeps the callee from being called again. "
    "What the carrier and other vendors keep is theirs to erase.",
    responses=responses(401, 413, 422, 500),
)
async def erase(body: ErasureRequest, request: Request) -> ErasureAnswer:
    return ErasureAnswer.of(await agent_of(request).retention.erase(body.phone_number))
