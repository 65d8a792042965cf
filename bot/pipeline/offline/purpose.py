"""Why the agent calls, worded for the phone: an instruction becomes something to say. Pure.

An action may come as an order ("Confirm …", "Please tell John that …"), as a question to find an answer to
("Ask whether …", "Find out when …"), or as a bare subject ("Dental cleaning on Friday"). Each becomes a reason
("I'm calling to …") and the question that opens the talk; whom the action speaks of is spoken to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from bot.pipeline.offline.times import when_said
from bot.pipeline.offline.understanding import utterance_parts
from bot.records import CallSpec

_VERB_LIST = (
    "answer arrange ask book cancel check clarify collect complete conduct confirm deliver discuss do "
    "double-check enquire explain find finish follow gather get give go help inform inquire introduce invite "
    "learn let make move notify obtain offer order pick present provide qualify reconfirm remind report request "
    "reschedule return run say schedule see sell send set share speak survey take talk tell thank "
    "update verify welcome wish "
)
_VERBS = frozenset(_VERB_LIST.split())
CONFIRMING = frozenset(["confirm", "reconfirm", "verify", "check", "double-check"])
SCHEDULING = frozenset(["reschedule", "move", "schedule", "book", "arrange", "set"])
_TELLING = frozenset(["remind", "inform", "notify", "tell", "let", "update", "cancel"])
_YOU = (
    r"(callee|customer|client|patient|guest|lead|prospect|caller|person|user|contact|subscriber|member|recipient)"
)
_PRELUDE = re.compile(
    r"^(please|kindly|(can|could|would|will) you( please)?|i (want|need|would like|'d like) you to"
    r"|(your|the) (task|job|goal|purpose|action)( of (this|the) call)? is to|you (should|have to|must|need to)"
    r"|just|to)\b[ ,]+",
    re.IGNORECASE,
)
_CALLING = re.compile(
    r"^(call|phone|ring|contact|reach out to)( (?!to\b|and\b)[\w.'’-]+){0,4} (to|and) ", re.IGNORECASE
)
_CLAUSE = r"(whether|if|what|when|where|who|which|why|how|that)\b"
_FOLLOWS = "whether|if|what|when|where|who|which|why|how|that|to|about|for"
_FURTHER = re.compile(
    r",? and (?:also |then )?(?=(?:ask|find out|tell|remind|inform|check|let|offer|see (?:if|whether))\b)", re.I
)


class Answers(Enum):
    """What kind of reply a question is for."""

    YES_NO = "yes_no"
    WORDS = "words"
    TIME = "time"
    PERMISSION = "permission"
    """Only to go on: "Do you have a minute?" decides nothing else."""


@dataclass(frozen=True)
class Ask:
    question: str
    answers: Answers
    short: str = ""
    """The question right after the reason was given, where `question` would say it again; "": the same."""

    @property
    def opening(self) -> str:
        return self.short or self.question


_MINUTE = Ask("Do you have a minute for a few short questions?", Answers.PERMISSION)


@dataclass(frozen=True)
class Purpose:
    """`said` completes "I'm calling …"; `topic` is what it is about; `ask` opens the talk."""

    said: str
    topic: str
    verb: str
    ask: Ask
    own: Ask
    """The question of the action alone; `ask` wants a minute first where fields have questions."""
    more: tuple[str, ...] = ()
    """Further instructions, each completing "I was also asked to …"."""

    @property
    def clause(self) -> bool:
        """Whether the topic is a clause ("that you are coming") and not a thing."""
        return bool(re.match(_CLAUSE, self.topic, re.IGNORECASE))


def purpose(spec: CallSpec, *, has_questions: bool) -> Purpose | None:
    """What the call is for; None without an action, as on an inbound call."""
    first, rest = _instructions(spec)
    if not first:
        return None
    verb, topic = _verb(first), _topic(first)
    if not verb:
        return Purpose(
            f"about {topic}", topic, "", _ask_about(topic, has_questions), _ask_about(topic, False), rest
        )
    return Purpose(
        f"to {_lowered(first)}", topic, verb, _opening_ask(first, has_questions), _opening_ask(first, False), rest
    )


def reason(spec: CallSpec) -> str | None:
    """The action as it follows "I'm calling to", in words for the callee; None without one."""
    first, _ = _instructions(spec)
    if not first:
        return None
    return _lowered(first) if _verb(first) else f"talk to you about {_topic(first)}"


def question(spec: CallSpec) -> str | None:
    """The question that follows the reason in an opening; None without an action."""
    first, _ = _instructions(spec)
    if not first:
        return None
    return (_opening_ask(first, False) if _verb(first) else _ask_about(_topic(first), False)).opening


def ask_of(instruction: str) -> Ask | None:
    """The question that an instruction to find something out means; None for any other instruction."""
    match = re.match(
        r"(ask|find out|inquire|enquire|clarify|learn|get to know|check|verify|confirm|see)\b( you)?"
        r"\s*(?P<rest>.*)",
        instruction,
        re.IGNORECASE,
    )
    if not match or not match.group("rest"):
        return None
    rest, asks = match.group("rest"), match.group(1).lower() == "ask"
    if match.group(1).lower() in ("check", "verify", "confirm", "see") and not re.match(r"(if|whether)\b", rest):
        return None
    if re.match(r"to\b", rest):
        return Ask(f"Could you {rest[3:]}?", Answers.YES_NO, "Could you do that?")
    if re.match(r"for\b", rest):
        return Ask(f"Could you give me {rest[4:]}?", Answers.WORDS, "Could you give me that?")
    if asks and re.match(r"((a|an|one|two|three|four|five|some|several|few|the|\d+)\b.*)?\bquestions?\b", rest):
        return None
    rest = re.sub(r"^if\b", "whether", rest)
    return Ask(f"Could you tell me {rest}?", Answers.WORDS, "Could you tell me?")


def _ask_about(topic: str, has_questions: bool) -> Ask:
    if when_said(topic):
        return Ask("Does that still work for you?", Answers.YES_NO)
    return _MINUTE if has_questions else Ask("Do you have a moment?", Answers.PERMISSION)


def _opening_ask(first: str, has_questions: bool) -> Ask:
    verb, topic = _verb(first), _topic(first)
    found = ask_of(first)
    if found and not has_questions:
        return found
    if verb in CONFIRMING:
        clause = re.match(_CLAUSE, topic, re.IGNORECASE)
        return Ask("Is that right?" if clause else "Does that still work for you?", Answers.YES_NO)
    if verb in SCHEDULING:
        return Ask("What day and time would suit you?", Answers.TIME)
    if verb in _TELLING:
        return Ask("Is that all right with you?", Answers.YES_NO)
    if has_questions:
        return _MINUTE
    if verb in ("offer", "invite", "sell", "introduce", "present"):
        return Ask("Would that interest you?", Answers.YES_NO)
    return Ask("Do you have a moment?", Answers.PERMISSION)


def _instructions(spec: CallSpec) -> tuple[str, tuple[str, ...]]:
    """The first instruction, spoken to the callee, and the further ones."""
    parts = [part for sentence in utterance_parts(spec.action) for part in _FURTHER.split(_bare(sentence))]
    said = [clean for part in parts if (clean := _to_you(_bare(part), spec).rstrip(" .!?,;:"))]
    return (said[0], tuple(map(_lowered, said[1:]))) if said else ("", ())


def _bare(text: str) -> str:
    """Without the words around an instruction: "Could you please confirm" is "confirm"."""
    text = " ".join(text.split())
    while (shorter := _CALLING.sub("", _PRELUDE.sub("", text))) != text:
        text = shorter
    return text[:1].upper() + text[1:]


def _verb(instruction: str) -> str:
    """The order's verb; "" where it names a subject."""
    first, *more = instruction.lower().split()
    first = first.strip(",:")
    if first == "follow" and not (more and more[0] == "up"):
        return ""
    # "Check engine light", "Order 123 is ready": a thing that happens to begin like a verb.
    if re.match(rf"{re.escape(first)} (#?\d|is\b|was\b|has\b|will\b)", instruction.lower()):
        return ""
    return first if first in _VERBS else ""


def _topic(instruction: str) -> str:
    if not _verb(instruction):
        return _lowered(re.sub(r"^(about|regarding|concerning|re:?)\s+", "", instruction, flags=re.IGNORECASE))
    rest = re.sub(r"^\S+\s+((up|out|to|with|you|about|on|for|know) )*", "", instruction).strip()
    return rest or instruction


def _to_you(text: str, spec: CallSpec) -> str:
    """The callee spoken of becomes the callee spoken to."""
    # "customer survey" is a thing; "remind the customer" and "ask customer" are about the callee.
    verbs = ("ask", "tell", "call", "remind", "inform", "notify", "let", "invite", "thank", "survey")
    after_verb = "|".join(rf"(?<=^{verb} )" for verb in verbs)
    things = "survey|service|satisfaction|feedback|account|care"
    who = rf"((the|our) |{after_verb}){_YOU}(?! ({things}))"
    if spec.callee_name:
        # Case counts: "remind Will that it will rain". A doctor of the callee's name is somebody else.
        names = sorted({spec.callee_name, *spec.callee_name.split()}, key=len, reverse=True)
        some = "|".join(re.escape(name) for name in names if len(name) > 1 and not name.endswith("."))
        who += rf"|((mr|mrs|ms)\.? )?(?<!dr )(?<!dr\. )(?-i:{some or re.escape(spec.callee_name)})"
    # "Ask John whether …" is about the callee, whatever name the request gave them, or none.
    somebody = (
        rf"^({'|'.join(verbs)}) ((?:mr|mrs|ms)\.? )?(?-i:[A-Z][\w'-]+)( (?-i:[A-Z][\w'-]+))? (?=({_FOLLOWS})\b)"
    )
    text = re.sub(somebody, lambda m: f"{m.group(1)} you ", text, flags=re.IGNORECASE)
    them = rf"\b({'|'.join(verbs)}) (him|her|them)\b"
    text = re.sub(them, lambda m: f"{m.group(1)} you", text, flags=re.IGNORECASE)
    text = re.sub(rf"\b({who})(['’]s)(?= \w)", "your", text, flags=re.IGNORECASE)
    text = re.sub(rf"\b({who})\b", "you", text, flags=re.IGNORECASE)
    text = re.sub(r"\b(their|his|her)\b(?= \w)", "your", text, flags=re.IGNORECASE)
    text = re.sub(r"\b(he|she|they)(['’](s|re))\b", "you're", text, flags=re.IGNORECASE)
    text = re.sub(r"\b(they|them|him|he|she)\b", "you", text, flags=re.IGNORECASE)
    text = re.sub(
        r"\byou (is|was|has|does|wants|needs|likes|comes|prefers|uses|still \w+s)\b",
        lambda m: f"you {_PLURAL.get(m.group(1), m.group(1).removesuffix('s'))}",
        text,
    )
    return re.sub(r"\bwas you\b", "were you", re.sub(r"\bis you\b", "are you", text))


_PLURAL = {"is": "are", "was": "were", "has": "have", "does": "do", "still has": "still have"}


def _lowered(text: str) -> str:
    """In mid-sentence: the first word in lower case unless it is a name or an abbreviation."""
    first = text.split(maxsplit=1)[0] if text.split() else ""
    if not first or first.rstrip(".,") in _NAMES or first.isupper() or not first[1:].islower():
        return text
    return text[0].lower() + text[1:]


_NAMES = frozenset(
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "Dr", "Mr", "Mrs", "Ms"]
)
