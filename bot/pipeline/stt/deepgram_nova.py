"""Deepgram's nova as an STT that a phone call can live with.

The end of the callee's speech, as the VAD saw it, passes this stage only when Deepgram has heard what came before
it: during an outage a turn would else be ended, and answered, with half its words.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from deepgram.listen.v1.socket_client import AsyncV1SocketClient
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from bot.pipeline.stt.deepgram_internals import OpenNova
from bot.pipeline.stt.deepgram_link import DEAF_SECONDS, GOODBYE_SECONDS, DeepgramLink, Wire
from bot.pipeline.stt.interims import Interims, span_of, text_of
from bot.pipeline.turns.speculation import ASKED_AT
from bot.pipeline.turns.vad import VoiceFadedFrame
from bot.settings import with_scheme

HOLD_SECONDS = 4.0
"""How long an end of speech waits for the words before it."""
EARLY_SECONDS = 0.25
"""Between two early questions: each ends a segment of the transcript, as Deepgram's own endpointing does."""
KEEP_ALIVE_SECONDS = 4.0
"""Deepgram closes a connection after 10 s without audio or KeepAlive; it recommends 3 to 5 s."""


class NovaService(DeepgramLink, OpenNova):
    """pipecat's transcripts over our connection; a Finalize that was not answered is asked again."""

    def __init__(self, *, api_key: str, base_url: str, **kwargs: Any) -> None:
        super().__init__(api_key=api_key, base_url=with_scheme(base_url, websocket=False), **kwargs)
        self._sdk: AsyncV1SocketClient | None = None
        self._finalize_owed = False
        """The callee has stopped, and Deepgram does not know it yet."""
        self._finalize_asked_at: float | None = None
        self._finalize_asked_again = False
        """On a new connection, too: a Finalize behind which nothing was heard need not be answered at all."""
        self._asks: deque[float] = deque(maxlen=8)
        """When Finalize was sent, as far as it is not answered."""
        self._answered_at: float | None = None
        """When the answer that is read now was asked for; None: Deepgram speaks of its own accord."""
        self._asked_early_at = 0.0
        self._kept_alive_at = 0.0
        self._rehearing = False
        """A connection was lost, and no other has come to the end of what it left."""
        self._interims = Interims()
        self._silent_since = 0.0
        """When the VAD said so, time.monotonic()."""
        self._held: VADUserStoppedSpeakingFrame | None = None
        self._held_task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def open_link(self) -> AsyncIterator[Wire]:
        async with self.sdk_connection() as sdk:
            socket = self.socket_of(sdk)
            socket.close_timeout = GOODBYE_SECONDS  # of each step of a close; the SDK leaves it at 10 s
            self._sdk = sdk
            try:
                yield socket
            finally:
                self._sdk = None
                socket.transport.abort()
                await socket.wait_closed()

    @property
    def billed_as(self) -> str:
        """nova-3 has a price for English and other single languages, and one for several at once."""
        model, language = self.in_use.model, self.in_use.language
        return f"{model} multilingual" if str(language) == "multi" else str(model)

    async def send_audio(self, audio: bytes) -> None:
        if self._sdk is not None:
            await self._sdk.send_media(audio)

    async def say_goodbye(self) -> None:
        if self._sdk is not None:
            await self._sdk.send_close_stream()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if not self._lets_pass(frame):
            if isinstance(frame, VoiceFadedFrame):
                self._ask_early()
            elif isinstance(frame, VADUserStoppedSpeakingFrame):
                self._silent_since = time.monotonic()
                self._finalize_owed = True
                self._audio_came.set()
                if self._rehearing and self._held is None:
                    self.speaking_since = None
                    self._held = frame
                    self._held_task = self.create_task(self._release_in_time(), f"{self}::held")
                    return
            elif isinstance(frame, VADUserStartedSpeakingFrame):
                self._asks.clear()  # silence is not always answered
                await self._release()
        await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, TranscriptionFrame):
            if self._answered_at is not None:
                frame.metadata[ASKED_AT] = self._answered_at
            else:
                self.forget_finalize()  # an empty answer leaves its mark to the next words, of any answer
        await super().push_frame(frame, direction)

    def _ask_early(self) -> None:
        """The voice has faded: the words are asked for before the VAD is sure of it, but not at each breath."""
        now = time.monotonic()
        if now - self._asked_early_at >= EARLY_SECONDS:
            self._asked_early_at = now
            self._finalize_owed = True
            self._audio_came.set()

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

    async def end_link(self) -> None:
        self._held = None
        await self._release()
        await super().end_link()

    async def caught_up(self) -> None:
        quiet = self.speaking_since is None and not self._rehearing
        if quiet and self._interims.overdue(time.monotonic(), self._silent_since):
            logger.warning("Deepgram sent no final: the turn is its last interim")
            await self._give_interims()
        if self._finalize_owed and self._sdk is not None:
            await self._sdk.send_finalize()
            self._finalize_owed = False
            self._finalize_asked_at = time.monotonic()
            self._asks.append(self._finalize_asked_at)
            self.request_finalize()  # type: ignore[no-untyped-call]

    async def idle(self, seconds: float) -> None:
        now = time.monotonic()
        due = seconds >= KEEP_ALIVE_SECONDS and now - self._kept_alive_at >= KEEP_ALIVE_SECONDS
        if due and self._sdk is not None:
            self._kept_alive_at = now
            await self._sdk.send_keep_alive()

    def owes(self, now: float) -> bool:
        asked = self._finalize_asked_at
        unanswered = asked is not None and now - asked > DEAF_SECONDS
        return super().owes(now) or (unanswered and not self._finalize_asked_again)

    async def broke_off(self) -> None:
        self._rehearing = True
        self._interims.clear()
        self._asks.clear()
        if self._finalize_asked_at is not None:
            self._finalize_owed = self._finalize_asked_again = True
            self._finalize_asked_at = None

    async def hear(self, data: dict[str, Any]) -> bool:
        match data.get("type"):
            case "Results":
                await self._hear_results(data)
                return True
            case "UtteranceEnd" if self.speaking_since is None and not self._rehearing:
                await self._give_interims()
            case "Error":
                logger.warning("Deepgram says: {}", str(data.get("description") or data.get("message"))[:200])
            case _:
                pass
        return False

    async def _hear_results(self, data: dict[str, Any]) -> None:
        _, end = span_of(data)
        final = bool(data.get("is_final"))
        self._rehearing = self._rehearing and not final and end < self.replay_seconds
        if final:
            # By Deepgram's guide the answer to a Finalize "may" say that it is one: any final shows life.
            self._finalize_asked_at = None
            self._finalize_asked_again = False
        if final and data.get("from_finalize"):
            # A final of Deepgram's own covers less than was asked for: the answer is still to come.
            self._answered_at = self._asks.popleft() if self._asks else None
        if not self._rehearing:
            # Of what is heard again, the beginnings are no news.
            await self._take(data, final=final)
        self._answered_at = None
        if final:
            self.kept.understood(end)
        if data.get("from_finalize"):
            await self._release()

    async def _take(self, data: dict[str, Any], *, final: bool) -> None:
        if not final:
            self._interims.note(data, time.monotonic())
            await self.take_results(data)
            return
        if not text_of(data) and data.get("from_finalize"):
            await self._give_interims(answer=True)
        if (news := self._interims.final(data)) is not None:
            await self.take_results(news)

    async def _give_interims(self, *, answer: bool = False) -> None:
        """The words that no final had."""
        if (results := self._interims.give(answer=answer)) is not None:
            await self.take_results(results)
