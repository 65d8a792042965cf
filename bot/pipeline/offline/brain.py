"""The rule-based brain: holds a call from its spec without a model. Pure: words in, words and tool calls out.

One reply is put together from parts, in this order: what ends the call at once (wrong number, "do not call"),
what needs the last words again (repeat, a cut reply), answers to what was asked, answers that were cut off
before, the step the talk is at, and the question that is still open. The callee's words choose among these;
they are never followed as orders, and an answer comes from the context or not at all. What it remembers is in
brain_memory, what each answer does in brain_steps; what can be judged without a call's state lives in
understanding, times, facts, purpose and talk.
"""

from __future__ import annotations

import re

from bot.pipeline.offline.brain_facts import BrainField, parsed
from bot.pipeline.offline.brain_memory import Await, BrainReply, BrainToolCall
from bot.pipeline.offline.brain_steps import DECIDES, Steps
from bot.pipeline.offline.facts import answer, asks_when_of
from bot.pipeline.offline.purpose import CONFIRMING, SCHEDULING, Answers, Ask
from bot.pipeline.offline.talk import bare, mid_sentence, was_cut, was_heard
from bot.pipeline.offline.times import when_said
from bot.pipeline.offline.understanding import (
    Intent,
    beyond_agreement,
    heard_parts,
    intents,
    is_question,
    plain,
    utterance_parts,
)
from bot.records import Outcome

__all__ = ["CUT_SIGN", "Brain", "BrainField", "BrainReply", "BrainToolCall"]

CUT_SIGN = "—"
"""Ends what was heard of a reply that was interrupted."""


_ABOUT_US = frozenset({Intent.WHO, Intent.WHY, Intent.ROBOT, Intent.HOW_ARE_YOU})
_PERMISSION = re.compile(
    r"\b(good|right|bad|convenient) (time|moment)|\b(a|one|two|a few|five) (minutes?|moments?|seconds?)\b"
    r"|\bhave time\b|\b(may|can|shall|could) (i|we) (begin|start|ask|continue|go on)\b|\bready\b"
)
_PROPOSAL = re.compile(
    r"\b(how|what) about\b|\b(can|could|may|shall) (we|i|you) (do|make|come|have|say|take|move|change)\b"
    r"|\b(is|would|will) .*\b(possible|free|available|work|be (ok|okay|fine|better))\b|\b(maybe|instead)\b"
)
_TO_BE_DONE = re.compile(
    r"\b(can|could|may) i (please )?(speak|talk|book|make|schedule|leave|order|reschedule|cancel|change)\b"
)


class Brain(Steps):
    """One call's talk. `opening` may be skipped where the opening was spoken by someone else: see `reply`."""

    @property
    def last(self) -> str:
        """The last reply, whole."""
        return self._last

    def opening(self) -> str:
        """The first words: who calls and why, or the greeting of an inbound call."""
        us = self._spec.organization
        if self._purpose is None:
            welcome = f"Thank you for calling{f' {us}' if us else ''}."
            me = f" This is {self._spec.agent_name}." if self._spec.agent_name else ""
            self._last = self._talk.utter(f"{welcome}{me} How can I help you?")
        else:
            hello = f"Hello {self._spec.callee_name}" if self._spec.callee_name else "Hello"
            why = f"I'm calling {self._purpose.said}."
            self._last = self._talk.utter(f"{hello}, {self._introduction()}.", why, self._ask.opening)
        return self._last

    def reply(self, heard: str, *, spoken: str | None = None) -> BrainReply:
        """Answers what the callee said.

        `spoken` is what the callee has really heard of the agent since the reply before (None: all of it). A
        shorter text than that reply means that it was cut, a longer one that somebody else spoke too; with no
        reply before, its first line is another's opening.
        """
        if not self._last:
            if not spoken and not intents(heard) & {Intent.DO_NOT_CALL, Intent.WRONG_NUMBER}:
                return BrainReply(self.opening())
            self._adopt_opening(spoken or "")
        cut = spoken is not None and was_cut(self._last, spoken)
        self._owed = [] if spoken is None else [a for a in self._answers if not was_heard(a, spoken)]
        if spoken is not None:
            self._talk.unheard(self._last, spoken)
        self._calls, self._answers, self._again = [], [], False
        if spoken and not cut and self._was_prompted(spoken) and not _says_something(heard, intents(heard)):
            parts = [self._pending()]
        else:
            parts = self._answered(heard, cut)
        text = self._talk.utter(*parts)
        if not text and not self._calls and not self._ended:
            text = self._talk.utter(*self._close("nothing left to say"))
        if text and not self._again:
            self._last = bare(text)
        return BrainReply(text, tuple(self._calls))

    def outcome(self) -> Outcome:
        """What the call achieved so far."""
        return self._learnt.outcome()

    # The opening that somebody else spoke.

    def _adopt_opening(self, spoken: str) -> None:
        """Takes over from an opening that the scenario worded; one that was cut is the brain's to say again."""
        spoken = spoken.split("\n", maxsplit=1)[0]
        if not spoken or spoken.rstrip().endswith(CUT_SIGN):
            self.opening()
            return
        self._last = self._talk.utter(spoken)
        last = utterance_parts(spoken)[-1]
        if self._purpose and last.endswith("?"):
            self._ask = self._asked_by(last)

    def _asked_by(self, question: str) -> Ask:
        asked = plain(question)
        if self._purpose and asked == plain(self._purpose.own.opening):
            return self._purpose.own
        if self._resembling(question, "boolean"):
            return Ask(question, Answers.YES_NO)
        if _PERMISSION.search(asked):
            return Ask(question, Answers.PERMISSION)
        if re.search(r"\b(when|(what|which) (day|time|date))\b", asked):
            return Ask(question, Answers.TIME)
        if re.match(r"((could|can|would) you (tell|give) me|what|how|who|where|why|which)\b", asked):
            return Ask(question, Answers.WORDS)
        return Ask(question, Answers.YES_NO)

    def _was_prompted(self, spoken: str) -> bool:
        """Whether somebody asked something after the last reply: "Are you still there?"."""
        last = utterance_parts(spoken)[-1:]
        return bool(last) and last[0].endswith("?") and not was_heard(last[0], self._last)

    # What was said, in order of what it outranks.

    def _answered(self, heard: str, cut: bool) -> list[str]:
        meaning = intents(heard)
        if Intent.DO_NOT_CALL in meaning:
            self._learnt.learn("do_not_call", True)
            self._learnt.note(f"{self._them()} asked not to be called again.")
            self._call("do_not_call", reason=heard.strip())
            sorry = "I'm sorry to have bothered you."
            return self._close("do_not_call", sorry, "I'll make sure you are not called again.")
        if Intent.WRONG_NUMBER in meaning:
            self._learnt.learn("wrong_number", True)
            self._learnt.note("It was the wrong number.")
            sorry = "I'm sorry, I must have the wrong number." if self._purpose else "No problem at all."
            return self._close("wrong_number", sorry)
        if Intent.ORDERS in meaning:
            refusal = "I'm afraid I can't do that, but I'm happy to help with why we're talking."
            return [refusal, self._pending()]
        if Intent.REPEAT in meaning or (cut and not _says_something(heard, meaning)):
            self._again = True
            self._answers = list(self._owed)
            return [self._talk.pick("Of course.", "Sure.", "Certainly.") * (Intent.REPEAT in meaning), self._last]
        if self._holding and re.search(r"\b(back|here|waiting|sorry about that)\b", plain(heard)):
            self._holding = False
            return ["No problem.", self._pending()]
        self._holding = False
        if re.search(r"\bnever ?mind\b|\bforget (it|about it)\b", plain(heard)):
            self._message.pop("message", None)
        asks = any(is_question(part) and Intent.HOLD not in intents(part) for part in heard_parts(heard))
        if self._takes_words() and len(heard.split()) > 2:
            # Free text: "I was busy" and "let me see" are remarks here.
            if re.search(r"\bcall (me )?(back|later|again)|can'?t talk", plain(heard)):
                return self._call_later(heard)
            return self._conversed(heard, meaning)
        if Intent.HOLD in meaning and not asks and Intent.GOODBYE not in meaning and not when_said(heard):
            self._holding = True
            return [self._talk.pick("Of course, take your time.", "No problem, I'll wait.")]
        if Intent.LATER in meaning and self._purpose and self._await not in (Await.CALLBACK, Await.WHEN):
            open_field = self._open_fields()[0] if self._await is Await.FIELD else None
            if not (open_field and open_field.is_time):
                return self._call_later(heard)
        return self._conversed(heard, meaning)

    def _conversed(self, heard: str, meaning: frozenset[Intent]) -> list[str]:
        about_us = self._about_us(meaning)
        parts = heard_parts(heard)
        asked = [p for p in parts if self._asks(p) and not intents(p) & _ABOUT_US]
        wishes = [p for p in asked if self._is_wish(p)]
        stating = [p for p in parts if p not in asked or p in wishes]
        if asked and not self._takes_words():
            # The number in "one moment, where is it?" is none.
            stating = [p for p in stating if Intent.HOLD not in intents(p)]
        stated = " ".join(stating)
        meant = intents(stated) if stated else frozenset()
        answers = [self._answer(part) for part in asked if part not in wishes]
        if self._says_goodbye(heard, meaning) and not answers:
            step = self._parting_step(stated)
            return step if self._ended else self._close("goodbye", *step[:1])
        asks_to_move = any(_wants_other_time(p) and not when_said(p) for p in asked if p not in wishes)
        step = [] if self._small_talk(stated, meant, bool(about_us or answers)) else self._step(stated, meant)
        if self._message.get("message") and not self._purpose and not self._message_left and not step:
            step = self._take_details()
        if asks_to_move and not step and not self._learnt.reached and self._await is Await.PURPOSE:
            self._await = Await.WHEN
        self._answers = [*self._answers, *answers, *(a for a in self._owed if a not in answers)]
        owed = [f"And {mid_sentence(a)}" if answers else a for a in self._owed if a not in answers]
        if self._ended:
            return [*about_us, *answers, *step]
        if not (step or about_us or self._answers):
            return self._not_understood(meant)
        self._confused = 0
        if step and stating and parts.index(stating[0]) == 0:
            # "Yes, that works, but where is it?": the yes is taken up first, the next question comes last.
            return [*step[:-1], *about_us, *answers, *owed, step[-1]]
        return [*about_us, *answers, *owed, *step, *([] if step else [self._pending()])]

    def _asks(self, part: str) -> bool:
        """Where free text is awaited, only a question mark makes a question: "how friendly they were" is none."""
        return is_question(part) and (not self._takes_words() or part.rstrip().endswith("?"))

    def _is_wish(self, question: str) -> bool:
        """Whether a question asks for something to be done rather than to be told."""
        meant = intents(question)
        if self._purpose is None:
            if meant & {Intent.LATER, Intent.MESSAGE}:
                return True
            return bool(_TO_BE_DONE.search(plain(question))) and answer(question, self._facts) is None
        if " if " in f" {plain(question)} ":
            return False
        if Intent.MESSAGE in meant:
            return True
        proposes = _wants_other_time(question) or _PROPOSAL.search(plain(question))
        return bool(when_said(question)) and bool(proposes) and self._schedules()

    def _schedules(self) -> bool:
        """Whether the call is about a time, so that a time in a question is a proposal."""
        verb = self._purpose.verb if self._purpose else ""
        return verb in CONFIRMING | SCHEDULING or self._await in (Await.WHEN, Await.CALLBACK)

    def _about_us(self, meaning: frozenset[Intent]) -> list[str]:
        parts = []
        if Intent.HOW_ARE_YOU in meaning:
            parts.append("I'm doing well, thank you.")
        if Intent.ROBOT in meaning:
            owner = f" for {self._spec.organization}" if self._spec.organization else ""
            parts.append(
                f"I'm an AI assistant calling{owner}." if self._purpose else f"I'm an AI assistant{owner}."
            )
        if Intent.WHO in meaning:
            introduction = self._introduction()
            parts.append(f"{introduction[0].upper()}{introduction[1:]}.")
        if Intent.WHY in meaning and (self._purpose or Intent.WHO not in meaning):
            parts.append(f"I'm calling {self._purpose.said}." if self._purpose else "You called us.")
        return parts

    def _answer(self, question: str) -> str:
        topic = self._purpose.topic if self._purpose else ""
        us = self._spec.organization
        question = f"{question[:1].upper()}{question[1:]}".strip()
        is_us = re.match(r"(so )?(is|am) (this|that|i (talking|speaking) (to|with)) ", plain(question))
        if us and is_us and plain(us) in plain(question):
            return f"Yes, this is {us}."
        if not self._purpose:
            self._reasons.append(question)
            self._learnt.learn("message", " ".join(self._reasons))
        if topic and asks_when_of(question, topic) and (when_said(topic) or not answer(question, self._facts)):
            return f"It's {topic}."
        found = answer(question, self._facts)
        if found:
            self._learnt.reached = self._learnt.reached or not self._purpose
            if self._await is Await.HELP:
                self._await = Await.ANYTHING
            return found.text
        if self._purpose:
            self._learnt.note(f'Open question: "{question}"')
        if self._purpose or self._message_left:
            self._call("take_message", message=f"Question: {question}", **self._who_asks())
        else:
            self._message["message"] = " ".join(filter(None, [self._message.get("message"), question]))
        return self._talk.pick(
            "I don't have that information, but I'll pass your question on.",
            "I'm afraid I don't know that either. I'll pass it on.",
            "That is something I can't answer, so I'll note it for the team.",
        )

    def _not_understood(self, meant: frozenset[Intent]) -> list[str]:
        if Intent.GREETING in meant or Intent.THANKS in meant:
            return [self._pending()]
        self._confused += 1
        if self._confused >= 3:
            return self._close("not_understood", "I'm afraid we don't understand each other well.")
        sorry = self._talk.pick("I'm sorry, I didn't quite get that.", "Sorry, I'm not sure I understood.")
        return [sorry, self._pending()]

    def _says_goodbye(self, heard: str, meaning: frozenset[Intent]) -> bool:
        if self._takes_words():
            return bool(re.search(r"\b(good ?bye|bye)\b", plain(heard)))
        return Intent.GOODBYE in meaning

    def _parting_step(self, stated: str) -> list[str]:
        """A last yes or no in front of a goodbye. "Great, thank you, goodbye" is none: it only takes leave."""
        if self._await is Await.FIELD and self._open_fields()[0].type != "string":
            value = parsed(self._open_fields()[0], stated)
            return [] if value is None else self._step(stated, intents(stated))
        if self._await is not Await.PURPOSE:
            return []
        clear = re.search(r"\b(yes|no)\b", plain(stated))
        meant = intents(stated if clear else beyond_agreement(stated))
        return self._step(stated, meant - {Intent.THANKS}) if meant & DECIDES else []

    def _small_talk(self, stated: str, meant: frozenset[Intent], asked: bool) -> bool:
        """Words that decide nothing: a greeting, or what stands beside a question: "okay, and where is it?"."""
        if not stated:
            return True
        if not asked:
            greets = meant == {Intent.GREETING} and len(stated.split()) < 6
            return greets and self._await not in (Await.ANYTHING, Await.NAME)
        if self._await in (Await.NAME, Await.NUMBER, Await.READBACK, Await.FIELD):
            return False
        return self._await is Await.ANYTHING or not meant & DECIDES


def _says_something(heard: str, meaning: frozenset[Intent]) -> bool:
    """Whether words spoken into a cut reply are more than a sound of attention."""
    fillers = {Intent.YES, Intent.GREETING, Intent.THANKS}
    return is_question(heard) or bool(meaning - fillers) or (len(plain(heard).split()) > 3 and not meaning)


def _wants_other_time(part: str) -> bool:
    return Intent.RESCHEDULE in intents(part) and " if " not in f" {plain(part)} "
