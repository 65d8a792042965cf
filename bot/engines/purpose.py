"""Why the agent calls, worded for the phone: an instruction becomes something to say. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.engines.understanding import utterance_parts
from bot.records import CallSpec

_VERB_LIST = (
    "answer arrange ask book cancel check collect complete conduct confirm deliver discuss do "
    "double-check explain find finish follow gather get give go help inform introduce invite learn let make "
    "move notify obtain offer order pick present provide qualify reconfirm remind report request "
    "reschedule return run say schedule see sell send set share speak survey take talk tell thank "
    "update verify welcome "
)
_VERBS = frozenset(_VERB_LIST.split())
_YOU = r"(callee|customer|client|patient|guest|lead|prospect|caller|person|user|contact|subscriber|member)"


@dataclass(frozen=True)
class Purpose:
    """`said` completes "I'm calling …"; `topic` is what it is about; `question` opens the talk."""

    said: str
    topic: str
    verb: str
    question: str
    more: tuple[str, ...] = ()
    """Further instructions, each completing "I was also asked …"."""


def purpose(spec: CallSpec, *, has_questions: bool) -> Purpose | None:
    """What the call is for; None without an action, as on an inbound call."""
    first, *rest = [_to_you(part, spec).rstrip(" .!") for part in utterance_parts(spec.action)] or [""]
    if not first:
        return None
    first = re.sub(r"^(please )?(call|phone|ring|contact)( (you|up))* (to|and) ", "", first, flags=re.IGNORECASE)
    verb = first.split()[0].lower().strip(",")
    if verb not in _VERBS:
        topic = _lowered(first)
        return Purpose(f"about {topic}", topic, "", _question("", has_questions), tuple(map(_lowered, rest)))
    topic = re.sub(r"^\S+\s+((up|out|to|with|you|about|that|on|if|whether|for) )*", "", first).strip() or first
    return Purpose(
        f"to {_lowered(first)}", topic, verb, _question(verb, has_questions), tuple(map(_lowered, rest))
    )


def _question(verb: str, has_questions: bool) -> str:
    if verb in ("confirm", "verify", "check", "double-check", "reconfirm"):
        return "Does that still work for you?"
    if verb in ("reschedule", "move", "schedule", "book", "arrange", "set"):
        return "What day and time would suit you?"
    if verb in ("remind", "inform", "notify", "tell", "let", "update"):
        return "Is that all right with you?"
    if has_questions:
        return "Do you have a minute for a few short questions?"
    if verb in ("offer", "invite", "sell", "introduce", "present"):
        return "Would that interest you?"
    return "Do you have a moment?"


def _to_you(text: str, spec: CallSpec) -> str:
    """The callee spoken of becomes the callee spoken to."""
    # "customer survey" is a thing; "remind the customer" and "ask customer" are about the callee.
    after_verb = "|".join(rf"(?<=^{verb} )" for verb in ("ask", "tell", "call", "remind", "inform", "notify"))
    things = "survey|service|satisfaction|feedback|account|care"
    who = rf"((the|our) |{after_verb}){_YOU}(?! ({things}))"
    if spec.callee_name:
        who += rf"|{re.escape(spec.callee_name)}"
    text = re.sub(rf"\b({who})(['’]s)\b", "your", text, flags=re.IGNORECASE)
    text = re.sub(rf"\b({who})\b", "you", text, flags=re.IGNORECASE)
    text = re.sub(r"\b(their|his|her)\b(?= \w)", "your", text, flags=re.IGNORECASE)
    text = re.sub(r"\b(they|them|him)\b", "you", text, flags=re.IGNORECASE)
    return re.sub(r"\byou (is|was|has|wants|needs)\b", lambda m: f"you {_PLURAL[m.group(1)]}", text)


_PLURAL = {"is": "are", "was": "were", "has": "have", "wants": "want", "needs": "need"}


def _lowered(text: str) -> str:
    first = text.split(maxsplit=1)[0] if text.split() else ""
    return text if not first or first.isupper() or not first[1:].islower() else text[0].lower() + text[1:]
