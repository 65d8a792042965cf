"""The model's answer, judged: read leniently, believed only as far as the form and the transcript go. Pure."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.json_schema import Schema
from bot.languages import plain
from bot.pipeline.offline.rules.outcome import fitted
from bot.records import Outcome, Sentiment, Speaker, Turn

MAX_QUOTES = 3
MAX_SUMMARY = 1000
_LABEL = re.compile(r"^\s*(agent|callee|caller|customer|user)\s*:\s*", re.IGNORECASE)
_GAP = re.compile(r"\.{3}|…|\[\s*…?\s*\]")


class AnalysisError(Exception):
    """No model had an answer."""


def as_object(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`, whatever stands around it; None without one."""
    # No regular expression: one that looks for both braces takes hours over many of one kind.
    between = text[max(text.find("{"), 0) : text.rfind("}") + 1]
    for candidate in (text, between):
        try:
            value = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def outcome_of(
    answer: Mapping[str, Any], fields: Schema, turns: Sequence[Turn], *, goal: str | None, otherwise: Outcome
) -> Outcome | None:
    """The outcome in the answer; None where there is none. `otherwise`: for the parts it leaves out."""
    given = answer.get("fields")
    if not isinstance(given, Mapping):
        given = {name: answer[name] for name in fields["properties"] if name in answer}
    reached, summary = answer.get("reached_goal"), answer.get("summary")
    if not given and not isinstance(reached, bool):
        return None
    values = fitted(fields, given)
    # The goal is a field where the scenario names one: both say the same.
    named = values.get(goal or "")
    if isinstance(named, bool):
        reached = named
    own_summary = summary.strip()[:MAX_SUMMARY] if isinstance(summary, str) else ""
    return replace(
        otherwise,
        reached_goal=reached if isinstance(reached, bool) else otherwise.reached_goal,
        summary=own_summary or otherwise.summary,
        fields=values,
        source="claude",
        callee_sentiment=_sentiment(answer.get("callee_sentiment")) or otherwise.callee_sentiment,
        evidence=quoted(answer.get("evidence"), values, turns),
        recorded=[],
        claimed={},
        analysis_error=None,
    )


def _sentiment(given: object) -> Sentiment | None:
    try:
        return Sentiment(str(given).strip().lower())
    except ValueError:
        return None


def quoted(given: object, values: Mapping[str, Any], turns: Sequence[Turn]) -> dict[str, list[str]]:
    """Field → quotes that stand in the transcript, of the fields that have a value."""
    spoken = Spoken(turns)
    found: dict[str, list[str]] = {}
    for name, quotes in _by_field(given):
        if values.get(name) is not None:
            kept = [quote for quote in quotes if spoken.holds(quote)]
            if kept:
                found[name] = list(dict.fromkeys([*found.get(name, ()), *kept]))[:MAX_QUOTES]
    return found


def _by_field(given: object) -> Iterable[tuple[str, list[str]]]:
    """Of {field: [quote]}, {field: quote}, or [{"field", "quote"}]."""
    if isinstance(given, Mapping):
        for name, quotes in given.items():
            many = quotes if isinstance(quotes, list) else [quotes]
            yield str(name), [quote for quote in many if isinstance(quote, str)]
    elif isinstance(given, list):
        for entry in given:
            if isinstance(entry, Mapping) and isinstance(entry.get("quote"), str):
                yield str(entry.get("field")), [entry["quote"]]


class Spoken:
    """What was said, to be compared by words alone: no case, accents, punctuation, or breaks between turns."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        turns = [turn for turn in turns if turn.speaker is not Speaker.BUSINESS]
        sides: list[Sequence[Turn]] = [[turn for turn in turns if turn.speaker is side] for side in Speaker]
        self._texts = [f" {plain(' '.join(turn.text for turn in side))} " for side in (*sides, turns)]

    def holds(self, quote: str) -> bool:
        """Whether the words were said; an ellipsis stands for any others."""
        pieces = [plain(piece) for piece in _GAP.split(_LABEL.sub("", quote))]
        pieces = [piece for piece in pieces if piece]
        return bool(pieces) and any(_in_order(pieces, text) for text in self._texts)


def _in_order(pieces: Sequence[str], text: str) -> bool:
    at = 0
    for piece in pieces:
        found = text.find(f" {piece} ", at)
        if found < 0:
            return False
        at = found + len(piece) + 1
    return True
