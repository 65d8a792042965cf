"""A WebSocket that says back one short text: how the doctor sees that sockets pass PUBLIC_HOST's proxy.

It asks for no key, so it must cost nothing: one frame, a few bytes, a few seconds, and no call to anything.
"""

import asyncio

from fastapi import APIRouter, WebSocket

from bot.api.websocket import StarletteSocket
from bot.telephony.media import SocketClosedError

MAX_CHARACTERS = 100
_SECONDS = 5.0
_POLICY_VIOLATION = 1008

router = APIRouter(tags=["health"])


@router.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    socket = StarletteSocket(websocket)
    code = _POLICY_VIOLATION
    try:
        async with asyncio.timeout(_SECONDS):
            await socket.accept()
            text = await socket.receive()
            if isinstance(text, str) and len(text) <= MAX_CHARACTERS:
                await socket.send(text)
                code = 1000
    except (TimeoutError, SocketClosedError):
        code = _POLICY_VIOLATION
    await socket.close(code)
