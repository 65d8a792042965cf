"""What happens in calls, as server-sent events: of one call, or of all.

A reader is not waited for: one that takes nothing for `SEND_SECONDS`, or falls `QUEUE_EVENTS` behind, is dropped,
and resumes by `Last-Event-ID`, as browsers do by themselves.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from bot.api.auth import KEY_REQUIRED
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.calls.live import Feed
from bot.calls.live.events import CallEvent, EventName
from bot.calls.live.feed import END
from bot.calls.live.hub import EventId, Stamped
from bot.errors import RequestError

SEND_SECONDS = 10.0
"""How long a reader may take nothing of what is sent to it."""
RETRY_MS = 1000

router = APIRouter(tags=["events"], route_class=ProblemRoute, dependencies=[KEY_REQUIRED])


class EventStream(StreamingResponse):
    """A feed in the format of server-sent events; the feed ends with it."""

    media_type = "text/event-stream"

    def __init__(self, feed: Feed) -> None:
        super().__init__(_lines(feed), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except (TimeoutError, ClientDisconnect):
            return  # gone, or too slow: the server closes the connection of an answer without its end
        finally:
            self._feed.close()


async def _lines(feed: Feed) -> AsyncIterator[bytes]:
    yield format_sse_event(comment="events", retry=RETRY_MS)
    async for moment in feed.moments():
        yield "".join(map(_wire, moment)).encode() or KEEPALIVE_COMMENT


def _wire(stamped: Stamped) -> str:
    """JSON of ours has no line breaks."""
    return f"event: {stamped.event.event}\ndata: {stamped.json}\nid: {stamped.id}\n\n"


class _AsText:
    """Documents a value as the JSON text of it."""

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "contentMediaType": "application/json", "contentSchema": handler(core)}


class EventMessage(BaseModel):
    """One message of the stream, by its lines."""

    id: str = Field(default="", description="For `Last-Event-ID`.")
    event: EventName | None = None
    data: Annotated[CallEvent, _AsText()]
    retry: int | None = None


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": EventMessage,
        "content": {"text/event-stream": {"schema": {"type": "object"}}},
        "description": "Messages without end; the `data` of each is JSON.",
    },
    204: {"description": "The stream of this call has been read to its end: do not ask again."},
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """As `responses`, but for FastAPI's belief that the errors of a stream are streams."""
    entries = responses(*statuses)
    for entry in entries.values():
        entry["content"]["application/json"]["schema"] = {
            "$ref": f"#/components/schemas/{entry.pop('model').__name__}"
        }
    return entries


Only = Annotated[
    list[EventName] | None,
    Query(description="Names of the events that are wanted; all where none is named."),
]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID", max_length=100, description="The `id` of the last event you have: resume there."
    ),
]


@router.get(
    "/calls/{call_id}/events",
    summary="Follow a call as it happens",
    status_code=200,
    response_class=EventStream,
    responses={**_ANSWERS, **_errors(401, 404, 422, 429, 500)},
)
async def follow_call(
    call_id: str, request: Request, only: Only = None, last_event_id: LastEventId = None
) -> Response:
    """Server-sent events: first what has happened so far, then what happens, until shortly after the call's end,
    when the outcome and the webhooks are there. The last is `stream_ended`. Events may come twice: words and
    turns come whole each time, and a turn's index says which they are of."""
    after = _position(last_event_id)
    if after is not None and after.origin == END:
        return Response(status_code=204)
    names = None if only is None else frozenset[str](only)
    return EventStream(await agent_of(request).feeds.of_call(call_id, names, after))


@router.get(
    "/events",
    summary="Follow all calls as they happen",
    status_code=200,
    response_class=EventStream,
    responses={200: _ANSWERS[200], **_errors(401, 422, 429, 500)},
)
async def follow_all(request: Request, only: Only = None, last_event_id: LastEventId = None) -> Response:
    """Server-sent events of all calls of all processes, from now on. Name what you need in `only`: the words of
    all calls are many."""
    names = None if only is None else frozenset[str](only)
    return EventStream(await agent_of(request).feeds.of_all(names, _position(last_event_id)))


def _position(last_event_id: str | None) -> EventId | None:
    if not last_event_id:
        return None
    try:
        return EventId.read(last_event_id)
    except ValueError:
        raise RequestError("This is the id of none of our events.", field="Last-Event-ID") from None
