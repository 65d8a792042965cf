"""The steps of the talk: what the callee's answer to each open question does, and what is said then."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.pipeline.offline.brain_facts import parsed
from bot.pipeline.offline.brain_memory import Await, Memory, reported
from bot.pipeline.offline.facts import answer
from bot.pipeline.offline.facts import spoken as as_spoken
from bot.pipeline.offline.purpose import CONFIRMING, SCHEDULING, Answers
from bot.pipeline.offline.times import chosen, when_said, without_refusal
from bot.pipeline.offline.understanding import (
    Intent,
    beyond_agreement,
    heard_parts,
    name_said,
    option_said,
    phone_said,
    plain,
    without_introduction,
)

DECIDES = frozenset({Intent.YES, Intent.NO, Intent.RESCHEDULE, Intent.CANCEL, Intent.DECLINE})
"""Meanings that settle a question, beside words that only accompany one."""
_FILLER = re.compile(
    r"\b(yes|yeah|yep|yup|of course|certainly|i can|i could|i do|that's|that is|go ahead|please)\b"
)


class Steps(Memory):
    """One method a question: words in, sentences out."""

    # The step the talk is at.

    def _step(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        if self._await in (Await.PURPOSE, Await.ANYTHING, Await.WHEN) and self._purpose:
            if Intent.CANCEL in meant:
                return self._canceled()
            if Intent.RESCHEDULE in meant or (self._await is Await.WHEN and when_said(without_refusal(heard))):
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
            self._await = Await.WHEN
            return [self._thanks(), *self._offer(), self._pending()]
        if self._purpose.verb and (self._more or self._open_fields()):
            return [self._thanks(), *self._onward()]
        if self._purpose.own.answers is not Answers.PERMISSION:
            self._ask = self._purpose.own
            return [self._thanks(), self._pending()]
        # A bare subject asks nothing: what there is to say of it is what the context says.
        self._answers = [as_spoken(fact) for fact in self._facts[:2]]
        self._learnt.note(f"{self._them()} was told about {reported(self._purpose.topic)}.")
        if not self._open_fields():
            self._learnt.reached = True
        return [self._thanks(), *self._answers, *self._onward()]

    def _on_words(self, heard: str, meant: frozenset[Intent]) -> list[str]:
        assert self._purpose is not None
        if len(plain(heard).split()) < 2 and not meant & DECIDES and not re.search(r"\d", heard):
            return []
        if meant <= {Intent.GREETING, Intent.THANKS} and len(heard.split()) < 4 and meant:
            return []
        either = " me whether " in self._ask.question
        if not either and Intent.YES in meant and not beyond_agreement(_FILLER.sub("", plain(heard))):
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
            self._await = Await.WHEN
            return ["I see.", *self._offer(), "Would another day or time suit you better?"]
        if self._goal_is_lost() and not self._more and self._purpose.verb not in CONFIRMING:
            return self._close("declined", "All right, I understand.")
        return ["All right, I understand.", *self._onward(skip_questions=True)]

    def _agreed_to_purpose(self) -> list[str]:
        assert self._purpose is not None
        self._learnt.reached = True
        self._confirmed(True)
        if self._purpose.verb in CONFIRMING and not self._purpose.clause:
            self._learnt.note(f"{self._them()} confirmed {reported(self._purpose.topic)}.")
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
                return [f"Would that be {listed(spec.options)}?" if spec.options else f"Sorry. {spec.question}"]
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
        rest = beyond_agreement(heard).split()
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
        wish = " ".join(part for part in said if beyond_agreement(part))
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
        for await_, key in ((Await.NAME, "name"), (Await.NUMBER, "phone_number")):
            if key not in self._message:
                self._await = await_
                return [self._pending()]
        self._await = Await.READBACK
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
            self._await = Await.NUMBER
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
            self._await = Await.WHEN
            return [*(self._offer() or ["That's no problem."]), self._pending()]
        offer = chosen(when, self._offers) or option_said(wanted, self._offers)
        if self._offers and offer is None and self._retries == 0:
            self._retries = 1
            self._await = Await.WHEN
            return [f"I'm afraid I can only offer {listed(self._offers)}.", "Would one of those suit you?"]
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
            self._await = Await.CALLBACK
            return ["I understand.", "When would be a good time to call you back?"]
        self._learnt.learn("callback", True)
        self._learnt.learn("call_when", when)
        self._learnt.note(f"{self._them()} asked to be called back: {when}.")
        self._call("schedule_callback", when=when)
        # A time goes into the sentence; other words ("whenever you like") do not fit there.
        fits = when_said(when) == when
        return self._close("callback", f"All right, we'll call you back {when}." if fits else "All right, noted.")


def listed(options: Sequence[str]) -> str:
    said = [option.replace("_", " ") for option in options]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"
