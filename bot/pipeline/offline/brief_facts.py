"""What the brief brain may know: a context as sentences, and the one that answers a question, or none. Pure.

As `facts` for English, with the kinds of questions and the small words as data of a `Tongue`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.languages import plain
from bot.pipeline.offline.tongue import Tongue

_STEM_LETTERS = 5
"""Words that begin alike are alike: "aparcar" and "aparcamiento"."""


def sentences(text: str) -> list[str]:
    """Parted at sentence marks; a title's dot ends none."""
    marked = re.sub(r"\b(dra?|sra?|srta|avda|núm)\.(?=\s)", r"\1·", text, flags=re.IGNORECASE)
    return [part.replace("·", ".").strip() for part in re.split(r"(?<=[.!?])\s+|\n+", marked) if plain(part)]


def facts_of(context: str | Mapping[str, Any], tongue: Tongue) -> tuple[str, ...]:
    """The context's sentences; what is meant for the agent only is left out."""
    if isinstance(context, Mapping):
        values = (
            (key, v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)) for key, v in context.items()
        )
        context = "\n".join(f"{_name(str(key).replace('_', ' '))}: {value.rstrip('.')}." for key, value in values)
    return tuple(part for part in sentences(context) if not tongue.to_agent.found_in(part))


def found_fact(question: str, facts: Sequence[str], tongue: Tongue) -> str | None:
    """The fact that answers: of the question's kind, and with what the question names besides. None: no fact."""
    kind = next((kind for kind in tongue.kinds.values() if kind.question.found_in(question)), None)
    wanted = _stems(question, tongue) - ({word[:_STEM_LETTERS] for word in kind.words.split()} if kind else set())
    best: tuple[float, str] | None = None
    for fact in facts:
        if (kind and not kind.fact.found_in(fact)) or not (kind or wanted):
            continue
        share = len(wanted & _stems(fact, tongue)) / len(wanted) if wanted else 1.0
        if share >= 0.5 and (best is None or share > best[0]):
            best = (share, fact)
    return best[1] if best else None


def asks_when_of(question: str, topic: str, tongue: Tongue) -> bool:
    """Whether the time of what the call is about is asked for, and not another one."""
    kind = tongue.kinds.get("when")
    if kind is None or not kind.question.found_in(question):
        return False
    wanted = _stems(question, tongue) - {word[:_STEM_LETTERS] for word in kind.words.split()}
    return not wanted or bool(wanted & _stems(topic, tongue))


def _stems(text: str, tongue: Tongue) -> set[str]:
    return {w[:_STEM_LETTERS] for w in plain(text).split() if len(w) > 2 and w not in tongue.small_words}


def _name(key: str) -> str:
    return key[:1].upper() + key[1:]
