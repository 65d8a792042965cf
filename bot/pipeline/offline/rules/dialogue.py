"""The local LLM's talk: holds a call from its spec without a model. Pure: words in, words and tool calls out.

One reply is put together from parts, in this order: what ends the call at once (wrong number, "do not call"),
what needs the last words again (repeat, a cut reply), answers to what was asked, answers that were cut off
before, the step the talk is at, and the question that is still open. The callee's words choose among these;
they are never followed as orders, and an answer comes from the context or not at all. All it hears and says is
data of its language.
"""

from collections.abc import Callable

from bot.languages import plain
from bot.pipeline.offline.rules.purpose import Answers, Ask
from bot.pipeline.offline.rules.state import Await, RuleReply, TalkState, was_heard
from bot.pipeline.offline.rules.words import Intent, capital, field_rule

CUT_SIGN = "—"
"""Ends what was heard of a reply that was interrupted."""
Meant = frozenset[Intent]
Step = Callable[[str, Meant], list[str]]
_ABOUT_US = frozenset({Intent.WHO, Intent.WHY, Intent.ROBOT, Intent.HOW_ARE_YOU})
_DECIDES = frozenset({Intent.YES, Intent.NO, Intent.RESCHEDULE, Intent.CANCEL, Intent.DECLINE})
"""Meanings that settle a question, beside words that only accompany one."""
_COURTESY = frozenset({Intent.YES, Intent.GREETING, Intent.THANKS})
_REFUSES = frozenset({Intent.NO, Intent.DECLINE})
_TIMES = (Await.CALLBACK, Await.WHEN)
_ASKED_FOR = (Answers.PERMISSION, Answers.TIME, Answers.WORDS)


class Dialogue(TalkState):
    """One call's talk. `opening` may be skipped where the opening was spoken by someone else: see `reply`."""

    def opening(self) -> str:
        """The first words: who calls and why, or the greeting of an inbound call."""
        if self._purpose is None:
            me = capital(self._say("me", agent=self._spec.agent_name, us="")) if self._spec.agent_name else ""
            self._last = self._utter(self._say("welcome", us=self._spec.organization, me=me), self._say("help"))
        else:
            hello = self._say("hello", name=self._spec.callee_name, me=self._introduction())
            self._last = self._utter(hello, self._why(), self._ask.opening)
        return self._last

    def reply(self, heard: str, *, spoken: str | None = None) -> RuleReply:
        """Answer what the callee said.

        `spoken` is what the callee has really heard of the agent since the reply before (None: all of it). A
        shorter text than that reply means that it was cut, a longer one that somebody else spoke too; with no
        reply before, its first line is another's opening.
        """
        opens = not self._last
        if opens:
            goes_on = not self._meant(heard) & {Intent.DO_NOT_CALL, Intent.WRONG_NUMBER}
            if goes_on and (not spoken or self._asked_to_record(spoken)):
                rest = self.opening()
                self._last = "" if spoken else rest
                return RuleReply(rest)
            self._adopt_opening(spoken or "")
        cut = spoken is not None and self._was_cut(spoken)
        self._owed = [] if spoken is None else [a for a in self._answers if not was_heard(a, spoken)]
        if spoken is not None:
            self._unheard(spoken)
        self._calls, self._answers, self._again, self._unopened = [], [], False, cut and opens
        # Said after the last reply: "Are you still there?", "Hello? I can't hear you."
        prompts = self._words.sentences(spoken or "")[-2:]
        prompted = any(last.endswith("?") and not was_heard(last, self._last) for last in prompts)
        if prompted and not cut and not self._says_something(heard):
            text = self._utter(self._pending())
        else:
            text = self._utter(*self._answered(heard, cut))
        if not text and not self._calls and not self._ended:
            text = self._utter(*self._close("nothing left to say"))
        if text and not self._again:
            self._last = self._bare(text)
        return RuleReply(text, tuple(self._calls))

    def _adopt_opening(self, spoken: str) -> None:
        """Take over from an opening that the scenario worded; one that was cut is ours to say again."""
        spoken = spoken.split("\n", maxsplit=1)[0]
        if not spoken or spoken.rstrip().endswith(CUT_SIGN):
            self.opening()
            return
        self._last = self._utter(spoken)
        last = self._words.sentences(spoken)[-1]
        if self._purpose and last.endswith("?"):
            found = (kind for kind in _ASKED_FOR if self._words.found(f"asks_for_{kind}", last))
            answers = next(found, Answers.YES_NO)
            if any(spec.type == "boolean" and spec.asked_by(last) for spec in self._fields):
                answers = Answers.YES_NO
            is_own = plain(last) == plain(self._purpose.own.opening)
            self._ask = self._purpose.own if is_own else Ask(last, answers)

    def _says_something(self, heard: str) -> bool:
        """Whether words spoken into a cut reply are more than a sound of attention."""
        meant = self._meant(heard)
        if self._words.asks(heard) or meant - _COURTESY or self._words.found("settled", heard):
            return True
        return not meant and len(plain(heard).split()) > 3

    def _answered(self, heard: str, cut: bool) -> list[str]:  # in order of what it outranks
        meant, found = self._meant(heard), self._words.found
        for intent in (Intent.DO_NOT_CALL, Intent.WRONG_NUMBER):
            if intent in meant:
                self._learn(intent, True)
                self._note(intent)
                self._call(intent, reason=heard.strip())
                return self._close(intent, self._say(intent))
        if Intent.ORDERS in meant:
            return [self._say("orders"), self._pending()]
        if any(found("may_ask", part) for part in self._words.sentences(heard)):
            return [self._why() if self._unopened else "", self._say("ask_away")]
        if Intent.REPEAT in meant or (cut and not self._says_something(heard)):
            self._again, self._answers = True, list(self._owed)
            return [self._pick("sure") if Intent.REPEAT in meant else "", self._last]
        if self._holding and found("back", heard):
            self._holding = False
            return [self._say("no_problem"), self._pending()]
        self._holding = False
        if self._takes_words() and len(heard.split()) > 2:
            # Free text: "I was busy" and "let me see" are remarks here.
            return self._call_later(heard) if found("call_later", heard) else self._conversed(heard, meant)
        asks = any(self._words.asks(p) and Intent.HOLD not in self._meant(p) for p in self._words.parts(heard))
        if Intent.HOLD in meant and not asks and Intent.GOODBYE not in meant and not self._when(heard):
            self._holding = True
            return [self._pick("wait")]
        asks_when = self._await is Await.FIELD and self._open_fields()[0].is_time(self._words)
        if Intent.LATER in meant and self._purpose and not asks_when and self._await not in _TIMES:
            return self._call_later(heard)
        return self._conversed(heard, meant)

    def _conversed(self, heard: str, meaning: Meant) -> list[str]:
        words, takes_words = self._words, self._takes_words()
        about_us, parts = self._about_us(meaning), words.parts(heard)
        # Where free text is awaited, only a question mark makes a question: "how friendly they were" is none.
        questions = [p for p in parts if words.asks(p) and (not takes_words or p.rstrip().endswith("?"))]
        asked = [p for p in questions if not self._meant(p) & _ABOUT_US and not self._is_wish(p)]
        stating = [p for p in parts if p not in asked and not (p in questions and self._meant(p) & _ABOUT_US)]
        if asked and not takes_words:
            # The number in "one moment, where is it?" is none.
            stating = [p for p in stating if Intent.HOLD not in self._meant(p)]
        stated = " ".join(stating)
        meant = self._meant(stated) if stated else frozenset()
        answers = [self._answer(part) for part in asked]
        leaves = words.found("bye", heard) if takes_words else Intent.GOODBYE in meaning
        if leaves and not answers:
            step = self._parting_step(stated, meant)
            return step if self._ended else self._close("goodbye", *step[:1])
        asks_to_move = any(self._wants_other_time(p) and not self._when(p) for p in asked)
        step = [] if self._small_talk(stated, meant, bool(about_us or answers)) else self._step(stated, meant)
        if self._message.get("message") and not self._purpose and not self._message_left and not step:
            step = self._take_details()
        if asks_to_move and not step and not self._reached and self._await is Await.PURPOSE:
            self._await = Await.WHEN
        late = [a for a in self._owed if a not in answers]
        self._answers = [*self._answers, *answers, *late]
        owed = [self._say("and_also", text=words.lowered(a)) if answers else a for a in late]
        if self._ended:
            return [*about_us, *answers, *step]
        if not (step or about_us or self._answers):
            return self._not_understood(meant)
        self._confused = 0
        if step and stating and parts.index(stating[0]) == 0:
            # "Yes, that works, but where is it?": the yes is taken up first, the next question comes last.
            return [*step[:-1], *about_us, *answers, *owed, step[-1]]
        return [*about_us, *answers, *owed, *step, *([] if step else [self._pending()])]

    def _is_wish(self, question: str) -> bool:
        """Whether a question asks for something to be done rather than to be told."""
        meant, found = self._meant(question), self._words.found
        if self._purpose is None:
            wish = found("to_be_done", question) and not self._facts.answer(question)
            return wish or bool(meant & {Intent.LATER, Intent.MESSAGE})
        if found("conditional", question) or Intent.MESSAGE in meant:
            return Intent.MESSAGE in meant and not found("conditional", question)
        about_time = self._kind in ("confirm", "schedule") or self._await in _TIMES
        proposes = self._wants_other_time(question) or found("proposes", question)
        return bool(self._when(question)) and proposes and about_time

    def _wants_other_time(self, part: str) -> bool:
        return Intent.RESCHEDULE in self._meant(part) and not self._words.found("conditional", part)

    def _why(self) -> str:
        return self._say("why", said=self._purpose.said) if self._purpose and self._purpose.said else ""

    def _about_us(self, meaning: Meant) -> list[str]:
        said = {
            Intent.HOW_ARE_YOU: self._say("well"),
            Intent.ROBOT: self._say("robot", us=self._spec.organization),
            Intent.WHO: f"{capital(self._introduction())}.",
            Intent.WHY: self._why(),
        }
        if self._unopened and said.keys() & meaning:
            meaning |= {Intent.WHY}  # the opening was cut before it said so
        return [text for intent, text in said.items() if intent in meaning and text]

    def _answer(self, question: str) -> str:
        question = capital(question).strip()
        if not self._purpose:
            self._add("reasons", question)
        found = self._facts.answer(question)
        when_of = self._topic and self._facts.asks_when_of(question, self._topic)
        if when_of and (self._when(self._topic) or not found):
            return capital(self._say("its", topic=self._topic))
        if found:
            self._reached = self._reached or not self._purpose
            if self._await is Await.HELP:
                self._await = Await.ANYTHING
            return found
        if self._purpose:
            self._note("open_question", words=question)
        if self._purpose or self._message_left:
            self._call("take_message", message=question, **self._who_asks())
        else:
            self._add("message", question)
        return self._pick("passed_on")

    def _not_understood(self, meant: Meant) -> list[str]:
        if meant & {Intent.GREETING, Intent.THANKS}:
            return [self._pending()]
        self._confused += 1
        if self._confused >= 3:
            return self._close("not_understood", self._say("give_up"))
        return [self._pick("not_understood"), self._pending()]

    def _parting_step(self, stated: str, meant: Meant) -> list[str]:
        """A last yes or no in front of a goodbye. "Great, thank you, goodbye" is none: it only takes leave."""
        meant -= {Intent.THANKS} if self._words.found("certain", stated) else {Intent.THANKS, Intent.YES}
        if self._await is Await.FIELD and self._open_fields()[0].type != "string":
            value = self._open_fields()[0].parsed(stated, self._words)
            return (
                [] if value is None or (value is True and Intent.YES not in meant) else self._step(stated, meant)
            )
        return self._step(stated, meant) if self._await is Await.PURPOSE and meant & _DECIDES else []

    def _small_talk(self, stated: str, meant: Meant, asked: bool) -> bool:
        """Words that decide nothing: a greeting, or what stands beside a question: "okay, and where is it?"."""
        if not asked:
            greets = meant == {Intent.GREETING} and len(stated.split()) < 6
            return not stated or (greets and self._await not in (Await.ANYTHING, Await.NAME))
        if self._await in (Await.NAME, Await.NUMBER, Await.READBACK, Await.FIELD):
            return not stated
        return self._await is Await.ANYTHING or not meant & _DECIDES

    # The step the talk is at.

    def _step(self, heard: str, meant: Meant) -> list[str]:
        if self._await in (Await.PURPOSE, Await.ANYTHING, Await.WHEN) and self._purpose:
            if Intent.CANCEL in meant:
                return self._canceled()
            if Intent.RESCHEDULE in meant or (self._await is Await.WHEN and self._when(heard)):
                return self._another_time(heard)
        step: Step = getattr(self, f"_on_{self._await.name.lower()}", self._on_details)
        return step(heard, meant)

    def _on_purpose(self, heard: str, meant: Meant) -> list[str]:
        volunteered = self._volunteered(heard)
        if self._ask.answers is Answers.PERMISSION:
            return self._on_permission(heard, meant, volunteered)
        if self._kind == "schedule" and (self._when(heard) or self._words.option(heard, self._offers)):
            return self._another_time(heard)
        if self._is_thing and self._proposed(heard, meant):
            return self._another_time(heard)
        if self._ask.answers in (Answers.WORDS, Answers.EITHER):
            return self._on_words(heard, meant)
        if meant & _REFUSES:
            return self._refused(meant)
        if self._doubts(heard):
            return self._left_open()
        if Intent.YES not in meant and not volunteered:
            return []
        return [self._ask.question] if self._ask.answers is Answers.TIME else self._agreed()

    def _proposed(self, heard: str, meant: Meant) -> str | None:
        """The other time that is wished for: "how about Friday?", "no, Friday"."""
        wished = meant & _REFUSES or self._words.found("proposes", heard)
        when = self._when(heard) if wished else None
        return when if when and not self._words.chosen(when, [self._topic]) else None

    def _on_permission(self, heard: str, meant: Meant, volunteered: bool) -> list[str]:
        assert self._purpose is not None
        if volunteered and self._goal_is_lost:
            return self._close("declined", self._say("understood"))
        if meant & _REFUSES and not volunteered:
            no_time = Intent.DECLINE not in meant or self._words.found("short_of_time", heard)
            if no_time and ("schedule_callback" in self._tools or self._when(heard)):
                return self._call_later(heard)
            self._learn("confirmed", False)
            self._note("refused", what=self._what())
            return self._close("declined", self._say("understood"))
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
        if self._topic and self._facts.told:
            # A bare subject asks nothing: what there is to say of it is what the context says.
            self._answers = [self._facts.spoken(fact) for fact in self._facts.told[:2]]
            self._note("told", topic=self._words.sub("reported", self._topic))
            self._reached = self._reached or not (self._kind or self._open_fields())
        return [thanks, *self._answers, *self._onward()]

    def _on_words(self, heard: str, meant: Meant) -> list[str]:
        said, either = plain(heard).split(), self._ask.answers is Answers.EITHER
        if len(said) < 2 and not meant & _DECIDES and not any(map(str.isdigit, heard)):
            return []
        if meant and meant <= {Intent.GREETING, Intent.THANKS} and len(said) < 4:
            return []
        if not either and Intent.YES in meant and not self._words.without("filler", heard):
            return [self._ask.question]  # "Yes" to "Could you tell me when …?" only agrees to tell
        self._reached = True
        self._confirmed(Intent.NO not in meant or not either)
        self._note("asked", question=self._ask.question, words=heard.strip(" ."))
        return [self._say("noted"), *self._onward()]

    def _refused(self, meant: Meant) -> list[str]:
        self._confirmed(False)
        if self._unopened and Intent.DECLINE in meant:
            self._note("declined")  # not knowing yet what for
        else:
            self._note("refused", what=self._what())
        if self._is_thing and Intent.DECLINE not in meant:
            self._await = Await.WHEN
            return [self._say("understood"), *self._offer(), self._pending()]
        if Intent.DECLINE in meant or (self._goal_is_lost and not self._more and self._kind != "confirm"):
            return self._close("declined", self._say("understood"))
        return [self._say("understood"), *self._onward(skip_questions=True)]

    def _on_field(self, heard: str, meant: Meant) -> list[str]:
        spec, value = self._open_fields()[0], None
        declines = Intent.DECLINE in meant and spec.type != "boolean"
        if not declines:
            value = spec.parsed(heard, self._words)
            unsure = value is True and self._doubts(heard)
            value = None if unsure and field_rule("confirmed").search(spec.name) else value
        elif not self._words.found("prefers_not", heard):
            return self._close("declined", self._say("understood"))
        if value is None and not declines and self._retries == 0:
            self._retries = 1
            options = [option.replace("_", " ") for option in spec.options]
            again = self._say("choices", options=self._facts.listed(options, "or")) if options else spec.question
            return [self._pick("not_understood"), again or ""]
        if value is None and spec.type == "string" and not declines:
            value = heard.strip(" .")
        self._retries, self._asked = 0, self._asked + 1
        if value is None:
            self._skipped.add(spec.name)
        else:
            self._answered_field(spec, value)
        if spec.name == self._goal and value is False:
            return self._close("declined", self._say("understood"))
        self._volunteered(heard, beside=spec)
        thanks = self._pick("thanks")
        if not self._open_fields():
            self._reached = not self._skipped
            thanks = self._say("last_question") if self._asked > 1 else thanks
        if spec.is_time(self._words) and value is not None and self._when(value) == value:
            thanks = self._say("time_taken", when=value)
        return [thanks, *self._onward()]

    def _on_more(self, heard: str, meant: Meant) -> list[str]:
        self._note("asked", question=self._more.pop(0).said, words=heard.strip(" ."))
        self._reached = self._reached or not (self._more or self._open_fields())
        return [self._say("noted"), *self._onward()]

    def _on_when(self, heard: str, meant: Meant) -> list[str]:
        said = self._words.option(heard, self._offers)
        if Intent.NO in meant and not said:
            self._note("refused", what=self._what())
            return [self._say("understood"), *self._onward(skip_questions=True)]
        if said or self._retries or (Intent.YES not in meant and len(heard.split()) > 3):
            return self._another_time(heard, said=heard.strip(" ."))
        self._retries = 1
        return [self._say("when")]

    def _on_callback(self, heard: str, meant: Meant) -> list[str]:
        if meant & _REFUSES and not self._when(heard):
            self._note("refused", what=self._what())
            return self._close("goodbye", self._say("understood"))
        return self._call_later(heard, said=heard.strip(" ."))

    def _on_anything(self, heard: str, meant: Meant) -> list[str]:
        count = len(plain(heard).split())
        if self._words.found("wants_more", heard):
            return [self._pick("help")]
        leaves = meant & {Intent.NO, Intent.THANKS, Intent.GOODBYE, Intent.DECLINE} and count < 9
        if leaves or not self._words.without("agreement", heard) or (Intent.YES in meant and count < 4):
            return self._close("goodbye")
        if not self._purpose and not self._message_left:
            return self._on_help(heard, meant)
        if count < 3:
            return []
        self._note_message(heard)
        return [self._say("message_left"), self._pending()]

    # Taking a message.

    def _on_help(self, heard: str, meant: Meant) -> list[str]:
        self._keep_details(heard, asked=False)
        count = len(plain(heard).split())
        if (meant <= _COURTESY and count < 5) or (count < 3 and not meant & {Intent.MESSAGE, Intent.LATER}):
            return []
        told = [self._words.without_introduction(p) for p in self._words.parts(heard) if not self._words.phone(p)]
        wish = capital(" ".join(part for part in told if self._words.without("agreement", part)))
        if not wish:
            return [self._pending()] if "name" in self._message else []
        if not (Intent.MESSAGE in meant and count < 9):
            self._add("message", wish)
        self._add("reasons", wish)
        if Intent.LATER in meant and (when := self._when(heard)):
            self._message["when"] = when
        return [self._say("take_callback" if Intent.LATER in meant else "take_message"), *self._take_details()]

    def _on_details(self, heard: str, meant: Meant) -> list[str]:
        """The name, the number, and whether it was read back right; each is asked for twice at most."""
        key = "name" if self._await is Await.NAME else "phone_number"
        read_back = self._message.get("phone_number") if self._await is Await.READBACK else None
        self._keep_details(heard, asked=key == "name")
        right = self._message.get(key) and not (read_back == self._message.get(key) and Intent.NO in meant)
        if not right and self._retries == 0 and (read_back or not meant & _REFUSES):
            self._retries, self._await = 1, Await.NAME if key == "name" else Await.NUMBER
            if read_back:
                del self._message[key]
            return [self._pick("not_understood"), self._pending()]
        self._retries = 0
        if key == "name":
            self._message.setdefault(key, "")
            return [self._say("thank_you", name=self._message[key]), *self._take_details()]
        if right and read_back != self._message[key]:
            return self._take_details()
        self._message_left = self._reached = True
        self._note_message(self._message.get("message") or self._words.note("please_call"))
        if self._message.get("when"):
            self._call("schedule_callback", when=self._message["when"])
        return [self._say("message_left"), *self._onward()]

    # Another time.

    def _another_time(self, heard: str, *, said: str | None = None) -> list[str]:
        about_time = self._kind in ("confirm", "schedule") or self._offers
        if not about_time and not any(spec.is_time(self._words) for spec in self._fields):
            return self._call_later(heard, said=said)
        when = self._when(heard) or said or self._words.option(heard, self._offers)
        self._learn("reschedule", True)
        if when is None:
            self._await = Await.WHEN
            return [*(self._offer() or [self._say("no_problem")]), self._pending()]
        offer = self._words.chosen(when, self._offers) or self._words.option(heard, self._offers)
        if self._offers and offer is None and self._retries == 0:
            self._retries, self._await = 1, Await.WHEN
            return [self._say("only_offer", options=self._facts.listed(self._offers, "or"))]
        self._retries = 0
        if self._kind != "schedule":
            self._confirmed(False)
        self._learn("agreed", bool(offer))
        self._reached = bool(offer) and self._kind == "schedule"
        time = when if offer is None or (len(when) > len(offer) and self._when(when) == when) else offer
        self._learn("when", time)
        self._note("agreed" if offer else "wants_time", when=time)
        answer = self._say("settled" if offer else "noted_time", when=time)
        return [answer, *self._onward(skip_questions=offer is None or self._kind == "confirm")]

    def _offer(self) -> list[str]:
        """What the context says about other times."""
        free = self._words.kinds["reschedule"].fact
        return [self._facts.spoken(fact) for fact in self._facts.told if free.search(fact)][:1]

    def _canceled(self) -> list[str]:
        self._confirmed(False)
        self._learn("canceled", True)
        self._learn("agreed", False)
        self._reached = False
        self._note("cancels")
        return [self._say("canceled"), *self._onward(skip_questions=True)]

    def _call_later(self, heard: str, *, said: str | None = None) -> list[str]:
        when = self._when(heard) or said
        self._learn("callback", True)
        if when is None:
            self._await = Await.CALLBACK
            return [self._say("understood"), self._pending()]
        self._learn("call_when", when)
        self._note("call_back", when=when)
        self._call("schedule_callback", when=when)
        # A time goes into the sentence; other words ("whenever you like") do not fit there.
        fits = self._when(when) == when
        return self._close("callback", self._say("call_back", when=when) if fits else self._say("noted"))
