"""The STT of simulated calls: it returns the simulated callee's own script as transcripts.

A simulated callee knows its own words; recognising its synthetic speech again would test the recogniser, not
the call. So each word is heard when the call's media clock has passed it. Turn taking, barge-in and timing are
those of a real call; only recognition is left out.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601
from pipecat.utils.tracing.service_decorators import traced_stt

from bot.audio import SAMPLE_RATE, TimedWord

INTERIM_EVERY_MS = 200.0
"""Media time between two interim transcripts."""
PAUSE_MS = 300.0
"""Media time after an utterance's last word at which it is final although no VAD said so."""


@dataclass(frozen=True)
class ScriptLine:
    """One utterance; word times in ms of the call's media clock."""

    text: str
    words: tuple[TimedWord, ...]


@dataclass(frozen=True)
class Interim:
    """All words heard since the last final one."""

    text: str


@dataclass(frozen=True)
class Final:
    """Words that no later transcript holds again."""

    text: str


class CalleeScripts:
    """Call SID → the lines its callee has spoken, in order, and the agent's words they have heard. One event loop
    writes and reads."""

    def __init__(self) -> None:
        self._lines: dict[str, list[ScriptLine]] = {}
        self._agent: dict[str, str] = {}

    def agent_said(self, call_sid: str, words: str) -> None:
        """The callee has heard this of the agent."""
        self._agent[call_sid] = f"{self._agent.get(call_sid, '')} {words}"

    def agent_words(self, call_sid: str) -> str:
        """All the callee has heard of the agent so far."""
        return self._agent.get(call_sid, "")

    def say(self, call_sid: str, text: str, words: Sequence[TimedWord]) -> None:
        """The callee says `text`; to be reported before its audio is played, or soon after.

        ValueError when the words are not those of the text: one would be heard and the other written down.
        """
        if [word.text for word in words] != text.split():
            raise ValueError("give each word of the text once, in its order")
        if words:
            self._lines.setdefault(call_sid, []).append(ScriptLine(text, tuple(words)))

    def forget(self, call_sid: str) -> None:
        """Drop the lines of a call; an unknown call is fine."""
        self._lines.pop(call_sid, None)
        self._agent.pop(call_sid, None)

    def lines(self, call_sid: str, start: int = 0) -> Sequence[ScriptLine]:
        """The call's utterances from number `start` on."""
        return tuple(self._lines.get(call_sid, ())[start:])


@dataclass
class ScriptReader:
    """Hears script words as the media clock passes them. Pure: time in, transcripts out.

    Every word leaves in exactly one Final, in order. A word is heard at its end; one that has
    begun when the VAD stops is heard then, because word times are estimates and the VAD's silence is not.
    """

    unheard: list[tuple[TimedWord, bool]] = field(default_factory=list)
    """Word and whether it is the last of its utterance, oldest first."""
    pending: list[str] = field(default_factory=list)
    """Heard since the last Final."""
    utterances: int = 0
    """How many utterances were taken in."""
    _new: bool = False
    _next_interim_ms: float = 0.0
    _final_at_ms: float | None = None

    def take(self, lines: Sequence[ScriptLine]) -> None:
        """Lines added since the last time."""
        for utterance in lines:
            self.utterances += 1
            last = len(utterance.words) - 1
            self.unheard += [(word, number == last) for number, word in enumerate(utterance.words)]

    def hear(self, now_ms: float) -> list[Interim | Final]:
        """What the clock's reaching `now_ms` lets be heard."""
        transcripts: list[Interim | Final] = []
        while self.unheard and self.unheard[0][0].end_ms <= now_ms:
            word, last = self.unheard[0]
            if self._final_at_ms is not None and word.start_ms >= self._final_at_ms:
                transcripts += self._finish()
            del self.unheard[0]
            self._heard(word, last)
        if self._final_at_ms is not None and now_ms >= self._final_at_ms:
            transcripts += self._finish()
        if self._new and now_ms >= self._next_interim_ms:
            self._new = False
            self._next_interim_ms = now_ms + INTERIM_EVERY_MS
            transcripts.append(Interim(" ".join(self.pending)))
        return transcripts

    def stop(self, now_ms: float) -> list[Interim | Final]:
        """The callee fell silent (VAD, or the end of the call): what was heard is final."""
        while self.unheard and self.unheard[0][0].start_ms < now_ms:
            self._heard(*self.unheard.pop(0))
        return self._finish()

    def _heard(self, word: TimedWord, last: bool) -> None:
        self.pending.append(word.text)
        self._new = True
        self._final_at_ms = word.end_ms + PAUSE_MS if last else None

    def _finish(self) -> list[Interim | Final]:
        text = " ".join(self.pending)
        self.pending = []
        self._new = False
        self._final_at_ms = None
        return [Final(text)] if text else []


class ScriptedSTTService(STTService):
    """Transcripts of the script, timed by the audio.

    The samples received are the media clock, so every frame from the call's first on must pass here, also
    silent ones. Words come as interims when the clock has passed them and as a finalized transcript when the
    VAD stops, or 300 ms after an utterance's last word where it did not.
    """

    def __init__(self, *, scripts: CalleeScripts, call_sid: str, **kwargs: Any) -> None:
        super().__init__(
            name=f"scripted STT of {call_sid}",
            sample_rate=SAMPLE_RATE,
            # Words are known before they are spoken: after the VAD's stop there is nothing to wait for.
            ttfs_p99_latency=0.0,
            settings=STTSettings(model="scripted", language=Language.EN),
            **kwargs,
        )
        self._scripts = scripts
        self._call_sid = call_sid
        self._reader = ScriptReader()
        self._samples = 0

    @property
    def now_ms(self) -> float:
        """The media clock: audio received so far."""
        return self._samples * 1000 / SAMPLE_RATE

    def can_generate_metrics(self) -> bool:
        return True

    async def process_audio_frame(self, frame: InputAudioRawFrame, direction: FrameDirection) -> None:
        # Counted here and not in run_stt, which a muted service does not reach.
        self._samples += frame.num_frames
        await super().process_audio_frame(frame, direction)

    @traced_stt
    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """The transcripts due now; `audio` has moved the clock, its content is not listened to."""
        self._reader.take(self._scripts.lines(self._call_sid, self._reader.utterances))
        for frame in self._frames(self._reader.hear(self.now_ms)):
            yield frame

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            await self._finish()

    async def stop(self, frame: EndFrame) -> None:
        await self._finish()
        await super().stop(frame)

    async def _finish(self) -> None:
        self._reader.take(self._scripts.lines(self._call_sid, self._reader.utterances))
        for frame in self._frames(self._reader.stop(self.now_ms)):
            await self.push_frame(frame)

    def _frames(self, transcripts: Iterable[Interim | Final]) -> Iterable[Frame]:
        for transcript in transcripts:
            now = time_now_iso8601()
            if isinstance(transcript, Final):
                # `finalized` commits the turn without the stop strategies' safety-net wait.
                yield TranscriptionFrame(transcript.text, self._user_id, now, Language.EN, finalized=True)
            else:
                yield InterimTranscriptionFrame(transcript.text, self._user_id, now, Language.EN)
