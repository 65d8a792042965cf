"""The rule-based brain: holds a call from its spec without a model. Pure: words in, words and tool calls out.

One reply is put together from parts, in this order: what ends the call at once (wrong number, "do not call"),
what needs the last words again (repeat, a cut reply), answers to what was asked, the step the talk is at, and
the question that is still open. The callee's words choose among these; they are never followed as orders, and
an answer comes from the context or not at all. The file is long because the steps share one state and are
read as one table; what can be judged without that state lives in understanding, facts, purpose and talk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bot.engines.brain_facts import BrainField, Learnt, parsed
from bot.engines.facts import answer, asks_when_of, sentences
from bot.engines.purpose import purpose
from bot.engines.talk import Talk, bare
from bot.engines.understanding import (
    Intent,
    heard_parts,
    intents,
    is_question,
    name_said,
    phone_said,
    plain,
    utterance_parts,
    when_said,
    without_refusal,
)
from bot.records import CallSpec, Outcome, Speaker, Turn

__all__ = ["Brain", "BrainField", "BrainReply", "BrainToolCall", "rule_outcome"]


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
    ANYTHING = "anything"


_NOT_FOR_FACTS = frozenset({Intent.WHO, Intent.WHY, Intent.ROBOT})
_SCHEDULING = frozenset(["reschedule", "move", "schedule", "book", "arrange", "set"])
_CONFIRMING = frozenset(["confirm", "reconfirm", "verify", "check", "double-check"])


class Brain:
    """One call's talk. `opening` may be skipped where the opening was spoken by someone else: see `reply`."""

    def __init__(
        self, spec: CallSpec, fields: Sequence[BrainField], tools: frozenset[str], goal: str | None = None
    ) -> None:
        self._spec = spec
        self._tools = tools
        self._questions = [f for f in fields if f.question]
        self._purpose = purpose(spec, has_questions=bool(self._questions))
        self._facts = sentences(spec.context)
        self._learnt = Learnt(fields, goal)
        self._talk = Talk()
        self._await = _Await.PURPOSE if self._purpose else _Await.HELP
        self._more = list(self._purpose.more) if self._purpose else []
        self._last = ""
        self._cut = False
        self._again = False
        self._retries = 0
        self._confused = 0
        self._message: dict[str, str] = {}
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
            self._last = self._talk.utter(
                f"{hello}, {self._introduction()}. I'm calling {self._purpose.said}. {self._purpose.question}"
            )
        return self._last

    def reply(self, heard: str, *, spoken: str | None = None) -> BrainReply:
        """Answers what the callee said.

        `spoken` is what the callee has really heard of the agent since the reply before (None: all of it). A
        shorter text than that reply means that it was cut; with no reply before, it is another's opening.
        """
        if not self._last:
            if not spoken:
                return BrainReply(self.opening())
            self._last = self._talk.utter(spoken)
        self._cut = spoken is not None and _was_cut(self._last, spoken)
        self._calls = []
        self._again = False
        text = self._answered(heard)
        if not text and not self._calls and not self._ended:
            text = self._close("nothing left to say")
        if text and not self._again:
            self._last = bare(text)
        return BrainReply(text, tuple(self._calls))

    def outcome(self) -> Outcome:
        """What the call achieved so far."""
        return self._learnt.outcome()

    def note_answer(self, asked: str, heard: str) -> None:
        """Takes `heard` as the answer to whichever field's question `asked` resembles."""
        words = set(plain(asked).split())
        for spec in self._questions:
            question = set(plain(spec.question or "").split())
            value = parsed(spec, heard) if question and len(question & words) >= 0.6 * len(question) else None
            if value is not None:
                self._learnt.values[spec.name] = value

    # What was said, in order of what it outranks.

    def _answered(self, heard: str) -> str:
        meaning = intents(heard)
        say = self._talk.utter
        if Intent.DO_NOT_CALL in meaning:
            self._learnt.learn("do_not_call", True)
            self._learnt.note(f"{self._them()} asked not to be called again.")
            return self._close(
                "do_not_call", "I'm sorry to have bothered you. I'll make sure you are not called again."
            )
        if Intent.WRONG_NUMBER in meaning and self._purpose:
            self._learnt.learn("wrong_number", True)
            self._learnt.note("It was the wrong number.")
            return self._close("wrong_number", "I'm sorry, I must have the wrong number.")
        if Intent.ORDERS in meaning:
            return say(
                "I'm afraid I can't do that, but I'm happy to help with why we're talking.", self._pending()
            )
        if Intent.REPEAT in meaning or (self._cut and not self._says_something(heard, meaning)):
            self._again = True
            return say(
                self._talk.pick("Of course.", "Sure.", "Certainly.") if Intent.REPEAT in meaning else "",
                self._last,
            )
        if self._await is _Await.FIELD and self._questions[0].type == "string" and len(heard.split()) > 2:
            return self._conversed(heard, meaning)  # free text: "I was busy" is a remark here
        asks_more = any(is_question(p) and Intent.HOLD not in intents(p) for p in heard_parts(heard))
        if Intent.HOLD in meaning and Intent.GOODBYE not in meaning and not (asks_more or when_said(heard)):
            return say(self._talk.pick("Of course, take your time.", "No problem, I'll wait."))
        if Intent.LATER in meaning and self._await is not _Await.CALLBACK:
            return self._call_later(heard)
        return self._conversed(heard, meaning)

    def _conversed(self, heard: str, meaning: frozenset[Intent]) -> str:
        about_us = self._about_us(meaning)
        parts = heard_parts(heard)
        asked = [p for p in parts if is_question(p) and not intents(p) & _NOT_FOR_FACTS]
        asks_time = [p for p in asked if Intent.RESCHEDULE in intents(p) and " if " not in f" {plain(p)} "]
        stated = " ".join(p for p in parts if p not in asked or (p in asks_time and when_said(p)))
        meant = intents(stated) if stated else frozenset()
        answers = [self._answer(part) for part in asked if not (part in asks_time and when_said(part))]
        if Intent.GOODBYE in meaning and not answers:
            step = self._step(stated, meant - {Intent.THANKS}) if self._settles(meant) else []
            return self._close("goodbye", *step[:1])
        step = self._step(stated, meant) if stated and not self._small_talk(meant, about_us, answers) else []
        if asks_time and not step and not self._learnt.reached:
            self._await = _Await.WHEN
        if self._ended:
            return self._talk.utter(*about_us, *answers, *step)
        if not step and not about_us and not answers:
            return self._not_understood(meant)
        self._confused = 0
        ask = [] if step else [self._pending()]
        return self._talk.utter(*about_us, *answers, *step, *ask)

    def _about_us(self, meaning: frozenset[Intent]) -> list[str]:
        parts = []
        if Intent.ROBOT in meaning:
            owner = f" for {self._spec.organization}" if self._spec.organization else ""
            parts.append(
                f"I'm an AI assistant calling{owner}." if self._purpose else f"I'm an AI assistant{owner}."
            )
        if Intent.WHO in meaning:
            introduction = self._introduction()
            parts.append(f"{introduction[0].upper()}{introduction[1:]}.")
        if Intent.WHY in meaning:
            parts.append(f"I'm calling {self._purpose.said}." if self._purpose else "You called us.")
        return parts

    def _answer(self, question: str) -> str:
        topic = self._purpose.topic if self._purpose else ""
        if topic and asks_when_of(question, topic):
            return f"It's {topic}."
        found = answer(question, self._facts)
        if found:
            return found.text
        self._learnt.note(f'Open question: "{question.strip()}"')
        self._call("take_message", message=f"Question: {question.strip()}", **self._who_asks())
        return self._talk.pick(
            "I don't have that information, but I'll pass your question on.",
            "I'm afraid I don't know that either. I'll pass it on.",
            "That is something I can't answer, so I'll note it for the team.",
        )

    def _not_understood(self, meant: frozenset[Intent]) -> str:
        if Intent.GREETING in meant or Intent.THANKS in meant:
            return self._talk.utter(self._pending())
        self._confused += 1
        if self._confused >= 3:
            return self._close("not_understood", "I'm afraid we don't understand each other well.")
        return self._talk.utter(
            self._talk.pick("I'm sorry, I didn't quite get that.", "Sorry, I'm not sure I understood."),
            self._pending(),
        )

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
            _Await.ANYTHING: self._on_anything,
        }
        return steps[self._await](heard, meant)

    def _on_purpose(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        assert self._purpose is not None
        verb, topic = self._purpose.verb, self._purpose.topic
        if verb in _SCHEDULING and when_said(heard):
            return self._another_time(heard)
        if Intent.NO in meant:
            self._confirmed(False)
            self._learnt.note(f"{self._them()} said no to {_reported(topic)}.")
            if verb in _CONFIRMING:
                self._await = _Await.WHEN
                return ["I see.", "Would another day or time suit you better?"]
            return ["All right, I understand.", *self._onward(skip_questions=True)]
        if Intent.YES not in meant:
            return []
        if self._questions and self._purpose.question.startswith("Do you have a minute"):
            return ["Thank you.", *self._onward()]
        if verb in _SCHEDULING:
            return [self._purpose.question]
        self._learnt.reached = True
        self._confirmed(True)
        self._learnt.note(
            f"{self._them()} confirmed {_reported(topic)}."
            if verb in _CONFIRMING
            else f"{self._them()} said yes."
        )
        done = f"Great, {topic} is confirmed." if verb in _CONFIRMING else "Great, thank you."
        return [done, *self._onward()]

    def _on_field(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        spec = self._questions[0]
        value = parsed(spec, heard)
        if value is None and self._retries == 0:
            self._retries = 1
            hint = f"Would that be {_listed(spec.options)}?" if spec.options else f"Sorry. {spec.question}"
            return [hint]
        self._retries = 0
        self._questions.pop(0)
        if value is not None:
            self._learnt.values[spec.name] = value
            self._learnt.note(f"{spec.name.replace('_', ' ').capitalize()}: {value}.")
        if not self._questions:
            self._learnt.reached = True
        return [self._talk.pick("Thank you.", "All right.", "Good to know.", "I see."), *self._onward()]

    def _on_more(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        self._learnt.note(f'On "{self._more.pop(0)}": "{heard.strip()}"')
        return ["Thank you, I'll note that.", *self._onward()]

    def _on_when(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if Intent.NO in meant:
            return ["All right, I'll pass that on.", *self._onward(skip_questions=True)]
        if self._retries or (Intent.YES not in meant and len(heard.split()) > 3):
            return self._another_time(heard, said=heard.strip(" ."))
        self._retries = 1
        return ["Which day and time would suit you?"]

    def _on_callback(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if Intent.NO in meant and not when_said(heard):
            self._learnt.note(f"{self._them()} does not want to be called back.")
            return [self._close("goodbye")]
        return [self._call_later(heard, said=heard.strip(" ."))]

    def _on_anything(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if meant & {Intent.NO, Intent.THANKS, Intent.GOODBYE}:
            return [self._close("goodbye")]
        if Intent.YES in meant:
            return [] if len(heard.split()) > 4 else ["What else can I do for you?"]
        if len(plain(heard).split()) < 3:
            return []
        self._leave_message(heard)
        return ["Thank you, I'll pass that on.", self._pending()]

    def _on_help(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if meant <= {Intent.GREETING, Intent.YES, Intent.THANKS} and len(heard.split()) < 5:
            return []
        if Intent.MESSAGE not in meant and len(plain(heard).split()) < 3:
            return []
        wish = "" if Intent.MESSAGE in meant and len(plain(heard).split()) < 9 else heard.strip()
        self._message = {"message": wish} if wish else {}
        self._learnt.learn("message", wish or "asked to be called back")
        self._await = _Await.NAME
        return ["I'll take a message and pass it on.", "May I have your name, please?"]

    def _on_name(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        name = name_said(heard)
        if name is None and self._retries == 0:
            self._retries = 1
            return ["Sorry, what was your name?"]
        self._retries = 0
        if name:
            self._message["name"] = name
            self._learnt.learn("name", name)
        self._await = _Await.NUMBER
        return [f"Thank you{f', {name}' if name else ''}.", "And what number can we reach you on?"]

    def _on_number(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        number = phone_said(heard)
        if number is None and self._retries == 0 and Intent.NO not in meant:
            self._retries = 1
            return ["Sorry, could you give me the number once more, digit by digit?"]
        self._retries = 0
        if number:
            self._message["phone_number"] = number
            self._learnt.learn("phone_number", number)
        self._leave_message(self._message.get("message", "Please call back."))
        self._learnt.reached = True
        self._await = _Await.ANYTHING
        return ["Thank you, I'll pass your message on.", self._pending()]

    # Results.

    def _another_time(self, heard: str, *, said: str | None = None) -> list[str]:
        when = when_said(without_refusal(heard)) or said
        offers = answer("can I reschedule to another time", self._facts)
        if when is None:
            self._await = _Await.WHEN
            self._learnt.learn("reschedule", True)
            return [offers.text if offers else "That's no problem.", "Which day and time would suit you?"]
        self._learnt.learn("reschedule", True)
        self._confirmed(False)
        self._learnt.learn("when", when)
        self._learnt.note(f"{self._them()} would like another time: {when}.")
        if self._purpose and self._purpose.verb in _SCHEDULING:
            self._learnt.reached = True
        self._retries = 0
        return [
            f"I've noted {when}, and the team will get back to you to confirm it.",
            *self._onward(skip_questions=True),
        ]

    def _confirmed(self, value: bool) -> None:
        """Yes or no to the purpose; a field that asks what the purpose asks is answered by it too."""
        self._learnt.learn("confirmed", value)
        purposes = set(plain(self._purpose.question if self._purpose else "").split())
        for spec in [f for f in self._questions if f.type == "boolean"]:
            question = set(plain(spec.question or "").split())
            if len(question & purposes) >= 0.6 * len(question):
                self._learnt.values[spec.name] = value
                self._questions.remove(spec)

    def _canceled(self) -> list[str]:
        self._confirmed(False)
        self._learnt.learn("canceled", True)
        self._learnt.reached = False
        self._learnt.note(f"{self._them()} wants to cancel.")
        return ["All right, I've noted that you'd like to cancel.", *self._onward(skip_questions=True)]

    def _call_later(self, heard: str, *, said: str | None = None) -> str:
        when = when_said(heard) or said
        if when is None:
            self._await = _Await.CALLBACK
            return self._talk.utter("I understand.", "When would be a good time to call you back?")
        self._learnt.learn("callback", True)
        self._learnt.learn("when", when)
        self._learnt.note(f"{self._them()} asked to be called back: {when}.")
        self._call("schedule_callback", when=when)
        return self._close("callback", f"All right, we'll call you back {when}.")

    def _leave_message(self, message: str) -> None:
        self._learnt.note(f'Message: "{message.strip()}"')
        self._call("take_message", message=message.strip(), **self._who_asks())

    def _who_asks(self) -> dict[str, str]:
        name = self._message.get("name") or self._spec.callee_name
        number = self._message.get("phone_number")
        return ({"name": name} if name else {}) | ({"phone_number": number} if number else {})

    def _onward(self, *, skip_questions: bool = False) -> list[str]:
        """Moves to the next thing to ask and asks it; what is settled is recorded."""
        if self._more and not skip_questions:
            self._await = _Await.MORE
        elif self._questions and not skip_questions:
            self._await = _Await.FIELD
        else:
            self._await = _Await.ANYTHING
            self._record()
        return [self._pending()]

    def _pending(self) -> str:
        """The open question."""
        pick = self._talk.pick
        if self._await is _Await.PURPOSE and self._purpose:
            question = self._purpose.question
            return pick(
                question,
                f"So, {question[0].lower()}{question[1:]}",
                f"Coming back to my question, {question[0].lower()}{question[1:]}",
            )
        if self._await is _Await.FIELD:
            return self._questions[0].question or ""
        if self._await is _Await.MORE:
            more = self._more[0]
            return f"May I also {more}?" if more.startswith("ask ") else f"I was also asked to {more}."
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

    def _close(self, reason: str, *before: str) -> str:
        name = self._message.get("name") or self._spec.callee_name
        text = self._talk.utter(*before, f"Thank you{f', {name}' if name else ''}, and goodbye!")
        self._record()
        self._call("end_call", reason=reason)
        self._ended = True
        return text

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

    def _settles(self, meant: frozenset[Intent]) -> bool:
        return self._await is _Await.PURPOSE and bool(
            meant & {Intent.YES, Intent.NO, Intent.RESCHEDULE, Intent.CANCEL}
        )

    def _says_something(self, heard: str, meaning: frozenset[Intent]) -> bool:
        """Whether words spoken into a cut reply are more than a sound of attention."""
        fillers = {Intent.YES, Intent.GREETING, Intent.THANKS}
        return is_question(heard) or bool(meaning - fillers) or (len(plain(heard).split()) > 3 and not meaning)

    def _small_talk(self, meant: frozenset[Intent], about_us: list[str], answers: list[str]) -> bool:
        """Words beside a question that decide nothing: "okay, thanks, and where is it?"."""
        if not (about_us or answers):
            return meant == {Intent.GREETING} and self._await is not _Await.ANYTHING
        return self._await is _Await.ANYTHING or not meant & {
            Intent.YES,
            Intent.NO,
            Intent.RESCHEDULE,
            Intent.CANCEL,
        }


def rule_outcome(spec: CallSpec, fields: Sequence[BrainField], turns: Sequence[Turn]) -> Outcome:
    """The outcome of a call by its transcript; what tools recorded in the call outranks it."""
    brain = Brain(spec, fields, frozenset())
    brain.opening()
    asked = ""
    answered: dict[str, Any] = {}
    for turn in turns:
        if turn.speaker is Speaker.AGENT:
            asked = turn.text
        elif plain(turn.text):
            brain.reply(turn.text)
            scratch = Brain(spec, fields, frozenset())
            scratch.note_answer(asked, turn.text)
            answered |= scratch.outcome().fields
    outcome = brain.outcome()
    return Outcome(outcome.reached_goal, outcome.summary, outcome.fields | answered, outcome.source)


def _was_cut(text: str, spoken: str) -> bool:
    """Whether too little of the text's last sentence was heard to answer it."""
    missing = len(plain(text).split()) - len(plain(spoken).split())
    parts = utterance_parts(text)
    return missing > max(1.0, 0.4 * len(plain(parts[-1]).split())) if parts else False


def _reported(topic: str) -> str:
    """What was said to the callee, told to someone else."""
    return re.sub(r"\byou\b", "them", re.sub(r"\byour\b", "the", topic))


def _listed(options: Sequence[str]) -> str:
    said = [option.replace("_", " ") for option in options]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"
