"""The brief rule-based brain: a sensible call in any language that has a tongue. Pure: words in, words out.

The English brain knows English grammar through and through; translating it rule by rule would be a second one
for each language. This one knows little and asks again: yes, no, another time, questions the context answers,
the scenario's own questions, call me later, goodbye. All it hears and says comes from a `Tongue`, so a language
is data. It is heard and told as the other is: `reply` has the same meaning in both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bot.languages import plain
from bot.pipeline.offline.brain_facts import BrainField, Learnt
from bot.pipeline.offline.brain_memory import Await, BrainReply, BrainToolCall
from bot.pipeline.offline.brief_facts import asks_when_of, facts_of, found_fact
from bot.pipeline.offline.brief_hearing import meant_by, parsed, parted, time_said
from bot.pipeline.offline.purpose import Answers, Ask, Purpose
from bot.pipeline.offline.talk import Talk, mid_sentence, was_cut
from bot.pipeline.offline.tongue import Tongue
from bot.pipeline.offline.understanding import Intent, phone_said
from bot.records import CallSpec, Outcome

_SETTLES = frozenset({Intent.YES, Intent.NO, Intent.RESCHEDULE, Intent.CANCEL, Intent.DECLINE})
_COURTESY = frozenset({Intent.YES, Intent.GREETING, Intent.THANKS})
_LEFT_ALONE = 3
"""Times that nothing was understood before the call is ended."""


class BriefBrain:
    """One call's talk in `tongue`. `purpose` is the call's in the same language; None: they called us."""

    def __init__(
        self,
        spec: CallSpec,
        fields: Sequence[BrainField],
        tools: frozenset[str],
        goal: str | None = None,
        *,
        tongue: Tongue,
        purpose: Purpose | None,
    ) -> None:
        self._spec, self._fields, self._tools = spec, fields, tools
        self._tongue, self._say, self._notes = tongue, tongue.sentences, tongue.notes
        self._purpose = purpose
        self._ask = purpose.ask if purpose else Ask("", Answers.WORDS)
        self._more = list(purpose.more) if purpose else []
        self._learnt = Learnt(fields, goal, nothing=tongue.notes.nothing)
        self._talk = Talk(again=tongue.sentences.again)
        self._facts = facts_of(spec.context, tongue)
        # A call out always asks something, also where its action has no words in this language.
        self._await = Await.PURPOSE if spec.action.strip() else Await.HELP
        self._skipped: set[str] = set()
        self._last, self._again, self._ended = "", False, False
        self._retries = self._confused = 0
        self._calls: list[BrainToolCall] = []
        self._recorded: Outcome | None = None

    @property
    def last(self) -> str:
        """The last reply, whole."""
        return self._last

    def opening(self) -> str:
        """The first words: who calls and why, or the greeting of those who call in."""
        us = self._spec.organization
        if self._await is Await.HELP:
            agent = self._spec.agent_name
            me = f" {_capital(self._say.me.format(agent=agent))}." if agent else ""
            self._last = f"{self._say.welcome.format(us=f' a {us}' if us else '', me=me)} {self._say.help[0]}"
        else:
            name = f", {self._spec.callee_name}" if self._spec.callee_name else ""
            parts = [self._say.hello.format(name=name, me=self._introduction())]
            if self._purpose:
                parts += [self._say.why.format(said=self._purpose.said), self._ask.opening]
            self._last = " ".join(parts)
        return self._last

    def reply(self, heard: str, *, spoken: str | None = None) -> BrainReply:
        """Answers what the callee said. `spoken`: what was really heard of the agent since; None: all of it."""
        if not self._last:
            if not spoken and not self._meant(heard) & {Intent.DO_NOT_CALL, Intent.WRONG_NUMBER}:
                return BrainReply(self.opening())
            self._adopt((spoken or "").split("\n", maxsplit=1)[0])
        cut = spoken is not None and was_cut(self._last, spoken)
        if spoken is not None:
            self._talk.unheard(self._last, spoken)
        self._calls, self._again = [], False
        text = self._talk.utter(*self._answered(heard, cut))
        if text and not self._again:
            self._last = text
        return BrainReply(text, tuple(self._calls))

    def outcome(self) -> Outcome:
        """What the call achieved so far."""
        return self._learnt.outcome()

    def _adopt(self, opening: str) -> None:
        """Takes over from an opening that the scenario worded. Its last question is the open one."""
        if opening.rstrip().endswith("—"):
            self.opening()
            return
        self._last = self._talk.utter(opening)
        asked = re.findall(r"¿?[^.!?¿]+\?", opening)
        if asked and self._await is Await.PURPOSE and (not self._purpose or asked[-1] != self._ask.opening):
            kind = self._ask.answers if self._purpose else Answers.YES_NO
            self._ask = Ask(asked[-1], kind)

    # What was said, in order of what it outranks.

    def _answered(self, heard: str, cut: bool) -> list[str]:
        meant, say = self._meant(heard), self._say
        if Intent.DO_NOT_CALL in meant:
            self._learnt.learn("do_not_call", True)
            self._note(self._notes.not_again.format(who=self._them()))
            self._call("do_not_call", reason=heard.strip())
            return self._close("do_not_call", say.not_again)
        if Intent.WRONG_NUMBER in meant:
            self._learnt.learn("wrong_number", True)
            self._note(self._notes.wrong_number)
            return self._close("wrong_number", say.wrong_number)
        if Intent.ORDERS in meant:
            return [say.orders, self._pending()]
        questions, stated = self._parted(heard)
        if cut and not questions and not meant - _COURTESY:
            self._again = True
            return [self._last]
        if Intent.REPEAT in meant and not meant & _SETTLES:
            self._again = True
            return [self._talk.pick(*say.sure), self._last]
        if Intent.HOLD in meant and not questions and not self._time(heard) and Intent.GOODBYE not in meant:
            return [say.take_your_time]
        if Intent.LATER in meant and self._await is Await.PURPOSE:
            return self._call_later(heard)
        return self._conversed(questions, stated, meant)

    def _conversed(self, questions: list[str], stated: str, meant: frozenset[Intent]) -> list[str]:
        about_us = self._about_us(meant)
        answers = [self._answer(question) for question in questions if not self._meant(question) & _ABOUT_US]
        said = self._meant(stated) if stated else frozenset()
        if Intent.GOODBYE in meant and not answers:
            if not self._tongue.certain.found_in(stated):
                said -= {Intent.YES}  # "vale, adiós" only takes leave
            step = self._step(stated, said) if self._await is Await.PURPOSE and said & _SETTLES else []
            return step if self._ended else self._close("goodbye", *step[:1])
        # Beside a question only what settles something is an answer of theirs: "vale, ¿y dónde es?".
        only_polite = bool(answers or about_us) and (self._await is Await.ANYTHING or not said & _SETTLES)
        step = [] if not stated or only_polite else self._step(stated, said)
        if self._ended:
            return [*about_us, *answers, *step]
        if not (step or answers or about_us):
            return self._not_understood(said)
        self._confused = 0
        if step and answers:
            return [*step[:-1], *about_us, *answers, step[-1]]
        return [*about_us, *answers, *step, *([] if step else [self._pending()])]

    def _about_us(self, meant: frozenset[Intent]) -> list[str]:
        say, us, parts = self._say, self._spec.organization, []
        if Intent.HOW_ARE_YOU in meant:
            parts.append(say.well)
        if Intent.ROBOT in meant:
            parts.append(say.robot.format(us=f" de {us}" if us else ""))
        if Intent.WHO in meant:
            parts.append(f"{_capital(self._introduction())}.")
        if Intent.WHY in meant and (self._purpose or self._await is Await.HELP):
            parts.append(say.why.format(said=self._purpose.said) if self._purpose else say.they_called)
        return parts

    def _answer(self, question: str) -> str:
        topic = self._purpose.topic if self._purpose else ""
        if self._time(topic) and asks_when_of(question, topic, self._tongue):
            return f"{_capital(topic)}."
        if found := found_fact(question, self._facts, self._tongue):
            return found
        self._note(self._notes.asked.format(words=question.strip()))
        self._call("take_message", message=question.strip(), **self._who_asks())
        return self._talk.pick(*self._say.passed_on)

    def _not_understood(self, meant: frozenset[Intent]) -> list[str]:
        if meant & {Intent.GREETING, Intent.THANKS}:
            return [self._pending()]
        self._confused += 1
        if self._confused >= _LEFT_ALONE:
            return self._close("not_understood", self._say.give_up)
        return [self._talk.pick(*self._say.not_understood), self._pending()]

    # The step the talk is at.

    def _step(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        may_move = self._await in (Await.PURPOSE, Await.ANYTHING) and self._purpose
        if may_move and meant & {Intent.CANCEL, Intent.RESCHEDULE}:
            return self._other_time(heard, canceled=Intent.CANCEL in meant)
        if self._await is Await.FIELD:
            return self._on_field(heard, meant)
        if self._await is Await.MORE:
            self._note(self._notes.answered.format(question=self._more.pop(0), words=heard.strip(" .")))
            return [self._talk.pick(*self._say.thanks), *self._onward()]
        if self._await is Await.WHEN:
            if meant & {Intent.NO, Intent.DECLINE} and not self._time(heard):
                return [self._say.understood, *self._onward(skip_questions=True)]
            return self._other_time(heard, said=heard.strip(" ."))
        if self._await is Await.CALLBACK:
            if meant & {Intent.NO, Intent.DECLINE} and not self._time(heard):
                return self._close("goodbye", self._say.understood)
            return self._call_later(heard, said=heard.strip(" ."))
        return self._on_purpose(heard, meant) if self._await is Await.PURPOSE else self._on_anything(heard, meant)

    def _on_purpose(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if self._ask.answers is Answers.TIME and self._time(heard):
            return self._other_time(heard)
        if self._ask.answers is Answers.WORDS:
            if len(heard.split()) < 2 and not meant & _SETTLES:
                return []
            self._note(self._notes.answered.format(question=self._ask.question, words=heard.strip(" .")))
            self._settled(Intent.NO not in meant)
            return [self._say.noted, *self._onward()]
        if meant & {Intent.NO, Intent.DECLINE}:
            return self._refused(meant)
        if Intent.YES not in meant:
            return []
        if self._ask.answers is Answers.TIME:
            return [self._ask.question]
        self._settled(True)
        topic = self._purpose.topic if self._purpose else self._spec.action.strip(" .")
        self._note(self._notes.confirmed.format(who=self._them(), topic=topic))
        if self._ask.answers is Answers.YES_NO and self._purpose:
            return [self._say.confirmed.format(topic=topic), *self._onward()]
        return [self._talk.pick(*self._say.thanks), *self._onward()]

    def _refused(self, meant: frozenset[Intent]) -> list[str]:
        self._settled(False)
        self._note(self._notes.declined.format(who=self._them()))
        if self._ask.answers is Answers.YES_NO and Intent.DECLINE not in meant and self._purpose:
            self._await = Await.WHEN
            return [self._say.understood, self._pending()]
        return self._close("declined", self._say.understood)

    def _settled(self, value: bool) -> None:
        """Yes or no to the purpose; a field that asks what the opening asked is answered by it too."""
        self._learnt.reached = value
        self._learnt.learn("confirmed", value)
        asked = set(plain(self._ask.question).split())
        for spec in self._fields:
            own = set(plain(spec.question or "").split())
            if spec.type == "boolean" and own and len(own & asked) >= 0.6 * len(own | asked):
                self._learnt.values[spec.name] = value

    def _other_time(self, heard: str, *, said: str | None = None, canceled: bool = False) -> list[str]:
        when = self._time(heard) or said
        self._learnt.learn("canceled" if canceled else "reschedule", True)
        self._learnt.learn("confirmed", False)
        self._learnt.reached = False
        self._note(self._notes.wants_other_time.format(who=self._them()))
        if when is None and self._await is not Await.WHEN:
            self._await = Await.WHEN
            return [self._say.other_time, self._pending()]
        when = mid_sentence(when or heard.strip(" ."))
        self._learnt.learn("when", when)
        self._note(self._notes.wants_time.format(who=self._them(), when=when))
        return [self._say.other_time_noted.format(when=when), *self._onward(skip_questions=True)]

    def _call_later(self, heard: str, *, said: str | None = None) -> list[str]:
        when = self._time(heard) or said
        self._learnt.learn("callback", True)
        if when is None:
            self._await = Await.CALLBACK
            return [self._say.understood, self._pending()]
        self._learnt.learn("call_when", when)
        self._note(self._notes.call_back.format(who=self._them(), when=when))
        self._call("schedule_callback", when=when)
        fits = self._time(when) == when
        return self._close(
            "callback", self._say.call_back.format(when=when) if fits else self._say.call_back_noted
        )

    def _on_field(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        spec = self._open_fields()[0]
        value = parsed(spec, heard, self._tongue)
        if value is None and self._retries == 0 and Intent.DECLINE not in meant:
            self._retries = 1
            options = f" {self._say.choice_or} ".join(option.replace("_", " ") for option in spec.options)
            again = self._say.choices.format(options=options) if options else spec.question or ""
            return [self._talk.pick(*self._say.not_understood), again]
        self._retries = 0
        if value is None:
            self._skipped.add(spec.name)
        else:
            self._learnt.values[spec.name] = value
            said = {True: self._notes.yes, False: self._notes.no}[value] if isinstance(value, bool) else value
            self._note(self._notes.answered.format(question=spec.question, words=said))
        if not self._open_fields():
            self._learnt.reached = not self._skipped
        return [self._talk.pick(*self._say.thanks), *self._onward()]

    def _on_anything(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if self._await is Await.HELP and meant & {Intent.GREETING} and len(heard.split()) < 5:
            return []
        words = len(heard.split())
        if self._await is Await.ANYTHING and self._tongue.wants_more.found_in(heard):
            return [self._talk.pick(*self._say.help)]
        leaves = meant & {Intent.NO, Intent.THANKS} or (words < 4 and not meant - {Intent.YES})
        if self._await is Await.ANYTHING and leaves:
            return self._close("goodbye")
        if words < 3:
            return []
        self._note(self._notes.message.format(words=heard.strip()))
        self._learnt.learn("message", heard.strip(" ."))
        if number := phone_said(heard):
            self._learnt.learn("phone_number", number)
        self._learnt.reached = self._learnt.reached or self._await is Await.HELP
        self._call("take_message", message=heard.strip(), **self._who_asks())
        self._await = Await.ANYTHING
        return [self._say.message_noted, self._pending()]

    # What comes next.

    def _onward(self, *, skip_questions: bool = False) -> list[str]:
        if self._more and not skip_questions:
            self._await = Await.MORE
        elif self._open_fields() and not skip_questions:
            self._await = Await.FIELD
        else:
            self._await = Await.ANYTHING
            self._record()
        return [self._pending()]

    def _pending(self) -> str:
        """The open question."""
        say, pick = self._say, self._talk.pick
        if self._await is Await.PURPOSE:
            question = self._ask.question
            variants = [question, *(back.format(question=_inside(question)) for back in say.back_to)]
            return pick(*variants) if question else pick(*say.help)
        if self._await is Await.FIELD:
            return self._open_fields()[0].question or ""
        if self._await is Await.MORE:
            return say.also.format(order=mid_sentence(self._more[0]))
        texts = {Await.WHEN: say.when, Await.CALLBACK: say.call_when, Await.HELP: say.help}
        return pick(*texts.get(self._await, say.anything))

    def _open_fields(self) -> list[BrainField]:
        known = self._learnt.values.keys() | self._skipped
        return [spec for spec in self._fields if spec.question and spec.name not in known]

    def _close(self, reason: str, *before: str) -> list[str]:
        name = f", {self._spec.callee_name}" if self._spec.callee_name else ""
        self._record()
        self._call("end_call", reason=reason)
        self._ended = True
        return [*before, self._say.goodbye.format(name=name)]

    def _record(self) -> None:
        """Tells the outcome when it is news."""
        outcome = self._learnt.outcome()
        if outcome != self._recorded:
            self._recorded = outcome
            reached, summary = outcome.reached_goal, outcome.summary
            self._call("record_outcome", **outcome.fields, reached_goal=reached, summary=summary)

    def _call(self, tool: str, /, **arguments: Any) -> None:
        if tool in self._tools:
            self._calls.append(BrainToolCall(tool, arguments))

    # Small judgements.

    def _meant(self, words: str) -> frozenset[Intent]:
        return meant_by(words, self._tongue)

    def _time(self, words: str) -> str | None:
        return time_said(words, self._tongue)

    def _parted(self, heard: str) -> tuple[list[str], str]:
        """The questions in what was heard, and the rest as one."""
        parts, asked = parted(heard, self._tongue)
        if self._await in (Await.FIELD, Await.MORE):
            asked = [part for part in asked if part.rstrip().endswith("?")]
        elif self._purpose:
            # "¿Puede ser el viernes?" is a wish.
            asked = [part for part in asked if not (self._tongue.proposes.found_in(part) and self._time(part))]
        return asked, ". ".join(part.strip(" ,.") for part in parts if part not in asked)

    def _introduction(self) -> str:
        who, us = self._spec.agent_name, self._spec.organization
        if who and us:
            return self._say.me_of.format(agent=who, us=us)
        return self._say.me.format(agent=who or us or self._say.automated)

    def _them(self) -> str:
        return self._spec.callee_name or self._notes.them

    def _who_asks(self) -> dict[str, str]:
        return {"name": self._spec.callee_name} if self._spec.callee_name else {}

    def _note(self, text: str) -> None:
        self._learnt.note(text)


_ABOUT_US = frozenset({Intent.WHO, Intent.WHY, Intent.ROBOT, Intent.HOW_ARE_YOU})


def _inside(question: str) -> str:
    """A question as it goes on after a few words."""
    mark = question[: len(question) - len(question.lstrip("¿¡"))]
    return mark + mid_sentence(question[len(mark) :]) if question[len(mark) :] else question


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
