"""What the benchmarks compute from what was heard: replies, gaps, percentiles, tables. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bot.audio import SAMPLES_PER_MS

GAP_MS = 20.0
"""Silence inside a reply beyond this is a gap: the far end's playout ran dry."""
WORST_GAP_MS = 60.0
"""A single gap beyond this fails a run."""
GOOD_SHARE = 0.99
"""So many of all replies have to be without a gap."""
_CROSSING_SAMPLES = 8
"""The agent's hum is at rest for a sample or two where it crosses zero; a longer rest is silence."""


@dataclass(frozen=True)
class Reply:
    """What was heard of one reply, ms. `delay_ms` None: it never came.

    `delay_ms` runs from the end of the callee's speech to the first sound, `heard_ms` from the first sound
    to the last; `gaps_ms` are the silences between.
    """

    delay_ms: float | None
    heard_ms: float = 0.0
    gaps_ms: tuple[float, ...] = ()
    expected_ms: float | None = None
    """How long it is when all of it is heard; None where nobody knows, or where it was interrupted."""

    @property
    def lost_ms(self) -> float:
        """What is missing of a reply that fell silent for good."""
        if self.expected_ms is None:
            return 0.0
        return max(0.0, self.expected_ms - self.heard_ms)

    @property
    def worst_ms(self) -> float:
        """The longest silence where speech should be; infinite where the reply never came or broke off."""
        if self.delay_ms is None or self.lost_ms > 500.0:
            return math.inf
        return max(self.gaps_ms, default=0.0)

    @property
    def good(self) -> bool:
        return self.worst_ms <= GAP_MS


def runs_of_silence(mulaw: bytes) -> list[tuple[int, int]]:
    """(start, length) of each silence in samples; μ-law has two zeros."""
    codes = np.frombuffer(mulaw, dtype=np.uint8)
    silent = (codes & 0x7F) == 0x7F
    edges = np.flatnonzero(np.diff(np.concatenate(([False], silent, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    return [
        (int(start), int(end - start))
        for start, end in zip(starts, ends, strict=True)
        if end - start >= _CROSSING_SAMPLES
    ]


def reply_in(mulaw: bytes, *, from_ms: float = 0.0, expected_ms: float | None = None) -> Reply:
    """The reply in all that was played from the end of the callee's speech on; `from_ms` skips a tail."""
    first = round(from_ms * SAMPLES_PER_MS)
    heard = mulaw[first:]
    silences = runs_of_silence(heard)
    start, end = 0, len(heard)
    if silences and silences[0][0] == 0:
        start = silences[0][1]
    if start == end:
        return Reply(None, expected_ms=expected_ms)
    if silences and sum(silences[-1]) == end:
        end = silences[-1][0]
    gaps = tuple(length / SAMPLES_PER_MS for at, length in silences if start < at < end)
    return Reply(
        (first + start) / SAMPLES_PER_MS,
        (end - start) / SAMPLES_PER_MS,
        tuple(gap for gap in gaps if gap > 1.0),
        expected_ms,
    )


def silent_after_ms(mulaw: bytes) -> float:
    """When the agent's sound ended in what was played since an interruption began."""
    codes = np.frombuffer(mulaw, dtype=np.uint8)
    loud = np.flatnonzero((codes & 0x7F) != 0x7F)
    return 0.0 if not len(loud) else (int(loud[-1]) + 1) / SAMPLES_PER_MS


def percentile(values: Sequence[float], fraction: float) -> float:
    """Linear between the nearest ranks; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    if ordered[low] == ordered[high]:
        return ordered[low]
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


@dataclass(frozen=True)
class Tally:
    """The replies of one run."""

    replies: tuple[Reply, ...]

    @property
    def good_share(self) -> float:
        if not self.replies:
            return 0.0
        return sum(reply.good for reply in self.replies) / len(self.replies)

    @property
    def worst_ms(self) -> float:
        return max((reply.worst_ms for reply in self.replies), default=math.inf)

    @property
    def delays_ms(self) -> list[float]:
        return [reply.delay_ms for reply in self.replies if reply.delay_ms is not None]

    @property
    def missing(self) -> int:
        """Replies that never came or broke off."""
        return sum(math.isinf(reply.worst_ms) for reply in self.replies)

    @property
    def holds(self) -> bool:
        """The bar of a run."""
        return self.good_share >= GOOD_SHARE and self.worst_ms <= WORST_GAP_MS


def highest_that_held(runs: Iterable[tuple[int, bool]]) -> int:
    """The largest N below the first that did not hold in any of its runs; 0 if none held."""
    held: dict[int, bool] = {}
    for calls, holds in runs:
        held[calls] = held.get(calls, False) or holds
    best = 0
    for calls in sorted(held):
        if not held[calls]:
            break
        best = calls
    return best


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown, columns padded: first column left, the others right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]

    def written(line: Sequence[str]) -> str:
        first, *rest = line
        padded = [first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(rest, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([written(lines[0]), written(rule), *(written(line) for line in lines[1:])])


def spread(values: Sequence[float]) -> str:
    """`median / p90`, whole numbers; a dash of nothing."""
    if not values:
        return "-"
    return f"{median(values):.0f} / {percentile(values, 0.9):.0f}"


def number(value: float) -> str:
    """A whole number; a dash where there is none."""
    return "-" if math.isnan(value) else "inf" if math.isinf(value) else f"{value:.0f}"
