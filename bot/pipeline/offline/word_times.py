"""When each word of a sentence is spoken: the text's words laid over the voice's phoneme durations. Pure.

The voice reads a normalised text ("3/4/2025" becomes "March fourth, 2025"), so its words are not the text's.
Both sides are matched by spelling; what does not match is shared out by letters within the time between
the matches. Words come out in the text's own spelling, because pipecat matches them against the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from bot.audio import TimedWord

_PAUSES = frozenset(' ;:,.!?—…"“”()')


@dataclass(frozen=True)
class SpokenWord:
    """A word as the voice reads it and its phonemes, one character each."""

    text: str
    phonemes: str


@dataclass(frozen=True)
class Span:
    """Positions in phoneme ids; `end` is exclusive."""

    start: int
    end: int


def phoneme_spans(words: Sequence[SpokenWord], known: frozenset[str]) -> list[Span]:
    """Where each word's sounds lie among the ids of `" ".join(phonemes)`; punctuation is left out.

    Ids start with one pad (position 0). Characters outside `known` have no id.
    """
    spans: list[Span] = []
    at = 1
    for word in words:
        start = at
        first = last = None
        for char in word.phonemes:
            if char not in known:
                continue
            if char not in _PAUSES:
                first = at if first is None else first
                last = at
            at += 1
        spans.append(Span(start, start) if first is None or last is None else Span(first, last + 1))
        at += " " in known
    return spans


def spoken_times(
    words: Sequence[SpokenWord], spans: Sequence[Span], ends: Sequence[float], unit_ms: float
) -> list[TimedWord]:
    """Each spoken word's time; `ends[i]` is where phoneme id i ends, in units of `unit_ms`."""
    timed = []
    for word, span in zip(words, spans, strict=True):
        start = ends[min(span.start, len(ends)) - 1] if span.start else 0.0
        end = ends[min(span.end, len(ends)) - 1] if span.end > span.start else start
        timed.append(TimedWord(word.text, start * unit_ms, end * unit_ms))
    return timed


def text_times(text: str, spoken: Sequence[TimedWord]) -> tuple[TimedWord, ...]:
    """The times of `text.split()`: as many words as the text has, starts and ends never falling."""
    words = text.split()
    mine = [_bare(word) for word in words]
    theirs = [_bare(word.text) for word in spoken]
    timed: list[TimedWord] = []
    clock = spoken[0].start_ms if spoken else 0.0
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        if tag == "equal":
            timed += [
                TimedWord(words[i], spoken[j].start_ms, spoken[j].end_ms)
                for i, j in zip(range(i1, i2), range(j1, j2), strict=True)
            ]
        elif i2 > i1:
            start = spoken[j1].start_ms if j2 > j1 else clock
            end = spoken[j2 - 1].end_ms if j2 > j1 else clock
            timed += share_by_letters(words[i1:i2], start, end)
        clock = timed[-1].end_ms if timed else clock
    return tuple(timed)


def share_by_letters(words: Sequence[str], start_ms: float, end_ms: float) -> list[TimedWord]:
    """Words laid end to end over a span, each as long as its letters."""
    weights = [max(1, len(_bare(word))) for word in words]
    total = sum(weights)
    timed: list[TimedWord] = []
    at = start_ms
    for word, weight in zip(words, weights, strict=True):
        until = at + (end_ms - start_ms) * weight / total
        timed.append(TimedWord(word, at, until))
        at = until
    return timed


def shifted(words: Sequence[TimedWord], by_ms: float, within_ms: float | None = None) -> tuple[TimedWord, ...]:
    """The words moved by `by_ms`, kept between 0 and `within_ms`."""
    top = float("inf") if within_ms is None else within_ms
    return tuple(
        TimedWord(w.text, min(max(w.start_ms + by_ms, 0.0), top), min(max(w.end_ms + by_ms, 0.0), top))
        for w in words
    )


def _bare(word: str) -> str:
    return re.sub(r"\W", "", word).lower()
