"""What the agent may know: a call's context as sentences, and the one that answers a question, or none. Pure.

A sentence is an answer only if it is of the kind the question asks for (a place for "where", money for "how
much") and holds what the question names besides. A wrong answer costs more than "I will pass it on".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.languages import plain
from bot.pipeline.offline.rules.words import FactKind, Words, capital

_STEM_LETTERS = 6
"""Words that begin alike are alike: "aparcar" and "aparcamiento"."""


def facts_of(context: Any, words: Words) -> tuple[str, ...]:
    """The context's facts, one a sentence; what it tells the agent to do is left out."""
    if isinstance(context, Mapping):
        return tuple(_flattened(context, (), words))
    lines = [
        part for line in str(context or "").splitlines() for part in re.split(r"\s*[;•]\s+", line.strip(" -*•\t"))
    ]
    parts = [part for line in lines for part in words.sentences(line)]
    return tuple(part for part in parts if not words.found("to_agent", part))


def answer(question: str, facts: Sequence[str], words: Words) -> str | None:
    """The fact that answers best, worded for the phone; None when none answers."""
    name, kind = next(((n, k) for n, k in words.kinds.items() if k.question.search(plain(question))), ("", None))
    wanted = _stems(question, words) - (_stemmed(kind.words, words) if kind else set())
    if not (kind or wanted):
        return None
    best: tuple[float, str] | None = None
    for fact in facts:
        if kind is None or kind.fact.search(fact) or kind.fact.search(plain(fact)):
            share = len(wanted & _stems(fact, words)) / len(wanted) if wanted else 1.0
            if share >= 0.5 and (best is None or share > best[0]):
                best = (share, fact)
    return _worded(best[1], name, kind, question, words) if best else None


def asks_when_of(question: str, topic: str, words: Words) -> bool:
    """Whether the time of what the call is about is asked for, and not another one."""
    kind = words.kinds["when"]
    wanted = _stems(question, words) - _stemmed(kind.words, words)
    asked = kind.question.search(plain(question))
    return bool(asked) and (not wanted or bool(wanted & _stems(topic, words)))


def spoken(text: str, words: Words) -> str:
    """A written fact as it is said: "Mon-Fri" becomes "Monday to Friday", a bare "available" gets its verb."""
    text = words.sub("spoken", text).strip()
    return text if text.endswith((".", "!", "?")) else text + "."


def listed(items: Sequence[str], joint: str) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {joint} {items[-1]}"


def _worded(fact: str, name: str, kind: FactKind | None, question: str, words: Words) -> str:
    text = spoken(fact, words)
    if kind and name in ("where", "who") and not words.written["has_verb"].search(text):
        pieces = [part.strip(" .") for part in re.split(r",\s+", text)]
        part = ", ".join(part for part in pieces if kind.fact.search(part)) or text.strip(".")
        return words.say("found_at" if name == "where" else "with_whom", part=part)
    if name == "reschedule" and words.found("may_i", question) and not words.written["negative"].search(text):
        return capital(words.say("yes_and", fact=words.lowered(text)))
    return text


def _flattened(value: Any, path: tuple[str, ...], words: Words) -> Iterator[str]:
    nested = isinstance(value, Mapping | list | tuple) and any(
        isinstance(v, Mapping | list | tuple) for v in (value.values() if isinstance(value, Mapping) else value)
    )
    if isinstance(value, Mapping) and path and words.written["place"].search(path[-1]) and not nested:
        # The parts of an address make one answer.
        yield from _flattened(", ".join(str(v) for v in value.values() if v not in (None, "")), path, words)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flattened(inner, (*path, re.sub(r"[_-]", " ", str(key))), words)
    elif isinstance(value, list | tuple) and nested:
        for item in value:
            yield from _flattened(item, path, words)
    elif value not in (None, "", [], ()):
        yield from _stated(value, " ".join(path), words)


def _stated(value: Any, name: str, words: Words) -> Iterator[str]:
    """One entry of a JSON context as a sentence: {"price": "80 dollars"} says "The price is 80 dollars."."""
    items = [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]
    said = listed(items, words.say("list_and"))
    if isinstance(value, bool):
        yield f"{capital(name)}: {words.note('yes' if value else 'no')}."
    elif not name:
        yield from facts_of(said, words)
    elif len(said.split()) > 6 and re.search(r"[.!?]$", said):
        yield said
    else:
        many = name.endswith("s") and not name.endswith("ss")
        yield capital(words.say("fact_are" if many else "fact_is", name=name, value=said.rstrip(".")))


def _stems(text: str, words: Words) -> set[str]:
    return _stemmed({w for w in plain(text).split() if len(w) > 1 and w not in words.sets["small_words"]}, words)


def _stemmed(said: set[str] | frozenset[str], words: Words) -> set[str]:
    stems = set()
    for word in said:
        suffix = next((s for s in words.lists["suffixes"] if word.endswith(s) and len(word) - len(s) >= 3), "")
        stem = word.removesuffix(suffix) + ("y" if suffix == "ies" else "")
        stems.add(stem[:_STEM_LETTERS])
    return stems
