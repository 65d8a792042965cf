"""Words that Deepgram sent as interim results only: kept until a final has them, or the callee's turn needs them.

A final can come back empty, also in answer to a Finalize, or never. A turn that has no final is then its last
interim of a word or more. A turn with a final is that final: an interim that it took back was a mishearing. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.languages import plain

LATE_SECONDS = 0.8
"""A final comes some 0.3 s behind the end of speech; a callee waits no longer for one than this."""


def span_of(results: Mapping[str, Any]) -> tuple[float, float]:
    """Start and end of a Results message, in seconds of the connection's audio."""
    start = float(results.get("start") or 0.0)
    return start, start + float(results.get("duration") or 0.0)


def text_of(results: Mapping[str, Any]) -> str:
    alternatives = (results.get("channel") or {}).get("alternatives") or [{}]
    return str(alternatives[0].get("transcript") or "").strip()


@dataclass
class Interims:
    """Of one connection. Times are seconds: `now` of one clock, spans of the audio."""

    _held: list[Mapping[str, Any]] = field(default_factory=list)
    """Of spans behind each other, each the last of its own."""
    _heard_at: float = 0.0
    _given: tuple[float, str] = (-1.0, "")
    """Up to where, and what, was given in place of a final that may still come."""

    def clear(self) -> None:
        self._held, self._given = [], (-1.0, "")

    def note(self, results: Mapping[str, Any], now: float) -> None:
        """An interim: it replaces those of its span, where it has words."""
        start, _ = span_of(results)
        if text_of(results) and start >= self._given[0]:
            self._held = [*(one for one in self._held if span_of(one)[0] < start), results]
            self._heard_at = now

    def final(self, results: Mapping[str, Any]) -> dict[str, Any] | None:
        """What of a final is news; None where its words were given before it came."""
        start, end = span_of(results)
        if text_of(results):
            self._held = [rest for one in self._held if (rest := _behind(one, end)) is not None]
        until, given = self._given
        if start >= until or not text_of(results):
            return dict(results)
        said, known = text_of(results), plain(given)
        if not plain(said).startswith(known) or plain(said) == known:
            return None  # another reading of what is being answered
        more = said.split()
        while more and len(plain(" ".join(more))) > len(plain(said)) - len(known):
            more.pop(0)
        return _as_final(results, " ".join(more)) if more else None

    def overdue(self, now: float, silent_since: float) -> bool:
        """Whether words wait for a final that should be here, the callee being silent since then."""
        return bool(self._held) and now - max(self._heard_at, silent_since) >= LATE_SECONDS

    def give(self, *, answer: bool = False) -> dict[str, Any] | None:
        """The words that wait, as a final; None where none do. `answer`: of a Finalize."""
        if not self._held:
            return None
        text = " ".join(text_of(one) for one in self._held)
        last, self._held = self._held[-1], []
        self._given = (span_of(last)[1], text)
        return _as_final(last, text) | {"from_finalize": answer}


def _as_final(results: Mapping[str, Any], text: str) -> dict[str, Any]:
    channel = results.get("channel") or {}
    first = {**(channel.get("alternatives") or [{}])[0], "transcript": text}
    return {**results, "is_final": True, "speech_final": True, "channel": {**channel, "alternatives": [first]}}


def _behind(results: Mapping[str, Any], end: float) -> Mapping[str, Any] | None:
    """The words of an interim that begin behind `end`: a final that ends there does not cover them."""
    words = (results["channel"]["alternatives"][0]).get("words") or ()
    rest = [word for word in words if float(word.get("start") or 0.0) >= end]
    if not rest:
        return results if span_of(results)[0] >= end else None
    text = " ".join(str(word.get("punctuated_word") or word.get("word") or "") for word in rest).strip()
    first = {**results["channel"]["alternatives"][0], "transcript": text, "words": rest}
    _, last = span_of(results)
    return {
        **results,
        "start": end,
        "duration": last - end,
        "channel": {**results["channel"], "alternatives": [first]},
    }
