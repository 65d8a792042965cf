"""A simulated callee off the media stream: asked by the carrier's voice, or in a conference with another.

As on a stream, a callee takes a step per 20 ms, on an absolute schedule; it hears what the other one said in
the 20 ms before, or a tone for as long as the carrier's voice speaks.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from bot.telephony.simulated.callee import Callee, beep_payloads
from bot.telephony.simulated.stream import FRAME_MS, FRAME_SECONDS
from bot.telephony.simulated.twiml_reader import Gather

_SPEECH_END_MS = 500
"""Silence after words that ends a <Gather> of speech."""


@dataclass(frozen=True)
class Gathered:
    """What a <Gather> got. `left`: it was hung up in it."""

    digits: str = ""
    speech: str = ""
    left: bool = False


async def beats(until: asyncio.Event) -> AsyncIterator[int]:
    """Numbers of frames, one per 20 ms, until the event is set."""
    loop = asyncio.get_running_loop()
    start, frame = loop.time(), 0
    while not until.is_set():
        yield frame
        frame += 1
        await asyncio.sleep(max(0.0, start + frame * FRAME_SECONDS - loop.time()))


async def gather(callee: Callee, verb: Gather, stirred: asyncio.Event) -> Gathered | None:
    """Ask a callee; None where `stirred` ended it. A key, or a word, silences the prompt."""
    voice = base64.b64decode(beep_payloads(FRAME_MS, 400)[0])
    prompt_frames = verb.prompt_ms // FRAME_MS
    digits, quiet_ms, said = "", 0, len(callee.said)
    async for frame in beats(stirred):
        prompting = frame < prompt_frames and not digits
        tick = callee.tick(voice if prompting else None)
        if tick.hang_up:
            return Gathered(left=True)
        quiet_ms = 0 if prompting or tick.digits else quiet_ms + FRAME_MS
        if "dtmf" in verb.inputs:
            for digit in tick.digits:
                if digit in verb.finish_on_key:
                    return Gathered(digits)
                digits += digit
                if len(digits) == verb.num_digits:
                    return Gathered(digits)
        if "speech" in verb.inputs and len(callee.said) > said and not callee.speaking:
            if callee.quiet_ms >= _SPEECH_END_MS:
                return Gathered(speech=" ".join(callee.said[said:]))
        elif quiet_ms >= verb.timeout_seconds * 1000 and not callee.speaking:
            return Gathered(digits)
    return None


@dataclass(eq=False)
class Conference:
    """Two legs that hear each other: a dialled number's or a conference's. Once closed, all of them leave."""

    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _sounds: dict[str, bytes] = field(default_factory=dict)
    """By call: its last 20 ms."""

    @property
    def calls(self) -> tuple[str, ...]:
        return tuple(self._sounds)

    async def talk(self, call_sid: str, callee: Callee, stirred: asyncio.Event) -> bool:
        """Be here until the conference is closed or `stirred`; True if the callee has hung up."""
        self._sounds[call_sid] = b""
        try:
            async for _ in beats(stirred):
                if self.closed.is_set():
                    return False
                others = [sound for sid, sound in self._sounds.items() if sid != call_sid]
                tick = callee.tick(others[0] if others and others[0] else None)
                if tick.hang_up:
                    return True
                self._sounds[call_sid] = base64.b64decode(tick.payload)
        finally:
            del self._sounds[call_sid]
        return False
