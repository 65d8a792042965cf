"""A call without audio: typed turns in the place of the voice activity detector, and a voice that makes no sound.

All between the two is the pipeline of any call. A typed turn comes as the frames that a recogniser and a detector
give for a spoken one, over as much time as it would take to say.
"""

import asyncio
import time
from collections.abc import AsyncIterator

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.time import time_now_iso8601

from bot.audio import SAMPLE_RATE, Speech, TimedWord
from bot.conversation.call_plan import SpeechDetector
from bot.pipeline.offline.voice import LocalVoice
from bot.pipeline.turns.interjection import LATE_WORDS_SECONDS
from bot.pipeline.turns.vad import VoiceActivity

WORD_SECONDS = 0.3
"""About the pace of speech on the telephone: 200 words a minute."""
ONSET_SECONDS = 0.1
"""Of speech, until the detector says so."""
STOP_SECONDS = 0.2
"""The detector's silence after the last word."""
SETTLING_SECONDS = LATE_WORDS_SECONDS + 0.5
_LOUD, _TICK_SECONDS = 1000.0, 0.1
_TICK = bytes(2 * int(SAMPLE_RATE * _TICK_SECONDS))


class TypedSpeech(SpeechDetector):
    """Stands where the voice activity detector does, and tells what the callee types."""

    def __init__(self) -> None:
        super().__init__(name="TypedSpeech")
        self.voice = VoiceActivity()
        self._settling: asyncio.Task[None] | None = None
        """The quiet after a turn, in which it is decided whether it interrupted."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)

    async def say(self, text: str, *, word_seconds: float = WORD_SECONDS) -> None:
        """A turn of the callee; returns when it is said."""
        if self._settling is not None:
            await self.cancel_task(self._settling)
        words = text.split()
        seconds = word_seconds * len(words)
        onset = min(ONSET_SECONDS, seconds)
        await self._sound(2 * _TICK_SECONDS, voiced=False)  # what is silent before is heard to be so
        await self._sound(onset, voiced=True)
        await self.push_frame(VADUserStartedSpeakingFrame(start_secs=ONSET_SECONDS))
        await self._sound((seconds - onset) / 2, voiced=True)
        if len(words) > 1:
            await self.push_frame(InterimTranscriptionFrame(" ".join(words[: len(words) // 2 + 1]), "", _now()))
        await self._sound((seconds - onset) / 2, voiced=True)
        await self._sound(STOP_SECONDS, voiced=False)
        await self.push_frame(VADUserStoppedSpeakingFrame(stop_secs=STOP_SECONDS))
        await self.push_frame(TranscriptionFrame(text, "", _now(), finalized=True))
        self._settling = self.create_task(self._sound(SETTLING_SECONDS, voiced=False))

    async def cleanup(self) -> None:
        await super().cleanup()  # type: ignore[no-untyped-call]
        if self._settling is not None:
            await self.cancel_task(self._settling)

    async def _sound(self, seconds: float, *, voiced: bool) -> None:
        """What the stages behind look at while it lasts."""
        for _ in range(round(seconds / _TICK_SECONDS)):
            await asyncio.sleep(_TICK_SECONDS)
            self.voice.note(voiced, _LOUD if voiced else 0.0, _TICK_SECONDS, time.monotonic())
            await self.push_frame(InputAudioRawFrame(_TICK, SAMPLE_RATE, 1))


class SilentVoice(LocalVoice):
    """A voice whose speech lasts as long as it should and has no sound. Nothing is loaded."""

    def __init__(self, word_seconds: float = WORD_SECONDS) -> None:
        super().__init__()
        self._word_seconds = word_seconds

    def load(self) -> None:
        return

    @property
    def loaded(self) -> bool:
        return True

    async def speak(self, text: str, *, speed: float = 1.0, pitch: float = 1.0) -> Speech:
        return self.say(text)

    async def stream(self, text: str, *, speed: float = 1.0, pitch: float = 1.0) -> AsyncIterator[Speech]:
        yield self.say(text)

    def say(self, text: str, *, speed: float = 1.0, pitch: float = 1.0) -> Speech:
        ms, words = self._word_seconds * 1000, text.split()
        timed = tuple(TimedWord(word, n * ms, (n + 1) * ms) for n, word in enumerate(words))
        return Speech(text, bytes(2 * round(len(words) * ms * SAMPLE_RATE / 1000)), timed)


def _now() -> str:
    return time_now_iso8601()
