"""Speech to text: the menu of ears.

A member is a vendor or a local engine with its settings, the environment it `needs`, and `build`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import Annotated, Any, ClassVar, Literal

from deepgram.core import ApiError
from deepgram.core.events import EventType
from deepgram.listen.v1.types import ListenV1CloseStream, ListenV1Finalize
from loguru import logger
from pipecat.frames.frames import Frame, VADUserStoppedSpeakingFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.stt_service import STTService
from pydantic import Field

from bot.audio import SAMPLE_RATE
from bot.settings import with_scheme
from bot.stages.menu import Member
from bot.stages.resources import Resources, SharedTls

RECONNECT_WAITS = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0)
"""Seconds before each attempt to reconnect; after the last one the ear is lost."""
REPLAY_SECONDS = 10
"""Audio kept while the connection is down, and sent once it is back."""


class _Ear(Member):
    detects_turns: ClassVar[bool] = False
    """The service proposes turns itself; no local turn detector runs."""


class DeepgramNova(_Ear):
    """Deepgram's streaming transcription, /v1/listen."""

    vendor: Literal["deepgram"] = "deepgram"
    needs: ClassVar[tuple[str, ...]] = ("DEEPGRAM_API_KEY",)
    model: str = "nova-3"
    keyterms: tuple[str, ...] = ()
    """Names and words to listen for, nova-3's `keyterm`."""
    smart_format: bool = False

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        return NovaService(
            api_key=_key(resources),
            base_url=resources.settings.deepgram_base_url,
            sample_rate=SAMPLE_RATE,
            settings=DeepgramSTTService.Settings(
                model=self.model,
                language=language,
                smart_format=self.smart_format,
                keyterm=list(self.keyterms) or None,
            ),
        )


class DeepgramFlux(_Ear):
    """Deepgram's conversational transcription with its own end of turn, /v2/listen."""

    vendor: Literal["deepgram_flux"] = "deepgram_flux"
    needs: ClassVar[tuple[str, ...]] = ("DEEPGRAM_API_KEY",)
    detects_turns: ClassVar[bool] = True
    model: str = "flux-general-en"
    keyterms: tuple[str, ...] = ()
    eot_threshold: float = Field(default=0.7, ge=0.5, le=0.9)
    """Confidence that ends a turn; Deepgram's range."""
    eot_timeout_ms: int = Field(default=5000, ge=500, le=10000)
    """Silence that ends a turn whatever the confidence; Deepgram's range."""

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        base = with_scheme(resources.settings.deepgram_base_url, websocket=True)
        service = FluxService(
            api_key=_key(resources),
            url=f"{base}/v2/listen",
            sample_rate=SAMPLE_RATE,
            settings=DeepgramFluxSTTService.Settings(
                model=self.model,
                keyterm=list(self.keyterms),
                eot_threshold=self.eot_threshold,
                eot_timeout_ms=self.eot_timeout_ms,
            ),
        )
        service.tls = resources.tls
        return service


class PocketSphinx(_Ear):
    """A local ear for live microphones; English, small vocabulary errors are to be expected."""

    vendor: Literal["pocketsphinx"] = "pocketsphinx"

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        from bot.engines.pocketsphinx_stt import PocketSphinxSTTService

        return PocketSphinxSTTService(decoders=resources.decoders)


class Moonshine(_Ear):
    """A better local ear, behind the extra `moonshine`."""

    vendor: Literal["moonshine"] = "moonshine"

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        from bot.engines.moonshine_stt import MoonshineSTTService

        return MoonshineSTTService(model=resources.moonshine)


class ToldHearing(_Ear):
    """Not an ear: it is told what the simulated callee says, when they have said it."""

    vendor: Literal["told_hearing"] = "told_hearing"

    def build(self, resources: Resources, *, call_sid: str, language: str) -> STTService:
        from bot.engines.told_stt import ToldSTTService

        return ToldSTTService(hearing=resources.hearing, call_sid=call_sid)


SttMember = DeepgramNova | DeepgramFlux | PocketSphinx | Moonshine | ToldHearing
Stt = Annotated[SttMember, Field(discriminator="vendor")]


def offline(*, simulated_line: bool) -> SttMember:
    """The member that stands in when keys are missing."""
    return ToldHearing() if simulated_line else PocketSphinx()


def _key(resources: Resources) -> str:
    key = resources.settings.deepgram_api_key
    assert key is not None, "a member is built only when what it needs is set"
    return key.get_secret_value()


class NovaService(DeepgramSTTService):
    """pipecat's service with a connection that a phone call can live with.

    pipecat holds the pipeline's start until the socket is open, waits 4 s before it reconnects, and loses
    the audio of the gap. Here the connection opens beside the start, reconnects at once, and the audio of
    the gap is replayed, with the Finalize that fell into it.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._gap: deque[bytes] = deque()
        self._gap_bytes = 0
        self._finalize_owed = False

    async def _connect(self) -> None:
        logger.debug("Connecting to Deepgram")
        self._connection_settled.clear()
        self._connection_task: Any = self.create_task(self._connection_handler())

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        if self._connection is None or self._gap:
            self._keep(audio)
        else:
            async for frame in super().run_stt(audio):
                yield frame
            if self._connection is None:
                self._keep(audio)
        yield None

    def _keep(self, audio: bytes) -> None:
        self._gap.append(audio)
        self._gap_bytes += len(audio)
        while self._gap_bytes > REPLAY_SECONDS * SAMPLE_RATE * 2:
            self._gap_bytes -= len(self._gap.popleft())

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, VADUserStoppedSpeakingFrame) and (self._connection is None or self._gap):
            self._finalize_owed = True
        await super().process_frame(frame, direction)

    async def _connection_handler(self) -> None:
        """Hold the connection for the life of the call; give up after RECONNECT_WAITS failures in a row."""
        failures = 0
        try:
            while True:
                connected_at = None
                keepalive = None
                try:
                    async with self._client.listen.v1.connect(**self._build_connect_kwargs()) as connection:
                        connected_at = time.monotonic()
                        connection.on(EventType.MESSAGE, self._on_message)
                        connection.on(EventType.ERROR, self._on_error)
                        self._connection = connection
                        keepalive = self.create_task(self._keepalive_handler(), f"{self}::keepalive")  # type: ignore[no-untyped-call]
                        replay = self.create_task(self._replay(connection), f"{self}::replay")
                        try:
                            await connection.start_listening()
                        finally:
                            await self.cancel_task(replay)
                except ApiError as e:
                    if e.status_code is not None and 400 <= e.status_code < 500:
                        text = f"Deepgram rejected the connection (status {e.status_code}): {e.body}"
                        await self.push_error(error_msg=text, exception=e, force_treat_as_permanent=True)
                        return
                    await self.push_error(error_msg=f"connection error: {e}", exception=e)
                except Exception as e:
                    await self.push_error(error_msg=f"connection error: {e}", exception=e)
                finally:
                    self._connection = None
                    if keepalive is not None:
                        await self.cancel_task(keepalive)
                lived = 0.0 if connected_at is None else time.monotonic() - connected_at
                failures = 0 if lived > 5.0 else failures + 1
                if failures > len(RECONNECT_WAITS):
                    await self.push_error("Deepgram cannot be reached", force_treat_as_permanent=True)
                    return
                await asyncio.sleep(RECONNECT_WAITS[max(0, failures - 1)])
        finally:
            self._connection_settled.set()

    async def _replay(self, connection: Any) -> None:
        """Send what was said while nobody listened, oldest first; then the stream is live again."""
        try:
            while self._gap:
                audio = self._gap.popleft()
                self._gap_bytes -= len(audio)
                await connection.send_media(audio)
            if self._finalize_owed:
                self._finalize_owed = False
                self.request_finalize()  # type: ignore[no-untyped-call]
                await connection.send_finalize(ListenV1Finalize(type="Finalize"))
        except Exception as e:
            # Whatever broke it, the socket is given up: the handler reconnects, and audio is kept again.
            logger.warning("replay to Deepgram broke off: {}", e)
            self._connection = None
            await connection.send_close_stream(ListenV1CloseStream(type="CloseStream"))


class FluxService(SharedTls, DeepgramFluxSTTService):
    """pipecat's service with the process's TLS context."""
