"""What of a model's streamed text is speech: no thoughts, stage directions, role names or written tool calls.

A model sometimes writes what belongs elsewhere into its reply: reasoning between tags, "*laughs*", "Agent:", or a
tool call in words. None of it is said or kept as said. The text comes in pieces of any length, so what may still
become one of these is held until it is decided; everything else passes at once. Pure.
"""

import re
from collections.abc import Iterable

LONGEST_TAG = 200
"""Characters. A longer one is text."""
LONGEST_DIRECTION = 40
LONGEST_ROLE = 32

_THOUGHTS = "thinking|think|thought|thoughts|reasoning|reflection|scratchpad|analysis|internal|plan"
_CALLS = r"(?:antml:)?(?:function_calls?|invoke|tool_calls?|tool_use|function_results?|parameter)"
_HIDDEN = re.compile(rf"<\s*({_THOUGHTS}|{_CALLS})\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][\w:.-]*(?:\s[^<>]*)?/?>")
_TAG_BEGINS = re.compile(r"<(?:/?(?:[A-Za-z][^<>]*)?)?$")
_MANNER = (
    r"(?:softly|gently|warmly|briefly|slightly|nervously|quietly|silently|politely|thoughtfully|cheerfully|kindly|"
    r"patiently|lightly|loudly|awkwardly|long|short|brief|slight|soft|for an? \w+|a (?:bit|little|moment))"
)
_DIRECTION = re.compile(
    rf"(?:{_MANNER}\s+)*"
    r"(?:(?:laugh|chuckle|giggle|sigh|smile|grin|pause|cough|nod|whisper|breathe|wait|listen|type|think|hum|gasp|shrug)s|"
    r"(?:laugh|chuckl|giggl|sigh|smil|grinn|paus|cough|nodd|whisper|breath|wait|listen|typ|think|humm|gasp|shrugg)ing|"
    r"laugh|laughter|chuckle|sigh|pause|beat|silence|clear(?:s|ing) (?:(?:his|her|my|their|the) )?throat|"
    r"(?:takes|taking) an? (?:\w+ )?breath|(?:hangs|hanging) up|(?:ends|ending) (?:the )?call|"
    r"call ended|end_call|"
    r"se r[ií]e|risas?|r[ií]e|suspiros?|suspira|pausa|sonr[ií]e|tose|carraspea|susurra|asiente|"
    r"silencio|escribiendo)"
    rf"(?:\s+{_MANNER})*",
    re.IGNORECASE,
)
"""Nothing else: "(typically two days)" and "*waiting list*" are what the reply is about."""
_CLOSING = {"*": "*", "(": ")", "[": "]"}
_ROLES = ("agent", "assistant", "ai", "ai assistant", "bot", "agente", "asistente")


_LABELS = (
    *("thought", "thoughts", "thinking", "reasoning", "analysis", "internal note", "internal", "note to self"),
    *("scratchpad", "pensamiento", "razonamiento", "nota interna"),
)
_LABEL = re.compile(rf"\s*\**(?:{'|'.join(_LABELS)})\**\s*:\**", re.IGNORECASE)
_ANSWER = re.compile(r"\n\s*|\b(?:final answer|answer|response|reply|respuesta)\**\s*:\**\s*", re.IGNORECASE)
"""Reasoning with a label ends with its line, or where the answer has a label too."""
_ASIDE = re.compile(rf"[(\[*]\s*(?:{'|'.join(_LABELS)})\s*:", re.IGNORECASE)
_GREETINGS = (
    *("hello", "hi", "hey", "good morning", "good afternoon", "good evening"),
    *("hola", "buenos días", "buenas"),
)
_GREETING = re.compile(
    r"\s*(?:hello|hi|hey|good (?:morning|afternoon|evening)|hola|buenos d[ií]as|buenas(?: (?:tardes|noches))?)"
    r"(?: (?:there|again|de nuevo|otra vez))?(?-i:,? (?:(?:Mrs?|Ms|Dra?|Sra?)\.? )?[A-Z][\w'-]+){0,3}"
    r"\s*[,.!]+\s*",
    re.IGNORECASE,
)
_INTRODUCES = ("this is", "i'm", "i am", "my name is", "it's", "soy", "le habla", "me llamo")
LONGEST_GREETING = 160
_MEETS = re.compile(
    r"\b(?:hello|hi|hey|hola|buen[oa]s|good (?:morning|afternoon|evening)|who|qui[eé]n|speaking|this is|my name|"
    r"soy|habla|put you|transfer|hold on|one moment|here (?:he|she) is|person is on the line|what was that|"
    r"repeat)\b",
    re.IGNORECASE,
)


def is_met(callee: str) -> bool:
    """Whether a greeting may answer these words of the callee: a greeting, "who is this?", a new voice."""
    return bool(_MEETS.search(callee))


class ReplyText:
    """One reply. `feed` each piece, `finish` at its end.

    `names`: the agent's, as it may sign its lines. `greeted`: it has said who it is, and need not again.
    """

    def __init__(self, names: Iterable[str] = (), *, greeted: bool = False) -> None:
        names = tuple(names)
        roles = "|".join(re.escape(name) for name in (*names, *_ROLES) if name)
        self._role = re.compile(rf"\s*\**(?:{roles})\**\s*:\**\s*", re.IGNORECASE)
        self._names = tuple(name.lower() for name in (*names, *_ROLES) if name)
        own = "|".join(re.escape(name) for name in names if name) or "(?!)"
        self._introduction = re.compile(
            rf"(?:and )?(?:{'|'.join(_INTRODUCES)}) (?:{own})\b[^.!?]{{0,100}}[.!]\s*", re.IGNORECASE
        )
        self._held = ""
        self._at_start = True
        self._may_greet_again = greeted
        self._spoke = False
        self._reasoned = False
        self._until: re.Pattern[str] | None = None
        """Inside of thoughts or a call: where it ends."""
        self._drop_space = False
        """What was left out had a space on either side."""
        self.called_in_words = False
        """A tool call was written as text."""

    def feed(self, piece: str) -> str:
        """What of all that came may be spoken now."""
        self._held += piece
        return self._drain(over=False)

    def finish(self) -> str:
        """What was held, now that nothing follows."""
        return self._drain(over=True)

    @property
    def called_or_reasoned(self) -> bool:
        """Nothing was said where a reply should be: a tool call in words, or mere reasoning."""
        return self.called_in_words or (self._reasoned and not self._spoke)

    def _drain(self, *, over: bool) -> str:
        text = self._drained(over=over)
        self._spoke = self._spoke or bool(text.strip())
        return text

    def _drained(self, *, over: bool) -> str:
        out: list[str] = []
        while self._held:
            if self._reasoned and self._until is None and not (self._spoke or out):
                self._held = self._held.lstrip()
            if self._drop_space and not self._at_start and self._until is None:
                self._held = self._held.lstrip(" ")
                self._drop_space = not self._held
                continue
            if self._until is not None:
                if not self._skip_hidden(over=over):
                    break
            elif self._at_start:
                if not self._begin(over=over):
                    break
            elif self._may_greet_again:
                if not over and self._may_be_greeting():
                    break
                self._may_greet_again = False
                self._held = self._without_greeting()
            elif (special := re.search(r"[<*(\[]", self._held)) is None:
                out.append(self._held)
                self._held = ""
            else:
                out.append(self._held[: special.start()])
                self._held = self._held[special.start() :]
                passed = self._open(over=over)
                if passed is None:
                    break
                out.append(passed)
        return "".join(out)

    def _may_be_role(self) -> bool:
        """Whether the reply's beginning may still become "Agent: "."""
        text = self._held.lstrip(" \n*").lower()
        if ":" in text[:LONGEST_ROLE]:
            return not text.partition(":")[2].strip(" *\n") and any(text.startswith(name) for name in self._names)
        return len(text) < LONGEST_ROLE and any(
            name.startswith(text) or text.strip() == name for name in self._names
        )

    def _begin(self, *, over: bool) -> bool:
        """Leave out a role's name, or a label and the reasoning behind it; False: wait for more."""
        if (self._may_be_role() or self._may_be_label()) and not over:
            return False
        if label := _LABEL.match(self._held):
            self._held, self._until, self._reasoned = self._held[label.end() :], _ANSWER, True
            return True
        if role := self._role.match(self._held):
            self._held = self._held[role.end() :]
            self._drop_space = True
        self._at_start = False
        return True

    def _may_be_label(self) -> bool:
        text = self._held.lstrip(" \n*").lower()
        return any(label.startswith(text.strip()) for label in _LABELS) if text else False

    def _may_be_greeting(self) -> bool:
        """Whether a greeting begins the reply, and the sentence behind it is not here yet."""
        text = re.sub(r"\b(mrs?|ms|dra?|sra?)\.", r"\1", self._held.lstrip().lower())
        begins = any(word.startswith(text) or re.match(rf"{word}\b", text) for word in _GREETINGS)
        return begins and len(text) < LONGEST_GREETING and len(re.findall(r"[.!?]\s+\S", text)) < 2

    def _without_greeting(self) -> str:
        """What is left of the reply; all of it where a greeting is all it is."""
        greeting = _GREETING.match(self._held)
        if greeting is None:
            return self._held
        rest = self._held[greeting.end() :]
        if introduction := self._introduction.match(rest):
            rest = rest[introduction.end() :]
        return rest[:1].upper() + rest[1:] if rest.strip() else self._held

    def _skip_hidden(self, *, over: bool) -> bool:
        assert self._until is not None
        if end := self._until.search(self._held):
            self._held = self._held[end.end() :]
            self._until = None
            return True
        # Only the closing tag's own beginning has to be kept.
        self._held = "" if over else self._held[-LONGEST_TAG:]
        return False

    def _open(self, *, over: bool) -> str | None:
        """What passes of a text that begins with a sign; None: wait for more."""
        text = self._held
        if text[0] == "<":
            return self._tag(text, over=over)
        if aside := _ASIDE.match(text):
            self._held, self._reasoned = text[aside.end() :], True
            self._until = re.compile(re.escape(_CLOSING[text[0]]))
            self._drop_space = True
            return ""
        closing = text.find(_CLOSING[text[0]], 1)
        if closing < 0:
            may_come = (
                len(text) < LONGEST_DIRECTION and (len(text) < 2 or not text[1].isspace()) and text[:2] != "**"
            )
            if may_come and "\n" not in text and not over:
                return None
            return self._pass(1)
        if _DIRECTION.fullmatch(text[1:closing].strip()):
            self._held = text[closing + 1 :]
            self._drop_space = True
            return ""
        return self._pass(1)

    def _tag(self, text: str, *, over: bool) -> str | None:
        if hidden := _HIDDEN.match(text):
            name = hidden[1].lower()
            self.called_in_words |= bool(re.fullmatch(_CALLS, name))
            self._held = text[hidden.end() :]
            if not hidden.group().rstrip(">").endswith("/"):
                self._until = re.compile(rf"</\s*{re.escape(name)}\s*>", re.IGNORECASE)
            return ""
        if tag := _TAG.match(text):
            self._held = text[tag.end() :]
            return ""
        if _TAG_BEGINS.match(text) and len(text) < LONGEST_TAG and not over:
            return None
        return self._pass(1)

    def _pass(self, length: int) -> str:
        passed, self._held = self._held[:length], self._held[length:]
        return passed
