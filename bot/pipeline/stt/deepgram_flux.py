"""Deepgram's Flux as an STT that a phone call can live with."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger
from websockets.exceptions import ConnectionClosed

from bot.pipeline.stt.deepgram_internals import OpenFlux
from bot.pipeline.stt.deepgram_link import DEAF_SECONDS, GOODBYE_SECONDS, IDLE_SECONDS, DeepgramLink, Wire

FORGOTTEN_SECONDS = 3.0
"""A turn that no new connection takes up again within so long is ended with the words there were."""
ONSET_SECONDS = 1.0
"""Audio kept before the point up to which Flux heard no speech: a turn's first sound may lie in it."""


class FluxService(DeepgramLink, OpenFlux):
    """pipecat's turns, over connections opened as its service opens them; a turn goes on across a lost one.

    pipecat ends a turn with its connection, and the callee is answered in mid-sentence. Here the audio of the
    turn is heard again by the next connection, and its end of turn carries all the words.
    """

    def __init__(self, *, api_key: str, url: str, **kwargs: Any) -> None:
        super().__init__(api_key=api_key, url=url, **kwargs)
        self._broken_at: float | None = None
        """When the connection went away under a turn that no other has taken up yet."""

    @asynccontextmanager
    async def open_link(self) -> AsyncIterator[Wire]:
        socket = await self.open_socket(close_timeout=GOODBYE_SECONDS)
        self.socket = socket
        try:
            yield socket
        finally:
            self.socket = None
            socket.transport.abort()
            await socket.wait_closed()

    async def send_audio(self, audio: bytes) -> None:
        if self.socket is not None:
            await self.socket.send(audio)

    async def say_goodbye(self) -> None:
        await self.send_message({"type": "CloseStream"})

    def owes(self, now: float) -> bool:
        # Flux sends an Update for every quarter of a second of audio, speech or not.
        return self.unanswered_seconds > DEAF_SECONDS

    async def idle(self, seconds: float) -> None:
        # A turn needs audio to come to its end; a line that sends none is silent.
        if self.turn_is_open and self.can_send():
            await self.send_silence(IDLE_SECONDS)

    async def broke_off(self) -> None:
        if self.turn_is_open:
            self._broken_at = time.monotonic()
        await self.connection_lost()

    async def caught_up(self) -> None:
        if self._broken_at is not None and time.monotonic() - self._broken_at > FORGOTTEN_SECONDS:
            self._broken_at = None
            await self.end_turn()

    async def hear(self, data: dict[str, Any]) -> bool:
        kind = data.get("type")
        if kind == "Error":
            logger.warning("Deepgram says: {} {}", data.get("code"), str(data.get("description"))[:200])
            return False
        if kind == "Connected" and self._broken_at is not None:
            self._broken_at = time.monotonic()
        await self.take_message(data)
        if kind != "TurnInfo":
            return False
        self._let_go_of(data)
        return True

    def _let_go_of(self, data: dict[str, Any]) -> None:
        end = float(data.get("audio_window_end") or 0.0)
        if data.get("event") == "EndOfTurn":
            self.kept.understood(end)
        elif not self.turn_is_open and not data.get("transcript"):
            self.kept.understood(end - ONSET_SECONDS)

    async def turn_started(self, transcript: str) -> None:
        if self._broken_at is None:
            await super().turn_started(transcript)
        self._broken_at = None

    async def turn_ended(self, transcript: str, data: dict[str, Any]) -> None:
        self._broken_at = None
        await super().turn_ended(transcript or self.turn_words, data)

    # -- pipecat's transport ---------------------------------------------------------------------------

    def can_send(self) -> bool:
        return self.is_connected

    async def send_message(self, message: dict[str, Any]) -> None:
        """A connection that is gone is noticed where it is read; the next one has all in its address."""
        if self.socket is None:
            return
        try:
            await self.socket.send(json.dumps(message))
        except ConnectionClosed:
            logger.debug("Flux's socket closed under a message")

    async def send_padding(self, audio: bytes) -> None:
        """Audio that the callee did not speak."""
        if self.socket is not None:
            await self.socket.send(audio)
            self.kept.padded(len(audio))
            self.count(audio)
