"""What carriers reach: the webhooks of each, as its folder describes them, and the media sockets of calls.

Webhooks carry no API key but a signature. A media stream's token comes in its first message, or as the last
segment of the path. A frame over 1 MiB is refused by the server itself (uvicorn's ws_max_size), which closes that
socket only.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket
from starlette.requests import HTTPConnection

from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.api.websocket import StarletteSocket, closed_at_end
from bot.calls.carriers import CARRIERS, CarrierType
from bot.telephony.carrier import CarrierRequest, Webhook

router = APIRouter(route_class=ProblemRoute)


def carrier_request(connection: HTTPConnection, webhook: str = "", body: bytes = b"") -> CarrierRequest:
    """The request with its target as it was sent: carriers sign that, not what is decoded and joined again."""
    raw: bytes = connection.scope.get("raw_path") or connection.scope["path"].encode()
    query: bytes = connection.scope["query_string"]
    path = raw.partition(b"?")[0].decode("latin-1")
    target = f"{path}?{query.decode('latin-1')}" if query else path
    return CarrierRequest(target, webhook, body, dict(connection.headers))


def _receiver(webhook: Webhook) -> Callable[[Request], Awaitable[Response]]:
    async def receive(request: Request) -> Response:
        name = webhook.path.format(**request.path_params)
        asked = carrier_request(request, name, await request.body())
        reply = await agent_of(request).carrier_events.handle(asked)
        return Response(reply.body, media_type=reply.media_type) if reply.body else Response(status_code=204)

    return receive


def _documented(kind: CarrierType, webhook: Webhook) -> dict[str, Any]:
    fields = {name: {"type": "string", "examples": [example]} for name, example in webhook.example.items()}
    schema = {"type": "object", "properties": fields, "additionalProperties": {"type": "string"}}
    signatures = [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
        for name in kind.signature_headers
    ]
    parts = [part[1:-1] for part in webhook.path.split("/") if part.startswith("{")]
    named = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parts]
    return {
        "requestBody": {"content": {webhook.request_type: {"schema": schema}}},
        "parameters": [*named, *signatures],
    }


for _kind in CARRIERS:
    for _webhook in _kind.webhooks:
        _answers = _webhook.answer is not None
        router.add_api_route(
            f"{_kind.webhook_prefix}{_webhook.path}",
            _receiver(_webhook),
            methods=["POST"],
            status_code=200 if _answers else 204,
            tags=[_kind.vendor],
            name="_".join((_kind.vendor, _webhook.path.split("/")[1])),
            summary=_webhook.summary,
            response_class=Response,
            responses={
                **({200: {"content": {_webhook.answer_type: {"example": _webhook.answer}}}} if _answers else {}),
                **responses(403, 413, 422, 500),
            },
            openapi_extra=_documented(_kind, _webhook),
        )


@router.websocket("/media-stream")
@router.websocket("/media-stream/{token}")
async def media_stream(websocket: WebSocket) -> None:
    """From the handshake to the end of the call."""
    socket = StarletteSocket(websocket)
    async with closed_at_end(socket, "a media socket"):
        agent = agent_of(websocket)
        await agent.media_streams.receive(socket, carrier_request(websocket), websocket.path_params.get("token"))
