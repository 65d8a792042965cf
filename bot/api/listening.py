"""Listen to a call while it goes on: a socket that sends both sides' sound and takes nothing.

The messages are those of Twilio's media streams of both tracks (https://www.twilio.com/docs/voice/media-streams):
`start`, `media` with `track`, `timestamp` and a payload of μ-law at 8 kHz, `stop`. The key comes in a header, or
a page's session in its cookie; never in the URL.
"""

import asyncio
import base64

import orjson
from fastapi import APIRouter, WebSocket
from starlette.exceptions import HTTPException

from bot.api.auth import check, given_keys
from bot.api.lifespan import agent_of
from bot.api.websocket import OVER, TRY_AGAIN_LATER, StarletteSocket
from bot.calls.ingress import UNAUTHORIZED_CLOSE
from bot.errors import NotFoundError, UnauthorizedError
from bot.pipeline.line.live_sound import Listening, SoundPiece
from bot.records import Speaker
from bot.telephony.media import SocketClosedError

NO_CALL, NOT_ON_LINE, ELSEWHERE = 4404, 4409, 4421
SEND_SECONDS = 10.0
_TRACKS = {Speaker.CALLEE: "inbound", Speaker.AGENT: "outbound"}

router = APIRouter(tags=["events"])


@router.websocket("/calls/{call_id}/listen")
async def listen(websocket: WebSocket, call_id: str) -> None:
    """Until the call is over or the listener leaves. Refused with 4401 (key), 4404 (no such call), 4409 (not on
    the line now) or 4421 (its line is in another process of this server)."""
    socket = StarletteSocket(websocket)
    try:
        await socket.accept()
        code, reason = await _serve(websocket, socket, call_id)
    except (SocketClosedError, TimeoutError):
        code, reason = 1008, "too slow"
    except HTTPException:
        code, reason = TRY_AGAIN_LATER, "the server is starting or stopping"
    await socket.close(code, reason)


async def _serve(websocket: WebSocket, socket: StarletteSocket, call_id: str) -> tuple[int, str]:
    """Why it is over: a close code and words."""
    agent = agent_of(websocket)
    try:
        check(websocket, *given_keys(websocket))
        record = await agent.store.find(call_id)
    except UnauthorizedError as e:
        return UNAUTHORIZED_CLOSE, e.message
    except NotFoundError as e:
        return NO_CALL, e.message
    slot = agent.active_calls.slot_of(call_id)
    if slot is None or slot.call is None:
        elsewhere = record.held_by is not None and not record.status.final and slot is None
        return (
            (ELSEWHERE, "its line is in another process") if elsewhere else (NOT_ON_LINE, "not on the line now")
        )
    sound = slot.call.sound
    listening = sound.join()
    leaving = asyncio.create_task(_until_gone(socket), name=f"listener of {call_id}")
    sending = asyncio.create_task(_send(socket, call_id, listening), name=f"sound of {call_id}")
    try:
        await asyncio.wait({leaving, sending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sound.leave(listening)
        for task in (leaving, sending):
            task.cancel()
        ended = await asyncio.gather(leaving, sending, return_exceptions=True)
    for failure in ended:
        if isinstance(failure, Exception):
            raise failure
    return OVER, "the call is over"


async def _until_gone(socket: StarletteSocket) -> None:
    while await socket.receive() is not None:
        pass  # what it says is of no interest


async def _send(socket: StarletteSocket, call_id: str, listening: Listening) -> None:
    media = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    start = {"callId": call_id, "tracks": list(_TRACKS.values()), "mediaFormat": media}
    await socket.send(orjson.dumps({"event": "start", "start": start}).decode())
    while (piece := await listening.next()) is not None:
        async with asyncio.timeout(SEND_SECONDS):
            await socket.send(_media(piece))
    await socket.send('{"event":"stop"}')


def _media(piece: SoundPiece) -> str:
    payload = base64.b64encode(piece.mulaw).decode()
    media = {"track": _TRACKS[piece.speaker], "timestamp": str(piece.at_ms), "payload": payload}
    return orjson.dumps({"event": "media", "media": media}).decode()
