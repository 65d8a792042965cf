"""All that is known of one call of the benchmark once it is over: what the far end heard, the wire, the logs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from bot.audio import SAMPLES_PER_MS, TimedWord
from tests.benchmarks.figures import runs_of_silence
from tests.benchmarks.phone import Happened, Phone
from tests.benchmarks.voiceprint import heard_words
from tests.simulators.anthropic import Exchange
from tests.simulators.stream_log import StreamLog

JOINED_MS = 40.0
"""Silence of the agent up to here is within one sound."""


@dataclass(frozen=True)
class Span:
    start_ms: float
    end_ms: float


@dataclass
class Evidence:
    """One call. Times are ms of the phone's clock, which begins when the line opens."""

    phone: Phone
    spoken: Sequence[str]
    """Texts that ElevenLabs was given and spoke during this call or while it rang."""
    streams: Sequence[StreamLog] = ()
    requests: Sequence[Exchange] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    trouble: str | None = None
    """What broke the run of the situation itself."""

    @cached_property
    def heard(self) -> bytes:
        return self.phone.heard

    @cached_property
    def sounds(self) -> tuple[Span, ...]:
        """Where the agent was heard, by its samples: anything but digital silence."""
        spans: list[Span] = []
        at = 0
        silences = [(start, n) for start, n in runs_of_silence(self.heard) if n > JOINED_MS * SAMPLES_PER_MS]
        for start, length in [*silences, (len(self.heard), 0)]:
            if start > at:
                spans.append(Span(at / SAMPLES_PER_MS, start / SAMPLES_PER_MS))
            at = start + length
        return tuple(spans)

    @cached_property
    def words(self) -> tuple[TimedWord, ...]:
        """What the agent was heard to say, by its voice's print."""
        return heard_words(self.spoken, self.heard)

    def named(self, name: str) -> Happened:
        """The last act of that name. LookupError when it never came to it."""
        for happened in reversed(self.phone.happened):
            if happened.name == name:
                return happened
        raise LookupError(f"it never came to {name!r}")

    def sound_after(self, ms: float) -> float | None:
        """When the agent was next heard; the moment itself where it was sounding then."""
        for span in self.sounds:
            if span.end_ms > ms:
                return max(ms, span.start_ms)
        return None

    def onset_after(self, ms: float) -> float | None:
        """When the agent next began."""
        return next((span.start_ms for span in self.sounds if span.start_ms >= ms), None)

    def sounding_ms(self, start_ms: float, end_ms: float) -> float:
        """How long the agent was heard within a span."""
        return sum(max(0.0, min(span.end_ms, end_ms) - max(span.start_ms, start_ms)) for span in self.sounds)

    def longest_silence_ms(self, start_ms: float, end_ms: float) -> float:
        """Of the agent, between its sounds within a span; 0 where it never paused."""
        within = [span for span in self.sounds if span.end_ms > start_ms and span.start_ms < end_ms]
        return max([0.0, *(later.start_ms - earlier.end_ms for earlier, later in pairwise(within))])

    def words_within(self, start_ms: float, end_ms: float) -> tuple[TimedWord, ...]:
        return tuple(word for word in self.words if start_ms <= word.start_ms < end_ms)

    def text_after(self, ms: float) -> str:
        return " ".join(word.text for word in self.words if word.start_ms >= ms)

    def clears(self) -> list[float]:
        """When `clear` came over the wire."""
        return [self.phone.media_ms(event.at) for stream in self.streams for event in stream.received_of("clear")]


def timeline(evidence: Evidence) -> str:
    """The call for a reader: what the callee did, what was heard of the agent, what the model was asked."""
    phone = evidence.phone
    lines = [(act.start_ms, f"callee  {act.name}  (until {act.end_ms:.0f})") for act in phone.happened]
    for span in evidence.sounds:
        words = " ".join(word.text for word in evidence.words_within(span.start_ms - 20, span.end_ms))
        lines.append((span.start_ms, f"agent   until {span.end_ms:.0f}: {words or '(another voice)'}"))
    for exchange in evidence.requests:
        asked = exchange.request.last_user_text.replace("\n", " / ")[-90:]
        told = f"{exchange.outcome}, {exchange.request.model}: {exchange.sent_text[:50]!r}"
        lines.append((phone.media_ms(exchange.at), f"claude  {asked!r} -> {told}"))
    lines += [(at, "clear") for at in evidence.clears()]
    lines += [
        (phone.media_ms(stream.opened_at), f"stream  opened; {len(stream.received_of('mark'))} marks")
        for stream in evidence.streams
    ]
    kept = evidence.record
    lines.append((phone.now_ms, f"ended: {kept.get('ended_reason')}, {kept.get('error')}, {evidence.trouble}"))
    shown = [f"{at:8.0f}  {what}" for at, what in sorted(lines)]
    for turn in kept.get("transcript", ()):
        cut = " (cut)" if turn["interrupted"] else ""
        shown.append(f"  record {turn['start_ms']:8}  {turn['speaker']}: {turn['text']}{cut}")
        if turn["latency"]:
            parts = (f"{name.removesuffix('_ms')} {ms}" for name, ms in turn["latency"].items() if ms is not None)
            shown.append(f"                   {', '.join(parts)}")
    return "\n".join(shown)


def plain(text: str) -> list[str]:
    """Words as they are compared: lower case, no punctuation."""
    return [word for word in (re.sub(r"[^\w']", "", raw.lower()) for raw in text.split()) if word]


@dataclass(frozen=True)
class Recital:
    """How a text was heard: the words missing, said twice or out of order, and when it began and ended."""

    missing: tuple[str, ...]
    repeated: int
    start_ms: float
    end_ms: float
    longest_pause_ms: float

    @property
    def whole(self) -> bool:
        return not self.missing


def recital(text: str, words: Sequence[TimedWord], *, after_ms: float = 0.0) -> Recital | None:
    """How `text` was heard from `after_ms` on; None when not even a fifth of it was.

    Words are taken in order: one that is heard again later (a resumed sentence that goes back a little)
    counts as repeated, one that is not found behind the word before it as missing.
    """
    wanted = plain(text)
    heard = [(key, word) for word in words if word.start_ms >= after_ms for key in plain(word.text)[:1]]
    start = _best_start(wanted, [key for key, _ in heard])
    if start is None:
        return None
    missing: list[str] = []
    taken: list[TimedWord] = []
    place, skipped = start, 0
    for key in wanted:
        near = next((i for i in range(place, min(len(heard), place + 8)) if heard[i][0] == key), None)
        if near is None:
            missing.append(key)
            continue
        skipped += near - place
        taken.append(heard[near][1])
        place = near + 1
    if len(taken) < max(1, len(wanted) // 5):
        return None
    pauses = [later.start_ms - earlier.end_ms for earlier, later in pairwise(taken)]
    return Recital(tuple(missing), skipped, taken[0].start_ms, taken[-1].end_ms, max([0.0, *pauses]))


def _best_start(wanted: Sequence[str], heard: Sequence[str]) -> int | None:
    """Where in what was heard the text begins: the place with most of its words and least between them."""
    best, place = (0, 0), None
    for start in range(len(heard)):
        window = heard[start : start + len(wanted) + 8]
        score, at = 0, 0
        for key in wanted:
            if key in window[at : at + 8]:
                at += window[at : at + 8].index(key) + 1
                score += 1
        if (score, score - at) > best:
            best, place = (score, score - at), start
    return place
