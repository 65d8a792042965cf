"""Deepgram's nova as an ear that a phone call can live with.

The end of the callee's speech, as the VAD saw it, passes this ear only when the ear has heard what came before
it: during an outage a turn would else be ended, and answered, with half its words.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlencode

from deepgram.core.unchecked_base_model import construct_type
from deepgram.listen.v1.types import ListenV1Results
from loguru import logger
from pipecat.frames.frames import Frame, VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.deepgram.stt import DeepgramSTTService

from bot.settings import with_scheme
from bot.stages.deepgram_link import DEAF_SECONDS, DeepgramLink

HOLD_SECONDS = 4.0
"""How long an end of speech waits for the words before it."""
KEEP_ALIVE_SECONDS = 4.0
"""Deepgram closes a connection after 10 s without audio or KeepAlive; it recommends 3 to 5 s."""


class NovaService(DeepgramLink, DeepgramSTTService):
    """pipecat's transcripts over our connection; a Finalize that was not answered is asked again."""

    def __init__(self, *, api_key: str, base_url: str, **kwargs: Any) -> None:
        super().__init__(api_key=api_key, base_url=base_url, **kwargs)
        self.key = api_key
        self._link_base = with_scheme(base_url, websocket=True)
        self._finalize_owed = False
        """The callee has stopped, and Deepgram is still to be told."""
        self._finalize_asked_at: float | None = None
        self._kept_alive_at = 0.0
        self._rehearing = False
        """A connection was lost, and no other has come to the end of what it left."""
        self._held: VADUserStoppedSpeakingFrame | None = None
        self._held_task: asyncio.Task[None] | None = None

    def link_url(self) -> str:
        query = urlencode(self._build_connect_kwargs(), doseq=True)
        return f"{self._link_base}/v1/listen?{query}"

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if not self._lets_pass(frame):
            if isinstance(frame, VADUserStoppedSpeakingFrame):
                self._finalize_owed = True
                self._audio_came.set()
                if self._rehearing and self._held is None:
                    self.speaking_since = None
                    self._held = frame
                    self._held_task = self.create_task(self._release_in_time(), f"{self}::held")
                    return
            elif isinstance(frame, VADUserStartedSpeakingFrame):
                await self._release()
        await super().process_frame(frame, direction)

    async def _release_in_time(self) -> None:
        await asyncio.sleep(HOLD_SECONDS)
        self._held_task = None
        await self._release()

    async def _release(self) -> None:
        """Let the end of speech pass that was held."""
        if self._held_task is not None:
            task, self._held_task = self._held_task, None
            await self.cancel_task(task)
        if self._held is not None:
            frame, self._held = self._held, None
            await super().process_frame(frame, FrameDirection.DOWNSTREAM)

    async def give_up(self, why: str, audio: bytes) -> None:
        await super().give_up(why, audio)
        await self._release()

    async def _disconnect(self) -> None:
        self._held = None
        await self._release()
        await super()._disconnect()

    async def caught_up(self) -> None:
        if self._finalize_owed and await self.tell({"type": "Finalize"}):
            self._finalize_owed = False
            self._finalize_asked_at = time.monotonic()
            self.request_finalize()  # type: ignore[no-untyped-call]

    async def idle(self, seconds: float) -> None:
        now = time.monotonic()
        if seconds >= KEEP_ALIVE_SECONDS and now - self._kept_alive_at >= KEEP_ALIVE_SECONDS:
            self._kept_alive_at = now
            await self.tell({"type": "KeepAlive"})

    def owes(self, now: float) -> bool:
        asked = self._finalize_asked_at
        return super().owes(now) or (asked is not None and now - asked > DEAF_SECONDS)

    async def broke_off(self) -> None:
        self._rehearing = True
        if self._finalize_asked_at is not None:
            self._finalize_owed = True
            self._finalize_asked_at = None

    async def hear(self, data: dict[str, Any]) -> bool:
        match data.get("type"):
            case "Results":
                await self._hear_results(data)
                return True
            case "Error":
                logger.warning("Deepgram says: {}", str(data.get("description") or data.get("message"))[:200])
            case _:
                pass
        return False

    async def _hear_results(self, data: dict[str, Any]) -> None:
        end = float(data["start"]) + float(data["duration"])
        final = bool(data.get("is_final"))
        self._rehearing = self._rehearing and not final and end < self.replay_seconds
        if data.get("from_finalize"):
            self._finalize_asked_at = None
        if not self._rehearing:
            # Of what is heard again, the beginnings are no news.
            await self._on_message(construct_type(type_=ListenV1Results, object_=data))  # type: ignore[no-untyped-call]
        if final:
            self.kept.understood(end)
        if data.get("from_finalize"):
            await self._release()
