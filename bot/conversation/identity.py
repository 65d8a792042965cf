"""Holds the matter of a call back until the person has said who they are. By rules, no model.

Until then no model is asked: the agent says who calls and asks for the callee, and answers what is said to that.
Once they are identified, the model is given action and context as a note, and goes on with what is left of the
opening. Another person on the line is asked anew, and what was said before leaves the model's messages.
"""

from __future__ import annotations

from collections.abc import Callable

from loguru import logger

from bot import languages
from bot.conversation import prompt
from bot.conversation.call_plan import Plan
from bot.conversation.hang_up import Goodbye
from bot.conversation.machine_words import machine_of
from bot.conversation.stages import Stages
from bot.languages import Identity, plain
from bot.pipeline.llm import vendors as llm
from bot.records import EndedReason

MOST_QUESTIONS = 4
"""Who has not said by then who they are is wished a good day."""
_HEARD_WORDS = 3
"""Of the question, before a plain yes answers it."""


class IdentityTalk:
    """One call's. Nothing is held back where the scenario does not say so."""

    def __init__(
        self,
        plan: Plan,
        stages: Stages,
        goodbye: Goodbye,
        *,
        at_person: Callable[[], bool],
        otherwise_asked: Callable[[], bool],
    ) -> None:
        """`at_person`: what is heard is a person's. `otherwise_asked`: they have another question to answer."""
        self._plan, self._stages, self._goodbye = plan, stages, goodbye
        self._language = languages.of(plan.scenario.language)
        self._words = self._language.identity
        self._at_person, self._otherwise_asked = at_person, otherwise_asked
        self._withheld = plan.withholds
        self._opened = False
        self._questions = 0
        self._said: str | None = None
        """Their last turn, to be judged."""

    @property
    def withheld(self) -> bool:
        """Nobody is known to be the callee."""
        return self._withheld

    @property
    def awaiting(self) -> bool:
        """A person is on the line who has not said who they are."""
        return self._withheld and self._opened and not self._otherwise_asked()

    @property
    def question(self) -> str:
        return prompt.identity_question(self._plan.spec, self._plan.scenario)

    def opening_said(self) -> None:
        """Somebody hears who calls, and is asked: the opening, or the introduction to a person who came on."""
        if self._plan.withholds:
            if not self._withheld:
                logger.info("another person is on the line: the matter is held back again")
                self._stages.context.set_messages([{"role": "user", "content": prompt.CALL_OPENED}])
                llm.tell(self._stages.llms, self._plan.first_brief)
            self._withheld = self._opened = True
            self._said = None
            self._stages.user.hear_only()

    def ask_again(self) -> str | None:
        """The question once more, for one who says nothing; None: it is not what is waited for."""
        return self.question if self.awaiting else None

    def note_turn_over(self, text: str) -> None:
        """The callee, or what plays to who waits, has finished."""
        if self._withheld and self._opened and text:
            self._said = text
            self._stages.changed.set()

    async def attend(self) -> None:
        """What is due now."""
        if not self.awaiting:
            return
        if self._stages.user.answering:
            self._stages.user.hear_only()
        if self._said is None or not self._at_person():
            return
        said, self._said = self._said, None
        if machine_of(said, self._language, spoken_to=True) is None:
            await self._take(said)

    async def came_back(self) -> None:
        """A person is on the line again, or after a menu: what they said is judged, or they are asked."""
        if not self._opened:
            self.opening_said()
            await self._stages.say(self._plan.opening_text or self.question)
        elif self._said is None:
            await self._ask(self.question)

    async def _take(self, said: str) -> None:
        asked = " ".join(plain(self.question).split()[:_HEARD_WORDS]) in plain(self._stages.user.asked)
        match self._words.judge(said, self._plan.spec.callee_name, asked=asked):
            case Identity.CONFIRMED:
                await self._tell()
            case Identity.DENIED:
                await self._goodbye.say(self._words.goodbye, EndedReason.AGENT_HANGUP)
            case Identity.ASKS:
                await self._ask(prompt.identity_answer(self._plan.spec, self._plan.scenario))
            case Identity.UNCLEAR:
                await self._ask(self.question)

    async def _ask(self, text: str) -> None:
        self._questions += 1
        if self._questions >= MOST_QUESTIONS:
            await self._goodbye.say(self._words.goodbye, EndedReason.AGENT_HANGUP)
        else:
            await self._stages.say(text)

    async def _tell(self) -> None:
        logger.info("the person has said who they are")
        self._withheld = False
        plan, stages = self._plan, self._stages
        llm.tell(stages.llms, plan.brief)
        stages.note(prompt.matter_note(plan.spec, plan.scenario))
        rest = prompt.matter_text(plan.spec, plan.scenario)
        if rest:
            await stages.say(rest)
            stages.user.answering = True
        else:
            stages.user.answer_now()
            await stages.run_model()
