"""Starlette's WebSocket as the Socket that bot/ knows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loguru import logger
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from bot.telephony.media import ServerLeavesError, SocketClosedError

OVER, INTERNAL_ERROR, TRY_AGAIN_LATER = 1000, 1011, 1013
_SERVICE_RESTART = 1012
"""With which uvicorn closes the sockets that are open when it stops: in an app that is not ours, the only word of
it that comes in time. A far end that says the same spoils nothing but its own call's reason."""
_GONE = (WebSocketDisconnect, RuntimeError, OSError)
"""What starlette and uvicorn raise on a socket that is closed, by us or by the other side."""


class StarletteSocket:
    """A bot.telephony.media.Socket."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def accept(self) -> None:
        try:
            await self._websocket.accept()
        except _GONE as error:
            raise SocketClosedError("the other side is gone") from error

    async def receive(self) -> str | bytes | None:
        if self._websocket.client_state is WebSocketState.DISCONNECTED:
            return None
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            if message.get("code") == _SERVICE_RESTART:
                raise ServerLeavesError("the server stops")
            return None
        text: str | None = message.get("text")
        data: bytes | None = message.get("bytes")
        return text if text is not None else data or b""

    async def send(self, text: str) -> None:
        try:
            await self._websocket.send_text(text)
        except _GONE as error:
            raise SocketClosedError("the other side is gone") from error

    async def close(self, code: int, reason: str = "") -> None:
        websocket = self._websocket
        if WebSocketState.DISCONNECTED in (websocket.client_state, websocket.application_state):
            return
        try:
            await websocket.close(code, reason)
        except _GONE:
            return


@asynccontextmanager
async def closed_at_end(socket: StarletteSocket, what: str) -> AsyncIterator[None]:
    """Close a media socket when the block is over; the code says how it ended. `what` it is, for the log."""
    try:
        yield
    except HTTPException:
        await socket.close(TRY_AGAIN_LATER)
    except Exception as error:
        logger.opt(exception=error).error("{} failed", what)
        await socket.close(INTERNAL_ERROR)
    else:
        await socket.close(OVER)
