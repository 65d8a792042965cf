"""What the brain knows of its call, the question that is open, and what it tells the tools.

The brain is one class in three files, each resting on the one before: its memory (here), the steps of the
talk (`brain_steps`), and how a reply is put together (`brain`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bot.pipeline.offline.brain_facts import BrainField, Learnt, parsed
from bot.pipeline.offline.facts import sentences
from bot.pipeline.offline.purpose import CONFIRMING, Answers, Ask, ask_of, purpose
from bot.pipeline.offline.talk import Talk, mid_sentence
from bot.pipeline.offline.times import offered
from bot.pipeline.offline.understanding import phone_spoken, plain
from bot.records import CallSpec, Outcome


@dataclass(frozen=True)
class BrainToolCall:
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BrainReply:
    """What to say, and the tools to call with it; both may be empty."""

    text: str
    tools: tuple[BrainToolCall, ...] = ()


class Await(Enum):
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


class Memory:
    """The state of one call's talk."""

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
        self._await = Await.PURPOSE if self._purpose else Await.HELP
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
        if self._await is Await.FIELD:
            spec = self._open_fields()[0]
            return spec.type == "string" and not spec.is_time
        return self._await is Await.MORE

    def _onward(self, *, skip_questions: bool = False) -> list[str]:
        """Moves to the next thing to ask and asks it; what is settled is recorded."""
        if self._more and not skip_questions:
            self._await = Await.MORE
            return [self._pending()]
        if self._open_fields() and not skip_questions:
            self._await = Await.FIELD
            return [self._pending()]
        self._await = Await.ANYTHING
        self._record()
        return [self._pending()]

    def _pending(self) -> str:
        """The open question."""
        pick = self._talk.pick
        if self._await is Await.PURPOSE and self._purpose:
            question = self._ask.question or self._purpose.ask.question
            lowered = mid_sentence(question)
            return pick(question, f"So, {lowered}", f"Coming back to my question, {lowered}")
        if self._await is Await.FIELD:
            return self._open_fields()[0].question or ""
        if self._await is Await.MORE:
            ask = ask_of(self._more[0])
            return ask.question if ask else f"I was also asked to {self._more[0]}. Is that all right with you?"
        if self._await is Await.READBACK:
            return f"That's {phone_spoken(self._message['phone_number'])}. Is that right?"
        texts = {
            Await.WHEN: ("Which day and time would suit you?", "What time would be best for you?"),
            Await.CALLBACK: ("When would be a good time to call you back?", "What time should we call back?"),
            Await.HELP: ("How can I help you?", "What can I do for you?"),
            Await.NAME: ("May I have your name, please?", "Could you tell me your name?"),
            Await.NUMBER: ("What number can we reach you on?", "Could you give me a phone number?"),
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
        return reported(self._purpose.topic) if thing else f'"{self._spec.action.strip().rstrip(".!")}"'

    def _thanks(self) -> str:
        return self._talk.pick("Thank you.", "Great, thank you.")


def reported(topic: str) -> str:
    """What was said to the callee, told to someone else."""
    return re.sub(r"\byou\b", "them", re.sub(r"\byour\b", "the", topic))
