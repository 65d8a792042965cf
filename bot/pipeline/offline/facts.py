"""What the agent may know: a call's context as sentences, and the one that answers a question, or none. Pure.

A sentence is an answer only if it is of the kind the question asks for (a place for "where", money for "how
much") and holds what the question names besides. A wrong answer costs more than "I will pass it on".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.pipeline.offline.understanding import plain

_DAY = r"\b(mon|tue(s)?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?s?\b"
_KINDS: dict[str, tuple[str, str, str]] = {
    # kind: (question, sentence, words of such a question that need no match)
    "cost": (
        r"\b(cost|price|pay|fee|charge|expensive|how much|rates?)\b",
        r"\$|€|£|\b(cost|price|fee|charge|dollars?|euros?|usd|rate)s?\b|\b(is|are) free\b",
        "cost price pay fee charge much rate expensive total",
    ),
    "where": (
        r"\b(where|address|located|location|directions?|which (suite|floor|building|room))\b"
        r"|how do i get there",
        r"\b(suite|street|st\.?|avenue|ave|road|rd|floor|building|room|address|located|location|boulevard"
        r"|blvd|drive|lane"
        r"|square|plaza|corner|downtown|next to|across|behind)\b",
        "where address located location direction office place clinic building suite floor room"
        " exact find get come go",
    ),
    "who": (
        r"\b(who|whom|which (doctor|dentist|person)|what doctor|whose)\b",
        r"\b(dr|mr|mrs|ms|prof|doctor|dentist|hygienist|manager|nurse|technician|advisor|agent)\b|\bwith [A-Z]",
        "who whom doctor dentist see meet appointment person visit treat name",
    ),
    "reschedule": (
        r"re-?schedul|\b(another|different|other) (time|day|date|slot|appointment)s?\b|\b(move|change|postpone"
        r"|cancel)\b|\b(what|which) (other )?(times|days|slots|dates|appointments|openings)\b"
        r"|\b(what|when) (else )?(do you have|is free|are you free|would be possible)\b"
        r"|\bwhat('s| is) (free|available)\b",
        r"re-?schedul|\b(another|different|other|alternative) (time|day|date|slot)s?\b|\b(move|change"
        r"|postpone|cancel)\w*\b|\b(free|available|open) (times?|slots?|days?|dates?|appointments?)\b"
        r"|\b(times?|slots?|days?|dates?|appointments?)\b.*\b(free|available|open|possible)\b"
        r"|\bis (free|available) on\b",
        "reschedul another different other time day date move change postpone appointment something come happen"
        " slot opening free available possible else",
    ),
    "when": (
        r"\b(when|what (time|day|date|hours?)|which day|hours|open|opening|close|how (early|late))\b",
        rf"{_DAY}|\b\d{{1,2}}(:\d\d)? ?(am|pm)\b|\b\d{{1,2}}:\d\d\b|\b(open|hours|daily|weekdays|o'?clock"
        rf"|noon|tomorrow)\b",
        "when time day date hour open close office start appointment",
    ),
    "how_long": (
        r"\bhow (long|many (minutes|hours))\b",
        r"\b\d+ ?(minutes?|mins?|hours?|hrs?)\b|\b(half an|an|one|two) hours?\b",
        "long take last minute hour appointment visit many",
    ),
    "contact": (
        r"\b(phone|number|email|e-mail|website|reach|contact)\b",
        r"\b\d{3}[-. ]?\d{3,4}\b|@|\b(www|http|phone|email|call us|website)\b",
        "phone number email website reach contact call",
    ),
}
_STOP_WORDS = (
    "a an and are am as at be been but by can could did do does exactly for from had has have he her "
    "here his how i if in is it its just me my of on or our please she should so some that the their "
    "them then there these they this those to up us was we were what when where which who why will "
    "with would you your yes yeah ok okay great thanks thank about any also s t re ll ve d m not no "
    "get got going need want like know tell let say said anything something come happen still really "
    "much many long hello hi well um uh sure right fine perfect actually please moment sorry could "
)
_STOP = frozenset(_STOP_WORDS.split())
_TO_AGENT = re.compile(
    r"^(please )?(do not|don't|never|always|be |if (asked|they|the c)|make sure|you are|you're|tell|ask"
    r"|mention|avoid|keep|say|speak|use)\b",
    re.IGNORECASE,
)
_LONG_DAYS = {
    short.lower(): long
    for long in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    for short in (long[:3], long[:4], long[:5])
}


_PLACE = re.compile(r"\b(address|location|place)$", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What to say, and what kind of question it answers ("" for any)."""

    text: str
    kind: str


def sentences(context: str | Mapping[str, Any]) -> tuple[str, ...]:
    """The context's facts, one a sentence; what it tells the agent to do is left out."""
    if isinstance(context, Mapping):
        return tuple(_flattened(context, ()))
    parts: list[str] = []
    guarded = re.sub(
        r"\b(dr|mr|mrs|ms|prof|st|ave|rd|no|e\.g|i\.e|a\.m|p\.m|mon|tue|tues|wed|thu|thurs|fri|sat|sun|jr"
        r"|sr|inc)\.(?=\s+[\w])",
        r"\1·",
        context,
        flags=re.IGNORECASE,
    )
    for line in guarded.splitlines():
        parts += re.split(r"(?<=[.!?])\s+|\s*[;•]\s+", line.strip(" -*•\t"))
    kept = (part.replace("·", ".").strip() for part in parts)
    return tuple(part for part in kept if plain(part) and not _TO_AGENT.match(part))


def answer(question: str, facts: Sequence[str]) -> Answer | None:
    """The fact that answers best, worded for the phone; None when none answers."""
    asked = plain(question)
    kind = next((name for name, (rule, _, _) in _KINDS.items() if re.search(rule, asked)), "")
    wanted = _stems(asked)
    if kind:
        wanted -= {_stem(word) for word in _KINDS[kind][2].split()}
    elif not wanted:
        return None
    best: tuple[float, str] | None = None
    for fact in facts:
        held = _stems(plain(fact))
        matched = wanted & held
        if kind and not re.search(_KINDS[kind][1], fact, re.IGNORECASE):
            continue
        share = len(matched) / len(wanted) if wanted else 1.0
        if share < 0.5:
            continue
        if not best or share > best[0]:
            best = (share, fact)
    return Answer(_worded(best[1], kind, asked), kind) if best else None


def asks_when_of(question: str, topic: str) -> bool:
    """Whether the time of what the call is about is asked for."""
    asked = plain(question)
    return bool(re.search(_KINDS["when"][0], asked)) and bool(_stems(asked) & _stems(plain(topic)))


def spoken(text: str) -> str:
    """A written fact as it is said: "Mon-Fri" becomes "Monday to Friday", a bare "available" gets its verb."""
    text = re.sub(
        r"\b(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?(?=$|[\s,.;:–-])",
        lambda m: _LONG_DAYS[m.group(1).lower()],
        text,
    )
    text = re.sub(r"(day)\s*[-–]\s*(?=[A-Z]\w+day)", r"\1 to ", text)
    text = re.sub(r"(\d(?: ?[ap]m)?)\s*[-–]\s*(?=\d)", r"\1 to ", text)
    text = re.sub(r"^([A-Z][\w ]{2,30}?) (?=(?:un)?available\b)(?<!is )(?<!are )", r"\1 is ", text)
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."


def _worded(fact: str, kind: str, asked: str) -> str:
    text = spoken(fact)
    if kind in ("where", "who") and not re.search(
        r"\b(is|are|has|will|can|take|located|work|see|find)\w*\b", text
    ):
        rule = re.compile(_KINDS[kind][1], re.IGNORECASE)
        parts = [part.strip(" .") for part in re.split(r",\s+", text)]
        part = ", ".join(part for part in parts if rule.search(part)) or text.strip(".")
        return f"You'll find us at {part}." if kind == "where" else f"It's with {part}."
    may = re.match(r"^(can|could|may|is it possible|would it be possible)\b", asked)
    if kind == "reschedule" and may and not re.search(r"\b(not|no|un\w+|never|cannot)\b", text, re.IGNORECASE):
        return f"Yes, {text[0].lower()}{text[1:]}"
    return text


def _flattened(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, Mapping) and path and _PLACE.search(path[-1]) and not any(map(_nested, value.values())):
        # The parts of an address make one answer.
        yield from _flattened(", ".join(str(part) for part in value.values() if part not in (None, "")), path)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flattened(inner, (*path, str(key).replace("_", " ").replace("-", " ")))
    elif isinstance(value, list | tuple) and any(map(_nested, value)):
        for item in value:
            yield from _flattened(item, path)
    elif value not in (None, "", [], ()):
        yield from _stated(value, " ".join(path))


def _stated(value: Any, name: str) -> Iterator[str]:
    """One entry of a JSON context as a sentence: {"price": "80 dollars"} says "The price is 80 dollars."."""
    if isinstance(value, bool):
        yield f"{name[:1].upper()}{name[1:]}: {'yes' if value else 'no'}."
        return
    items = [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]
    said = f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else items[0]
    if not name:
        yield from sentences(said)
    elif len(said.split()) > 6 and re.search(r"[.!?]$", said):
        yield said
    else:
        verb = "are" if name.endswith("s") and not name.endswith("ss") else "is"
        yield f"The {name} {verb} {said.rstrip('.')}."


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in re.findall(r"[\w']+", text) if word not in _STOP and len(word) > 1}


def _stem(word: str) -> str:
    word = word.replace("'s", "")
    for suffix in ("ing", "ies", "ed", "es", "ly", "s", "e"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    return word + "y" if suffix == "ies" else word
