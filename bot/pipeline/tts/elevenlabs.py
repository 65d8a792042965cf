"""ElevenLabs' multi-context socket as a TTS that a phone call can live with.

pipecat's service closes a context right behind its text (under load it then ends without a sound), waits 4 s
before it reconnects, and writes what was never spoken into the conversation. Here the socket is held for the
life of the call; an Utterance knows what has sounded; the rest is asked for again, on the same socket or the
next one, in a new context of the vendor's that continues the same context of ours. A context is closed when
all of its text has come back.
"""

import asyncio
import base64
import binascii
import json
import re
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from loguru import logger
from pipecat.frames.frames import Frame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame
from pipecat.utils.tracing.service_decorators import traced_tts
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from bot.pipeline.tts.elevenlabs_internals import OpenElevenLabs
from bot.pipeline.tts.fallback import TtsFallback
from bot.pipeline.tts.utterance import Take, Utterance, UtteranceStep
from bot.pipeline.usage import Metered
from bot.telemetry import metrics

RECONNECT_WAITS = (0.0, 0.2, 0.4, 0.8, 1.0, 2.0)
"""Seconds before each attempt to connect again; the last one goes on, for an outage between two replies."""
CONNECT_SECONDS = 2.0
REFUSALS = 2
"""A handshake refused so often in a row with a 4xx, or so many sockets closed as a violation: given up."""
GOODBYE_SECONDS = 1.0
"""For the vendor to close a socket it was asked to close."""
LOOK_SECONDS = 0.1
"""How often open utterances are looked after."""
MAX_CONTEXTS = 5
"""A socket; ElevenLabs closes it with 1008 at the next one."""
MAX_OPEN = 3
"""Utterances asked for at a time: the rest of the contexts is for second takes."""
LONGEST_MS = 600_000.0
"""No time of an alignment is beyond it."""
MAX_MESSAGE = 16 * 2**20
_VIOLATION = 1008
_PASSING = (408, 425, 429)
"""Refusals that another attempt may not meet."""


_PASSING_ERRORS = re.compile(r"timeout|invalid_input|max\w*_context|too_many_contexts", re.IGNORECASE)
"""Of a message: the next socket, or the next context, does not meet them."""
_FINAL_ERRORS = re.compile(
    r"quota|credit|subscription|payment|billing|unusual.?activity|free.?tier|voice|model|api.?key|auth|permission|"
    r"forbidden|blocked|disabled|limit|concurren|too.?many|busy|not.?found|not.?supported|internal",
    re.IGNORECASE,
)
"""Those that the same key, voice and text meet again, or that last longer than a callee waits."""


class SpeechRefusedError(Exception):
    """ElevenLabs will not speak, and says why."""


@dataclass(frozen=True)
class _Chunk:
    """A message of the socket, checked."""

    context: str
    audio: bytes
    chars: tuple[str, ...]
    starts_ms: tuple[float, ...]
    durations_ms: tuple[float, ...]
    is_final: bool


def parse(message: str | bytes) -> _Chunk | None:
    """A message about a context; None for anything else.

    ValueError where it is not what it should be; SpeechRefusedError where it says that there will be no speech.
    """
    data = json.loads(message)
    if not isinstance(data, dict):
        raise ValueError("not an object")
    if not data.get("audio"):
        _check_for_error(data)
    context = data.get("contextId") or data.get("context_id")
    if not isinstance(context, str):
        return None
    audio = data.get("audio") or ""
    if not isinstance(audio, str):
        raise ValueError("audio is of another kind")
    chars, starts, durations = _times(data.get("alignment") or data.get("normalizedAlignment"))
    return _Chunk(
        context, base64.b64decode(audio, validate=True), chars, starts, durations, data.get("isFinal") is True
    )


def _check_for_error(data: Mapping[str, Any]) -> None:
    """SpeechRefusedError for an error that lasts; a passing one is logged.

    {"message", "error", "code"} as documented; "detail" as over HTTP, "type" and "message_type" as reported.
    """
    if not any(key in data for key in ("error", "detail", "code", "type", "message_type")):
        return
    detail = data.get("detail")
    told = detail if isinstance(detail, Mapping) else data
    names = [told.get(key) for key in ("error", "status", "message_type", "type")]
    said = [str(name) for name in (*names, told.get("message"), detail) if name and not isinstance(name, Mapping)]
    why = ": ".join(dict.fromkeys(said))[:200]
    if ("code" in data and not _PASSING_ERRORS.search(why)) or is_final(why):
        raise SpeechRefusedError(why)
    logger.warning("ElevenLabs says: {}", why)


def is_final(why: str) -> bool:
    """Whether an error, by its words, is met by the next socket too."""
    return bool(_FINAL_ERRORS.search(why)) and not _PASSING_ERRORS.search(why)


def _times(alignment: Any) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    """Characters, starts and durations in ms. An alignment that makes no sense is none: its audio is heard."""
    nothing: tuple[Any, Any, Any] = (), (), ()
    if not isinstance(alignment, dict):
        return nothing
    try:
        chars = tuple(str(char) for char in alignment["chars"])
        starts = tuple(float(ms) for ms in alignment["charStartTimesMs"])
        durations = tuple(float(ms) for ms in alignment["charDurationsMs"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return nothing
    fits = len(chars) == len(starts) == len(durations)
    return (
        (chars, starts, durations) if fits and all(0 <= ms < LONGEST_MS for ms in starts + durations) else nothing
    )


class ElevenLabsService(Metered, TtsFallback, OpenElevenLabs):
    """Text comes in by run_tts, a piece at a time; sound goes out through pipecat's contexts."""

    def __init__(self, **kwargs: Any) -> None:
        # A context ends when its utterance does, not after a silence.
        super().__init__(stop_frame_timeout_s=60.0, **kwargs)
        self._utterances: dict[str, Utterance] = {}
        """By our context, in the order they are spoken."""
        self._takes: dict[str, tuple[str, Take]] = {}
        """By the vendor's context: our context and its take."""
        self._link: asyncio.Task[None] | None = None
        self._caretaker: asyncio.Task[None] | None = None
        self._busy = asyncio.Event()
        """There are utterances to look after."""
        self._refusals = 0
        self._connections = 0
        self._garbage = 0

    # -- text ------------------------------------------------------------------------------------------

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        if self.gave_up:
            await self.pass_on(context_id, text)
            return
        utterance = self._utterances.get(context_id)
        if utterance is None:
            await self.create_audio_context(context_id)
            await self.start_ttfb_metrics()
            yield TTSStartedFrame(context_id=context_id)
            utterance = self._utterances[context_id] = Utterance()
            self._busy.set()
        sent = utterance.add(text, time.monotonic())
        await self.start_tts_usage_metrics(text)
        if utterance.takes:
            for take in utterance.takes:
                await self._send_message(self._wire_name(context_id, take), text=sent)
        else:
            await self._look_after(context_id, utterance)
        yield None

    async def on_turn_context_completed(self) -> None:
        """No more text for this context: the vendor is to hold nothing back."""
        context_id = self.take_turn_context()
        utterance = self._utterances.get(context_id or "")
        if context_id is not None and utterance is not None:
            utterance.complete = True
            for take in utterance.takes:
                await self._send_message(self._wire_name(context_id, take), flush=True)

    async def flush_audio(self, context_id: str | None = None) -> None:
        """Texts are flushed when their context is complete."""

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        await self._drop(context_id)
        await super().on_audio_context_interrupted(context_id)

    # -- care ------------------------------------------------------------------------------------------

    async def _look_after_all(self) -> None:
        while True:
            if not self._utterances:
                self._busy.clear()
            await self._busy.wait()
            for context_id, utterance in list(self._utterances.items()):
                if self._utterances.get(context_id) is utterance:
                    await self._look_after(context_id, utterance)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_after(self, context_id: str, utterance: Utterance) -> None:
        now = time.monotonic()
        if self._is_connected and not utterance.takes and self._others_before(context_id) >= MAX_OPEN:
            utterance.patient(now)
            return
        match utterance.next_step(now):
            case UtteranceStep.RETAKE if self._is_connected and len(self._takes) < MAX_CONTEXTS:
                await self._begin_take(context_id, utterance)
            case UtteranceStep.CLOSE:
                for take in utterance.takes:
                    await self._send_message(self._wire_name(context_id, take), close_context=True)
            case UtteranceStep.DONE:
                await self._finish(context_id, utterance)
            case UtteranceStep.LOST:
                await self._give_up("no audio from ElevenLabs")
            case _:
                pass

    def _others_before(self, context_id: str) -> int:
        return list(self._utterances).index(context_id)

    async def _begin_take(self, context_id: str, utterance: Utterance) -> None:
        take, text = utterance.take(time.monotonic())
        name = self._wire_name(context_id, take)
        self._takes[name] = (context_id, take)
        # Voice settings may stand in a context's first message only, before any other text.
        opening = {"voice_settings": self.voice_settings} if self.voice_settings else {}
        await self._send_message(name, text=" ", **opening)
        await self._send_message(name, text=text, **({"flush": True} if utterance.complete else {}))

    async def _finish(self, context_id: str, utterance: Utterance) -> None:
        await self._push_words(context_id, utterance, everything=True)
        await self._drop(context_id)
        await self.append_to_audio_context(context_id, TTSStoppedFrame(context_id=context_id))
        await self.remove_audio_context(context_id)

    async def _drop(self, context_id: str) -> None:
        """What still comes for it is not heard."""
        utterance = self._utterances.pop(context_id, None)
        for take in utterance.takes if utterance else ():
            await self._release(context_id, take)

    async def _release(self, context_id: str, take: Take) -> None:
        name = self._wire_name(context_id, take)
        if self._takes.pop(name, None) is not None:
            await self._send_message(name, close_context=True)

    async def _give_up(self, why: str) -> None:
        metrics.vendor_failed("elevenlabs", "gave_up")
        for context_id, utterance in self._utterances.items():
            utterance.cut_off()
            await self._push_words(context_id, utterance)
        owed = {context_id: utterance.rest for context_id, utterance in self._utterances.items()}
        self._utterances.clear()
        self._takes.clear()
        await self.give_up(why, owed)

    @staticmethod
    def _wire_name(context_id: str, take: Take) -> str:
        return f"{context_id}-{take.name}"

    # -- the socket ------------------------------------------------------------------------------------

    @property
    def billed_as(self) -> str:
        """The model."""
        return str(self.in_use.model)

    @property
    def _is_connected(self) -> bool:
        return self.socket is not None

    async def begin_link(self) -> None:
        """Begin to connect: the pipeline's start does not wait for it."""
        if self._link is None and not self.gave_up:
            self._link = self.create_task(self._hold_link(), f"{self}::link")
            self._caretaker = self.create_task(self._look_after_all(), f"{self}::caretaker")

    async def end_link(self) -> None:
        if self._caretaker is not None:
            await self.cancel_task(self._caretaker)
            self._caretaker = None
        if self._link is not None:
            link, self._link = self._link, None
            await self._send_message(None, close_socket=True)
            if self._is_connected:
                await asyncio.wait({link}, timeout=GOODBYE_SECONDS)
            await self.cancel_task(link)

    async def _hold_link(self) -> None:
        """One connection after the other, until the voice is given up or its call is over."""
        attempts = 0
        while not self.gave_up and not self.closing:
            await asyncio.sleep(RECONNECT_WAITS[min(attempts, len(RECONNECT_WAITS) - 1)] if attempts else 0.0)
            attempts += 1
            try:
                socket = await self.open_socket(max_size=MAX_MESSAGE, open_timeout=CONNECT_SECONDS)
            except (OSError, WebSocketException) as error:
                await self._note_refusal(error)
                continue
            if await self._use(socket):
                attempts = self._refusals = 0

    async def _use(self, socket: ClientConnection) -> bool:
        """Read the socket until it is gone; whether it made a sound."""
        sounded = False
        self.socket = socket
        self._connections += 1
        if self._connections > 1:
            metrics.vendor_reconnected("elevenlabs")
        try:
            for context_id, utterance in list(self._utterances.items()):
                await self._look_after(context_id, utterance)
            async for message in socket:
                sounded = await self._read(message) or sounded
                if self.gave_up:
                    break
        except ConnectionClosed:
            pass  # said below, with the code
        finally:
            self.socket = None
            self._takes.clear()
            await socket.close()
        if self.closing or self.gave_up:
            return sounded
        if is_final(socket.close_reason or ""):
            await self._give_up(f"closed with {socket.close_code}: {socket.close_reason}")
            return sounded
        logger.warning("ElevenLabs' socket is gone: {} {}", socket.close_code, socket.close_reason)
        metrics.vendor_failed("elevenlabs", "connection_lost")
        for context_id, utterance in list(self._utterances.items()):
            utterance.cut_off()
            await self._push_words(context_id, utterance)
        if socket.close_code == _VIOLATION and not sounded:
            await self._refused(f"closed with 1008: {socket.close_reason}")
        return sounded

    async def _note_refusal(self, error: Exception) -> None:
        logger.warning("ElevenLabs cannot be reached: {}", error)
        status = error.response.status_code if isinstance(error, InvalidStatus) else 0
        metrics.vendor_failed("elevenlabs", "refused" if status else "unreachable")
        if 400 <= status < 500 and status not in _PASSING:
            await self._refused(f"HTTP {status}")

    async def _refused(self, how: str) -> None:
        self._refusals += 1
        if self._refusals >= REFUSALS:
            await self._give_up(f"ElevenLabs refuses: {how}")

    async def _send_message(self, name: str | None, **message: Any) -> None:
        """Send a message; a socket that is gone is noticed where it is read."""
        if self.socket is None:
            return
        if name is not None:
            message["context_id"] = name
        try:
            await self.socket.send(json.dumps(message))
        except ConnectionClosed:
            logger.debug("ElevenLabs' socket closed under a message")
        else:
            # Billed is what is sent, heard or not: a second take, a reply that was interrupted.
            text = message.get("text", "").strip()
            self.usage.add("elevenlabs", self.billed_as, "characters", len(text))

    async def keep_alive(self) -> None:
        await self._send_message(None, text="")

    # -- sound -----------------------------------------------------------------------------------------

    async def _read(self, message: str | bytes) -> bool:
        """Whether it carried sound that is wanted."""
        try:
            chunk = parse(message)
        except SpeechRefusedError as error:
            metrics.vendor_failed("elevenlabs", "refused")
            await self._give_up(f"ElevenLabs refuses: {error}")
            return False
        except (ValueError, TypeError, RecursionError, binascii.Error) as error:
            self._garbage += 1
            if self._garbage == 1:
                logger.warning("ElevenLabs sent what cannot be read: {}", error)
            return False
        if chunk is None or chunk.context not in self._takes:
            return False
        context_id, take = self._takes[chunk.context]
        utterance = self._utterances.get(context_id)
        if utterance is None:
            return False
        if chunk.audio:
            await self._sound(context_id, utterance, take, chunk.audio)
        if chunk.chars:
            utterance.spell(take, chunk.chars, chunk.starts_ms, chunk.durations_ms)
        await self._push_words(context_id, utterance, everything=chunk.is_final)
        if chunk.is_final:
            del self._takes[chunk.context]
            utterance.ended(take, time.monotonic())
            await self._push_words(context_id, utterance)
        await self._look_after(context_id, utterance)
        return bool(chunk.audio)

    async def _sound(self, context_id: str, utterance: Utterance, take: Take, audio: bytes) -> None:
        for other in utterance.sound(take, len(audio) * 500 / self.sample_rate, time.monotonic()):
            await self._release(context_id, other)
        frame = TTSAudioRawFrame(audio, self.sample_rate, 1, context_id=context_id)
        await self.append_to_audio_context(context_id, frame)

    async def _push_words(self, context_id: str, utterance: Utterance, *, everything: bool = False) -> None:
        words = [(word, offset_ms / 1000) for word, offset_ms in utterance.due(everything=everything)]
        if words:
            await self.add_word_timestamps(words, context_id)
