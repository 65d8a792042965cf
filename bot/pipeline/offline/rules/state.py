"""What the local LLM knows of its call, the question that is open, and how it words things: never one sentence
three times, and nothing asked that was just said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bot.languages import plain
from bot.pipeline.offline.rules.facts import facts_of
from bot.pipeline.offline.rules.learnt import Learnt, RuleField, parsed
from bot.pipeline.offline.rules.purpose import Answers, Ask, ask_of, purpose
from bot.pipeline.offline.rules.understanding import offered, parts_of, phone_spoken, when_said
from bot.pipeline.offline.rules.words import Intent, Words, words_of
from bot.records import CallSpec, Outcome


@dataclass(frozen=True)
class RuleToolCall:
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RuleReply:
    """What to say, and the tools to call with it; both may be empty."""

    text: str
    tools: tuple[RuleToolCall, ...] = ()


class Await(Enum):
    """What the callee was asked last; most values are the name of the question in [say]."""

    PURPOSE = "purpose"
    FIELD = "field"
    MORE = "more"
    WHEN = "when"
    CALLBACK = "callback"
    HELP = "help"
    NAME = "ask_name"
    NUMBER = "ask_number"
    READBACK = "readback"
    ANYTHING = "anything"


class State:
    """The state of one call's talk. `language` is a code like "es-MX"."""

    def __init__(
        self,
        spec: CallSpec,
        fields: Sequence[RuleField],
        tools: frozenset[str],
        goal: str | None = None,
        language: str = "en",
    ) -> None:
        self._spec, self._fields, self._tools = spec, fields, tools
        self._words = words = words_of(language)
        self._purpose = purpose(spec, words, has_questions=any(f.question for f in fields))
        self._ask = self._purpose.ask if self._purpose else Ask("", Answers.WORDS)
        """The question the opening ended with."""
        self._more = list(self._purpose.more) if self._purpose else []
        self._await = Await.PURPOSE if self._purpose else Await.HELP
        order = self._purpose.order if self._purpose else None
        self._kind, self._topic = (order.kind, order.topic) if order else ("", "")
        self._is_thing = bool(order and order.kind == "confirm" and not order.clause)
        """Whether a thing is to be confirmed, which another time may be found for."""
        self._action = spec.action.strip().rstrip(".!")
        self._facts = facts_of(spec.context, words)
        self._offers = offered(self._facts, words)
        self._learnt = Learnt(words, fields, goal)
        self._skipped: set[str] = set()
        self._asked = 0
        """Questions of fields that were answered or passed over."""
        self._said: Counter[str] = Counter()
        self._last, self._again, self._holding, self._ended = "", False, False, False
        self._retries = self._confused = 0
        self._answers: list[str] = []
        """The answers in the last reply."""
        self._owed: list[str] = []
        """Those of them that were cut off."""
        self._reasons: list[str] = []
        self._message: dict[str, str] = {}
        self._message_left = False
        self._calls: list[RuleToolCall] = []
        self._recorded: Outcome | None = None

    @property
    def last(self) -> str:
        """The last reply, whole."""
        return self._last

    # Results.

    def _confirmed(self, value: bool) -> None:
        """Yes or no to the purpose; a field that asks what the opening asked is answered by it too."""
        self._learnt.learn("confirmed", value)
        for spec in self._fields:
            if spec.type == "boolean" and spec.asked_by(self._ask.question):
                self._learnt.values[spec.name] = value

    def _volunteered(self, heard: str, beside: RuleField | None = None) -> bool:
        """Take answers to open yes-or-no questions that the words name: "yes, I'm interested"."""
        taken = False
        for spec in self._open_fields():
            stem = re.sub(r"(?:ed|ing|s)$", "", plain(spec.name).split()[-1])
            if spec.type == "boolean" and spec is not beside and re.search(rf"\b{re.escape(stem)}", plain(heard)):
                value = parsed(spec, heard, self._words)
                self._learnt.answer(spec, True if value is None else value)
                taken = True
        return taken

    def _open_fields(self) -> list[RuleField]:
        known = self._learnt.values.keys() | self._skipped
        return [spec for spec in self._fields if spec.question and spec.name not in known]

    def _takes_words(self) -> bool:
        """Whether any words would be an answer to what was asked."""
        if self._await is Await.FIELD:
            spec = self._open_fields()[0]
            return spec.type == "string" and not spec.is_time(self._words)
        return self._await is Await.MORE

    def _onward(self, *, skip_questions: bool = False) -> list[str]:
        """Move to the next thing to ask and ask it; what is settled is recorded."""
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
        if self._await is Await.PURPOSE:
            question = self._ask.question
            inside = self._words.lowered(question)
            back = (form.format(question=inside) for form in self._words.variants("back_to"))
            return self._least_said(question, *back)
        if self._await is Await.FIELD:
            return self._open_fields()[0].question or ""
        if self._await is Await.MORE:
            ask = ask_of(self._more[0], self._words)
            return ask.question if ask else self._say("also", order=self._more[0].said)
        if self._await is Await.READBACK:
            number = phone_spoken(self._message["phone_number"], self._words)
            return self._say("readback", number=number)
        return self._pick(self._await.value)

    def _close(self, reason: str, *before: str) -> list[str]:
        if self._message.get("message") and not self._message_left:
            self._message_left = self._learnt.reached = True
            self._note_message(self._message["message"])
        name = self._message.get("name") or self._spec.callee_name
        self._record()
        self._call("end_call", reason=reason)
        self._ended = True
        return [*before, self._say("goodbye", name=self._called("goodbye_name", name))]

    def _record(self) -> None:
        """Report the outcome when it is news."""
        outcome = self._learnt.outcome()
        if outcome != self._recorded:
            self._recorded = outcome
            reached, summary = outcome.reached_goal, outcome.summary
            self._call("record_outcome", **outcome.fields, reached_goal=reached, summary=summary)

    def _note(self, note: str, **values: Any) -> None:
        self._learnt.note(note, **values)

    def _note_message(self, message: str) -> None:
        who = self._who_asks()
        sender = ", ".join(who[key] for key in ("name", "phone_number") if who.get(key))
        shown = self._words.note("from", sender=sender) if sender and not self._purpose else ""
        self._note("message", sender=shown, words=message.strip())
        self._call("take_message", message=message.strip(), **who)

    def _who_asks(self) -> dict[str, str]:
        told = {"name": self._message.get("name") or self._spec.callee_name}
        told["phone_number"] = self._message.get("phone_number")
        return {key: value for key, value in told.items() if value}

    def _call(self, tool: str, /, **arguments: Any) -> None:
        if tool in self._tools:
            self._calls.append(RuleToolCall(tool, arguments))

    # What was heard.

    def _meant(self, heard: str) -> frozenset[Intent]:
        return self._words.meant(heard)

    def _when(self, heard: str) -> str | None:
        return when_said(heard, self._words)

    def _parts(self, heard: str) -> list[str]:
        return parts_of(heard, self._words)

    # What is said.

    def _say(self, sentence: str, **values: Any) -> str:
        return self._words.say(sentence, **values)

    def _pick(self, sentence: str) -> str:
        return self._least_said(*self._words.variants(sentence))

    def _least_said(self, *variants: str) -> str:
        """The variant said least so far, the first among equals."""
        return min(
            variants, key=lambda v: max((self._said[plain(s)] for s in self._words.sentences(v)), default=0)
        )

    def _us(self, frame: str) -> str:
        return self._called(frame, self._spec.organization, "us")

    def _called(self, frame: str, name: str | None, key: str = "name") -> str:
        """A name in its frame, as ", John"; "" without one."""
        return self._say(frame, **{key: name}) if name else ""

    def _introduction(self) -> str:
        who, us = self._spec.agent_name, self._spec.organization
        if who and us:
            return self._say("me_of", agent=who, us=us)
        return self._say("me", agent=who or us or self._say("automated"))

    def _them(self) -> str:
        return self._spec.callee_name or self._message.get("name") or self._words.note("them")

    def _utter(self, *texts: str) -> str:
        """The sentences as one reply.

        One said twice before comes with an introduction ("As I said, …"), and of such only the last two of a
        reply: the rest was heard often enough.
        """
        parts = [part for text in texts for part in self._words.sentences(text)]
        parts = [part for n, part in enumerate(parts) if plain(part) not in map(plain, parts[:n])]
        worn = [part for part in parts if self._said[plain(part)] >= 2]
        said: list[str] = []
        free = list(self._words.variants("again"))
        for part in (part for part in parts if part not in worn[:-2]):
            form = part
            if part in worn:
                forms = [again + self._words.lowered(part) for again in free]
                form = next((f for f in forms if self._said[plain(f)] < 2), "")
                free = [again for again in free if not form.startswith(again)]
            if form:
                self._said[plain(form)] += 1
                said.append(form)
        return " ".join(said)

    def _unheard(self, spoken: str) -> None:
        """Take back the sentences of the last reply that were cut off: they were never said."""
        for part in self._words.sentences(self._last):
            if not was_heard(part, spoken) and self._said[plain(part)]:
                self._said[plain(part)] -= 1

    def _bare(self, text: str) -> str:
        """A reply without its introductions, to be said again."""
        again = "|".join(map(re.escape, self._words.variants("again")))
        return re.sub(rf"(?<![\w,] )(?:{again})(\w)", lambda m: m.group(1).upper(), text)


def was_heard(sentence: str, heard: str) -> bool:
    """Whether the whole sentence is among the words that were played."""
    return f" {plain(sentence)} " in f" {plain(heard)} "


def was_cut(text: str, spoken: str, words: Words) -> bool:
    """Whether too little of the text's last sentence was heard to answer it."""
    missing = len(plain(text).split()) - len(plain(spoken).split())
    parts = words.sentences(text)
    return missing > max(1.0, 0.4 * len(plain(parts[-1]).split())) if parts else False
