"""The rule-based brain: holds a call from its spec without a model. Pure: words in, words and tool calls out.

One reply is put together from parts, in this order: what ends the call at once (wrong number, "do not call"),
what needs the last words again (repeat, a cut reply), answers to what was asked, answers that were cut off
before, the step the talk is at, and the question that is still open. The callee's words choose among these;
they are never followed as orders, and an answer comes from the context or not at all. The file is long because
the steps share one state and are read as one table; what can be judged without that state lives in
understanding, times, facts, purpose and talk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bot.engines.brain_facts import BrainField, Learnt, answered_in, parsed
from bot.engines.facts import answer, asks_when_of, sentences
from bot.engines.facts import spoken as as_spoken
from bot.engines.purpose import CONFIRMING, SCHEDULING, Answers, Ask, ask_of, purpose
from bot.engines.talk import Talk, bare, mid_sentence, was_heard
from bot.engines.times import chosen, offered, when_said, without_refusal
from bot.engines.understanding import (
    Intent,
    heard_parts,
    intents,
    is_question,
    name_said,
    option_said,
    phone_said,
    phone_spoken,
    plain,
    utterance_parts,
    without_introduction,
)
from bot.records import CallSpec, Outcome, Speaker, Turn

__all__ = ["CUT_SIGN", "Brain", "BrainField", "BrainReply", "BrainToolCall", "rule_outcome"]

CUT_SIGN = "—"
"""Ends what was heard of a reply that was interrupted."""


@dataclass(frozen=True)
class BrainToolCall:
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BrainReply:
    """What to say, and the tools to call with it; both may be empty."""

    text: str
    tools: tuple[BrainToolCall, ...] = ()


class _Await(Enum):
    """What the callee was asked last."""

    PURPOSE = "purpose"
    FIELD = "field"
    MORE = "more"
    WHEN = "when"
    CALLBACK = "callback"
    HELP = "help"
    NAME = "name"
    NUMBER = "number"
    READBACK = "readback"
    ANYTHING = "anything"


_ABOUT_US = frozenset({Intent.WHO, Intent.WHY, Intent.ROBOT, Intent.HOW_ARE_YOU})
_DECIDES = frozenset({Intent.YES, Intent.NO, Intent.RESCHEDULE, Intent.CANCEL, Intent.DECLINE})
_PERMISSION = re.compile(
    r"\b(good|right|bad|convenient) (time|moment)|\b(a|one|two|a few|five) (minutes?|moments?|seconds?)\b"
    r"|\bhave time\b|\b(may|can|shall|could) (i|we) (begin|start|ask|continue|go on)\b|\bready\b"
)
_PROPOSAL = re.compile(
    r"\b(how|what) about\b|\b(can|could|may|shall) (we|i|you) (do|make|come|have|say|take|move|change)\b"
    r"|\b(is|would|will) .*\b(possible|free|available|work|be (ok|okay|fine|better))\b|\b(maybe|instead)\b"
)
_FILLER = re.compile(
    r"\b(yes|yeah|yep|yup|of course|certainly|i can|i could|i do|that's|that is|go ahead|please)\b"
)
_TO_BE_DONE = re.compile(
    r"\b(can|could|may) i (please )?(speak|talk|book|make|schedule|leave|order|reschedule|cancel|change)\b"
)
_ACKNOWLEDGEMENT = re.compile(
    r"\b(great|perfect|ok|okay|alright|all right|good|fine|sounds|sure|wonderful|lovely|excellent|cool|right)\b"
)


class Brain:
    """One call's talk. `opening` may be skipped where the opening was spoken by someone else: see `reply`."""

    def __init__(
        self, spec: CallSpec, fields: Sequence[BrainField], tools: frozenset[str], goal: str | None = None
    ) -> None:
        self._spec = spec
        self._tools = tools
        self._fields = fields
        self._skipped: set[str] = set()
        self._asked = 0
        """Questions of fields that were answered or passed over."""
        self._learnt = Learnt(fields, goal)
        self._purpose = purpose(spec, has_questions=any(f.question for f in fields))
        self._ask = self._purpose.ask if self._purpose else Ask("", Answers.WORDS)
        """The question the opening ended with."""
        self._facts = sentences(spec.context)
        self._offers = offered(self._facts)
        self._talk = Talk()
        self._await = _Await.PURPOSE if self._purpose else _Await.HELP
        self._more = list(self._purpose.more) if self._purpose else []
        self._last = ""
        self._again = False
        self._holding = False
        self._retries = 0
        self._confused = 0
        self._answers: list[str] = []
        """The answers in the last reply."""
        self._owed: list[str] = []
        """Those of them that were cut off."""
        self._reasons: list[str] = []
        self._message: dict[str, str] = {}
        self._message_left = False
        self._calls: list[BrainToolCall] = []
        self._recorded: Outcome | None = None
        self._ended = False

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
        cut = spoken is not None and _was_cut(self._last, spoken)
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
        if Intent.LATER in meaning and self._purpose and self._await not in (_Await.CALLBACK, _Await.WHEN):
            open_field = self._open_fields()[0] if self._await is _Await.FIELD else None
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
        if asks_to_move and not step and not self._learnt.reached and self._await is _Await.PURPOSE:
            self._await = _Await.WHEN
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
        return verb in CONFIRMING | SCHEDULING or self._await in (_Await.WHEN, _Await.CALLBACK)

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
            if self._await is _Await.HELP:
                self._await = _Await.ANYTHING
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
        if self._await is _Await.FIELD and self._open_fields()[0].type != "string":
            value = parsed(self._open_fields()[0], stated)
            return [] if value is None else self._step(stated, intents(stated))
        if self._await is not _Await.PURPOSE:
            return []
        clear = re.search(r"\b(yes|no)\b", plain(stated))
        meant = intents(stated if clear else _ACKNOWLEDGEMENT.sub("", plain(stated)))
        return self._step(stated, meant - {Intent.THANKS}) if meant & _DECIDES else []

    # The step the talk is at.

    def _step(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if self._await in (_Await.PURPOSE, _Await.ANYTHING, _Await.WHEN) and self._purpose:
            if Intent.CANCEL in meant:
                return self._canceled()
            if Intent.RESCHEDULE in meant or (self._await is _Await.WHEN and when_said(without_refusal(heard))):
                return self._another_time(heard)
        steps = {
            _Await.PURPOSE: self._on_purpose,
            _Await.FIELD: self._on_field,
            _Await.MORE: self._on_more,
            _Await.WHEN: self._on_when,
            _Await.CALLBACK: self._on_callback,
            _Await.HELP: self._on_help,
            _Await.NAME: self._on_name,
            _Await.NUMBER: self._on_number,
            _Await.READBACK: self._on_readback,
            _Await.ANYTHING: self._on_anything,
        }
        return steps[self._await](heard, meant)

    def _on_purpose(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        assert self._purpose is not None
        volunteered = self._volunteered(heard)
        if self._ask.answers is Answers.PERMISSION:
            return self._on_permission(heard, meant, volunteered)
        if self._purpose.verb in SCHEDULING and when_said(heard):
            return self._another_time(heard)
        if self._ask.answers is Answers.WORDS:
            return self._on_words(heard, meant)
        if meant & {Intent.NO, Intent.DECLINE}:
            return self._refused(meant)
        if Intent.YES not in meant and not volunteered:
            return []
        return [self._ask.question] if self._ask.answers is Answers.TIME else self._agreed_to_purpose()

    def _on_permission(self, heard: str, meant: frozenset[Intent], volunteered: bool) -> list[str]:
        assert self._purpose is not None
        if volunteered and self._goal_is_lost():
            return self._close("declined", "All right, I understand.")
        if Intent.DECLINE in meant and "time" not in plain(heard) and "minute" not in plain(heard):
            self._learnt.learn("confirmed", False)
            self._learnt.note(f"{self._them()} did not want to go on.")
            return self._close("declined", "All right, I understand.")
        if not volunteered and meant & {Intent.NO, Intent.DECLINE}:
            if "schedule_callback" in self._tools or when_said(heard):
                return self._call_later(heard)
            self._learnt.note(f"{self._them()} had no time.")
            return self._close("declined", "All right, I understand.")
        if self._purpose.verb in SCHEDULING and when_said(heard):
            return self._another_time(heard)
        if Intent.YES not in meant and not volunteered:
            return []
        if self._purpose.verb in SCHEDULING:
            self._await = _Await.WHEN
            return [self._thanks(), *self._offer(), self._pending()]
        if self._more or self._open_fields():
            return [self._thanks(), *self._onward()]
        if self._purpose.ask.answers is not Answers.PERMISSION:
            self._ask = self._purpose.ask
            return [self._thanks(), self._pending()]
        # There is something to talk about and no question: it is what the context says.
        self._answers = [as_spoken(fact) for fact in self._facts[:2]]
        self._learnt.reached = True
        self._confirmed(True)
        self._learnt.note(f"{self._them()} was told about {_reported(self._purpose.topic)}.")
        return [self._thanks(), *self._answers, *self._onward()]

    def _on_words(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        assert self._purpose is not None
        if len(plain(heard).split()) < 2 and not meant & _DECIDES and not re.search(r"\d", heard):
            return []
        if meant <= {Intent.GREETING, Intent.THANKS} and len(heard.split()) < 4 and meant:
            return []
        either = " me whether " in self._ask.question
        if (
            not either
            and Intent.YES in meant
            and not _ACKNOWLEDGEMENT.sub("", _FILLER.sub("", plain(heard))).strip()
        ):
            return [self._ask.question]  # "Yes" to "Could you tell me when …?" only agrees to tell
        self._learnt.reached = True
        self._confirmed(Intent.NO not in meant or not either)
        self._learnt.note(f'Asked "{self._ask.question}": "{heard.strip()}"')
        return ["Thank you, I'll note that.", *self._onward()]

    def _refused(self, meant: frozenset[Intent]) -> list[str]:
        assert self._purpose is not None
        self._confirmed(False)
        self._learnt.note(f"{self._them()} said no to {self._named()}.")
        if self._purpose.verb in CONFIRMING and not self._purpose.clause and Intent.DECLINE not in meant:
            self._await = _Await.WHEN
            return ["I see.", *self._offer(), "Would another day or time suit you better?"]
        if self._goal_is_lost() and not self._more and self._purpose.verb not in CONFIRMING:
            return self._close("declined", "All right, I understand.")
        return ["All right, I understand.", *self._onward(skip_questions=True)]

    def _agreed_to_purpose(self) -> list[str]:
        assert self._purpose is not None
        self._learnt.reached = True
        self._confirmed(True)
        if self._purpose.verb in CONFIRMING and not self._purpose.clause:
            self._learnt.note(f"{self._them()} confirmed {_reported(self._purpose.topic)}.")
            return [f"Great, {self._purpose.topic} is confirmed.", *self._onward()]
        self._learnt.note(f"{self._them()} said yes to {self._named()}.")
        return ["Great, thank you.", *self._onward()]

    def _on_field(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        spec = self._open_fields()[0]
        value = parsed(spec, heard)
        if value is None or (Intent.DECLINE in meant and spec.type != "boolean"):
            if Intent.DECLINE in meant and not re.search(r"rather|prefer", plain(heard)):
                return self._close("declined", "All right, I understand.")
            value = None
            if Intent.DECLINE not in meant and self._retries == 0:
                self._retries = 1
                return [f"Would that be {_listed(spec.options)}?" if spec.options else f"Sorry. {spec.question}"]
            if spec.type == "string" and Intent.DECLINE not in meant:
                value = heard.strip(" .")
        self._retries = 0
        self._asked += 1
        if value is None:
            self._skipped.add(spec.name)
        else:
            self._learnt.answer(spec, value)
        if spec.name == self._learnt.goal and value is False:
            return self._close("declined", "All right, I understand.")
        self._volunteered(heard, beside=spec)
        if not self._open_fields():
            self._learnt.reached = not self._skipped
        thanks = self._talk.pick("Thank you.", "All right.", "Okay, thank you.", "I see.")
        if spec.is_time and value is not None and when_said(value) == value:
            thanks = f"All right, {value}."
        elif self._asked > 1 and not self._open_fields():
            thanks = "Thank you, that was my last question."
        return [thanks, *self._onward()]

    def _on_more(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        self._learnt.note(f'On "{self._more.pop(0)}": "{heard.strip()}"')
        if not self._more and not self._open_fields():
            self._learnt.reached = True
        return ["Thank you, I'll note that.", *self._onward()]

    def _on_when(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if option_said(heard, self._offers):
            return self._another_time(heard)
        if Intent.NO in meant:
            self._learnt.note(f"No other time was found for {self._them()}.")
            return ["All right, I'll pass that on.", *self._onward(skip_questions=True)]
        if self._retries or (Intent.YES not in meant and len(heard.split()) > 3):
            return self._another_time(heard, said=heard.strip(" ."))
        self._retries = 1
        return ["Which day and time would suit you?"]

    def _on_callback(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if meant & {Intent.NO, Intent.DECLINE} and not when_said(heard):
            self._learnt.note(f"{self._them()} does not want to be called back.")
            return self._close("goodbye", "All right.")
        return self._call_later(heard, said=heard.strip(" ."))

    def _on_anything(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        words = plain(heard).split()
        rest = _ACKNOWLEDGEMENT.sub("", plain(heard)).split()
        if not rest or (meant & {Intent.NO, Intent.THANKS, Intent.GOODBYE, Intent.DECLINE} and len(words) < 9):
            return self._close("goodbye")
        if Intent.YES in meant and len(words) <= 4:
            return ["What else can I do for you?"]
        if not self._purpose and not self._message_left:
            return self._on_help(heard, meant)
        if len(words) < 3:
            return []
        self._note_message(heard)
        return ["Thank you, I'll pass that on.", self._pending()]

    # Taking a message.

    def _on_help(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        self._keep_details(heard, asked=False)
        words = plain(heard).split()
        if meant <= {Intent.GREETING, Intent.YES, Intent.THANKS} and len(words) < 5:
            return []
        if not meant & {Intent.MESSAGE, Intent.LATER} and len(words) < 3:
            return []
        said = [without_introduction(part) for part in heard_parts(heard) if not phone_said(part)]
        wish = " ".join(part for part in said if _ACKNOWLEDGEMENT.sub("", plain(part)).strip())
        wish = f"{wish[:1].upper()}{wish[1:]}"
        if not wish:
            return [f"Hello, {self._message['name']}.", self._pending()] if self._message.get("name") else []
        if not (Intent.MESSAGE in meant and len(words) < 9):
            self._message["message"] = " ".join(filter(None, [self._message.get("message"), wish]))
        self._reasons.append(wish)
        self._learnt.learn("message", " ".join(self._reasons))
        if Intent.LATER in meant:
            if when_said(heard):
                self._message["when"] = str(when_said(heard))
            return ["Of course, I'll ask someone to call you back.", *self._take_details()]
        return ["I'll take a message and pass it on.", *self._take_details()]

    def _take_details(self) -> list[str]:
        """Asks for what is still missing, or leaves the message."""
        for await_, key in ((_Await.NAME, "name"), (_Await.NUMBER, "phone_number")):
            if key not in self._message:
                self._await = await_
                return [self._pending()]
        self._await = _Await.READBACK
        return [self._pending()]

    def _keep_details(self, heard: str, *, asked: bool) -> None:
        name, number = name_said(heard, asked=asked), phone_said(heard)
        if name and "name" not in self._message:
            self._message["name"] = name
            self._learnt.learn("name", name)
        if number:
            self._message["phone_number"] = number
            self._learnt.learn("phone_number", number)

    def _on_name(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        self._keep_details(heard, asked=True)
        if "name" not in self._message:
            if self._retries == 0 and Intent.NO not in meant:
                self._retries = 1
                return ["Sorry, what was your name?"]
            self._message["name"] = ""
        self._retries = 0
        name = self._message["name"]
        return [f"Thank you{f', {name}' if name else ''}.", *self._take_details()]

    def _on_number(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        self._keep_details(heard, asked=False)
        if not self._message.get("phone_number"):
            if self._retries == 0 and not meant & {Intent.NO, Intent.DECLINE}:
                self._retries = 1
                return ["Sorry, could you give me the number once more, digit by digit?"]
            return self._leave_message()
        self._retries = 0
        return self._take_details()

    def _on_readback(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if phone_said(heard) not in (None, self._message.get("phone_number")):
            return self._on_number(heard, meant)
        if Intent.NO in meant and self._retries == 0:
            self._retries = 1
            self._message.pop("phone_number", None)
            self._await = _Await.NUMBER
            return ["Sorry, could you give me the number once more, digit by digit?"]
        return self._leave_message()

    def _leave_message(self) -> list[str]:
        self._retries = 0
        self._message_left = True
        self._learnt.reached = True
        self._note_message(self._message.get("message", "Please call back."))
        if self._message.get("when"):
            self._call("schedule_callback", when=self._message["when"])
        return ["Thank you, I'll pass your message on.", *self._onward()]

    def _note_message(self, message: str) -> None:
        who = self._who_asks()
        sender = ", ".join(who[key] for key in ("name", "phone_number") if who.get(key))
        from_ = f" from {sender}" if sender and not self._purpose else ""
        self._learnt.note(f'Message{from_}: "{message.strip()}"')
        self._call("take_message", message=message.strip(), **who)

    def _who_asks(self) -> dict[str, str]:
        name = self._message.get("name") or self._spec.callee_name
        number = self._message.get("phone_number")
        return ({"name": name} if name else {}) | ({"phone_number": number} if number else {})

    # Another time.

    def _another_time(self, heard: str, *, said: str | None = None) -> list[str]:
        assert self._purpose is not None
        verb = self._purpose.verb
        if verb not in CONFIRMING | SCHEDULING and not any(f.is_time for f in self._fields) and not self._offers:
            return self._call_later(heard, said=said)
        wanted = without_refusal(heard)
        when = when_said(wanted) or said
        self._learnt.learn("reschedule", True)
        if when is None:
            self._await = _Await.WHEN
            return [*(self._offer() or ["That's no problem."]), self._pending()]
        offer = chosen(when, self._offers) or option_said(wanted, self._offers)
        if self._offers and offer is None and self._retries == 0:
            self._retries = 1
            self._await = _Await.WHEN
            return [f"I'm afraid I can only offer {_listed(self._offers)}.", "Would one of those suit you?"]
        self._retries = 0
        if verb in CONFIRMING:
            self._confirmed(False)
        settled = bool(offer) or (verb in SCHEDULING and not self._offers)
        self._learnt.learn("agreed", settled)
        if verb in SCHEDULING:
            self._learnt.reached = settled
        if offer is None:
            self._learnt.learn("when", when)
            self._learnt.note(f"{self._them()} would like another time: {when}.")
            noted = f"I've noted {when}, and the team will get back to you to confirm it."
            return [noted, *self._onward(skip_questions=True)]
        time = when if len(when) > len(offer) and when_said(when) == when else offer
        self._learnt.learn("when", time)
        self._learnt.note(f"{self._them()} agreed to {time}.")
        return [f"Great, so that's {time}.", *self._onward(skip_questions=verb in CONFIRMING)]

    def _offer(self) -> list[str]:
        """What the context says about other times."""
        found = answer("which times are free", self._facts) or answer("can I reschedule", self._facts)
        if found is None:
            return []
        text = found.text.removeprefix("Yes, ")
        return [f"{text[:1].upper()}{text[1:]}"]

    def _canceled(self) -> list[str]:
        self._confirmed(False)
        self._learnt.learn("canceled", True)
        self._learnt.learn("agreed", False)
        self._learnt.reached = False
        self._learnt.note(f"{self._them()} wants to cancel.")
        return ["All right, I've noted that you'd like to cancel.", *self._onward(skip_questions=True)]

    def _call_later(self, heard: str, *, said: str | None = None) -> list[str]:
        when = when_said(heard) or said
        if when is None:
            self._await = _Await.CALLBACK
            return ["I understand.", "When would be a good time to call you back?"]
        self._learnt.learn("callback", True)
        self._learnt.learn("call_when", when)
        self._learnt.note(f"{self._them()} asked to be called back: {when}.")
        self._call("schedule_callback", when=when)
        # A time goes into the sentence; other words ("whenever you like") do not fit there.
        fits = when_said(when) == when
        return self._close("callback", f"All right, we'll call you back {when}." if fits else "All right, noted.")

    # Results.

    def _confirmed(self, value: bool) -> None:
        """Yes or no to the purpose; a field that asks what the opening asked is answered by it too."""
        self._learnt.learn("confirmed", value)
        for spec in self._resembling(self._ask.question, "boolean"):
            self._learnt.values[spec.name] = value

    def _resembling(self, question: str, kind: str) -> list[BrainField]:
        words = set(plain(question).split())
        found = []
        for spec in self._fields:
            own = set(plain(spec.question or "").split())
            if spec.type == kind and own and len(own & words) >= 0.6 * len(own | words):
                found.append(spec)
        return found

    def _volunteered(self, heard: str, beside: BrainField | None = None) -> bool:
        """Takes answers to open yes-or-no questions that the words name: "yes, I'm interested"."""
        taken = False
        for spec in self._open_fields():
            stem = re.sub(r"(ed|ing|s)$", "", spec.name.split("_")[-1])
            if spec.type == "boolean" and spec is not beside and re.search(rf"\b{re.escape(stem)}", plain(heard)):
                value = parsed(spec, heard)
                self._learnt.answer(spec, True if value is None else value)
                taken = True
        return taken

    def _goal_is_lost(self) -> bool:
        return self._learnt.values.get(self._learnt.goal or "") is False

    def _open_fields(self) -> list[BrainField]:
        known = self._learnt.values.keys() | self._skipped
        return [spec for spec in self._fields if spec.question and spec.name not in known]

    def _takes_words(self) -> bool:
        """Whether any words would be an answer to what was asked."""
        if self._await is _Await.FIELD:
            spec = self._open_fields()[0]
            return spec.type == "string" and not spec.is_time
        return self._await is _Await.MORE

    def _onward(self, *, skip_questions: bool = False) -> list[str]:
        """Moves to the next thing to ask and asks it; what is settled is recorded."""
        if self._more and not skip_questions:
            self._await = _Await.MORE
            return [self._pending()]
        if self._open_fields() and not skip_questions:
            self._await = _Await.FIELD
            return [self._pending()]
        self._await = _Await.ANYTHING
        self._record()
        return [self._pending()]

    def _pending(self) -> str:
        """The open question."""
        pick = self._talk.pick
        if self._await is _Await.PURPOSE and self._purpose:
            question = self._ask.question or self._purpose.ask.question
            lowered = mid_sentence(question)
            return pick(question, f"So, {lowered}", f"Coming back to my question, {lowered}")
        if self._await is _Await.FIELD:
            return self._open_fields()[0].question or ""
        if self._await is _Await.MORE:
            ask = ask_of(self._more[0])
            return ask.question if ask else f"I was also asked to {self._more[0]}. Is that all right with you?"
        if self._await is _Await.READBACK:
            return f"That's {phone_spoken(self._message['phone_number'])}. Is that right?"
        texts = {
            _Await.WHEN: ("Which day and time would suit you?", "What time would be best for you?"),
            _Await.CALLBACK: ("When would be a good time to call you back?", "What time should we call back?"),
            _Await.HELP: ("How can I help you?", "What can I do for you?"),
            _Await.NAME: ("May I have your name, please?", "Could you tell me your name?"),
            _Await.NUMBER: ("What number can we reach you on?", "Could you give me a phone number?"),
        }
        anything = (
            "Is there anything else I can help you with?",
            "Is there anything else?",
            "Anything else you'd like to know?",
        )
        return pick(*texts.get(self._await, anything))

    def _close(self, reason: str, *before: str) -> list[str]:
        if self._message.get("message") and not self._message_left:
            self._message_left = self._learnt.reached = True
            self._note_message(self._message["message"])
        name = self._message.get("name") or self._spec.callee_name
        self._record()
        self._call("end_call", reason=reason)
        self._ended = True
        return [*before, f"Thank you{f', {name}' if name else ''}, and goodbye!"]

    def _record(self) -> None:
        """Tells the outcome when it is news."""
        outcome = self._learnt.outcome()
        if outcome != self._recorded:
            self._recorded = outcome
            self._call(
                "record_outcome", **outcome.fields, reached_goal=outcome.reached_goal, summary=outcome.summary
            )

    def _call(self, tool: str, /, **arguments: Any) -> None:
        if tool in self._tools:
            self._calls.append(BrainToolCall(tool, arguments))

    # Small judgements.

    def _introduction(self) -> str:
        who, us = self._spec.agent_name, self._spec.organization
        if who and us:
            return f"this is {who} from {us}"
        return f"this is {who or us or 'an automated assistant'}"

    def _them(self) -> str:
        return self._spec.callee_name or self._message.get("name") or "The callee"

    def _named(self) -> str:
        """The purpose as the summary names it."""
        assert self._purpose is not None
        thing = self._purpose.verb in CONFIRMING and not self._purpose.clause
        return _reported(self._purpose.topic) if thing else f'"{self._spec.action.strip().rstrip(".!")}"'

    def _thanks(self) -> str:
        return self._talk.pick("Thank you.", "Great, thank you.")

    def _small_talk(self, stated: str, meant: frozenset[Intent], asked: bool) -> bool:
        """Words that decide nothing: a greeting, or what stands beside a question: "okay, and where is it?"."""
        if not stated:
            return True
        if not asked:
            greets = meant == {Intent.GREETING} and len(stated.split()) < 6
            return greets and self._await not in (_Await.ANYTHING, _Await.NAME)
        if self._await in (_Await.NAME, _Await.NUMBER, _Await.READBACK, _Await.FIELD):
            return False
        return self._await is _Await.ANYTHING or not meant & _DECIDES


def rule_outcome(
    spec: CallSpec, fields: Sequence[BrainField], turns: Sequence[Turn], goal: str | None = None
) -> Outcome:
    """The outcome of a call by its transcript; what tools recorded in the call outranks it."""
    brain = Brain(spec, fields, frozenset(), goal)
    opening, asked = "", ""
    answered: dict[str, Any] = {}
    for turn in turns:
        if turn.speaker is Speaker.AGENT:
            asked = turn.text
            opening = opening or turn.text
        elif plain(turn.text) and opening:
            brain.reply(turn.text, spoken=None if brain.last else opening)
            answered |= answered_in(fields, asked, turn.text)
    outcome = brain.outcome()
    values = outcome.fields | answered
    reached = bool(values[goal]) if goal in values else outcome.reached_goal
    return Outcome(reached, outcome.summary, values, outcome.source)


def _was_cut(text: str, spoken: str) -> bool:
    """Whether too little of the text's last sentence was heard to answer it."""
    missing = len(plain(text).split()) - len(plain(spoken).split())
    parts = utterance_parts(text)
    return missing > max(1.0, 0.4 * len(plain(parts[-1]).split())) if parts else False


def _says_something(heard: str, meaning: frozenset[Intent]) -> bool:
    """Whether words spoken into a cut reply are more than a sound of attention."""
    fillers = {Intent.YES, Intent.GREETING, Intent.THANKS}
    return is_question(heard) or bool(meaning - fillers) or (len(plain(heard).split()) > 3 and not meaning)


def _wants_other_time(part: str) -> bool:
    return Intent.RESCHEDULE in intents(part) and " if " not in f" {plain(part)} "


def _reported(topic: str) -> str:
    """What was said to the callee, told to someone else."""
    return re.sub(r"\byou\b", "them", re.sub(r"\byour\b", "the", topic))


def _listed(options: Sequence[str]) -> str:
    said = [option.replace("_", " ") for option in options]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"
