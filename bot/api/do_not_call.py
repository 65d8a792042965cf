"""Numbers that are never dialled: add one or many, check, list, remove."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field

from bot.api.answers import ApiAnswer, Time
from bot.api.auth import KEY_REQUIRED
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.api.requests import DoNotCallQuery, DoNotCallRequest
from bot.phone_numbers import read_e164
from bot.store.do_not_call import ListedBy

router = APIRouter(tags=["do not call"], route_class=ProblemRoute, dependencies=[KEY_REQUIRED])

_NUMBERS_AT_ONCE = 50
"""Checking one takes 30 to 60 µs, and calls on the line wait for this thread."""
_LONGEST_ECHO = 40

Number = Annotated[str, Path(description="E.164.", examples=["+12025550123"]), AfterValidator(read_e164)]


class ListedAnswer(ApiAnswer):
    phone_number: str
    added_at: Time
    source: ListedBy = Field(description="call: the callee asked for it while talking to the agent.")
    reason: str | None
    call_id: str | None = Field(description="The call in which it was asked for.")


class RefusedNumber(BaseModel):
    index: int = Field(description="Its place in phone_numbers, from 0.")
    phone_number: str = Field(description="As it was sent, its first 40 characters.")
    message: str


class BulkAnswer(ApiAnswer):
    added: int
    already_listed: int
    refused: list[RefusedNumber] = Field(description="Every number that is none.")


class ListedPageAnswer(BaseModel):
    numbers: list[ListedAnswer] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Pass it as `cursor` for the page after; null on the last.")


@router.post(
    "/do-not-call",
    status_code=201,
    summary="Never call a number, or many",
    responses={200: {"description": "Many; or one that was on the list."}, **responses(401, 413, 422, 500)},
)
async def add_numbers(body: DoNotCallRequest, request: Request, response: Response) -> ListedAnswer | BulkAnswer:
    numbers = agent_of(request).do_not_call
    if body.phone_number is not None:
        listed, news = await numbers.add(body.phone_number, body.reason)
        response.status_code = 201 if news else 200
        return ListedAnswer.model_validate(listed)
    response.status_code = 200
    good, refused = await _sorted_out(body.phone_numbers or [])
    added = await numbers.add_all(good, body.reason) if good else 0
    return BulkAnswer(added=added, already_listed=len(good) - added, refused=refused)


@router.get("/do-not-call", summary="List them, newest first", responses=responses(401, 422, 500))
async def list_numbers(query: Annotated[DoNotCallQuery, Query()], request: Request) -> ListedPageAnswer:
    page = await agent_of(request).do_not_call.store.page(limit=query.limit, cursor=query.cursor)
    return ListedPageAnswer(
        numbers=[ListedAnswer.model_validate(listed) for listed in page.items], next_cursor=page.next_cursor
    )


@router.get(
    "/do-not-call/{number}",
    summary="Check a number: 404 when it may be called",
    responses=responses(401, 404, 422, 500),
)
async def check_number(number: Number, request: Request) -> ListedAnswer:
    return ListedAnswer.model_validate(await agent_of(request).do_not_call.find(number))


@router.delete(
    "/do-not-call/{number}",
    status_code=204,
    summary="Take a number off the list",
    responses=responses(401, 404, 422, 500),
)
async def remove_number(number: Number, request: Request) -> None:
    await agent_of(request).do_not_call.remove(number)


async def _sorted_out(numbers: list[Any]) -> tuple[list[str], list[RefusedNumber]]:
    """The good ones, each once, and what is wrong with the others."""
    good: dict[str, None] = {}
    refused: list[RefusedNumber] = []
    for index, number in enumerate(numbers):
        if index % _NUMBERS_AT_ONCE == 0:
            await asyncio.sleep(0)
        try:
            if not isinstance(number, str):
                raise ValueError('is no text; write it in E.164, as in "+12025550123"')
            good[read_e164(number)] = None
        except ValueError as e:
            echo = str(number)[:_LONGEST_ECHO].encode("utf-8", "replace").decode()
            refused.append(RefusedNumber(index=index, phone_number=echo, message=str(e)))
    return list(good), refused
