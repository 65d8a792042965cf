"""The media socket of a call, from the handshake to the end of the call.

The token comes in the first message of the stream, or as the last segment of the path. A frame over
1 MiB is refused by the server itself (uvicorn's ws_max_size), which closes that socket only.
"""

from fastapi import APIRouter, WebSocket
from loguru import logger
from starlette.exceptions import HTTPException

from bot.api.carrier_webhooks import carrier_request
from bot.api.lifespan import agent_of
from bot.api.websocket import StarletteSocket

_INTERNAL_ERROR = 1011
_TRY_AGAIN_LATER = 1013

router = APIRouter(tags=["twilio"])


@router.websocket("/media-stream")
async def media_stream(websocket: WebSocket) -> None:
    await _serve(websocket, None)


@router.websocket("/media-stream/{token}")
async def media_stream_with_token(websocket: WebSocket, token: str) -> None:
    await _serve(websocket, token)


async def _serve(websocket: WebSocket, token: str | None) -> None:
    socket = StarletteSocket(websocket)
    try:
        agent = agent_of(websocket)
        await agent.media_streams.receive(socket, carrier_request(websocket), token)
    except HTTPException:
        await socket.close(_TRY_AGAIN_LATER)
    except Exception as error:
        logger.opt(exception=error).error("a media socket failed")
        await socket.close(_INTERNAL_ERROR)
    else:
        await socket.close(1000)
