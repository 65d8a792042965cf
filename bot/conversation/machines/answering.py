"""Treats the machine that picked up as the scenario wants it: message, answer, menu, end; and the way back.

What to do is decided in `policy`; here it is done. What is said to a machine is made while the machine still
talks, so that it begins right behind the beep.
"""

import asyncio
import time

from loguru import logger
from pipecat.frames.frames import LLMMessagesAppendFrame

from bot.conversation import opening, prompt
from bot.conversation.answer_detection import AnswerDetection
from bot.conversation.call_plan import Plan
from bot.conversation.hang_up import Goodbye
from bot.conversation.machines.policy import (
    UNHEARD_SECONDS,
    HoldWatch,
    MachineAct,
    MenuWatch,
    ScreeningWatch,
    UnavailableWatch,
    VoicemailWatch,
    unavailable_reason,
)
from bot.conversation.opening import SpeechStream
from bot.conversation.stages import Stages
from bot.errors import PhoneAgentError
from bot.pipeline.resources import Resources
from bot.records import AnsweredBy, EndedReason

TREAT_EVERY_SECONDS = 0.1
"""How often a machine's silence is looked at."""


class MachineHandling:
    """One call's machine, if one picks up. `close` when the call is over."""

    def __init__(
        self,
        plan: Plan,
        *,
        detection: AnswerDetection,
        stages: Stages,
        goodbye: Goodbye,
        resources: Resources,
    ) -> None:
        self._plan, self.detection = plan, detection
        self._stages, self._goodbye = stages, goodbye
        self._user = stages.user
        self._resources, self._changed = resources, stages.changed
        self._treated: AnsweredBy | None = None
        self._watch: VoicemailWatch | ScreeningWatch | MenuWatch | HoldWatch | UnavailableWatch | None = None
        self._patience = plan.scenario.hold.longest_seconds
        """What is left of it for music and queues."""
        self._stream: SpeechStream | None = None
        self._making: asyncio.Task[None] | None = None
        self._lost = self._speaking = False
        self._spoke_at = 0.0
        self._menu_noted = False
        self._turn_open = False

    @property
    def engaged(self) -> bool:
        """A machine is being treated."""
        return self._treated is not None

    async def treat(self, now: float) -> None:
        """One look at the machine; to be called until the call ends or `release`."""
        detection = self.detection
        if self._treated is not detection.who:
            await self._begin(now)
        if self._lost:
            await self._say_by_pipeline()
        if self._speaking and self._overdue(now):
            await self._heard()
        match self._watch:
            case VoicemailWatch() as watch:
                await self._treat_voicemail(watch, now)
            case ScreeningWatch() as watch:
                act = watch.decide(
                    now,
                    words=detection.text,
                    silence=detection.silence(now),
                    beeps=detection.beeps,
                    speaking=self._speaking,
                )
                await self._act(act, EndedReason.SCREENING_UNANSWERED)
            case MenuWatch() as watch:
                detection.spoke_words = self._stages.output.last_word_at > self._spoke_at
                act = watch.decide(
                    now,
                    words=detection.text,
                    silence=detection.silence(now),
                    speaking=self._stages.line.playing_ms() > 0,
                )
                await self._act(act, EndedReason.MENU_REACHED)
            case HoldWatch() as watch:
                if watch.decide(now) is MachineAct.END:
                    await self._goodbye.say(self._plan.scenario.phrases.hold_goodbye, EndedReason.HOLD_TIMEOUT)
            case UnavailableWatch() as watch:
                reason = unavailable_reason(detection.text, detection.language)
                await self._act(watch.decide(now, silence=detection.silence(now)), reason)
            case None:
                # A fax: a retry would find it again.
                self._goodbye.end_now(EndedReason.DIAL_FAILED)

    async def release(self) -> None:
        """A person has come on: nothing more is said to the machine, and the person is listened to."""
        logger.info("a person came on after {}", self._treated)
        await self._fall_silent()
        if isinstance(self._watch, HoldWatch):
            self._stages.note(prompt.BACK_FROM_HOLD)
            self._stages.user.take_back()
        self._leave()
        if self._menu_noted:
            self._menu_noted = False
            await self._note(prompt.PERSON_CAME_ON)
        self._user.answering = True

    def note_piece(self) -> None:
        """The callee said something: a turn is open, and its end runs the model, where it is let through."""
        self._turn_open = not self._user.muted

    def note_turn_over(self) -> None:
        self._turn_open = False

    async def let_model_answer(self) -> None:
        """To what the person has said already."""
        self._user.answer_now()
        if not self._turn_open:
            await self._stages.run_model()

    async def close(self) -> None:
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)
            self._making = None

    def _leave(self) -> None:
        """What is treated is treated no more."""
        if isinstance(self._watch, HoldWatch):
            self._patience = max(0.0, self._watch.until - time.monotonic())
        self._treated = self._watch = None

    async def introduce(self) -> None:
        """Tell a person who came on after a hold who calls, with what was made meanwhile."""
        stream = self._stream
        if stream is None or stream.silent:
            await self._stages.say(prompt.hold_text(self._plan.spec, self._plan.scenario))
        else:
            stream.play_to(self._stages.output.begin("introduction", stream.text or "", opening=True))

    # -- beginning ------------------------------------------------------------------------------------

    async def _begin(self, now: float) -> None:
        detection, scenario = self.detection, self._plan.scenario
        logger.info("on the line: {}", detection.who)
        self._leave()
        self._treated = detection.who
        self._user.hear_only()
        await self._fall_silent()
        match detection.who:
            case AnsweredBy.VOICEMAIL:
                leaves = scenario.voicemail.policy == "leave_message"
                beeps = detection.beeps - detection.beep_stands()
                self._watch = VoicemailWatch(now, leaves, scenario.voicemail.silence_seconds, beeps)
                if leaves:
                    await self._make(prompt.voicemail_text(self._plan.spec, scenario, self._plan.our_number))
            case AnsweredBy.SCREENING:
                answers, wait = scenario.screening.policy == "answer", scenario.screening.wait_seconds
                beeps = detection.beeps - detection.beep_stands()
                self._watch = ScreeningWatch(now, answers, wait, detection.language, beeps)
                if answers:
                    await self._make(prompt.screening_text(self._plan.spec, scenario))
            case AnsweredBy.MENU:
                menu = scenario.menu
                self._watch = MenuWatch(now, menu.policy == "navigate", menu.max_steps, detection.language)
            case AnsweredBy.HOLD:
                self._watch = HoldWatch(now + self._patience)
                if detection.opened:
                    await self._make(prompt.hold_text(self._plan.spec, scenario))
            case AnsweredBy.UNAVAILABLE:
                self._watch = UnavailableWatch(now)
            case _:
                self._watch = None

    async def _make(self, text: str) -> None:
        await self.close()
        self._stream = SpeechStream(text)
        self._making = asyncio.create_task(self._speak(self._stream), name=f"reply {self._plan.call_id}")

    async def _speak(self, stream: SpeechStream) -> None:
        plan = self._plan
        try:
            await opening.speak(
                self._resources,
                plan.slots.tts,
                stream.text or "",
                language=plan.scenario.language,
                pronunciation=plan.scenario.pronunciation,
                stream=stream,
            )
        except PhoneAgentError as e:
            logger.warning("what to say to a machine could not be prepared: {}", e.message)
        except Exception as e:
            logger.opt(exception=e).error("what to say to a machine could not be prepared")
        finally:
            stream.finish()

    # -- acting ---------------------------------------------------------------------------------------

    async def _treat_voicemail(self, watch: VoicemailWatch, now: float) -> None:
        detection = self.detection
        said = watch.spoke_at is not None and not self._speaking
        act = watch.decide(
            now, silence=detection.silence(now), beeps=detection.beeps, greeting_over=detection.greeting_over
        )
        await self._act(MachineAct.END if said else act, EndedReason.VOICEMAIL_REACHED)

    async def _act(self, act: MachineAct, reason: EndedReason) -> None:
        match act:
            case MachineAct.SPEAK:
                await self._say()
            case MachineAct.ASK:
                await self._ask()
            case MachineAct.END:
                self._goodbye.end_now(reason)
            case MachineAct.WAIT:
                pass

    async def _say(self) -> None:
        """The message or the answer, from its beginning; nothing the machine says stops it."""
        stream = self._stream
        assert stream is not None
        if self._speaking:
            await self._fall_silent()
        self._speaking, self._spoke_at = True, time.monotonic()
        self._user.muted = True
        if stream.silent:
            self._lost = True
            self._changed.set()
            return
        playback = self._stages.output.begin(str(self._treated), stream.text or "")
        stream.play_to(playback, self._all_given)

    def _all_given(self) -> None:
        if self._stream is not None and not self._stream.silent:
            self._stages.line.when_heard(self._heard, mark=True)
            return
        self._lost = True
        self._changed.set()

    async def _say_by_pipeline(self) -> None:
        """The voice that could not be heard ahead gets another chance, with its fallbacks."""
        self._lost = False
        assert self._stream is not None
        await self._stages.say(self._stream.text or "", self._heard)

    async def _heard(self) -> None:
        """All that was to be said was heard."""
        if not self._speaking:
            return
        self._speaking = self._user.muted = False
        if isinstance(self._watch, ScreeningWatch):
            now = time.monotonic()
            self._watch.heard_at = now
            self.detection.machine_spoken_to(now)
        self._changed.set()

    def _overdue(self, now: float) -> bool:
        """Whether what is being said never began, or its end is never reported."""
        stream = self._stream
        length = 0.0 if stream is None else stream.speech().duration_ms / 1000
        limit = length + UNHEARD_SECONDS if length else opening.PREPARE_SECONDS + 2 * UNHEARD_SECONDS
        return self._stages.line.playing_ms() <= 0 and now - self._spoke_at >= limit

    async def _ask(self) -> None:
        """The model answers what the menu has said: a key, words, or the end."""
        if not self._menu_noted:
            self._menu_noted = True
            await self._note(prompt.menu_note(self._plan.spec, self._plan.scenario))
        self._spoke_at = time.monotonic()
        self.detection.machine_spoken_to(self._spoke_at)
        self._user.answer_once()
        if not self._turn_open:
            await self._stages.run_model()

    async def _note(self, text: str) -> None:
        """Sets the scene for the model; in parentheses, so that it is not taken for speech."""
        await self._stages.pipeline.queue(
            LLMMessagesAppendFrame([{"role": "user", "content": text}], run_llm=False)
        )

    async def _fall_silent(self) -> None:
        """Whatever is being said or prepared by the pipeline is dropped."""
        self._speaking = self._lost = self._user.muted = False
        await self._stages.hush()
