"""What a supervisor does in a call that goes on: have words said, tell the model a fact, transfer the callee."""

from typing import Annotated

from fastapi import APIRouter, Header, Request
from pydantic import ConfigDict, Field

from bot.api.answers import ApiAnswer
from bot.api.auth import KEY_REQUIRED
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.calls.supervision import Act, Inject, PutThrough, Say

LONGEST_TEXT = 2000
_ERRORS = responses(401, 404, 409, 413, 422, 500)

router = APIRouter(tags=["supervision"], route_class=ProblemRoute, dependencies=[KEY_REQUIRED])
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Of your choice: repeated with the same key and body, it is not done again.",
    ),
]


class _Body(ApiAnswer):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class SayRequest(_Body):
    text: str = Field(min_length=1, max_length=LONGEST_TEXT, description="The words, as they are to be said.")
    now: bool = Field(
        default=False,
        description="In the midst of what the agent is saying, whose rest is dropped; else behind it.",
    )


class InjectRequest(_Body):
    fact: str = Field(
        min_length=1,
        max_length=LONGEST_TEXT,
        description="For the model, marked as from the business and not from the callee.",
    )
    reply: bool = Field(
        default=False, description="The agent speaks of it in the next gap; else it knows it for its next reply."
    )


class TransferRequest(_Body):
    target: str = Field(min_length=1, max_length=100, description="The name of a `[[transfer]]` of the scenario.")
    summary: str = Field(
        default="", max_length=LONGEST_TEXT, description="What the person who takes the call is told of it."
    )


class ActAnswer(ApiAnswer):
    call_id: str = Field(description="The call it was done in.")
    act: str = Field(description="say, inject or transfer.")
    result: str = Field(description="What became of it, in words for people. The transcript has it as a turn.")


@router.post("/calls/{call_id}/say", summary="Have the agent say something", responses=_ERRORS)
async def say(call_id: str, body: SayRequest, request: Request, idempotency_key: Key = None) -> ActAnswer:
    """The callee hears it in the agent's voice, and the model knows that it was said."""
    return await _act(request, call_id, Say(body.text, body.now), idempotency_key)


@router.post("/calls/{call_id}/inject", summary="Tell the agent a fact", responses=_ERRORS)
async def inject(call_id: str, body: InjectRequest, request: Request, idempotency_key: Key = None) -> ActAnswer:
    return await _act(request, call_id, Inject(body.fact, body.reply), idempotency_key)


@router.post("/calls/{call_id}/transfer", summary="Put the callee through", responses=_ERRORS)
async def transfer(
    call_id: str, body: TransferRequest, request: Request, idempotency_key: Key = None
) -> ActAnswer:
    """As the agent's own `transfer_call` does it: the call goes on with the agent until somebody takes it."""
    return await _act(request, call_id, PutThrough(body.target, body.summary), idempotency_key)


async def _act(request: Request, call_id: str, act: Act, key: str | None) -> ActAnswer:
    result = await agent_of(request).supervision.act(call_id, act, key)
    return ActAnswer(call_id=call_id, act=act.act, result=result)
