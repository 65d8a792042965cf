"""Calls: place, register, list, read, listen to, hang up."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse

from bot.api.answers import CallAnswer, CallSummary, PageAnswer, PlacedAnswer, RegistrationAnswer
from bot.api.auth import KEY_REQUIRED, key_id_of
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.api.requests import CallRequest, ListQuery, RegisterRequest, request_hash
from bot.calls.idempotency import Asked
from bot.records import Status

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
    record = await agent_of(request).placing.place(
        body.spec(),
        body.terms(),
        Asked(
            key_id_of(request),
            idempotency_key,
            None if idempotency_key is None else request_hash(body),
        ),
    )
    response.headers["Location"] = _path(request, "get_call", record.call_id)
    if record.status is Status.QUEUED:
        response.status_code = 202
    return PlacedAnswer.model_validate(record)


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
    calls = [CallSummary.of(call, _path(request, "get_recording", call.call_id)) for call in page.items]
    return PageAnswer(calls=calls, next_cursor=page.next_cursor)


@router.get("/calls/{call_id}", summary="Read a call", responses=responses(401, 404, 422, 500))
async def get_call(call_id: str, request: Request) -> CallAnswer:
    record = await agent_of(request).store.find(call_id)
    return CallAnswer.of(record, _path(request, "get_recording", call_id))


@router.get(
    "/calls/{call_id}/recording",
    summary="Listen to a call: stereo WAV, callee left, agent right",
    response_class=FileResponse,
    responses={
        200: {"content": {"audio/wav": {}}, "description": "The whole recording."},
        206: {"content": {"audio/wav": {}}, "description": "The range that the Range header asked for."},
        **responses(401, 404, 422, 500),
    },
)
async def get_recording(call_id: str, request: Request) -> FileResponse:
    agent = agent_of(request)
    path, stat = await agent.recordings.find(await agent.store.find(call_id))
    return FileResponse(
        path,
        media_type="audio/wav",
        filename=path.name,
        content_disposition_type="inline",
        stat_result=stat,
    )


@router.post("/calls/{call_id}/hangup", summary="End a call", responses=responses(401, 404, 409, 422, 500, 502))
async def hang_up(call_id: str, request: Request) -> CallAnswer:
    record = await agent_of(request).hang_ups.hang_up(call_id)
    return CallAnswer.of(record, _path(request, "get_recording", call_id))


@router.delete(
    "/calls/{call_id}",
    summary="Cancel a call, or its next attempt, before it is dialled",
    responses=responses(401, 404, 409, 422, 500),
)
async def cancel_call(call_id: str, request: Request) -> CallAnswer:
    record = await agent_of(request).placing.cancel(call_id)
    return CallAnswer.of(record, _path(request, "get_recording", record.call_id))


def _path(request: Request, route: str, call_id: str) -> str:
    """The path of a route of ours, wherever the app has put the router."""
    return request.url_for(route, call_id=call_id).path
