"""A connection to Deepgram that lasts as long as the call, whatever becomes of its sockets.

pipecat's services wait 4 s before they reconnect and lose what was said meanwhile. Here one loop connects,
sends the callee's audio, and reads; audio is kept until a transcript has covered it, so a new socket hears
again what the old one had not understood, its last words included. A socket that stays open but says nothing,
or takes no more audio, is aborted.

The socket is opened, and spoken to, by the vendor's client: the SDK for nova, pipecat's service for Flux. It is
read here, frame by frame: the SDK's `start_listening` ends a connection at the first message that is no JSON.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Protocol

from deepgram.core import ApiError
from loguru import logger
from pipecat.frames.frames import Frame, VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame
from pipecat.processors.frame_processor import FrameDirection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from bot.pipeline.pipecat_internals import TakesAudioAtOnce
from bot.pipeline.stt.deepgram_internals import LinkHooks
from bot.pipeline.stt.fallback import SttFallback
from bot.pipeline.stt.kept_audio import BYTES_PER_SECOND, KeptAudio
from bot.pipeline.usage import Metered
from bot.telemetry import metrics

RECONNECT_WAITS = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0)
"""Seconds before each attempt to connect again; after the last one the STT is lost."""
CONNECT_SECONDS = 3.0
DEAF_SECONDS = 3.0
"""A socket that owes an answer for so long is dead."""
STABLE_SECONDS = 5.0
"""A connection that lived so long, or has understood something, was a good one."""
IDLE_SECONDS = 0.5
"""How long to wait for audio before something else is sent."""
GOODBYE_SECONDS = 0.5
"""For a closing word, and for the other side's."""
_CANCEL_AGAIN_SECONDS = 0.05
_PASSING = (408, 425, 429)
"""Refusals that another attempt may not meet."""


class Wire(Protocol):
    """What is needed of a connection of `websockets`: the SDK uses its legacy one, pipecat today's."""

    def __aiter__(self) -> AsyncIterator[str | bytes]: ...

    @property
    def transport(self) -> asyncio.WriteTransport: ...

    @property
    def close_code(self) -> int | None: ...

    @property
    def close_reason(self) -> str | None: ...


class DeepgramLink(TakesAudioAtOnce, LinkHooks, Metered, SttFallback):
    """A mixin of pipecat's Deepgram services: their words and settings, this connection.

    A subclass gives `open_link`, `send_audio`, `say_goodbye` and `hear`, and may say what it `owes`, what to send
    in a silence (`idle`) and behind a replay (`caught_up`).
    """

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
        self._socket: Wire | None = None
        self._link_task: asyncio.Task[None] | None = None
        self._audio_came = asyncio.Event()
        self._understood = False
        """This connection has understood something."""
        self._garbage = 0
        self._connections = 0

    # -- what a subclass adds --------------------------------------------------------------------------

    def open_link(self) -> AbstractAsyncContextManager[Wire]:
        """A connection as the vendor's client opens it. Left, it is dropped without waiting for the other side.

        ApiError or InvalidStatus: refused; OSError, TimeoutError or WebSocketException: not there.
        """
        raise NotImplementedError

    async def send_audio(self, audio: bytes) -> None:
        """To the connection of `open_link`, as what follows. ConnectionClosed: it is gone."""
        raise NotImplementedError

    async def say_goodbye(self) -> None:
        """No more audio comes."""
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

    @property
    def billed_as(self) -> str:
        """Deepgram's product: the model, where its price does not depend on more."""
        return str(self.in_use.model)

    def count(self, audio: bytes) -> None:
        """Audio was sent: what is heard again on a new connection is billed again."""
        self.usage.add("deepgram", self.billed_as, "seconds", len(audio) / BYTES_PER_SECOND)

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

    # -- life ------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        await super().listen()
        if self._link_task is None:
            self._link_task = self.create_task(self._hold_link(), f"{self}::link")

    async def begin_link(self) -> None:
        """Begin to connect: the pipeline's start does not wait for it. A standby does not."""
        if not self.is_standby:
            await self.listen()

    async def end_link(self) -> None:
        if self._link_task is None:
            return
        task, self._link_task = self._link_task, None
        if self.is_connected:
            try:
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self.say_goodbye()
            except (ConnectionClosed, TimeoutError):
                logger.debug("Deepgram does not hear the goodbye")
            else:
                await asyncio.wait({task}, timeout=GOODBYE_SECONDS)
        await self.cancel_task(task)

    async def _hold_link(self) -> None:
        failures = 0
        while self._link_task is not None:
            begun = time.monotonic()
            self._understood = False
            try:
                why = await self._connect_and_use()
            except (ApiError, InvalidStatus) as error:
                status, why = _refusal(error)
                metrics.vendor_failed("deepgram", "refused")
                if 400 <= status < 500 and status not in _PASSING:
                    await self.give_up(f"Deepgram rejected the connection ({why})", self.kept.all)
                    return
            except (OSError, TimeoutError, WebSocketException) as error:
                why = f"{type(error).__name__}: {error}"
                metrics.vendor_failed("deepgram", "unreachable")
            else:
                if self._link_task is not None:
                    metrics.vendor_failed("deepgram", "connection_lost")
                if self._understood or time.monotonic() - begun > STABLE_SECONDS:
                    failures = 0
            if self._link_task is None:
                return
            logger.warning("Deepgram's connection is gone: {}", why)
            failures += 1
            if failures > len(RECONNECT_WAITS):
                await self.give_up(f"Deepgram cannot be reached: {why}", self.kept.all)
                return
            await asyncio.sleep(RECONNECT_WAITS[failures - 1])

    async def give_up(self, why: str, audio: bytes) -> None:
        if not self.lost:
            metrics.vendor_failed("deepgram", "gave_up")
        await super().give_up(why, audio)

    async def _connect_and_use(self) -> str:
        """One connection from its beginning to its end; why it ended."""
        async with AsyncExitStack() as stack:
            opening = asyncio.ensure_future(stack.enter_async_context(self.open_link()))
            try:
                await asyncio.wait({opening}, timeout=CONNECT_SECONDS)
            finally:
                # A cancelled handshake waits 10 s for the other side to close, the legacy client's close_timeout,
                # which the SDK leaves at its default (listen/v1/client.py, `connect`). A second cancel ends that.
                while not opening.done():
                    opening.cancel()
                    await asyncio.wait({opening}, timeout=_CANCEL_AGAIN_SECONDS)
            if opening.cancelled():
                raise TimeoutError(f"no connection after {CONNECT_SECONDS:g} s")
            return await self._use(opening.result())

    async def _use(self, socket: Wire) -> str:
        """Send and read until the socket is gone; why it went."""
        self.last_message_at = time.monotonic()
        self.unanswered_seconds = 0.0
        self.replay_seconds = self.kept.begin()
        self._audio_came.set()
        self._socket = socket
        self._connections += 1
        if self._connections > 1:
            metrics.vendor_reconnected("deepgram")
        sender = self.create_task(self._send_audio(socket), f"{self}::audio")
        try:
            async for message in socket:
                self.last_message_at = time.monotonic()
                self.unanswered_seconds = 0.0
                await self._read(message)
        except ConnectionClosed:
            pass  # logged below, with its code
        finally:
            self._socket = None
            await self.cancel_task(sender)
        if self._link_task is not None:
            await self.broke_off()
        return f"{socket.close_code} {socket.close_reason}"

    async def _send_audio(self, socket: Wire) -> None:
        """The callee's audio as it comes, what was kept first."""
        sent_at = time.monotonic()
        try:
            while True:
                self._audio_came.clear()
                while (piece := self.kept.take()) is not None:
                    async with asyncio.timeout(DEAF_SECONDS):
                        await self.send_audio(piece)
                    self.unanswered_seconds += len(piece) / BYTES_PER_SECOND
                    self.count(piece)
                    sent_at = time.monotonic()
                async with asyncio.timeout(DEAF_SECONDS):
                    await self.caught_up()
                if not await self._more_audio():
                    async with asyncio.timeout(DEAF_SECONDS):
                        await self.idle(time.monotonic() - sent_at)
                now = time.monotonic()
                if now - self.last_message_at > DEAF_SECONDS and self.owes(now):
                    logger.warning("Deepgram says nothing any more")
                    socket.transport.abort()
                    return
        except TimeoutError:
            logger.warning("Deepgram takes no more audio")
            socket.transport.abort()
        except ConnectionClosed:
            return

    async def _more_audio(self) -> bool:
        """Waits for audio; False: there was none for IDLE_SECONDS."""
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._audio_came.wait()
        except TimeoutError:
            return False
        return True

    async def _read(self, message: str | bytes) -> None:
        try:
            data = json.loads(message)
            if not isinstance(data, dict):
                raise ValueError("not an object")
            self._understood = await self.hear(data) or self._understood
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            self._garbage += 1
            if self._garbage == 1:
                logger.warning("Deepgram sent what cannot be read: {!r}", error)


def _refusal(error: ApiError | InvalidStatus) -> tuple[int, str]:
    """The status of a refused handshake, and what was said; the SDK keeps the body of the answer to itself."""
    if isinstance(error, ApiError):
        return error.status_code or 0, f"status {error.status_code}"
    status, body = error.response.status_code, error.response.body or b""
    return status, f"status {status}: {body.decode(errors='replace')[:200]}"
