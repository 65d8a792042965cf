"""One multi-stream-input connection of the ElevenLabs simulator: contexts, their buffers, and their voices.

Follows https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input
and what the service does in practice:
- `isFinal` comes when a context is closed, never after a flush alone;
- closing a context drops text that was not flushed (also in auto mode, if its generation has not ended), while
  flushed text is still spoken to its end; the context counts towards the limit until then;
- any message for an unknown context opens it, an empty text does not;
- voice settings belong into a context's first message.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.tts_sound import Sound, characters, encode, speak

_SCHEDULE = (120, 160, 250, 290)
"""Characters to gather before the nth generation, without auto mode: the documented default."""
_FIRST_MESSAGE_ONLY = ("voice_settings", "generation_config", "pronunciation_dictionary_locators")
DEFAULT_CONTEXT = "default"


class Violation(Exception):
    """The socket is told why and closed with 1008."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


@dataclass(frozen=True)
class Silent:
    """The context takes text and never makes a sound, nor ends."""


@dataclass(frozen=True)
class Empty:
    """The context ends without audio, as one that was closed too early; `at_once`: with its first text."""

    at_once: bool = False


ContextFault = Silent | Empty


@dataclass
class ContextLog:
    """What one context was told and what it said."""

    context_id: str
    fault: ContextFault | None = None
    text: str = ""
    """As received, the opening space included."""
    voice_settings: dict[str, Any] | None = None
    sent_text: str = ""
    """Characters whose audio went out."""
    sent_ms: float = 0.0
    flushes: int = 0
    closed: bool = False
    """The client closed it."""
    final: bool = False
    """`isFinal` went out."""


@dataclass(frozen=True)
class Delivery:
    """How speech is made: format, ms per character, latency of each generation, pace over real time."""

    output_format: str
    character_ms: int
    first_audio_ms: float
    speed: float
    chunk_ms: int
    auto_mode: bool

    @property
    def sample_rate(self) -> int:
        return int(self.output_format.split("_")[1])


Send = Callable[[dict[str, Any], float], Awaitable[None]]
"""Sends a message that carries so many ms of audio; raises ConnectionError when the socket is gone."""


@dataclass
class _Context:
    log: ContextLog
    schedule: tuple[int, ...] = _SCHEDULE
    buffer: str = ""
    generations: int = 0
    segments: asyncio.Queue[tuple[str, float] | None] = field(default_factory=asyncio.Queue)
    """Text to speak and when it was ready; None ends the context."""
    unflushed: int = 0
    """Segments in auto mode that no flush has confirmed."""
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    """The voice breaks off where it is."""


class Contexts:
    """The contexts of one socket. `close()` must be awaited when the socket is gone.

    `fault` is asked once per context, when its first text comes.
    """

    def __init__(
        self,
        delivery: Delivery,
        send: Send,
        *,
        fault: Callable[[], ContextFault | None],
        limit: int = 5,
    ) -> None:
        self._delivery = delivery
        self._send = send
        self._fault = fault
        self._limit = limit
        self._open: dict[str, _Context] = {}
        self._speakers: set[asyncio.Task[None]] = set()
        self.logs: list[ContextLog] = []

    async def receive(self, message: dict[str, Any]) -> bool:
        """Take one client message; False once the client closed the socket. Raises Violation."""
        if message.get("close_socket"):
            await self._finish()
            return False
        name = message.get("context_id") or message.get("contextId")
        text = message.get("text") or ""
        if not isinstance(text, str) or not isinstance(name, str | None):
            raise Violation("invalid_message", "text and context_id must be strings")
        context = self._open.get(name or DEFAULT_CONTEXT)
        if message.get("close_context"):
            if context is not None:
                self._end(context)
            return True
        if context is None:
            if not text and not message.get("flush"):
                # An empty text only resets the inactivity timeout.
                return True
            context = self._begin(name or DEFAULT_CONTEXT, message)
        elif any(message.get(key) for key in _FIRST_MESSAGE_ONLY) and context.log.text:
            raise Violation(
                "invalid_message",
                "voice_settings, generation_config and pronunciation_dictionary_locators can only be provided "
                "in the first message of a context",
            )
        self._take(context, text, flush=bool(message.get("flush")))
        return True

    async def close(self) -> None:
        for speaker in self._speakers:
            speaker.cancel()
        await asyncio.gather(*self._speakers, return_exceptions=True)

    def _begin(self, name: str, message: dict[str, Any]) -> _Context:
        if len(self._speakers) >= self._limit:
            raise Violation(
                "max_active_conversations",
                f"Maximum simultaneous contexts per WebSocket connection exceeded ({self._limit}). "
                "Please close an existing context before opening a new one.",
            )
        log = ContextLog(name, voice_settings=message.get("voice_settings"))
        schedule = (message.get("generation_config") or {}).get("chunk_length_schedule") or _SCHEDULE
        context = _Context(log, tuple(schedule))
        speaker = asyncio.create_task(self._speak(context))
        self._speakers.add(speaker)
        speaker.add_done_callback(self._speakers.discard)
        self.logs.append(log)
        self._open[name] = context
        return context

    def _take(self, context: _Context, text: str, *, flush: bool) -> None:
        if text.strip() and not context.log.text.strip():
            context.log.fault = self._fault()
            if context.log.fault == Empty(at_once=True):
                context.log.text += text
                self._end(context)
                return
        context.log.text += text
        context.buffer += text if context.buffer or text.strip() else ""
        if self._delivery.auto_mode and context.buffer.strip():
            self._generate(context)
            context.unflushed += 1
        while len(context.buffer) >= (wanted := self._wanted(context)):
            cut = context.buffer.rfind(" ", 0, wanted) + 1 or wanted
            context.buffer, kept = context.buffer[:cut], context.buffer[cut:]
            self._generate(context)
            context.buffer = kept
        if flush:
            context.log.flushes += 1
            context.unflushed = 0
            self._generate(context)

    def _wanted(self, context: _Context) -> int:
        return context.schedule[min(context.generations, len(context.schedule) - 1)]

    def _generate(self, context: _Context) -> None:
        if context.buffer.strip():
            context.generations += 1
            context.segments.put_nowait((context.buffer, asyncio.get_running_loop().time()))
        context.buffer = ""

    def _end(self, context: _Context) -> None:
        """After what was flushed; at once where nothing was."""
        context.log.closed = True
        context.buffer = ""
        del self._open[context.log.context_id]
        if context.unflushed:
            context.cut.set()
        context.segments.put_nowait(None)

    async def _finish(self) -> None:
        for context in list(self._open.values()):
            self._end(context)
        await asyncio.gather(*self._speakers, return_exceptions=True)

    async def _speak(self, context: _Context) -> None:
        try:
            await self._speak_segments(context)
            if not isinstance(context.log.fault, Silent):
                await self._send({"isFinal": True, "contextId": context.log.context_id}, 0.0)
                context.log.final = True
        except ConnectionError:
            return

    async def _speak_segments(self, context: _Context) -> None:
        """Until the context is ended, or cut off in mid-speech."""
        loop = asyncio.get_running_loop()
        delivery = self._delivery
        free_at = 0.0
        while (segment := await context.segments.get()) is not None:
            if context.log.fault is not None:
                continue
            text, ready_at = segment
            sound = await asyncio.to_thread(speak, text, delivery.sample_rate, character_ms=delivery.character_ms)
            due = max(ready_at + delivery.first_audio_ms / 1000, free_at)
            for first, last in characters(sound, delivery.chunk_ms):
                if await _is_cut(context, due - loop.time()):
                    return
                length_ms = sum(sound.durations_ms[first:last])
                await self._send(self._audio(context, sound, first, last), length_ms)
                context.log.sent_text += text[first:last]
                context.log.sent_ms += length_ms
                due += length_ms / 1000 / delivery.speed
            free_at = due

    def _audio(self, context: _Context, sound: Sound, first: int, last: int) -> dict[str, Any]:
        wire = encode(sound.part(first, last), self._delivery.output_format)
        times = alignment(sound, first, last)
        return {
            "audio": base64.b64encode(wire).decode(),
            "alignment": times,
            "normalizedAlignment": times,
            "contextId": context.log.context_id,
        }


async def _is_cut(context: _Context, seconds: float) -> bool:
    """Wait so long, or until the context is cut off."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await context.cut.wait()
    except TimeoutError:
        return False
    return True


def alignment(sound: Sound, first: int, last: int) -> dict[str, Any]:
    """Characters and their times, relative to the chunk's own start."""
    offset = sound.starts_ms[first]
    return {
        "chars": list(sound.text[first:last]),
        "charStartTimesMs": [start - offset for start in sound.starts_ms[first:last]],
        "charDurationsMs": list(sound.durations_ms[first:last]),
    }


def parse(data: str | bytes) -> dict[str, Any]:
    """A client message. Raises Violation."""
    try:
        message = json.loads(data)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise Violation("invalid_message", "Messages must be JSON objects")
    return message
