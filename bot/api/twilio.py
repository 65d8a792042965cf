"""Twilio's webhooks. They carry no API key: their signature is checked below.

Twilio signs the URL as it was given to it, so the path and query are handed down as they came over the wire,
not decoded and joined again. The form is read here because it is plain urlencoded text, and FastAPI's forms
need a multipart parser for nothing.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from starlette.requests import HTTPConnection

from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.errors import RequestError
from bot.telephony.twilio.signatures import HEADER

MAX_FIELDS = 200
TransferStep = Literal["answered", "reply", "dialled", "status"]
"""answered: the person picked up; reply: what they pressed or said; dialled: the end of dialling on."""

router = APIRouter(prefix="/twilio", tags=["twilio"], route_class=ProblemRoute)


def _form(**examples: str) -> dict[str, Any]:
    properties = {name: {"type": "string", "examples": [example]} for name, example in examples.items()}
    schema = {"type": "object", "properties": properties, "additionalProperties": {"type": "string"}}
    return {
        "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": schema}}},
        "parameters": [{"name": HEADER, "in": "header", "required": True, "schema": {"type": "string"}}],
    }


_SID = "CA0123456789abcdef0123456789abcdef"
_TWIML = '<Response><Connect><Stream url="wss://bot.example.com/api/phone/media-stream"/></Connect></Response>'


@router.post(
    "/voice",
    summary="Twilio: what to do with a call that was answered",
    response_class=Response,
    responses={
        200: {"description": "TwiML.", "content": {"text/xml": {"example": _TWIML}}},
        **responses(403, 413, 422, 500),
    },
    openapi_extra=_form(CallSid=_SID, From="+12025550100", To="+12025550123"),
)
async def voice(request: Request) -> Response:
    form = await read_form(request)
    twiml = await agent_of(request).carrier_events.voice(
        path_and_query(request), form, request.headers.get(HEADER)
    )
    return Response(twiml, media_type="text/xml")


@router.post(
    "/status",
    status_code=204,
    summary="Twilio: where a call stands",
    responses=responses(403, 413, 422, 500),
    openapi_extra=_form(CallSid=_SID, CallStatus="completed", SequenceNumber="3"),
)
async def status(request: Request) -> Response:
    form = await read_form(request)
    await agent_of(request).carrier_events.status(path_and_query(request), form, request.headers.get(HEADER))
    return Response(status_code=204)


@router.post(
    "/transfer/{token}/{step}",
    summary="Twilio: news of a person a call is put through to",
    response_class=Response,
    responses={
        200: {"description": "TwiML, or nothing to a status.", "content": {"text/xml": {"example": _TWIML}}},
        **responses(403, 404, 413, 422, 500),
    },
    openapi_extra=_form(CallSid=_SID, CallStatus="in-progress", Digits="1"),
)
async def transfer(request: Request, token: str, step: TransferStep) -> Response:
    form, signature = await read_form(request), request.headers.get(HEADER)
    agent, path = agent_of(request), path_and_query(request)
    twiml = await agent.carrier_events.transfer(path, form, signature, token=token, step=step)
    return Response(twiml, media_type="text/xml") if twiml else Response(status_code=204)


@router.post(
    "/amd",
    status_code=204,
    summary="Twilio: who it thinks has answered",
    responses=responses(403, 413, 422, 500),
    openapi_extra=_form(CallSid=_SID, AnsweredBy="machine_end_beep", MachineDetectionDuration="4500"),
)
async def amd(request: Request) -> Response:
    form = await read_form(request)
    await agent_of(request).carrier_events.amd(path_and_query(request), form, request.headers.get(HEADER))
    return Response(status_code=204)


async def read_form(request: Request) -> dict[str, str]:
    """The urlencoded fields of the body, empty ones too: they are part of what was signed."""
    try:
        text = (await request.body()).decode()
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise RequestError("The body is not an urlencoded form.", code="invalid_form") from None


def path_and_query(connection: HTTPConnection) -> str:
    """The request's target as it was sent."""
    raw: bytes = connection.scope.get("raw_path") or connection.scope["path"].encode()
    query: bytes = connection.scope["query_string"]
    path = raw.partition(b"?")[0].decode("latin-1")
    return f"{path}?{query.decode('latin-1')}" if query else path
