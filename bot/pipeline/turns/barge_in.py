"""Barge-in in the pipeline: withholds the callee's sounds over the agent's voice until they are judged.

`BargeIn` stands between the STT and the callee's context, and acts on what `Interjection` decides.
"""

import time
from collections.abc import Callable

from loguru import logger
from pipecat.audio.vad.vad_analyzer import VAD_STOP_SECS
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    EagerTranscriptionFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from bot.pipeline.line.line import Line
from bot.pipeline.line.line_ends import LineOutput
from bot.pipeline.pipecat_internals import PassesAudio
from bot.pipeline.turns.interjection import AgentVoice, BargeInAct, Interjection
from bot.pipeline.turns.vad import VoiceActivity


class AgentOnLine:
    """The agent's voice as the line has it."""

    def __init__(
        self, line: Line, output: LineOutput, reply_owed: Callable[[], bool], must_be_heard: Callable[[], bool]
    ) -> None:
        self._line, self._output, self._reply_owed = line, output, reply_owed
        self._must_be_heard = must_be_heard
        self.hold, self.resume = line.hold, line.resume

    @property
    def to_be_silenced(self) -> bool:
        """Something is being said, or held; a reply on its way is not."""
        return not self._line.idle or self._line.held

    def voice(self) -> AgentVoice:
        saying = self._output.saying
        if self._line.idle:
            owed = self._reply_owed() or self._line.held
            return AgentVoice(sounding=owed)
        return AgentVoice(
            sounding=True,
            left=self._line.playing_ms() / 1000,
            complete=saying.complete,
            asks=saying.asks,
            protected=saying.protected or self._must_be_heard(),
            opening=saying.opening,
        )


_WITHHELD = (
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
    TranscriptionFrame,
    InterimTranscriptionFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    EagerTranscriptionFrame,
    EagerEndOfTurnCancelFrame,
)
UNHEEDED_SECONDS = 0.2
"""An interruption that no turn made of it by then is made here."""


class BargeIn(PassesAudio):
    """Withholds the callee's sounds over the agent's voice until it is decided what they are.

    It keeps its own queue: an interruption has to overtake what waits in it. Where frames were taken as they were
    given, a beep over a message was not followed by the message once more.
    """

    def __init__(
        self,
        interjection: Interjection,
        voice: VoiceActivity,
        agent: AgentOnLine,
        *,
        listening: Callable[[], bool],
        on_backchannel: Callable[[str, float], None],
        longest_turn_seconds: float,
    ) -> None:
        """`listening`: what the callee says may interrupt. `on_backchannel`: what they said, seconds ago."""
        super().__init__(name="BargeIn")
        self._interjection = interjection
        self._voice = voice
        self._agent = agent
        self._listening = listening
        self._on_backchannel = on_backchannel
        self._longest_turn = longest_turn_seconds
        self._withheld: list[Frame] = []
        """While nothing is judged: the beginning of a turn of the STT's that was a noise so far, and goes on."""
        self._released_at: float | None = None
        """When an interruption was let pass, until the agent's voice is dropped."""
        self._speech_since: float | None = None
        """Since when the stages behind know of speech that has not ended."""
        self._turn_open = False
        """Behind: words that come now are its own, however late, and it does not end without them."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            if isinstance(frame, UserStartedSpeakingFrame | UserStoppedSpeakingFrame):
                self._turn_open = isinstance(frame, UserStartedSpeakingFrame)
            await self.push_frame(frame, direction)
            return
        if isinstance(frame, InputAudioRawFrame):
            await self._decide()
            await self._close_long_turn()
            await self.push_frame(frame, direction)
        elif isinstance(frame, _WITHHELD):
            await self._hear(frame)
        else:
            await self.push_frame(frame, direction)

    async def _hear(self, frame: Frame) -> None:
        if isinstance(frame, TranscriptionFrame | InterimTranscriptionFrame) and frame.text.strip():
            if self._interjection.withholding:
                self._interjection.hear(frame.text, final=isinstance(frame, TranscriptionFrame))
            elif self._overheard(frame.text):
                if isinstance(frame, TranscriptionFrame):
                    self._on_backchannel(frame.text, 0.0)
                return
            else:
                self._interjection.learn(self._voice, interim=isinstance(frame, InterimTranscriptionFrame))
        await self._decide()
        if isinstance(frame, ProposedUserStartedSpeakingFrame) and self._listening():
            self._interjection.start_late(time.monotonic(), self._voice, self._agent.voice())
        if self._interjection.withholding:
            self._withheld.append(frame)
        elif await self._takes_up(frame):
            await self._let_pass(frame)

    def _overheard(self, text: str) -> bool:
        """A backchannel, whose words come later than its sound. The hello that the opening answers is none."""
        if self._turn_open or not self._listening():
            return False
        return self._interjection.overheard(text, self._agent.voice())

    async def _takes_up(self, frame: Frame) -> bool:
        """Whether a frame is news of more than a sound that was forgotten.

        An STT reports the beginning of its turn once: words that follow take it up, an end of turn does not.
        """
        if isinstance(frame, TranscriptionFrame | InterimTranscriptionFrame | EagerTranscriptionFrame):
            if self._interjection.forgotten(frame.text, self._voice):
                return False
            if frame.text.strip():
                await self._release()
        elif self._withheld and isinstance(frame, ProposedUserStoppedSpeakingFrame):
            self._withheld.clear()
            return False
        elif isinstance(frame, ProposedUserStartedSpeakingFrame):
            self._withheld.clear()
        return True

    async def _decide(self) -> None:
        now = time.monotonic()
        if not self._listening():
            await self._stop_listening()
            return
        agent = self._agent.voice()
        match self._interjection.decide(now, self._voice, agent):
            case BargeInAct.HOLD:
                await self._agent.hold()
            case BargeInAct.RESUME:
                logger.debug("no interruption")
                await self._agent.resume()
            case BargeInAct.INTERRUPT:
                self._released_at = now
                await self._release()
            case BargeInAct.RELEASE:
                await self._release()
            case BargeInAct.FORGET:
                words = self._interjection.words
                await self._forget()
                if words:
                    self._on_backchannel(words, now - self._voice.voiced_at)
            case BargeInAct.NOTHING:
                await self._see_to_interruption(now)

    async def _stop_listening(self) -> None:
        if self._interjection.withholding or self._withheld or self._released_at is not None:
            self._interjection.give_up()
            self._released_at = None
            await self._agent.resume()
            await self._release()

    async def _see_to_interruption(self, now: float) -> None:
        """A turn that was open already interrupts nothing; the held voice must not stay so."""
        if self._released_at is None:
            return
        if not self._agent.to_be_silenced:
            self._released_at = None
        elif now - self._released_at >= UNHEEDED_SECONDS:
            self._released_at = None
            await self.broadcast_interruption()  # type: ignore[no-untyped-call]

    async def _release(self) -> None:
        withheld, self._withheld = self._withheld, []
        for frame in withheld:
            await self._let_pass(frame)

    async def _forget(self) -> None:
        """Drop what was withheld; not the end of speech whose beginning has passed, nor the beginning of a turn
        that goes on."""
        withheld, self._withheld = self._withheld, []
        for frame in withheld:
            match frame:
                case VADUserStoppedSpeakingFrame() if self._speech_since is not None:
                    await self._let_pass(frame)
                case ProposedUserStartedSpeakingFrame():
                    self._withheld = [frame]
                case ProposedUserStoppedSpeakingFrame() if self._withheld:
                    self._withheld = []
                case ProposedUserStoppedSpeakingFrame():
                    await self._let_pass(frame)
                case _:
                    pass

    async def _let_pass(self, frame: Frame) -> None:
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._speech_since = time.monotonic()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._speech_since = None
        await self.push_frame(frame)

    async def _close_long_turn(self) -> None:
        """Music and other people's talk do not keep a turn open for ever."""
        since = self._speech_since
        if since is not None and time.monotonic() - since >= self._longest_turn:
            logger.info("a turn of {} s is closed", self._longest_turn)
            await self._let_pass(VADUserStoppedSpeakingFrame(stop_secs=VAD_STOP_SECS))
