"""What the local LLM knows of its call: the context's facts, what it learnt, the question that is open, and what
it said: never one sentence three times, and nothing asked that was just said. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from bot import languages
from bot.languages import plain
from bot.pipeline.offline.rules.commitment import Said, commitment_words
from bot.pipeline.offline.rules.purpose import Answers, Ask, ask_of, purpose
from bot.pipeline.offline.rules.values import READERS, Frame, normalised
from bot.pipeline.offline.rules.words import Intent, Words, capital, field_rule, words_of
from bot.records import CallSpec, Outcome

_STEM_LETTERS = 6
"""Words that begin alike are alike: "aparcar" and "aparcamiento"."""


@dataclass(frozen=True)
class RuleField:
    """An outcome field of the scenario; one with a question is asked in the call."""

    name: str
    type: str
    description: str
    question: str | None = None
    options: tuple[str, ...] = ()
    frame: Frame | None = None
    """What values are read by; None: today, in no country."""

    def is_time(self, words: Words) -> bool:
        """Whether it holds a day or a time; a number or a yes is none."""
        by_name = re.search(rf"(?:{field_rule('is_time').pattern})(?:_|$)", self.name)
        return self.type == "string" and bool(by_name or words.found("asks_for_time", self.question or ""))

    def asked_by(self, question: str) -> bool:
        """Whether a question says nearly the same as the field's own."""
        own, asked = set(plain(self.question or "").split()), set(plain(question).split())
        return bool(own) and len(own & asked) >= 0.6 * len(own | asked)

    def parsed(self, heard: str, words: Words) -> Any:
        """The field's value in the words, or None."""
        if self.type in READERS:
            try:
                return normalised(self.type, heard, self.frame or Frame())
            except ValueError:
                return None
        if self.type == "number":
            number = words.number(heard)
            return int(number) if number is not None and number == int(number) else number
        if self.type == "choice":
            return words.option(heard, self.options)
        if self.type == "boolean":
            meant = words.meant(heard)
            refused = meant & {Intent.NO, Intent.CANCEL, Intent.DECLINE}
            if refused and commitment_words(words.code).ends_talk(heard):
                return None  # "No, that's all. Bye."
            return False if refused else True if Intent.YES in meant else None
        if self.is_time(words):
            return words.when(heard)
        if re.search(rf"(?:{field_rule('name').pattern})$", self.name):
            return words.name(heard)
        if re.search(r"(?:^|_)(?:phone|tel\w*)(?:_|$)", self.name):
            return words.phone(heard)
        return heard.strip(" .") or None


class RuleToolCall(NamedTuple):
    name: str
    arguments: Mapping[str, Any]


class RuleReply(NamedTuple):
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


class Facts:
    """What the agent may know: a call's context as sentences, without what it tells the agent to do."""

    def __init__(self, context: Any, words: Words) -> None:
        self._words = words
        said = self._flattened(context, ()) if isinstance(context, Mapping) else self._written(str(context or ""))
        self.told = [fact for fact in said if not words.found("to_agent", fact)]

    def answer(self, question: str) -> str | None:
        """The fact that answers best, worded for the phone; None when none answers.

        It is of the kind the question asks for (a place for "where") and holds what the question names besides:
        a wrong answer costs more than "I will pass it on".
        """
        kinds = self._words.kinds.items()
        name, kind = next(
            ((name, kind) for name, kind in kinds if kind.question.search(plain(question))), ("", None)
        )
        asked = self._stems(question)
        wanted = asked - (self._stemmed(kind.words) if kind else set())
        best: tuple[float, int, int, str] = (0.0, 0, 0, "")
        for fact in self.told if kind or wanted else ():
            if kind is None or kind.fact.search(fact) or kind.fact.search(plain(fact)):
                stems = self._stems(fact)
                share, held = len(wanted & stems) / len(wanted) if wanted else 1.0, len(asked & stems)
                signs = len(kind.fact.findall(plain(fact))) if kind else 0
                if share >= 0.5 and (share, held, signs) > best[:3]:
                    best = (share, held, signs, fact)
        text = self.spoken(best[-1]) if best[-1] else ""
        if text and kind and name in ("where", "who") and not self._words.written["has_verb"].search(text):
            pieces = [piece.strip(" .") for piece in re.split(r",\s+", text)]
            part = ", ".join(piece for piece in pieces if kind.fact.search(piece)) or text.strip(".")
            return self._words.say(name, part=part)
        denied = self._words.written["negative"].search(text)
        if text and name == "reschedule" and self._words.found("may_i", question) and not denied:
            return capital(self._words.say("yes_and", fact=self._words.lowered(text)))
        return text or None

    def asks_when_of(self, question: str, topic: str) -> bool:
        """Whether the time of what the call is about is asked for, and not another one."""
        asked = self._stems(question)
        own = asked <= self._stemmed(self._words.sets["time_words"]) or asked & self._stems(topic)
        return bool(self._words.kinds["when"].question.search(plain(question)) and own)

    def spoken(self, text: str) -> str:
        """A written fact as it is said: "Mon-Fri" becomes "Monday to Friday"."""
        text = self._words.sub("spoken", text).strip()
        return text if text.endswith((".", "!", "?")) else text + "."

    def _written(self, text: str) -> list[str]:
        lines = [line.strip(" -*•\t") for line in text.splitlines()]
        return [
            part for line in lines for p in re.split(r"\s*[;•]\s+", line) for part in self._words.sentences(p)
        ]

    def _flattened(self, value: Any, path: tuple[str, ...]) -> Iterator[str]:
        """A JSON context as sentences: {"price": "80 dollars"} says "The price is 80 dollars."."""
        inner = (
            list(value.values() if isinstance(value, Mapping) else value)
            if isinstance(value, Mapping | list)
            else []
        )
        flat = not any(isinstance(item, Mapping | list) for item in inner)
        name = " ".join(path)
        if isinstance(value, Mapping) and flat and self._words.written["place"].search(name):
            # The parts of an address make one answer.
            yield from self._flattened(", ".join(str(item) for item in inner if item not in (None, "")), path)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield from self._flattened(item, (*path, re.sub(r"[_-]", " ", str(key))))
        elif isinstance(value, list) and not flat:
            for item in inner:
                yield from self._flattened(item, path)
        elif isinstance(value, bool):
            yield f"{capital(name)}: {self._words.note('yes' if value else 'no')}."
        elif value not in (None, "", []):
            said = self.listed([str(item) for item in inner] or [str(value)], "and")
            if not name or (len(said.split()) > 6 and re.search(r"[.!?]$", said)):
                yield from self._written(said)
            else:
                frame = "fact_are" if name.endswith("s") and not name.endswith("ss") else "fact_is"
                yield capital(self._words.say(frame, name=name, value=said.rstrip(".")))

    def listed(self, items: Sequence[str], joint: str) -> str:
        return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {self._words.say(joint)} {items[-1]}"

    def _stems(self, text: str) -> set[str]:
        return self._stemmed(
            w for w in plain(text).split() if len(w) > 1 and w not in self._words.sets["small_words"]
        )

    def _stemmed(self, said: Any) -> set[str]:
        ends = self._words.lists["suffixes"]
        cut = {w: next((s for s in ends if w.endswith(s) and len(w) - len(s) >= 3), "") for w in said}
        return {(w.removesuffix(s) + ("y" if s == "ies" else ""))[:_STEM_LETTERS] for w, s in cut.items()}


class TalkState:
    """The state of one call's talk. `language` is a code like "es-MX"."""

    def __init__(
        self,
        spec: CallSpec,
        fields: Sequence[RuleField],
        tools: frozenset[str],
        goal: str | None = None,
        language: str = "en",
    ) -> None:
        self._spec, self._fields, self._tools, self._goal = spec, fields, tools, goal
        self._words = words_of(language)
        self._say, self._meant, self._when = self._words.say, self._words.meant, self._words.when
        self._purpose = purpose(spec, self._words, has_questions=any(f.question for f in fields))
        self._ask = self._purpose.ask if self._purpose else Ask("", Answers.WORDS)
        """The question the opening ended with."""
        self._order = self._purpose.order if self._purpose else None
        self._kind, self._topic = (self._order.kind, self._order.topic) if self._order else ("", "")
        self._is_thing = bool(self._order and self._kind == "confirm" and not self._order.clause)
        """Whether a thing is to be confirmed, which another time may be found for."""
        self._more = list(self._purpose.more) if self._purpose else []
        self._await = Await.PURPOSE if self._purpose else Await.HELP
        self._facts = Facts(spec.context, self._words)
        self._offers = self._words.offered(self._facts.told)
        self._values: dict[str, Any] = {}
        self._notes: list[str] = []
        self._reached = False
        self._skipped: set[str] = set()
        self._asked = self._retries = self._confused = 0
        """Questions of fields that were answered or passed over; times that something was asked again."""
        self._said: Counter[str] = Counter()
        self._last, self._again, self._holding, self._ended, self._message_left = "", False, False, False, False
        self._unopened = False
        """Whether what was just heard was said into an opening that was cut off."""
        self._answers: list[str] = []
        """The answers in the last reply, and those of them that were cut off."""
        self._owed: list[str] = []
        self._message: dict[str, str] = {}
        self._calls: list[RuleToolCall] = []
        self._recorded: Outcome | None = None

    @property
    def last(self) -> str:
        """The last reply, whole."""
        return self._last

    # What the call has taught.

    def _learn(self, meaning: str, value: Any) -> None:
        """Fill the fields that stand for `meaning`: booleans, matching options, or text."""
        rule, kind = field_rule(meaning), "boolean" if isinstance(value, bool) else "string"
        for spec in self._fields:
            if spec.type == "choice" and value is True:
                option = next((o for o in spec.options if rule.search(o.lower())), None)
                if option and not spec.question:
                    self._values[spec.name] = option
            elif rule.search(spec.name.lower()) and spec.type == kind:
                self._values[spec.name] = value

    def _answered_field(self, spec: RuleField, value: Any) -> None:
        self._values[spec.name] = value
        said = self._words.note("yes" if value else "no") if isinstance(value, bool) else value
        self._note("field", name=capital(spec.name.replace("_", " ")), value=said)

    def _confirmed(self, value: bool) -> None:
        """Yes or no to the purpose; a field that asks what the opening asked is answered by it too."""
        self._learn("confirmed", value)
        for spec in self._fields:
            if spec.type == "boolean" and spec.asked_by(self._ask.question):
                self._values[spec.name] = value

    def _volunteered(self, heard: str, beside: RuleField | None = None) -> bool:
        """Take answers to open yes-or-no questions that the words name: "yes, I'm interested"."""
        taken = False
        for spec in self._open_fields():
            stem = re.sub(r"(?:ed|ing|s)$", "", plain(spec.name).split()[-1])
            if spec.type == "boolean" and spec is not beside and re.search(rf"\b{re.escape(stem)}", plain(heard)):
                self._answered_field(spec, spec.parsed(heard, self._words) is not False)
                taken = True
        return taken

    def _note(self, note: str, **values: Any) -> None:
        # A quote that ends with a mark ends the sentence.
        text = re.sub(r"([.!?])([\"»])\.$", r"\1\2", self._words.note(note, who=self._them(), **values))
        if text not in self._notes:
            self._notes.append(text)

    @property
    def _goal_is_lost(self) -> bool:
        return self._values.get(self._goal or "") is False

    def outcome(self) -> Outcome:
        """What the call achieved so far.

        `reached_goal` is the field the goal names. The talk fills it, unless it has a question of its own.
        """
        values, reached = dict(self._values), self._reached
        goal = next((spec for spec in self._fields if spec.name == self._goal and spec.type == "boolean"), None)
        if goal:
            if goal.name not in values and not goal.question and (reached or self._notes):
                values[goal.name] = reached
            reached = bool(values.get(goal.name))
        return Outcome(reached, summary_of(self._notes, reached, self._words), values, "rules")

    def _record(self) -> None:
        """Report the outcome when it is news."""
        outcome = self.outcome()
        if outcome != self._recorded:
            self._recorded = outcome
            reached, summary = outcome.reached_goal, outcome.summary
            self._call("record_outcome", **outcome.fields, reached_goal=reached, summary=summary)

    def _note_message(self, message: str) -> None:
        who = self._who_asks()
        self._note("message", words=message.strip(), sender="" if self._purpose else ", ".join(who.values()))
        self._call("take_message", message=message.strip(), **who)

    def _who_asks(self) -> dict[str, str]:
        name, number = self._message.get("name") or self._spec.callee_name, self._message.get("phone_number")
        return ({"name": name} if name else {}) | ({"phone_number": number} if number else {})

    def _call(self, tool: str, /, **arguments: Any) -> None:
        if tool in self._tools:
            self._calls.append(RuleToolCall(tool, arguments))

    def _add(self, key: str, text: str) -> None:
        """Add to the message of somebody who called in; their reasons are all they asked and wished."""
        self._message[key] = " ".join(filter(None, [self._message.get(key), text]))
        if key == "reasons":
            self._learn("message", self._message[key])

    def _take_details(self) -> list[str]:
        """Ask for what is still missing, or read the number back."""
        needed = {Await.NAME: "name", Await.NUMBER: "phone_number"}
        self._await = next((step for step, key in needed.items() if key not in self._message), Await.READBACK)
        return [self._pending()]

    def _keep_details(self, heard: str, *, asked: bool) -> None:
        name, number = self._words.name(heard, asked=asked), self._words.phone(heard)
        found = {"name": name if "name" not in self._message else None, "phone_number": number}
        for key, value in found.items():
            if value:
                self._message[key] = value
                self._learn(key, value)

    def _what(self) -> str:
        """The purpose as the summary names it."""
        topic, action = self._words.sub("reported", self._topic), self._spec.action.strip().rstrip(".!")
        return topic if self._is_thing else self._words.note("quoted", words=action)

    def _agreed(self) -> list[str]:
        self._reached = True
        self._confirmed(True)
        self._note("confirmed" if self._is_thing else "said_yes", what=self._what())
        return [self._say("confirmed" if self._is_thing else "agreed", topic=self._topic), *self._onward()]

    def _doubts(self, heard: str) -> bool:
        """Whether an answer is no yes and no no: "I think so", "I should be able to"."""
        words = commitment_words(self._words.code)
        threat = words.found("if_you", heard) and Intent.YES not in self._meant(heard)
        return not threat and words.heard(heard, self._ask.question) is Said.HEDGE

    def _left_open(self) -> list[str]:
        self._note("unsure", what=self._what())
        same = (s.name for s in self._fields if s.type == "boolean" and s.asked_by(self._ask.question))
        self._skipped.update(same)
        return [self._say("unsure"), *self._onward()]

    # What is asked.

    def _open_fields(self) -> list[RuleField]:
        known = self._values.keys() | self._skipped
        return [spec for spec in self._fields if spec.question and spec.name not in known]

    def _takes_words(self) -> bool:
        """Whether any words would be an answer to what was asked."""
        spec = self._open_fields()[0] if self._await is Await.FIELD else None
        return self._await is Await.MORE or bool(spec and spec.type == "string" and not spec.is_time(self._words))

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
            inside = self._words.lowered(self._ask.question)
            back = (form.format(question=inside) for form in self._words.variants("back_to"))
            return self._least_said(self._ask.question, *back)
        if self._await is Await.FIELD:
            return self._open_fields()[0].question or ""
        if self._await is Await.MORE:
            ask = ask_of(self._more[0], self._words)
            return ask.question if ask else self._say("also", order=self._more[0].said)
        if self._await is Await.READBACK:
            return self._say("readback", number=self._words.phone_spoken(self._message["phone_number"]))
        return self._pick(self._await.value)

    def _close(self, reason: str, *before: str) -> list[str]:
        if self._message.get("message") and not self._message_left:
            self._message_left = self._reached = True
            self._note_message(self._message["message"])
        self._record()
        self._call("end_call", reason=reason)
        self._ended = True
        return [*before, self._say("goodbye", name=self._message.get("name") or self._spec.callee_name)]

    # What is said.

    def _pick(self, sentence: str) -> str:
        return self._least_said(*self._words.variants(sentence))

    def _least_said(self, *variants: str) -> str:
        """The variant said least so far, the first among equals."""
        worn = [max((self._said[plain(s)] for s in self._words.sentences(v)), default=0) for v in variants]
        return variants[worn.index(min(worn))]

    def _introduction(self) -> str:
        who, us = self._spec.agent_name, self._spec.organization
        return self._say("me", agent=who or us or self._say("automated"), us=us if who else "")

    def _them(self) -> str:
        return self._spec.callee_name or self._message.get("name") or self._words.note("them")

    def _utter(self, *texts: str) -> str:
        """The sentences as one reply.

        One said twice before comes with an introduction ("As I said, …"), and of such only the last two of a
        reply: the rest was heard often enough.
        """
        parts = list({plain(part): part for text in texts for part in self._words.sentences(text)}.values())
        worn = [part for part in parts if self._said[plain(part)] >= 2]
        said: list[str] = []
        free = list(self._words.variants("again"))
        for part in (part for part in parts if part not in worn[:-2]):
            forms = [again + self._words.lowered(part) for again in free] if part in worn else [part]
            form = next((f for f in forms if self._said[plain(f)] < 2), "")
            if form:
                free = [again for again in free if not form.startswith(again)]
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

    def _asked_to_record(self, spoken: str) -> bool:
        """Whether the opening stops to ask for the recording: the answer is not ours, the rest follows."""
        asked = languages.of(self._words.code).notices.recording_question
        return plain(spoken).endswith(plain(asked))

    def _was_cut(self, spoken: str) -> bool:
        """Whether too little of the last reply's last sentence was heard to answer it."""
        missing = len(plain(self._last).split()) - len(plain(spoken).split())
        parts = self._words.sentences(self._last)
        return bool(parts) and missing > max(1.0, 0.4 * len(plain(parts[-1]).split()))


def was_heard(sentence: str, heard: str) -> bool:
    """Whether the whole sentence is among the words that were played."""
    return f" {plain(sentence)} " in f" {plain(heard)} "


def summary_of(notes: Sequence[str], reached: bool, words: Words) -> str:
    """Notes as two sentences, results before questions and messages; a single one is followed by the goal's."""
    goal = words.note("reached" if reached else "not_reached")
    told = sorted(notes, key=lambda note: words.written["aside"].match(note) is not None)
    if not told:
        return f"{words.note('spoke')} {goal}" if reached else f"{words.note('nothing')} {goal}"
    if len(told) == 1:
        return f"{goal} {told[0]}" if words.written["aside"].match(told[0]) else f"{told[0]} {goal}"
    return f"{told[0]} {'; '.join([*(note.removesuffix('.') for note in told[1:-1]), told[-1]])}"
