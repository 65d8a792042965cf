"""Treats the machine that picked up as the scenario wants it: message, answer, menu, end; and the way back.

What to do is decided in `machines`; here it is done. What is said to a machine is made while the machine still
talks, so that it begins right behind the beep.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from loguru import logger
from pipecat.frames.frames import LLMMessagesAppendFrame, LLMRunFrame, TTSSpeakFrame

from bot.conversation import opening, prompt
from bot.conversation.answer_detection import Pickup, Who
from bot.conversation.call_plan import Plan
from bot.conversation.hang_up import Farewell
from bot.conversation.machines.policy import (
    UNHEARD_SECONDS,
    Act,
    MenuWatch,
    ScreeningWatch,
    UnavailableWatch,
    VoicemailWatch,
    unavailable_reason,
)
from bot.conversation.opening import Recital
from bot.errors import PhoneAgentError
from bot.pipeline.line.line import Line
from bot.pipeline.line.line_ends import FarewellFrame, HushFrame, LineOutput, Performance
from bot.pipeline.resources import Resources
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.turns.context import UserContext
from bot.records import EndedReason

TREAT_EVERY_SECONDS = 0.1
"""How often a machine's silence is looked at."""
HUSH_SECONDS = 1.0
"""For a pipeline that is still starting."""


class RecitalListener:
    """Plays a recital; tells when all of it was given, or that there was nothing to give."""

    def __init__(
        self,
        performance: Performance,
        recital: Recital,
        *,
        lost: Callable[[], None],
        given: Callable[[], None] | None = None,
    ) -> None:
        self.play, self.place = performance.play, performance.place
        self._performance, self._recital = performance, recital
        self._lost, self._given = lost, given

    def end(self) -> None:
        self._performance.end()
        if self._recital.silent:
            self._lost()
        elif self._given is not None:
            self._given()


class Answering:
    """One call's machine, if one picks up. `close` when the call is over."""

    def __init__(
        self,
        plan: Plan,
        *,
        pickup: Pickup,
        line: Line,
        user: UserContext,
        output: LineOutput,
        pipeline: RunningPipeline,
        farewell: Farewell,
        resources: Resources,
        changed: asyncio.Event,
    ) -> None:
        self._plan, self._pickup = plan, pickup
        self._line, self._user, self._output = line, user, output
        self._pipeline, self._farewell = pipeline, farewell
        self._resources, self._changed = resources, changed
        self._treated: Who | None = None
        self._watch: VoicemailWatch | ScreeningWatch | MenuWatch | UnavailableWatch | None = None
        self._recital: Recital | None = None
        self._making: asyncio.Task[None] | None = None
        self._lost = self._speaking = False
        self._spoke_at = 0.0
        self._told_menu = False
        self._turn_open = False

    @property
    def engaged(self) -> bool:
        """A machine is being treated."""
        return self._treated is not None

    async def treat(self, now: float) -> None:
        """One look at the machine; to be called until the call ends or `release`."""
        pickup = self._pickup
        if self._treated is not pickup.who:
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
                    words=pickup.text,
                    silence=pickup.silence(now),
                    beeps=pickup.beeps,
                    speaking=self._speaking,
                )
                await self._act(act, EndedReason.SCREENING_UNANSWERED)
            case MenuWatch() as watch:
                pickup.spoke_words = self._output.last_word_at > self._spoke_at
                act = watch.decide(
                    now, words=pickup.text, silence=pickup.silence(now), speaking=self._line.playing_ms() > 0
                )
                await self._act(act, EndedReason.MENU_REACHED)
            case UnavailableWatch() as watch:
                reason = unavailable_reason(pickup.text, pickup.language)
                await self._act(watch.decide(now, silence=pickup.silence(now)), reason)
            case None:
                # A fax: a retry would find it again.
                self._farewell.now(EndedReason.DIAL_FAILED)

    async def release(self) -> None:
        """A person has come on: nothing more is said to the machine, and the person is listened to."""
        logger.info("a person came on after {}", self._treated)
        self._treated = self._watch = None
        await self._fall_silent()
        if self._told_menu:
            self._told_menu = False
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
            await self._pipeline.queue(LLMRunFrame())

    async def close(self) -> None:
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)
            self._making = None

    # -- beginning ------------------------------------------------------------------------------------

    async def _begin(self, now: float) -> None:
        pickup, scenario = self._pickup, self._plan.scenario
        logger.info("{} picked up", pickup.who)
        self._treated = pickup.who
        self._user.hear_only()
        await self._fall_silent()
        match pickup.who:
            case Who.VOICEMAIL:
                leaves = scenario.voicemail.policy == "leave_message"
                beeps = pickup.beeps - pickup.beep_stands()
                self._watch = VoicemailWatch(now, leaves, scenario.voicemail.silence_seconds, beeps)
                if leaves:
                    await self._make(prompt.voicemail_text(self._plan.spec, scenario))
            case Who.SCREENING:
                answers, wait = scenario.screening.policy == "answer", scenario.screening.wait_seconds
                beeps = pickup.beeps - pickup.beep_stands()
                self._watch = ScreeningWatch(now, answers, wait, pickup.language, beeps)
                if answers:
                    await self._make(prompt.screening_text(self._plan.spec, scenario))
            case Who.MENU:
                menu = scenario.menu
                self._watch = MenuWatch(now, menu.policy == "navigate", menu.max_steps, pickup.language)
            case Who.UNAVAILABLE:
                self._watch = UnavailableWatch(now)
            case _:
                self._watch = None

    async def _make(self, text: str) -> None:
        await self.close()
        self._recital = Recital(text)
        self._making = asyncio.create_task(self._speak(self._recital), name=f"reply {self._plan.call_id}")

    async def _speak(self, recital: Recital) -> None:
        plan = self._plan
        try:
            await opening.speak(
                self._resources,
                plan.slots.tts,
                recital.text or "",
                language=plan.scenario.language,
                recital=recital,
            )
        except PhoneAgentError as e:
            logger.warning("what to say to a machine could not be prepared: {}", e.message)
        except Exception as e:
            logger.opt(exception=e).error("what to say to a machine could not be prepared")
        finally:
            recital.finish()

    # -- acting ---------------------------------------------------------------------------------------

    async def _treat_voicemail(self, watch: VoicemailWatch, now: float) -> None:
        pickup = self._pickup
        said = watch.spoke_at is not None and not self._speaking
        act = watch.decide(
            now, silence=pickup.silence(now), beeps=pickup.beeps, greeting_over=pickup.greeting_over
        )
        await self._act(Act.END if said else act, EndedReason.VOICEMAIL_REACHED)

    async def _act(self, act: Act, reason: EndedReason) -> None:
        match act:
            case Act.SPEAK:
                await self._say()
            case Act.ASK:
                await self._ask()
            case Act.END:
                self._farewell.now(reason)
            case Act.WAIT:
                pass

    async def _say(self) -> None:
        """The message or the answer, from its beginning; nothing the machine says stops it."""
        recital = self._recital
        assert recital is not None
        if self._speaking:
            await self._fall_silent()
        self._speaking, self._spoke_at = True, time.monotonic()
        self._user.muted = True
        if recital.silent:
            self._lost = True
            self._changed.set()
            return
        performance = self._output.begin(str(self._treated), recital.text or "")
        recital.play_to(RecitalListener(performance, recital, lost=self._lose, given=self._give))

    def _give(self) -> None:
        self._line.when_heard(self._heard, mark=True)

    def _lose(self) -> None:
        self._lost = True
        self._changed.set()

    async def _say_by_pipeline(self) -> None:
        """The voice that could not be heard ahead gets another chance, in its ladder."""
        self._lost = False
        assert self._recital is not None
        speak = TTSSpeakFrame(self._recital.text or "", append_to_context=True)
        await self._pipeline.queue(speak, FarewellFrame(self._heard))

    async def _heard(self) -> None:
        """All that was to be said was heard."""
        if not self._speaking:
            return
        self._speaking = self._user.muted = False
        if isinstance(self._watch, ScreeningWatch):
            now = time.monotonic()
            self._watch.heard_at = now
            self._pickup.machine_spoken_to(now)
        self._changed.set()

    def _overdue(self, now: float) -> bool:
        """Whether what is being said never began, or its end is never told."""
        recital = self._recital
        length = 0.0 if recital is None else recital.speech().duration_ms / 1000
        limit = length + UNHEARD_SECONDS if length else opening.PREPARE_SECONDS + 2 * UNHEARD_SECONDS
        return self._line.playing_ms() <= 0 and now - self._spoke_at >= limit

    async def _ask(self) -> None:
        """The model answers what the menu has said: a key, words, or the end."""
        if not self._told_menu:
            self._told_menu = True
            await self._note(prompt.menu_note(self._plan.spec, self._plan.scenario))
        self._spoke_at = time.monotonic()
        self._pickup.machine_spoken_to(self._spoke_at)
        self._user.answer_once()
        if not self._turn_open:
            await self._pipeline.queue(LLMRunFrame())

    async def _note(self, text: str) -> None:
        """Sets the scene for the model; in parentheses, so that nobody is taken to have said it."""
        await self._pipeline.queue(LLMMessagesAppendFrame([{"role": "user", "content": text}], run_llm=False))

    async def _fall_silent(self) -> None:
        """Whatever is being said or prepared by the pipeline is dropped."""
        self._speaking = self._lost = self._user.muted = False
        hush = HushFrame()
        await self._pipeline.queue(hush)
        with contextlib.suppress(TimeoutError):
            # Until it has passed, it would drop what is said next as well.
            await asyncio.wait_for(hush.passed.wait(), HUSH_SECONDS)
