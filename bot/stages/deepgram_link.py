"""A connection to Deepgram that lasts as long as the call, whatever becomes of its sockets.

pipecat's services wait 4 s before they reconnect and lose what was said meanwhile. Here one loop connects,
sends the callee's audio, and reads; audio is kept until a transcript has covered it, so a new socket hears
again what the old one had not understood, its last words included. A socket that stays open but says nothing
is aborted. Deepgram's own SDK was rejected for the socket: it ends a connection at the first message that is
no JSON, and closing a dead one takes it ten seconds.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

from loguru import logger
from pipecat.frames.frames import Frame, VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame
from pipecat.processors.frame_processor import FrameDirection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from bot.stages.ear_ladder import EarRung
from bot.stages.kept_audio import BYTES_PER_SECOND, KeptAudio

RECONNECT_WAITS = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0)
"""Seconds before each attempt to connect again; after the last one the ear is lost."""
CONNECT_SECONDS = 3.0
DEAF_SECONDS = 3.0
"""A socket that owes an answer for so long is dead."""
STABLE_SECONDS = 5.0
"""A connection that lived so long, or has told us something, was a good one."""
IDLE_SECONDS = 0.5
"""How long to wait for audio before something else is sent."""
GOODBYE_SECONDS = 0.5
MAX_MESSAGE = 4 * 2**20


class DeepgramLink(EarRung):
    """A mixin of pipecat's Deepgram services: their words and settings, this connection.

    A subclass gives `link_url` and `hear`, and may say what it `owes`, what to send in a silence (`idle`) and
    behind a replay (`caught_up`).
    """

    key = ""
    tls: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kept = KeptAudio()
        self.speaking_since: float | None = None
        """When the callee began to speak, by the VAD; None while they do not."""
        self.last_message_at = 0.0
        self.unanswered_seconds = 0.0
        """Audio sent since the last message."""
        self.replay_seconds = 0.0
        """What the connection hears first: as much of it was said before it was there."""
        self._socket: ClientConnection | None = None
        self._link_task: asyncio.Task[None] | None = None
        self._audio_came = asyncio.Event()
        self._told = False
        """This connection has understood something."""
        self._garbage = 0

    # -- what a subclass adds --------------------------------------------------------------------------

    def link_url(self) -> str:
        raise NotImplementedError

    async def hear(self, data: dict[str, Any]) -> bool:
        """A message; whether it says that audio was understood. ValueError and its like: it is dropped."""
        raise NotImplementedError

    def owes(self, now: float) -> bool:
        """Whether the vendor should have said something by now."""
        return self.speaking_since is not None and now - self.speaking_since > DEAF_SECONDS

    async def idle(self, seconds: float) -> None:
        """No audio for so long."""

    async def caught_up(self) -> None:
        """All audio there is has been sent."""

    async def broke_off(self) -> None:
        """The connection is gone; another one follows."""

    # -- in --------------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        self.kept.add(audio)
        self._audio_came.set()
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        match frame:
            case VADUserStartedSpeakingFrame():
                self.speaking_since = time.monotonic()
            case VADUserStoppedSpeakingFrame():
                self.speaking_since = None
            case _:
                pass
        await super().process_frame(frame, direction)

    async def tell(self, message: dict[str, Any]) -> bool:
        """Send a control message; False where there is nobody to be told."""
        if self._socket is None:
            return False
        try:
            await self._socket.send(json.dumps(message))
        except ConnectionClosed:
            return False
        return True

    # -- life ------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        await super().listen()
        if self._link_task is None:
            self._link_task = self.create_task(self._hold_link(), f"{self}::link")

    async def _connect(self) -> None:
        """Begin to connect: the pipeline's start does not wait for it. A standby ear does not."""
        if not self.is_standby:
            await self.listen()

    async def _disconnect(self) -> None:
        if self._link_task is None:
            return
        task, self._link_task = self._link_task, None
        if await self.tell({"type": "CloseStream"}):
            await asyncio.wait({task}, timeout=GOODBYE_SECONDS)
        await self.cancel_task(task)

    async def _hold_link(self) -> None:
        failures = 0
        why = ""
        while self._link_task is not None:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    socket = await self._open()
            except InvalidStatus as error:
                why = f"status {error.response.status_code}: {error.response.body.decode(errors='replace')[:200]}"
                if 400 <= error.response.status_code < 500 and error.response.status_code != 429:
                    await self.give_up(f"Deepgram rejected the connection ({why})", self.kept.all)
                    return
            except (OSError, TimeoutError, WebSocketException) as error:
                why = f"{type(error).__name__}: {error}"
            else:
                why = await self._use(socket)
                if self._told or time.monotonic() - begun > STABLE_SECONDS:
                    failures = 0
            if self._link_task is None:
                return
            logger.warning("Deepgram's connection is gone: {}", why)
            failures += 1
            if failures > len(RECONNECT_WAITS):
                await self.give_up(f"Deepgram cannot be reached: {why}", self.kept.all)
                return
            await asyncio.sleep(RECONNECT_WAITS[failures - 1])

    async def _open(self) -> ClientConnection:
        url = self.link_url()
        options: dict[str, Any] = {"ssl": self.tls} if self.tls is not None and url.startswith("wss:") else {}
        return await connect(
            url,
            additional_headers={"Authorization": f"Token {self.key}"},
            open_timeout=CONNECT_SECONDS,
            close_timeout=GOODBYE_SECONDS,
            max_size=MAX_MESSAGE,
            **options,
        )

    async def _use(self, socket: ClientConnection) -> str:
        """Send and read until the socket is gone; why it went."""
        self._told = False
        self.last_message_at = time.monotonic()
        self.unanswered_seconds = 0.0
        self.replay_seconds = self.kept.begin()
        self._audio_came.set()
        self._socket = socket
        sender = self.create_task(self._send_audio(socket), f"{self}::audio")
        try:
            async for message in socket:
                self.last_message_at = time.monotonic()
                self.unanswered_seconds = 0.0
                await self._read(message)
        except ConnectionClosed:
            pass  # told below, with its code
        finally:
            self._socket = None
            await self.cancel_task(sender)
            socket.transport.abort()
        if self._link_task is not None:
            await self.broke_off()
        return f"{socket.close_code} {socket.close_reason}"

    async def _send_audio(self, socket: ClientConnection) -> None:
        """The callee's audio as it comes, what was kept first."""
        sent_at = time.monotonic()
        try:
            while True:
                self._audio_came.clear()
                while (piece := self.kept.take()) is not None:
                    await socket.send(piece)
                    self.unanswered_seconds += len(piece) / BYTES_PER_SECOND
                    sent_at = time.monotonic()
                await self.caught_up()
                try:
                    await asyncio.wait_for(self._audio_came.wait(), IDLE_SECONDS)
                except TimeoutError:
                    await self.idle(time.monotonic() - sent_at)
                now = time.monotonic()
                if now - self.last_message_at > DEAF_SECONDS and self.owes(now):
                    logger.warning("Deepgram says nothing any more")
                    socket.transport.abort()
                    return
        except ConnectionClosed:
            return

    async def _read(self, message: str | bytes) -> None:
        try:
            data = json.loads(message)
            if not isinstance(data, dict):
                raise ValueError("not an object")
            self._told = await self.hear(data) or self._told
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
            self._garbage += 1
            if self._garbage == 1:
                logger.warning("Deepgram sent what cannot be read: {!r}", error)
