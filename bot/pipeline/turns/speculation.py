"""Replies that are begun before the callee's turn is over, and kept when it ends with the same words.

The gap between the last syllable and the decision that the turn is over is spent on the model. pipecat does the
holding: a context frame marked as speculation runs the model on a provisional context, and the model's service
lets nothing out, and runs no tool, until the turn is confirmed. Here is when to begin, and when to drop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from loguru import logger
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.turns.types import ProcessFrameResult, UserTurnSpeculation
from pipecat.turns.user_stop.base_user_turn_stop_strategy import BaseUserTurnStopStrategy

from bot.languages import plain
from bot.pipeline.pipecat_internals import EagerStop, expect_more_words
from bot.pipeline.turns.vad import FADED_SECONDS, VoiceActivity

ASKED_AT = "asked_at"
"""Metadata of a final transcript: when it was asked for, time.monotonic()."""
GUESSES = 2
"""Speculations on hushes within one turn; each costs a request, and speech full of pauses has many."""


class Counter(Protocol):
    """Who keeps count: the recorder."""

    def speculated(self, *, kept: bool) -> None: ...


@dataclass
class Guess(UserTurnSpeculation):
    """One reply begun early. A withdrawal overtakes requests that still wait in front of the model: those
    carry their guess, so that the model leaves them alone."""

    withdrawn: bool = False


@dataclass(frozen=True)
class Speculating:
    """What the strategies of one call need to begin early."""

    voice: VoiceActivity
    counter: Counter
    allowed: Callable[[], bool]
    """Whether the open turn will be answered by the model."""

    def withdraw(self, guess: Guess | None) -> None:
        """The reply that was begun early will not be said."""
        if guess is not None:
            guess.withdrawn = True
        self.counter.speculated(kept=False)


class EarlyReply(BaseUserTurnStopStrategy):  # type: ignore[no-untyped-call]  # __init_subclass__
    """A mixin for stop strategies: begins the reply at a hush or at the VAD's stop, on the words so far.

    A guess on other words than the turn ends with is dropped, and so is one that is overtaken by new words.
    """

    def begin_early(self, voice: VoiceActivity, speculating: Speculating | None) -> None:
        """To be called once, by the constructor. None: replies begin when the turn is over."""
        self._voice = voice
        self._speculating = speculating
        self._open = self._quiet = False
        self._final_words: list[str] = []
        self._interim_words = ""
        self._steady = False
        """The words are final, or the STT has said them twice: at a hush its interim words lack the last ones."""
        self._guess: Guess | None = None
        self._guesses = 0
        self._refused: str | None = None
        """Words on which the model gave up a guess: it wanted a tool, or failed."""

    @property
    def turn_words(self) -> str:
        """All that was said in this turn, finals and the latest interim."""
        return " ".join([*self._final_words, self._interim_words]).strip()

    async def handle_user_turn_started(self) -> None:
        await super().handle_user_turn_started()  # type: ignore[no-untyped-call]
        # What starts a turn may be its first words: they are given to the stop strategies after this.
        self._open, self._quiet, self._guesses, self._refused = True, False, 0, None
        self._final_words, self._interim_words, self._steady = [], "", False

    async def handle_user_turn_stopped(self) -> None:
        self._open = False
        await super().handle_user_turn_stopped()  # type: ignore[no-untyped-call]
        if self._guess is not None:
            await self._drop()

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        match frame:
            case TranscriptionFrame():
                self._steady = True
                if self._voice.voiced_at > frame.metadata.get(ASKED_AT, self._voice.voiced_at):
                    frame.finalized = False  # more was said since it was asked for
                self._final_words.append(frame.text.strip())
                self._interim_words = ""
            case InterimTranscriptionFrame():
                self._steady = plain(self._interim_words) == plain(frame.text)
                self._interim_words = frame.text.strip()
            case VADUserStartedSpeakingFrame():
                self._quiet = False
            case VADUserStoppedSpeakingFrame():
                self._quiet = True
            case EagerEndOfTurnCancelFrame():
                self._note_refusal()
            case InterruptionFrame() if self._guess is not None:
                await self._drop()  # the model has given it up
            case InputAudioRawFrame():
                if self._voice.hush_seconds == 0 and not self._quiet:
                    # A final that was asked for at a hush does not cover what is said after it.
                    expect_more_words(self)
            case _:
                return await self._pass_on(frame)
        if self._open and self._speculating is not None:
            await self._consider(self._speculating)
        return await self._pass_on(frame)

    async def _pass_on(self, frame: Frame) -> ProcessFrameResult:
        return await super().process_frame(frame) or ProcessFrameResult.CONTINUE

    def goes_on(self) -> bool:
        """Whether the words are no end of a sentence: they are answered when the turn is over, not before."""
        return False

    async def _consider(self, speculating: Speculating) -> None:
        words = self.turn_words
        if self._guess is not None:
            if plain(self._guess.text) == plain(words):
                return
            await self._drop()
        hush = self._steady and speculating.voice.hush_seconds >= FADED_SECONDS and not self.goes_on()
        if plain(words) == self._refused:
            return
        if not words or not (self._quiet or (hush and self._guesses < GUESSES)) or not speculating.allowed():
            return
        self._guesses += not self._quiet
        self._guess = Guess(text=words)
        logger.debug("a reply is begun early, on {} words", len(words.split()))
        await self.trigger_user_turn_inference_triggered(speculation=self._guess)

    def _note_refusal(self) -> None:
        """From behind: the turn's end will ask again, in earnest."""
        if self._guess is not None and self._speculating is not None:
            self._speculating.withdraw(self._guess)  # it may be a newer one than the model gave up
            self._refused, self._guess = plain(self._guess.text), None

    async def _drop(self) -> None:
        assert self._speculating is not None
        self._speculating.withdraw(self._guess)
        self._guess = None
        await self.trigger_user_turn_speculation_cancelled()  # type: ignore[no-untyped-call]

    async def trigger_user_turn_stopped(self, *, enable_user_speaking_frames: bool | None = None) -> None:
        guess = self._guess
        if guess is None or self._speculating is None:
            await super().trigger_user_turn_stopped(enable_user_speaking_frames=enable_user_speaking_frames)
            return
        if plain(guess.text) == plain(" ".join(self._final_words)):
            self._guess = None
            self._speculating.counter.speculated(kept=True)
            await self.trigger_user_turn_finalized(
                enable_user_speaking_frames=enable_user_speaking_frames, confirms_speculation=True
            )
            return
        await self._drop()
        await super().trigger_user_turn_stopped(enable_user_speaking_frames=enable_user_speaking_frames)


class CountedEagerStop(EagerStop):
    """pipecat's strategy for an STT that proposes ends of turns itself, with a count."""

    def __init__(self, speculating: Speculating) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._speculating = speculating
        self._guess: Guess | None = None

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        if isinstance(frame, InterruptionFrame) and self.has_guess:
            await self.forget_guess()  # the model has given it up
        return await super().process_frame(frame)

    async def trigger_user_turn_inference_triggered(
        self, *, speculation: UserTurnSpeculation | None = None
    ) -> None:
        if speculation is not None:
            speculation = self._guess = Guess(speculation.text)
        await super().trigger_user_turn_inference_triggered(speculation=speculation)

    async def trigger_user_turn_finalized(
        self, *, enable_user_speaking_frames: bool | None = None, confirms_speculation: bool = False
    ) -> None:
        if confirms_speculation:
            self._speculating.counter.speculated(kept=True)
        await super().trigger_user_turn_finalized(
            enable_user_speaking_frames=enable_user_speaking_frames, confirms_speculation=confirms_speculation
        )

    async def trigger_user_turn_speculation_cancelled(self) -> None:
        self._speculating.withdraw(self._guess)
        await super().trigger_user_turn_speculation_cancelled()  # type: ignore[no-untyped-call]

    def guess_forgotten(self) -> None:
        self._speculating.withdraw(self._guess)

    def may_speculate(self) -> bool:
        return self._speculating.allowed()
