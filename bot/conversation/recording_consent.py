"""The callee's say in the recording: told or asked, and an objection at any time. By rules, no model.

With `ask` the opening stops at the question: the answer is not given to the model, and the rest of the opening
follows it. What is unclear counts as a no. An objection later in the call stops the recording at its first words;
the sentence that says so comes when the callee has finished, and the model goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from loguru import logger

from bot import languages
from bot.conversation import prompt
from bot.conversation.call_plan import Plan
from bot.conversation.stages import Stages
from bot.languages import Language, plain
from bot.records import ConsentAnswer, RecordingConsent

ASKED_AGAIN = 2
"""How often a question that is met with a greeting, or with silence, is put again."""
ANSWER_LEAD_MS = 700
"""The VAD reports speech this long after its beginning at most; an answer is recorded whole."""


class CallRecording(Protocol):
    """The recording of a call, as its consent commands it."""

    kept: bool

    async def begin(self, at_ms: float) -> None: ...

    async def stop(self, *, delete: bool) -> None: ...


def answer_of(text: str, language: Language) -> ConsentAnswer:
    """What an answer to "May I record this call?" means."""
    if language.notices.refuses_recording.found_in(text):
        return ConsentAnswer.NO
    if language.notices.allows_recording.found_in(text):
        return ConsentAnswer.YES
    said = language.asking.said_yes(text)
    return ConsentAnswer.UNCLEAR if said is None else ConsentAnswer.YES if said else ConsentAnswer.NO


class RecordingTalk:
    """One call's. `recording` None: nothing is recorded, and nothing is said of it until the callee does."""

    def __init__(
        self,
        plan: Plan,
        stages: Stages,
        recording: CallRecording | None,
        *,
        at_person: Callable[[], bool],
        in_gap: Callable[[], bool],
    ) -> None:
        """`at_person`: what is heard is a person's. `in_gap`: the agent talks with one who does not speak now."""
        self._plan, self._stages, self._recording = plan, stages, recording
        self._phrases, self._rules = plan.scenario.phrases, plan.scenario.recording
        self._language = languages.of(plan.scenario.language)
        self._at_person, self._in_gap = at_person, in_gap
        self._asks = self._rules.mode == "ask" and recording is not None
        self._sentence = {"ask": self._phrases.recording_question, "announce": self._phrases.recording}.get(
            self._rules.mode if recording is not None else "off"
        )
        self._said_at: datetime | None = None
        self._answer: ConsentAnswer | None = None
        self._words: str | None = None
        self._answered_at: datetime | None = None
        self._fate = "kept"
        self._opened = self._missing = False
        self._asked_again = 0
        self._objected = self._turn_over = self._model_waits = False
        self._answer_due: str | None = None
        self._began_ms = 0

    @property
    def awaiting(self) -> bool:
        """The question was put, and not answered: nothing else is."""
        return self._asks and self._opened and self._answer is None

    @property
    def consent(self) -> RecordingConsent | None:
        """For the record; None where it was never spoken of."""
        if self._said_at is None and self._answer is None:
            return None
        kept = self._recording is not None and self._recording.kept
        fate = self._fate if self._fate != "kept" or kept else "none"
        said = self._sentence if self._said_at is not None else None
        return RecordingConsent(
            self._rules.mode, said, self._said_at, self._answer, self._words, self._answered_at, fate
        )

    def opening_said(self) -> None:
        """The opening is on its way: with `ask`, what follows it is the answer."""
        self._opened = True
        if self.awaiting:
            self._stages.user.hear_only()

    def ask_again(self) -> str | None:
        """The question once more, for a callee who says nothing; None: it is not what is waited for."""
        return self._phrases.recording_question if self.awaiting else None

    # -- news -----------------------------------------------------------------------------------------

    def note_agent_turn(self, text: str) -> None:
        """What was heard of the agent, turn by turn."""
        if self._sentence and self._said_at is None and plain(self._sentence) in plain(text):
            self._said_at = datetime.now(UTC)
        elif self._opened and self._sentence and self._said_at is None:
            self._missing = True  # cut off, or left out by a model that spoke for the opening

    def note_speech(self) -> None:
        """The callee begins to speak."""
        self._began_ms = self._stages.line.media_ms - ANSWER_LEAD_MS

    def note_words(self, text: str) -> None:
        """A piece of what the callee says, as it comes."""
        if self._at_person() and not self.awaiting and not self._objected and self._objects(text):
            self._stages.user.hear_only()
            self._object(text)
            self._model_waits = True

    def note_turn_over(self, text: str) -> None:
        """The callee has finished."""
        if self.awaiting and text and (self._said_at is not None or self._objects(text)):
            self._answer_due = text
        elif self._objected:
            self._turn_over = True
        elif text and self._at_person() and not self.awaiting and self._objects(text):
            self._object(text)
            self._turn_over = True
        self._stages.changed.set()

    def _objects(self, text: str) -> bool:
        return self._language.notices.refuses_recording.found_in(text)

    def _object(self, text: str) -> None:
        self._objected = True
        self._answer, self._words, self._answered_at = ConsentAnswer.NO, text, datetime.now(UTC)
        self._stages.changed.set()

    # -- what follows ---------------------------------------------------------------------------------

    async def attend(self) -> None:
        """What is due now."""
        if self._objected and self._fate == "kept":
            await self._stop()
        if self._objected and self._turn_over:
            await self._say_stopped()
        if self._answer_due is not None:
            text, self._answer_due = self._answer_due, None
            await self._take_answer(text)
        elif self._missing and self._sentence and self._in_gap():
            self._missing = False
            await self._stages.say(self._sentence)

    async def _take_answer(self, text: str) -> None:
        if self._language.is_greeting(text) and answer_of(text, self._language) is not ConsentAnswer.YES:
            self._asked_again += 1
            if self._asked_again <= ASKED_AGAIN:
                await self._stages.say(self._phrases.recording_question)
                return
        self._answer, self._words, self._answered_at = answer_of(text, self._language), text, datetime.now(UTC)
        logger.info("the callee's answer to the recording: {}", self._answer)
        if self._answer is ConsentAnswer.YES and self._recording is not None:
            try:
                await self._recording.begin(self._began_ms)
            except OSError as e:
                logger.error("this call is not recorded: {}", e)
        else:
            self._fate = "none"
        allowed = self._answer is ConsentAnswer.YES
        said = self._phrases.recording_allowed if allowed else self._phrases.recording_declined
        rest = prompt.opening_rest(self._plan.spec, self._plan.scenario)
        await self._stages.say(f"{said} {rest}".strip())
        if rest:
            self._stages.user.answering = True
        else:
            await self._go_on()

    async def _stop(self) -> None:
        delete = self._rules.on_refusal == "delete"
        recorded = self._recording is not None and self._recording.kept
        self._fate = "none" if not recorded else "deleted" if delete else "stopped"
        logger.info("the callee objects to the recording: {}", self._fate)
        if self._recording is not None:
            try:
                await self._recording.stop(delete=delete)
            except OSError as e:
                logger.error("the recording could not be stopped as it should: {}", e)

    async def _say_stopped(self) -> None:
        self._objected = self._turn_over = False
        phrases = self._phrases
        said = {"deleted": phrases.recording_deleted, "stopped": phrases.recording_stopped}.get(self._fate)
        self._stages.note(prompt.NOT_RECORDED)
        await self._stages.say(said or phrases.recording_declined)
        if self._model_waits:
            self._model_waits = False
            await self._go_on()

    async def _go_on(self) -> None:
        self._stages.user.answer_now()
        await self._stages.run_model()
