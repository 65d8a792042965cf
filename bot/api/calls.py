"""Calls: place, register, list, read, listen to, hang up."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from bot.api.answers import CallAnswer, CallSummary, PageAnswer, PlacedAnswer, RegistrationAnswer
from bot.api.auth import KEY_REQUIRED, asked_by
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.api.requests import CallRequest, ListQuery, RegisterRequest, request_hash
from bot.records import CallRecord, Status

_RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})", re.ASCII)

router = APIRouter(tags=["calls"], route_class=ProblemRoute, dependencies=[KEY_REQUIRED])


@router.post(
    "/call",
    status_code=201,
    summary="Make a call",
    responses={
        202: {"model": PlacedAnswer, "description": "Kept and not dialled yet: it waits for its time or a line."},
        **responses(401, 409, 413, 422, 429, 500, 502),
    },
)
async def place_call(
    body: CallRequest,
    request: Request,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="Of your choice, one a call: the same key and body give the same call, dialled once.",
        ),
    ] = None,
) -> PlacedAnswer:
    agent = agent_of(request)
    record = await agent.placing.place(
        body.spec(),
        body.terms(),
        asked_by(request, idempotency_key, request_hash(body)),
    )
    response.headers["Location"] = _path(request, "get_call", record.call_id)
    if record.status is Status.QUEUED:
        response.status_code = 202
    return PlacedAnswer.of(record, agent.planner.opening_preview(record))


@router.post(
    "/register-call",
    status_code=201,
    summary="Register a call that you dial yourself",
    responses=responses(401, 413, 422, 429, 500, 502),
)
async def register_call(body: RegisterRequest, request: Request) -> RegistrationAnswer:
    return RegistrationAnswer.model_validate(
        await agent_of(request).registrations.register(body.spec(), body.terms())
    )


@router.get("/calls", summary="List calls, newest first", responses=responses(401, 422, 500))
async def list_calls(query: Annotated[ListQuery, Query()], request: Request) -> PageAnswer:
    page = await agent_of(request).store.page(status=query.status, limit=query.limit, cursor=query.cursor)
    shown = map(agent_of(request).planner.shown, page.items)
    calls = [CallSummary.of(call, _path(request, "get_recording", call.call_id)) for call in shown]
    return PageAnswer(calls=calls, next_cursor=page.next_cursor)


@router.get("/calls/{call_id}", summary="Read a call", responses=responses(401, 404, 422, 500))
async def get_call(call_id: str, request: Request) -> CallAnswer:
    return _answer(request, await agent_of(request).store.find(call_id))


@router.get(
    "/calls/{call_id}/recording",
    summary="Listen to a call: stereo WAV, callee left, agent right",
    response_class=FileResponse,
    responses={
        200: {"content": {"audio/wav": {}}, "description": "The whole recording."},
        206: {"content": {"audio/wav": {}}, "description": "The range that the Range header asked for."},
        **responses(401, 404, 409, 416, 422, 500),
    },
)
async def get_recording(
    call_id: str,
    request: Request,
    range_: Annotated[
        str | None, Header(alias="Range", description="Bytes of the file, as in `bytes=0-65535`.")
    ] = None,
) -> FileResponse:
    agent = agent_of(request)
    path, stat = await agent.recordings.find(await agent.store.find(call_id))
    if range_ is not None and not can_be_had(range_, stat.st_size):
        raise HTTPException(
            416,
            f"Ask for bytes of the {stat.st_size} there are, as in Range: bytes=0-65535.",
            {"Content-Range": f"bytes */{stat.st_size}"},
        )
    return FileResponse(
        path,
        media_type="audio/wav",
        filename=path.name,
        content_disposition_type="inline",
        stat_result=stat,
    )


@router.post("/calls/{call_id}/hangup", summary="End a call", responses=responses(401, 404, 409, 422, 500, 502))
async def hang_up(
    call_id: str,
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="Of your choice: repeated with a key, a call that a request has ended is no conflict.",
        ),
    ] = None,
) -> CallAnswer:
    again = idempotency_key is not None
    return _answer(request, await agent_of(request).hang_ups.hang_up(call_id, again=again))


@router.delete(
    "/calls/{call_id}",
    summary="Cancel a call, or its next attempt, before it is dialled",
    responses=responses(401, 404, 409, 422, 500),
)
async def cancel_call(call_id: str, request: Request) -> CallAnswer:
    return _answer(request, await agent_of(request).placing.cancel(call_id))


def can_be_had(asked: str, size: int) -> bool:
    """Whether a Range header asks for bytes of a file of that size (RFC 9110 section 14). Starlette answers what
    it cannot read in plain text."""
    unit, _, ranges = asked.partition("=")
    found = [_RANGE.fullmatch(part.strip()) for part in ranges.split(",")]
    if unit.strip().lower() != "bytes" or None in found:
        return False
    for first, last in ((part[1], part[2]) for part in found if part is not None):
        if first and (int(first) >= size or (last and int(last) < int(first))):
            return False
        if not first and (not last or int(last) == 0):
            return False
    return True


def _answer(request: Request, record: CallRecord) -> CallAnswer:
    """The call as it may be looked at."""
    shown = agent_of(request).planner.shown(record)
    return CallAnswer.of(shown, _path(request, "get_recording", shown.call_id))


def _path(request: Request, route: str, call_id: str) -> str:
    """The path of a route of ours, wherever the app has put the router."""
    return request.url_for(route, call_id=call_id).path
