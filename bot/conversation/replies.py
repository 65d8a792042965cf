"""The reply that is due: fills the wait for it, asks the model again, apologises and ends.

A reply is owed from the end of the callee's turn until its first audio is there, whatever kept it: a slow model,
a model that said nothing, a TTS without sound, a turn that was not answered. A filler pays nothing of it.
`ReplyWatch` decides, pure; `Replies` does it.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from loguru import logger

from bot.conversation.fillers import Fillers
from bot.conversation.scenario.parts import Patience
from bot.conversation.stages import Stages
from bot.pipeline.line.line_ends import ReplyWithdrawnFrame
from bot.records import EndedReason

FILLER_AGAIN_SECONDS = 5.0
"""Between two fillers for the same reply."""
VOICE_SECONDS = 2.5
"""How long a reply that is written may take to be heard, before it counts as lost."""
LOOK_AGAIN_SECONDS = 0.25
"""While something is due that could not be done."""
LOOK_SECONDS = 1.0
"""While nothing is owed: a model may begin to work without news."""


class ReplyStep(Enum):
    """What the wait calls for."""

    NOTHING = "nothing"
    FILLER = "filler"
    ASK_AGAIN = "ask_again"
    APOLOGISE = "apologise"


@dataclass
class ReplyWatch:
    """Times are seconds of one clock."""

    patience: Patience
    _owed_since: float | None = None
    """What the waits are counted from."""
    _debt_at: float = 0.0
    """Audio after this pays it."""
    _callee: bool = False
    _tools: bool = False
    _filler_due: float = 0.0
    _asked_again: bool = False
    _busy: bool = False
    _idle_since: float = 0.0
    """Since when no model is at work."""

    @property
    def owed(self) -> bool:
        """The callee waits for the agent, not the agent for the callee."""
        return self._owed_since is not None

    def owe(self, now: float) -> None:
        """A reply is due: the callee's turn is over."""
        self._owed_since = self._debt_at = now
        self._filler_due = now + self.patience.filler_seconds
        self._asked_again = False
        self._idle_since = now

    def settle(self) -> None:
        """Nothing is owed any more: the reply is heard, or none is to come."""
        self._owed_since = None

    def callee_speaks(self, speaking: bool, now: float) -> None:
        """While they speak nothing is due; a sound that was no turn leaves the debt, from its end on."""
        self._callee = speaking
        if not speaking and self._owed_since is not None:
            self._restart(now)

    def tools_work(self, working: bool, now: float) -> None:
        """Their wait is bridged elsewhere; the reply to their results is due from their end on."""
        self._tools = working
        if not working and self._owed_since is not None:
            self._restart(now)

    def filled(self, now: float) -> None:
        """A filler is being said."""
        self._filler_due = now + FILLER_AGAIN_SECONDS

    def decide(self, now: float, *, audio_at: float, playing: bool, busy: bool, wordless: bool) -> ReplyStep:
        """`audio_at`: when a reply's audio came last; `playing`: the agent is heard; `busy`: a model makes a
        reply, which is owed for that alone (an opening, what follows a tool, the rest of a reply that stopped);
        `wordless`: the last reply was whole and had no words. Asking again is counted, fillers are not.
        """
        if self._busy and not busy:
            self._idle_since = now
        self._busy = busy
        if self._owed_since is None:
            if busy and not (playing or self._callee or self._tools):
                self.owe(now)
            return ReplyStep.NOTHING
        if audio_at > self._debt_at:
            self.settle()
            return ReplyStep.NOTHING
        if self._callee or self._tools or playing:
            return ReplyStep.NOTHING
        waited = now - self._owed_since
        lost = not busy and now - self._idle_since >= VOICE_SECONDS
        if lost and wordless and self._asked_again:
            self.settle()  # twice asked, twice silent: it means to say nothing
            return ReplyStep.NOTHING
        if waited >= self.patience.apology_seconds and (busy or lost):
            self.settle()
            return ReplyStep.APOLOGISE
        if waited >= self.patience.ask_again_seconds and lost and not self._asked_again:
            self._asked_again = True
            self._idle_since = now
            return ReplyStep.ASK_AGAIN
        return ReplyStep.FILLER if now >= self._filler_due else ReplyStep.NOTHING

    def wake_in(self, now: float) -> float:
        """Seconds until `decide` should be asked again."""
        if self._owed_since is None or self._callee or self._tools:
            return LOOK_SECONDS
        due = (
            self._filler_due,
            self._owed_since + self.patience.ask_again_seconds,
            self._owed_since + self.patience.apology_seconds,
        )
        ahead = [at - now for at in due if at > now]
        past = any(at <= now for at in due)
        return min([*ahead, LOOK_AGAIN_SECONDS]) if past else min(ahead)

    def _restart(self, now: float) -> None:
        self._owed_since = now
        self._filler_due = max(self._filler_due, now + self.patience.filler_seconds)
        self._idle_since = max(self._idle_since, now)


class Replies:
    """Does what the watch says. `apologise` ends the call with a reason and what happened.

    A request that was lost is withdrawn before it is made again. That enters the pipeline at the model, past the
    callee's own half of it: the callee has not interrupted, and no turn is touched.
    """

    def __init__(
        self,
        patience: Patience,
        stages: Stages,
        *,
        fillers: Fillers,
        apologise: Callable[[EndedReason, str], Awaitable[None]],
    ) -> None:
        self._watch = ReplyWatch(patience)
        self._stages, self._fillers = stages, fillers
        self._apologise = apologise

    @property
    def owed(self) -> bool:
        """The callee waits for the agent."""
        return self._watch.owed

    def owe(self) -> None:
        """The callee's turn is over."""
        self._watch.owe(time.monotonic())

    def settle(self) -> None:
        """No reply is to come."""
        self._watch.settle()

    def note_callee_speech(self, speaking: bool) -> None:
        self._watch.callee_speaks(speaking, time.monotonic())

    def note_tools(self, working: bool) -> None:
        self._watch.tools_work(working, time.monotonic())

    def wake_in(self, now: float) -> float:
        """Seconds until `attend` has something to do."""
        return self._watch.wake_in(now)

    async def attend(self, now: float) -> None:
        """What is due now."""
        step = self._watch.decide(
            now,
            audio_at=self._stages.output.last_audio_at,
            playing=not self._stages.line.idle,
            busy=self._busy,
            wordless=any(getattr(llm, "reply_was_empty", False) for llm in self._stages.llms),
        )
        match step:
            case ReplyStep.FILLER:
                if self._fillers.say():
                    self._watch.filled(now)
            case ReplyStep.ASK_AGAIN:
                logger.warning("a reply got lost; the model is asked again")
                await self._withdraw()
                await self._stages.run_model()
            case ReplyStep.APOLOGISE:
                written = not self._busy and any(
                    getattr(llm, "reply_has_text", True) for llm in self._stages.llms
                )
                reason = EndedReason.ERROR_TTS if written else EndedReason.ERROR_LLM
                await self._withdraw()
                await self._apologise(reason, "a reply that was owed stayed silent")
            case ReplyStep.NOTHING:
                pass

    @property
    def _busy(self) -> bool:
        return any(getattr(llm, "busy", False) for llm in self._stages.llms)

    async def _withdraw(self) -> None:
        await self._stages.llms[0].queue_frame(ReplyWithdrawnFrame())
