"""The local LLM's talk: holds a call from its spec without a model. Pure: words in, words and tool calls out.

One reply is put together from parts, in this order: what ends the call at once (wrong number, "do not call"),
what needs the last words again (repeat, a cut reply), answers to what was asked, answers that were cut off
before, the step the talk is at, and the question that is still open. The callee's words choose among these;
they are never followed as orders, and an answer comes from the context or not at all. All it hears and says is
data of its language; how it keeps its state and words its questions is in `state`.
"""

from __future__ import annotations

from bot.languages import plain
from bot.pipeline.offline.rules.facts import answer, asks_when_of, listed
from bot.pipeline.offline.rules.facts import spoken as as_spoken
from bot.pipeline.offline.rules.learnt import parsed
from bot.pipeline.offline.rules.purpose import Answers, Ask, reported
from bot.pipeline.offline.rules.state import Await, RuleReply, State, was_cut, was_heard
from bot.pipeline.offline.rules.understanding import (
    chosen,
    is_question,
    name_said,
    option_said,
    phone_said,
    without_introduction,
)
from bot.pipeline.offline.rules.words import Intent, capital
from bot.records import Outcome

CUT_SIGN = "—"
"""Ends what was heard of a reply that was interrupted."""
_ABOUT_US = frozenset({Intent.WHO, Intent.WHY, Intent.ROBOT, Intent.HOW_ARE_YOU})
_DECIDES = frozenset({Intent.YES, Intent.NO, Intent.RESCHEDULE, Intent.CANCEL, Intent.DECLINE})
"""Meanings that settle a question, beside words that only accompany one."""
_COURTESY = frozenset({Intent.YES, Intent.GREETING, Intent.THANKS})
_REFUSES = frozenset({Intent.NO, Intent.DECLINE})
Meant = frozenset[Intent]


class Dialogue(State):
    """One call's talk. `opening` may be skipped where the opening was spoken by someone else: see `reply`."""

    def opening(self) -> str:
        """The first words: who calls and why, or the greeting of an inbound call."""
        say, name = self._say, self._spec.callee_name
        if self._purpose is None:
            me = f" {capital(say('me', agent=self._spec.agent_name))}." if self._spec.agent_name else ""
            self._last = self._utter(say("welcome", us=self._us("us"), me=me), say("help"))
        else:
            hello = say("hello", name=say("name", name=name) if name else "", me=self._introduction())
            why = say("why", said=self._purpose.said) if self._purpose.said else ""
            self._last = self._utter(hello, why, self._ask.opening)
        return self._last

    def reply(self, heard: str, *, spoken: str | None = None) -> RuleReply:
        """Answer what the callee said.

        `spoken` is what the callee has really heard of the agent since the reply before (None: all of it). A
        shorter text than that reply means that it was cut, a longer one that somebody else spoke too; with no
        reply before, its first line is another's opening.
        """
        opens = not self._last
        if opens:
            if not spoken and not self._meant(heard) & {Intent.DO_NOT_CALL, Intent.WRONG_NUMBER}:
                return RuleReply(self.opening())
            self._adopt_opening(spoken or "")
        cut = spoken is not None and was_cut(self._last, spoken, self._words)
        self._owed = [] if spoken is None else [a for a in self._answers if not was_heard(a, spoken)]
        if spoken is not None:
            self._unheard(spoken)
        self._calls, self._answers, self._again = [], [], False
        if spoken and not cut and self._was_prompted(spoken) and not self._says_something(heard):
            parts = [self._pending()]
        else:
            parts = self._answered(heard, cut, why_unheard=cut and opens)
        text = self._utter(*parts)
        if not text and not self._calls and not self._ended:
            text = self._utter(*self._close("nothing left to say"))
        if text and not self._again:
            self._last = self._bare(text)
        return RuleReply(text, tuple(self._calls))

    def outcome(self) -> Outcome:
        """What the call achieved so far."""
        return self._learnt.outcome()

    # The opening that somebody else spoke.

    def _adopt_opening(self, spoken: str) -> None:
        """Take over from an opening that the scenario worded; one that was cut is ours to say again."""
        spoken = spoken.split("\n", maxsplit=1)[0]
        if not spoken or spoken.rstrip().endswith(CUT_SIGN):
            self.opening()
            return
        self._last = self._utter(spoken)
        last = self._words.sentences(spoken)[-1]
        if self._purpose and last.endswith("?"):
            self._ask = self._asked_by(last)

    def _asked_by(self, question: str) -> Ask:
        assert self._purpose is not None
        found = self._words.found
        if plain(question) == plain(self._purpose.own.opening):
            return self._purpose.own
        if any(spec.type == "boolean" and spec.asked_by(question) for spec in self._fields):
            return Ask(question, Answers.YES_NO)
        if found("asks_permission", question):
            return Ask(question, Answers.PERMISSION)
        if found("asks_when", question):
            return Ask(question, Answers.TIME)
        return Ask(question, Answers.WORDS if found("asks_for_words", question) else Answers.YES_NO)

    def _was_prompted(self, spoken: str) -> bool:
        """Whether somebody asked something after the last reply: "Are you still there?"."""
        last = self._words.sentences(spoken)[-1:]
        return bool(last) and last[0].endswith("?") and not was_heard(last[0], self._last)

    def _says_something(self, heard: str) -> bool:
        """Whether words spoken into a cut reply are more than a sound of attention."""
        meant = self._meant(heard)
        if is_question(heard, self._words) or meant - _COURTESY or self._words.found("settled", heard):
            return True
        return not meant and len(plain(heard).split()) > 3

    # What was said, in order of what it outranks.

    def _answered(self, heard: str, cut: bool, *, why_unheard: bool) -> list[str]:
        meant, say, found = self._meant(heard), self._say, self._words.found
        if Intent.DO_NOT_CALL in meant:
            self._learnt.learn("do_not_call", True)
            self._note("not_again", who=self._them())
            self._call("do_not_call", reason=heard.strip())
            return self._close("do_not_call", say("not_again"))
        if Intent.WRONG_NUMBER in meant:
            self._learnt.learn("wrong_number", True)
            self._note("wrong_number")
            return self._close("wrong_number", say("wrong_number" if self._purpose else "wrong_number_inbound"))
        if Intent.ORDERS in meant:
            return [say("orders"), self._pending()]
        if any(found("may_ask", part) for part in self._words.sentences(heard)):
            why = (
                say("why", said=self._purpose.said)
                if why_unheard and self._purpose and self._purpose.said
                else ""
            )
            return [why, say("ask_away")]
        if Intent.REPEAT in meant or (cut and not self._says_something(heard)):
            self._again, self._answers = True, list(self._owed)
            return [self._pick("sure") if Intent.REPEAT in meant else "", self._last]
        if self._holding and found("back", heard):
            self._holding = False
            return [say("welcome_back"), self._pending()]
        self._holding = False
        if found("never_mind", heard):
            self._message.pop("message", None)
        asks = any(is_question(p, self._words) and Intent.HOLD not in self._meant(p) for p in self._parts(heard))
        if self._takes_words() and len(heard.split()) > 2:
            # Free text: "I was busy" and "let me see" are remarks here.
            return self._call_later(heard) if found("call_later", heard) else self._conversed(heard, meant)
        if Intent.HOLD in meant and not asks and Intent.GOODBYE not in meant and not self._when(heard):
            self._holding = True
            return [self._pick("wait")]
        asks_when = self._await is Await.FIELD and self._open_fields()[0].is_time(self._words)
        asks_when = asks_when or self._await in (Await.CALLBACK, Await.WHEN)
        if Intent.LATER in meant and self._purpose and not asks_when:
            return self._call_later(heard)
        return self._conversed(heard, meant)

    def _conversed(self, heard: str, meaning: Meant) -> list[str]:
        about_us, parts = self._about_us(meaning), self._parts(heard)
        asked = [p for p in parts if self._asks(p) and not self._meant(p) & _ABOUT_US]
        wishes = [p for p in asked if self._is_wish(p)]
        stating = [p for p in parts if (p not in asked or p in wishes)]
        if about_us:
            stating = [p for p in stating if not (is_question(p, self._words) and self._meant(p) & _ABOUT_US)]
        if asked and not self._takes_words():
            # The number in "one moment, where is it?" is none.
            stating = [p for p in stating if Intent.HOLD not in self._meant(p)]
        stated = " ".join(stating)
        meant = self._meant(stated) if stated else frozenset()
        answers = [self._answer(part) for part in asked if part not in wishes]
        if self._says_goodbye(heard, meaning) and not answers:
            step = self._parting_step(stated)
            return step if self._ended else self._close("goodbye", *step[:1])
        asks_to_move = any(self._wants_other_time(p) and not self._when(p) for p in asked if p not in wishes)
        step = [] if self._small_talk(stated, meant, bool(about_us or answers)) else self._step(stated, meant)
        if self._message.get("message") and not self._purpose and not self._message_left and not step:
            step = self._take_details()
        if asks_to_move and not step and not self._learnt.reached and self._await is Await.PURPOSE:
            self._await = Await.WHEN
        late = [a for a in self._owed if a not in answers]
        self._answers = [*self._answers, *answers, *late]
        owed = [self._say("and_also", text=self._words.lowered(a)) if answers else a for a in late]
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
        return is_question(part, self._words) and (not self._takes_words() or part.rstrip().endswith("?"))

    def _is_wish(self, question: str) -> bool:
        """Whether a question asks for something to be done rather than to be told."""
        meant, found = self._meant(question), self._words.found
        if self._purpose is None:
            known = answer(question, self._facts, self._words)
            return bool(meant & {Intent.LATER, Intent.MESSAGE}) or (found("to_be_done", question) and not known)
        if found("conditional", question):
            return False
        if Intent.MESSAGE in meant:
            return True
        about_time = self._purpose.order.kind in ("confirm", "schedule") or self._await in (
            Await.WHEN,
            Await.CALLBACK,
        )
        proposes = self._wants_other_time(question) or found("proposes", question)
        return bool(self._when(question)) and proposes and about_time

    def _wants_other_time(self, part: str) -> bool:
        return Intent.RESCHEDULE in self._meant(part) and not self._words.found("conditional", part)

    def _about_us(self, meaning: Meant) -> list[str]:
        say, parts = self._say, []
        if Intent.HOW_ARE_YOU in meaning:
            parts.append(say("well"))
        if Intent.ROBOT in meaning:
            parts.append(say("robot" if self._purpose else "robot_inbound", us=self._us("robot_us")))
        if Intent.WHO in meaning:
            parts.append(f"{capital(self._introduction())}.")
        if Intent.WHY in meaning and self._purpose and self._purpose.said:
            parts.append(say("why", said=self._purpose.said))
        elif Intent.WHY in meaning and not self._purpose and Intent.WHO not in meaning:
            parts.append(say("they_called"))
        return parts

    def _answer(self, question: str) -> str:
        words, topic, us = self._words, self._topic, self._spec.organization
        question = capital(question).strip()
        if us and words.found("is_us", question) and plain(us) in plain(question):
            return self._say("yes_us", us=us)
        if not self._purpose:
            self._reasons.append(question)
            self._learnt.learn("message", " ".join(self._reasons))
        found = answer(question, self._facts, words)
        if topic and asks_when_of(question, topic, words) and (self._when(topic) or not found):
            return capital(self._say("its", topic=topic))
        if found:
            self._learnt.reached = self._learnt.reached or not self._purpose
            if self._await is Await.HELP:
                self._await = Await.ANYTHING
            return found
        if self._purpose:
            self._note("open_question", words=question)
        if self._purpose or self._message_left:
            self._call("take_message", message=words.note("question", words=question), **self._who_asks())
        else:
            self._message["message"] = " ".join(filter(None, [self._message.get("message"), question]))
        return self._pick("passed_on")

    def _not_understood(self, meant: Meant) -> list[str]:
        if meant & {Intent.GREETING, Intent.THANKS}:
            return [self._pending()]
        self._confused += 1
        if self._confused >= 3:
            return self._close("not_understood", self._say("give_up"))
        return [self._pick("not_understood"), self._pending()]

    def _says_goodbye(self, heard: str, meaning: Meant) -> bool:
        return self._words.found("bye", heard) if self._takes_words() else Intent.GOODBYE in meaning

    def _parting_step(self, stated: str) -> list[str]:
        """A last yes or no in front of a goodbye. "Great, thank you, goodbye" is none: it only takes leave."""
        meant = self._meant(stated)
        if not self._words.found("certain", stated):
            meant -= {Intent.YES}
        if self._await is Await.FIELD and self._open_fields()[0].type != "string":
            value = parsed(self._open_fields()[0], stated, self._words)
            return (
                [] if value is None or (value is True and Intent.YES not in meant) else self._step(stated, meant)
            )
        return (
            self._step(stated, meant - {Intent.THANKS})
            if self._await is Await.PURPOSE and meant & _DECIDES
            else []
        )

    def _small_talk(self, stated: str, meant: Meant, asked: bool) -> bool:
        """Words that decide nothing: a greeting, or what stands beside a question: "okay, and where is it?"."""
        if not stated:
            return True
        if not asked:
            greets = meant == {Intent.GREETING} and len(stated.split()) < 6
            return greets and self._await not in (Await.ANYTHING, Await.NAME)
        if self._await in (Await.NAME, Await.NUMBER, Await.READBACK, Await.FIELD):
            return False
        return self._await is Await.ANYTHING or not meant & _DECIDES

    # The step the talk is at.

    def _step(self, heard: str, meant: Meant) -> list[str]:
        if self._await in (Await.PURPOSE, Await.ANYTHING, Await.WHEN) and self._purpose:
            if Intent.CANCEL in meant:
                return self._canceled()
            if Intent.RESCHEDULE in meant or (self._await is Await.WHEN and self._when(heard)):
                return self._another_time(heard)
        steps = {
            Await.PURPOSE: self._on_purpose,
            Await.FIELD: self._on_field,
            Await.MORE: self._on_more,
            Await.WHEN: self._on_when,
            Await.CALLBACK: self._on_callback,
            Await.HELP: self._on_help,
            Await.NAME: self._on_name,
            Await.NUMBER: self._on_number,
            Await.READBACK: self._on_readback,
            Await.ANYTHING: self._on_anything,
        }
        return steps[self._await](heard, meant)

    def _on_purpose(self, heard: str, meant: Meant) -> list[str]:
        volunteered = self._volunteered(heard)
        if self._ask.answers is Answers.PERMISSION:
            return self._on_permission(heard, meant, volunteered)
        if self._kind == "schedule" and self._when(heard):
            return self._another_time(heard)
        if self._ask.answers in (Answers.WORDS, Answers.EITHER):
            return self._on_words(heard, meant)
        if meant & _REFUSES:
            return self._refused(meant)
        if Intent.YES not in meant and not volunteered:
            return []
        return [self._ask.question] if self._ask.answers is Answers.TIME else self._agreed()

    def _on_permission(self, heard: str, meant: Meant, volunteered: bool) -> list[str]:
        assert self._purpose is not None
        understood = self._say("understood")
        if volunteered and self._learnt.goal_is_lost:
            return self._close("declined", understood)
        if Intent.DECLINE in meant and not self._words.found("short_of_time", heard):
            self._learnt.learn("confirmed", False)
            self._note("not_on", who=self._them())
            return self._close("declined", understood)
        if not volunteered and meant & _REFUSES:
            if "schedule_callback" in self._tools or self._when(heard):
                return self._call_later(heard)
            self._note("no_time", who=self._them())
            return self._close("declined", understood)
        if self._kind == "schedule" and self._when(heard):
            return self._another_time(heard)
        if Intent.YES not in meant and not volunteered:
            return []
        thanks = self._pick("thanks")
        if self._kind == "schedule":
            self._await = Await.WHEN
            return [thanks, *self._offer(), self._pending()]
        if self._kind and (self._more or self._open_fields()):
            return [thanks, *self._onward()]
        if self._purpose.own.answers is not Answers.PERMISSION:
            self._ask = self._purpose.own
            return [thanks, self._pending()]
        if self._topic:
            # A bare subject asks nothing: what there is to say of it is what the context says.
            self._answers = [as_spoken(fact, self._words) for fact in self._facts[:2]]
            self._note("told", who=self._them(), topic=reported(self._topic, self._words))
            self._learnt.reached = self._learnt.reached or bool(self._answers and not self._open_fields())
        return [thanks, *self._answers, *self._onward()]

    def _on_words(self, heard: str, meant: Meant) -> list[str]:
        said, either = plain(heard).split(), self._ask.answers is Answers.EITHER
        if len(said) < 2 and not meant & _DECIDES and not any(map(str.isdigit, heard)):
            return []
        if meant and meant <= {Intent.GREETING, Intent.THANKS} and len(said) < 4:
            return []
        if not either and Intent.YES in meant and not self._words.without("filler", heard):
            return [self._ask.question]  # "Yes" to "Could you tell me when …?" only agrees to tell
        self._learnt.reached = True
        self._confirmed(Intent.NO not in meant or not either)
        self._note("asked", question=self._ask.question, words=heard.strip())
        return [self._say("noted"), *self._onward()]

    def _refused(self, meant: Meant) -> list[str]:
        self._confirmed(False)
        topic = reported(self._topic, self._words)
        self._note("refused" if self._is_thing else "said_no", who=self._them(), topic=topic, action=self._action)
        if self._is_thing and Intent.DECLINE not in meant:
            self._await = Await.WHEN
            return [self._say("refused"), *self._offer(), self._say("ask_other")]
        if Intent.DECLINE in meant or (self._learnt.goal_is_lost and not self._more and self._kind != "confirm"):
            return self._close("declined", self._say("understood"))
        return [self._say("understood"), *self._onward(skip_questions=True)]

    def _agreed(self) -> list[str]:
        self._learnt.reached = True
        self._confirmed(True)
        topic = reported(self._topic, self._words)
        self._note(
            "confirmed" if self._is_thing else "said_yes", who=self._them(), topic=topic, action=self._action
        )
        agreed = self._say("confirmed", topic=self._topic) if self._is_thing else self._say("agreed")
        return [agreed, *self._onward()]

    def _on_field(self, heard: str, meant: Meant) -> list[str]:
        spec, say = self._open_fields()[0], self._say
        declines = Intent.DECLINE in meant and spec.type != "boolean"
        value = None if declines else parsed(spec, heard, self._words)
        if value is None:
            if Intent.DECLINE in meant and not self._words.found("prefers_not", heard):
                return self._close("declined", say("understood"))
            if not declines and self._retries == 0:
                self._retries = 1
                options = [option.replace("_", " ") for option in spec.options]
                again = say("sorry_question", question=spec.question)
                return [say("choices", options=listed(options, say("or"))) if options else again]
            if spec.type == "string" and not declines:
                value = heard.strip(" .")
        self._retries, self._asked = 0, self._asked + 1
        if value is None:
            self._skipped.add(spec.name)
        else:
            self._learnt.answer(spec, value)
        if spec.name == self._learnt.goal and value is False:
            return self._close("declined", say("understood"))
        self._volunteered(heard, beside=spec)
        if not self._open_fields():
            self._learnt.reached = not self._skipped
        thanks = self._pick("thanks")
        if spec.is_time(self._words) and value is not None and self._when(value) == value:
            thanks = say("time_taken", when=value)
        elif self._asked > 1 and not self._open_fields():
            thanks = say("last_question")
        return [thanks, *self._onward()]

    def _on_more(self, heard: str, meant: Meant) -> list[str]:
        self._note("on", question=self._more.pop(0).said, words=heard.strip())
        if not self._more and not self._open_fields():
            self._learnt.reached = True
        return [self._say("noted"), *self._onward()]

    def _on_when(self, heard: str, meant: Meant) -> list[str]:
        if option_said(heard, self._offers, self._words):
            return self._another_time(heard)
        if Intent.NO in meant:
            self._note("no_other_time", who=self._them())
            return [self._say("no_other_time"), *self._onward(skip_questions=True)]
        if self._retries or (Intent.YES not in meant and len(heard.split()) > 3):
            return self._another_time(heard, said=heard.strip(" ."))
        self._retries = 1
        return [self._say("when")]

    def _on_callback(self, heard: str, meant: Meant) -> list[str]:
        if meant & _REFUSES and not self._when(heard):
            self._note("no_call_back", who=self._them())
            return self._close("goodbye", self._say("no_call_back"))
        return self._call_later(heard, said=heard.strip(" ."))

    def _on_anything(self, heard: str, meant: Meant) -> list[str]:
        said = plain(heard).split()
        if self._words.found("wants_more", heard):
            return [self._say("more")]
        leaves = meant & {Intent.NO, Intent.THANKS, Intent.GOODBYE, Intent.DECLINE} and len(said) < 9
        if leaves or not self._words.without("agreement", heard) or (Intent.YES in meant and len(said) < 4):
            return self._close("goodbye")
        if not self._purpose and not self._message_left:
            return self._on_help(heard, meant)
        if len(said) < 3:
            return []
        self._note_message(heard)
        return [self._say("passed_to_team"), self._pending()]

    # Taking a message.

    def _on_help(self, heard: str, meant: Meant) -> list[str]:
        self._keep_details(heard, asked=False)
        count = len(plain(heard).split())
        if meant <= _COURTESY and count < 5:
            return []
        if not meant & {Intent.MESSAGE, Intent.LATER} and count < 3:
            return []
        told = [without_introduction(part, self._words) for part in self._parts(heard) if not self._phone(part)]
        wish = capital(" ".join(part for part in told if self._words.without("agreement", part)))
        if not wish:
            name = self._message.get("name")
            return [self._say("hello_you", name=name), self._pending()] if name else []
        if not (Intent.MESSAGE in meant and count < 9):
            self._message["message"] = " ".join(filter(None, [self._message.get("message"), wish]))
        self._reasons.append(wish)
        self._learnt.learn("message", " ".join(self._reasons))
        if Intent.LATER in meant and (when := self._when(heard)):
            self._message["when"] = when
        return [self._say("take_callback" if Intent.LATER in meant else "take_message"), *self._take_details()]

    def _take_details(self) -> list[str]:
        """Ask for what is still missing, or read the number back."""
        missing = [
            a for a, key in ((Await.NAME, "name"), (Await.NUMBER, "phone_number")) if key not in self._message
        ]
        self._await = missing[0] if missing else Await.READBACK
        return [self._pending()]

    def _keep_details(self, heard: str, *, asked: bool) -> None:
        name, number = name_said(heard, self._words, asked=asked), self._phone(heard)
        if name and "name" not in self._message:
            self._message["name"] = name
            self._learnt.learn("name", name)
        if number:
            self._message["phone_number"] = number
            self._learnt.learn("phone_number", number)

    def _on_name(self, heard: str, meant: Meant) -> list[str]:
        self._keep_details(heard, asked=True)
        if "name" not in self._message:
            if self._retries == 0 and Intent.NO not in meant:
                self._retries = 1
                return [self._say("name_again")]
            self._message["name"] = ""
        self._retries = 0
        return [
            self._say("thank_you", name=self._called("goodbye_name", self._message["name"])),
            *self._take_details(),
        ]

    def _on_number(self, heard: str, meant: Meant) -> list[str]:
        self._keep_details(heard, asked=False)
        if not self._message.get("phone_number"):
            if self._retries == 0 and not meant & _REFUSES:
                self._retries = 1
                return [self._say("number_again")]
            return self._leave_message()
        self._retries = 0
        return self._take_details()

    def _on_readback(self, heard: str, meant: Meant) -> list[str]:
        if self._phone(heard) not in (None, self._message.get("phone_number")):
            return self._on_number(heard, meant)
        if Intent.NO in meant and self._retries == 0:
            self._retries, self._await = 1, Await.NUMBER
            self._message.pop("phone_number", None)
            return [self._say("number_again")]
        return self._leave_message()

    def _leave_message(self) -> list[str]:
        self._retries, self._message_left, self._learnt.reached = 0, True, True
        self._note_message(self._message.get("message") or self._words.note("please_call"))
        if self._message.get("when"):
            self._call("schedule_callback", when=self._message["when"])
        return [self._say("message_left"), *self._onward()]

    def _phone(self, heard: str) -> str | None:
        return phone_said(heard, self._words)

    # Another time.

    def _another_time(self, heard: str, *, said: str | None = None) -> list[str]:
        about_time = self._kind in ("confirm", "schedule") or self._offers
        if not about_time and not any(spec.is_time(self._words) for spec in self._fields):
            return self._call_later(heard, said=said)
        when = self._when(heard) or said
        self._learnt.learn("reschedule", True)
        if when is None:
            self._await = Await.WHEN
            return [*(self._offer() or [self._say("no_problem")]), self._pending()]
        offer = chosen(when, self._offers, self._words) or option_said(heard, self._offers, self._words)
        if self._offers and offer is None and self._retries == 0:
            self._retries, self._await = 1, Await.WHEN
            options = listed(self._offers, self._say("or"))
            return [self._say("only_offer", options=options), self._say("one_of_those")]
        self._retries = 0
        if self._kind != "schedule":
            self._confirmed(False)
        self._learnt.learn("agreed", bool(offer))
        self._learnt.reached = bool(offer) and self._kind == "schedule"
        if offer is None:
            self._learnt.learn("when", when)
            self._note("wants_time", who=self._them(), when=when)
            return [self._say("noted_time", when=when), *self._onward(skip_questions=True)]
        time = when if len(when) > len(offer) and self._when(when) == when else offer
        self._learnt.learn("when", time)
        self._note("agreed", who=self._them(), when=time)
        return [self._say("settled", when=time), *self._onward(skip_questions=self._kind == "confirm")]

    def _offer(self) -> list[str]:
        """What the context says about other times."""
        found = next((fact for fact in self._facts if self._words.kinds["reschedule"].fact.search(fact)), None)
        return [as_spoken(found, self._words)] if found else []

    def _canceled(self) -> list[str]:
        self._confirmed(False)
        self._learnt.learn("canceled", True)
        self._learnt.learn("agreed", False)
        self._learnt.reached = False
        self._note("canceled", who=self._them())
        return [self._say("canceled"), *self._onward(skip_questions=True)]

    def _call_later(self, heard: str, *, said: str | None = None) -> list[str]:
        when = self._when(heard) or said
        self._learnt.learn("callback", True)
        if when is None:
            self._await = Await.CALLBACK
            return [self._say("understood"), self._pending()]
        self._learnt.learn("call_when", when)
        self._note("call_back", who=self._them(), when=when)
        self._call("schedule_callback", when=when)
        # A time goes into the sentence; other words ("whenever you like") do not fit there.
        fits = self._when(when) == when
        return self._close(
            "callback", self._say("call_back", when=when) if fits else self._say("call_back_noted")
        )
