"""Why the agent calls, worded for the phone: an instruction becomes something to say. Pure.

An action may come as an order ("Confirm …", "Please tell John that …"), as a question to find an answer to
("Ask whether …"), or as a bare subject ("Dental cleaning on Friday"). Each becomes a reason ("I'm calling to …")
and the question that opens the talk; whom the action speaks of is spoken to. What is not clearly one of these,
like a prompt, a list or a note beside the order, is not read out: the scenario's own words stand in.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bot import languages
from bot.languages import plain
from bot.pipeline.offline.rules.words import Words, capital, words_of
from bot.records import CallSpec

MOST_WORDS = 40
"""Of an action that is read out."""
_KINDS = ("confirm", "schedule", "tell", "offer", "other")

Answers = StrEnum("Answers", "YES_NO WORDS EITHER TIME PERMISSION")
"""What a question is for. EITHER: words, of which yes and no say enough. PERMISSION: only to go on."""


@dataclass(frozen=True)
class Ask:
    question: str
    answers: Answers
    short: str = ""
    """The question right after the reason was given, where `question` would say it again; "": the same."""

    @property
    def opening(self) -> str:
        return self.short or self.question


class Order(NamedTuple):
    """One instruction: `kind` is of _KINDS, or "" for a subject; `said` follows "I'm calling to"."""

    kind: str = ""
    said: str = ""
    topic: str = ""
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
    if not spec.action.strip():
        return None
    orders = _orders(spec, words) or [Order()]
    ask, own = (_ask(spec, orders[0], words, wants_minute) for wants_minute in (has_questions, False))
    frame = "order" if orders[0].kind else "subject"
    said = words.say(frame, order=orders[0].said, topic=orders[0].topic) if orders[0].said else ""
    return Purpose(orders[0], said, ask, own, tuple(orders[1:]))


def reason(spec: CallSpec, language: str) -> str | None:
    """The action as it follows "I'm calling to" in the language; None where it is not to be read out.

    In a language that has no rules here it is the action as it stands.
    """
    if not languages.knows(language):
        return spec.action.strip().rstrip(".!") or None
    found = purpose(spec, words_of(language), has_questions=False)
    return (found.order.said or None) if found else None


def question(spec: CallSpec, language: str) -> str | None:
    """The question that follows the reason in an opening; None where the action gives none."""
    words = words_of(language)
    found = purpose(spec, words, has_questions=False) if languages.knows(language) else None
    return found.own.opening if found and (found.said or _asked(spec, words)) else None


def ask_of(order: Order, words: Words) -> Ask | None:
    """The question that an order to find something out means; None for any other order."""
    for rule, asked, short, answers in words.substitutions["asking"]:
        if match := re.fullmatch(rule, order.said, re.IGNORECASE):
            return Ask(match.expand(asked), Answers(answers), short)
    return None


def _ask(spec: CallSpec, order: Order, words: Words, has_questions: bool) -> Ask:
    found = None if has_questions else ask_of(order, words)
    asked = "" if order.said else _asked(spec, words)
    if asked:
        return Ask(asked, Answers.WORDS if words.found("asks_for_words", asked) else Answers.EITHER)
    if order.kind == "confirm" or (not order.kind and words.when(order.topic)):
        return found or Ask(words.say("ask_clause" if order.clause else "ask_confirm"), Answers.YES_NO)
    if order.kind == "schedule":
        return Ask(words.say("ask_schedule"), Answers.TIME)
    if order.kind == "tell" or (order.kind == "offer" and not has_questions):
        return Ask(words.say(f"ask_{order.kind}"), Answers.YES_NO)
    return found or Ask(words.say("minute" if has_questions else "moment"), Answers.PERMISSION)


def _asked(spec: CallSpec, words: Words) -> str:
    """The action as the question that it is: "is the room still available" is asked and not talked about."""
    bare = _bare(spec.action, words).strip(" .?!¿")
    orders = not spec.action.rstrip().endswith("?") and _kind(bare.split(" ")[0], words)
    if (
        orders
        or len(words.sentences(spec.action)) != 1
        or not words.found("asks", bare)
        or not _fits(spec, words)
    ):
        return ""
    return f"{'¿' if '¿' in words.say('moment') else ''}{capital(_to_you(bare, spec, words))}?"


def _fits(spec: CallSpec, words: Words) -> bool:
    """Whether the action is in the language, and an order or a subject rather than a prompt, a list or data."""
    action = spec.action.strip()
    own, other = (len(words.rules[rule].findall(plain(action))) for rule in ("own_words", "other_words"))
    data = (
        "\n" in action
        or words.written["for_agent"].search(action)
        or re.search(r"[{}<>\[\]]|^(?:[-*•]|\d+[.)])\s|\b[A-Z]{4,}:", action)
    )
    return not data and bool(plain(action)) and own >= other and len(action.split()) <= MOST_WORDS


def _orders(spec: CallSpec, words: Words) -> list[Order]:
    """Every instruction of the action; none where one of them is not to be said."""
    orders: list[Order] = []
    for sentence in words.sentences(spec.action) if _fits(spec, words) and not _asked(spec, words) else ():
        for part in words.written["further"].split(_bare(sentence, words)):
            order = _order(_bare(part, words).rstrip(" .!?,;:"), spec, words)
            if order is None or (orders and not order.kind):
                return []
            orders.append(order)
    return orders


def _bare(text: str, words: Words) -> str:
    """Without the words around an instruction: "Could you please confirm" is "confirm"."""
    text = words.sub("find_out", " ".join(text.split()))
    while (shorter := words.written["prelude"].sub("", text)) != text:
        text = shorter
    return capital(text)


def _kind(first: str, words: Words) -> str:
    verb = words.sub("infinitives", "-".join(plain(part) for part in first.split("-")))
    return next((kind for kind in _KINDS if verb in words.sets[kind]), "")


def _order(text: str, spec: CallSpec, words: Words) -> Order | None:
    """The instruction spoken to the callee; None where it is not to be read out."""
    if not text or words.written["not_sayable"].search(text):
        return None
    text = capital(text.lower()) if text.isupper() and " " in text else text
    first, _, rest = text.partition(" ")
    kind = "" if words.written["not_an_order"].search(text) else _kind(first, words)
    if not kind:
        topic = words.written["subject_lead"].sub("", _to_you(words.lowered(text), spec, words))
        if not words.written["states"].search(topic):
            topic = words.lowered(topic)
            return Order("", words.say("subject_reason", topic=topic), topic)
        # A whole statement is said if it speaks to the callee; else it may be a note on them.
        told = words.say("tell_clause", topic=topic)
        return Order("tell", told, topic, clause=True) if words.written["addressed"].search(topic) else None
    if words.substitutions["infinitives"]:
        verb, topic = words.sub("infinitives", plain(first)), _to_you(rest, spec, words)
        said = f"{verb}{'le' if verb in words.sets['to_them'] else ''} {topic}".strip()
    else:
        said = words.lowered(_to_you(text, spec, words))
        topic = words.written["topic_lead"].sub("", said).strip() or said
    return Order(kind, said, topic, bool(words.written["clause"].match(topic)))


def _to_you(text: str, spec: CallSpec, words: Words) -> str:
    """The callee spoken of becomes the callee spoken to. Case counts: "remind Will that it will rain"."""
    names = sorted({spec.callee_name or "", *(spec.callee_name or "").split()}, key=len, reverse=True)
    some = "|".join(re.escape(name) for name in names if len(name) > 1 and not name.endswith("."))
    return words.sub("to_you", text, f"(?:{some})" if some else "(?!)")
