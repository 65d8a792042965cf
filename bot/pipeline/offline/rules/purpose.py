"""Why the agent calls, worded for the phone: an instruction becomes something to say. Pure.

An action may come as an order ("Confirm …", "Please tell John that …"), as a question to find an answer to
("Ask whether …"), or as a bare subject ("Dental cleaning on Friday"). Each becomes a reason ("I'm calling to …")
and the question that opens the talk; whom the action speaks of is spoken to. What is not clearly one of these,
like a prompt, a list or a note beside the order, is not read out: it has no reason, and the scenario's own
words stand in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from bot import languages
from bot.languages import plain
from bot.pipeline.offline.rules.understanding import when_said
from bot.pipeline.offline.rules.words import Words, capital, words_of
from bot.records import CallSpec

MOST_WORDS = 40
"""Of an action that is read out."""
_KINDS = ("confirm", "schedule", "tell", "offer", "other")


class Answers(StrEnum):
    """What kind of reply a question is for."""

    YES_NO = "yes_no"
    WORDS = "words"
    EITHER = "either"
    """Words, of which yes and no say enough."""
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


@dataclass(frozen=True)
class Order:
    """One instruction: `kind` is of _KINDS, or "" for a subject; `said` follows "I'm calling to"."""

    kind: str
    verb: str
    said: str
    topic: str
    clause: bool = False
    """Whether the topic is a clause ("that you are coming") and not a thing."""


@dataclass(frozen=True)
class Purpose:
    """`said` completes "I'm calling", "" where it is not to be said; `ask` opens the talk."""

    order: Order
    said: str
    ask: Ask
    own: Ask
    """The question of the action alone; `ask` wants a minute first where fields have questions."""
    more: tuple[Order, ...] = ()
    """Further instructions."""


def purpose(spec: CallSpec, words: Words, *, has_questions: bool) -> Purpose | None:
    """What the call is for; None without an action, as on an inbound call."""
    action = spec.action.strip()
    if not action:
        return None
    if asked := _asked(spec, words):
        kind = Answers.WORDS if words.found("asks_for_words", asked) else Answers.EITHER
        return Purpose(Order("", "", "", ""), "", Ask(asked, kind), Ask(asked, kind))
    orders = _orders(spec, words)
    if not orders:
        ask = Ask(words.purpose["minute" if has_questions else "moment"], Answers.PERMISSION)
        return Purpose(Order("", "", "", ""), "", ask, ask)
    first, *more = orders
    frame = words.purpose["order"] if first.kind else words.purpose["subject"]
    said = frame.format(order=first.said, topic=first.topic)
    return Purpose(first, said, _ask(first, words, has_questions), _ask(first, words, False), tuple(more))


def reason(spec: CallSpec, language: str) -> str | None:
    """The action as it follows "I'm calling to" in the language; None where it is not to be read out.

    In a language that has no rules here it is the action as it stands.
    """
    if not languages.knows(language):
        return spec.action.strip().rstrip(".!") or None
    words = words_of(language)
    orders = None if _asked(spec, words) else _orders(spec, words)
    return orders[0].said if orders else None


def question(spec: CallSpec, language: str) -> str | None:
    """The question that follows the reason in an opening; None without a reason."""
    if not languages.knows(language):
        return None
    words = words_of(language)
    if asked := _asked(spec, words):
        return asked
    orders = _orders(spec, words)
    return _ask(orders[0], words, False).opening if orders else None


def ask_of(order: Order, words: Words) -> Ask | None:
    """The question that an order to find something out means; None for any other order."""
    for rule, asked, short, answers in words.tables["asking"]:
        if match := re.fullmatch(rule, order.said, re.IGNORECASE):
            return Ask(match.expand(asked), Answers(answers), short)
    return None


def reported(topic: str, words: Words) -> str:
    """What was said to the callee, told to someone else."""
    return words.sub("reported", topic)


def _ask(order: Order, words: Words, has_questions: bool) -> Ask:
    found = ask_of(order, words)
    if found and not has_questions:
        return found
    if order.kind == "confirm" and order.clause:
        return Ask(words.purpose["ask_clause"], Answers.YES_NO)
    if order.kind == "confirm" or (not order.kind and when_said(order.topic, words)):
        return Ask(words.purpose["ask_confirm"], Answers.YES_NO)
    if order.kind == "schedule":
        return Ask(words.purpose["ask_schedule"], Answers.TIME)
    if order.kind == "tell" or (order.kind == "offer" and not has_questions):
        return Ask(words.purpose[f"ask_{order.kind}"], Answers.YES_NO)
    return Ask(words.purpose["minute" if has_questions else "moment"], Answers.PERMISSION)


def _asked(spec: CallSpec, words: Words) -> str | None:
    """The action as the question that it is: "is the room still available" is asked and not talked about."""
    parts = words.sentences(spec.action)
    bare = _bare(parts[0], words).strip(" .?!¿") if len(parts) == 1 else ""
    orders = (
        not parts[0].rstrip().endswith("?")
        and any(plain(bare.split()[0]) in words.purpose[k].split() for k in _KINDS)
        if bare
        else True
    )
    if orders or not words.found("asks", bare) or not _speakable(spec, words):
        return None
    asked = _to_you(bare, spec, words)
    return f"{'¿' if '¿' in words.purpose['moment'] else ''}{capital(asked)}?"


def _speakable(spec: CallSpec, words: Words) -> bool:
    """Whether the action is in the language, and an order or a subject rather than a prompt, a list or data."""
    action = spec.action.strip()
    if "\n" in action or re.search(r"[{}<>\[\]]|^(?:[-*•]|\d+[.)])\s|\b[A-Z]{4,}:", action):
        return False
    own, other = (
        len(re.findall(words.purpose.get(rule, "(?!)"), plain(action))) for rule in ("own_words", "other_words")
    )
    return bool(plain(action)) and own >= other and len(action.split()) <= MOST_WORDS


def _orders(spec: CallSpec, words: Words) -> list[Order]:
    """Every instruction of the action; none where one of them is not to be said."""
    if not _speakable(spec, words):
        return []
    orders: list[Order] = []
    for sentence in words.sentences(spec.action):
        for part in re.split(words.purpose["further"], _bare(sentence, words)):
            bare = _bare(part, words).rstrip(" .!?,;:")
            order = _order(bare, spec, words)
            if order is None or (orders and not order.kind):
                return []
            orders.append(order)
    return orders


def _bare(text: str, words: Words) -> str:
    """Without the words around an instruction: "Could you please confirm" is "confirm"."""
    text = re.sub(words.purpose["find_out"], words.purpose["find_out_said"], " ".join(text.split()), flags=re.I)
    while (shorter := re.sub(words.purpose["prelude"], "", text, flags=re.I)) != text:
        text = shorter
    return capital(text)


def _order(text: str, spec: CallSpec, words: Words) -> Order | None:
    """The instruction spoken to the callee; None where it is not to be read out."""
    if not text or re.search(words.purpose["not_sayable"], text, re.IGNORECASE):
        return None
    text = capital(text.lower()) if text.isupper() and " " in text else text
    first, _, rest = text.partition(" ")
    verb = (
        "" if re.search(words.purpose["not_an_order"], text, re.I) else words.sub("verb_forms", plain_verb(first))
    )
    kind = next((kind for kind in _KINDS if verb in words.purpose[kind].split()), "")
    if not kind:
        topic = re.sub(words.purpose["subject_lead"], "", _to_you(words.lowered(text), spec, words), flags=re.I)
        said = words.purpose["subject_reason"]
        if re.search(words.purpose["states"], topic, re.I):
            # A whole statement is told if it speaks to the callee; else it may be a note on them.
            if not re.search(words.purpose["addressed"], topic, re.I):
                return None
            return Order("tell", "", words.purpose["tell_clause"].format(topic=topic), topic, clause=True)
        return Order("", "", said.format(topic=words.lowered(topic)), words.lowered(topic))
    if words.tables["verb_forms"]:
        topic = _to_you(rest, spec, words)
        said = f"{verb}{'le' if verb in words.purpose['to_them'].split() else ''} {topic}".strip()
    else:
        said = words.lowered(_to_you(text, spec, words))
        topic = re.sub(words.purpose["topic_lead"], "", said).strip() or said
    return Order(kind, verb, said, topic, bool(re.match(words.purpose["clause"], topic, re.IGNORECASE)))


def plain_verb(word: str) -> str:
    """The first word of an order, its hyphen kept: "double-check"."""
    return "-".join(plain(part) for part in word.split("-"))


def _to_you(text: str, spec: CallSpec, words: Words) -> str:
    """The callee spoken of becomes the callee spoken to. Case counts: "remind Will that it will rain"."""
    names = sorted({spec.callee_name or "", *(spec.callee_name or "").split()}, key=len, reverse=True)
    some = "|".join(re.escape(name) for name in names if len(name) > 1 and not name.endswith("."))
    return words.sub("to_you", text, f"(?:{some})" if some else "(?!)")
