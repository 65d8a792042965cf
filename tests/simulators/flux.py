"""One /v2/listen (Flux) connection of the Deepgram simulator: audio in, turns out. No I/O.

Follows https://developers.deepgram.com/docs/flux (state machine, configuration, configure, force end turn,
close stream). The end-of-turn confidence is a straight line over the silence after the words, so thresholds
keep their meaning; a real model judges the words too, which `Utterance.finished` stands for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.audio import TimedWord
from tests.simulators.listen import (
    AudioFormat,
    Close,
    Decoder,
    Out,
    Query,
    Rejected,
    Send,
    invalid,
    known_model,
)
from tests.simulators.stt_recogniser import Recognition

_UPDATE_MS = 250
_SPEAKING_CONFIDENCE = 0.05
_UNFINISHED_CONFIDENCE = 0.25
"""Below every threshold Flux accepts: only eot_timeout_ms ends such a turn."""
_MULTILINGUAL = "flux-general-multi"
_PARAMETERS = frozenset(
    {
        *("model", "encoding", "sample_rate", "eager_eot_threshold", "eot_threshold", "eot_timeout_ms"),
        *("keyterm", "tag", "mip_opt_out", "numerals", "profanity_filter", "redact", "language_hint"),
    }
)
_RANGES = {
    "eot_threshold": (0.5, 1.0),
    "eager_eot_threshold": (0.3, 0.9),
    "eot_timeout_ms": (500.0, 60000.0),
}


@dataclass(frozen=True)
class FluxOptions:
    """The query of /v2/listen; `Configure` replaces some of it mid-stream."""

    audio: AudioFormat
    model: str
    eot_threshold: float = 0.7
    eager_eot_threshold: float | None = None
    eot_timeout_ms: float = 5000.0
    keyterms: tuple[str, ...] = ()
    language_hints: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: Query) -> FluxOptions:
        """Raises Rejected as Deepgram refuses the handshake: unknown parameters and values out of range."""
        unknown = sorted({key for key, _ in query.pairs} - _PARAMETERS)
        if unknown:
            raise invalid(f"Unsupported query parameter: {', '.join(unknown)}")
        model = known_model(query.get("model"), ("flux-general-",))
        hints = tuple(query.all("language_hint"))
        if hints and model != _MULTILINGUAL:
            raise invalid(f"language_hint is only supported on {_MULTILINGUAL}")
        given = {name: query.number(name, low, high) for name, (low, high) in _RANGES.items()}
        return cls(
            audio=AudioFormat.of(query),
            model=model,
            eot_threshold=given["eot_threshold"] or cls.eot_threshold,
            eager_eot_threshold=given["eager_eot_threshold"],
            eot_timeout_ms=given["eot_timeout_ms"] or cls.eot_timeout_ms,
            keyterms=tuple(query.all("keyterm")),
            language_hints=hints,
        )

    def configured(self, message: Mapping[str, Any]) -> FluxOptions:
        """After a Configure. Raises Rejected where Flux answers ConfigureFailure."""
        changes: dict[str, Any] = {}
        for name, value in (message.get("thresholds") or {}).items():
            if name not in _RANGES:
                raise invalid(f"unknown threshold {name}")
            low, high = _RANGES[name]
            if not isinstance(value, int | float) or not low <= value <= high:
                raise invalid(f"{name} must be between {low:g} and {high:g}, not {value!r}")
            changes[name] = float(value)
        if (keyterms := message.get("keyterms")) is not None:
            changes["keyterms"] = (keyterms,) if isinstance(keyterms, str) else tuple(keyterms)
        if (hints := message.get("language_hints")) is not None:
            if self.model != _MULTILINGUAL:
                raise invalid(f"language_hints are only supported on {_MULTILINGUAL}")
            changes["language_hints"] = tuple(hints)
        return replace(self, **changes)


class FluxSession:
    """The turn state machine; every method returns what is to be sent.

    Initial --StartOfTurn--> ongoing --EagerEndOfTurn--> awaiting --EndOfTurn--> Initial, and back from
    awaiting to ongoing with TurnResumed. `certain_ms` is the silence after which the confidence is 1.
    """

    def __init__(
        self,
        options: FluxOptions,
        hearing: Recognition,
        *,
        request_id: str,
        certain_ms: float,
        interim_ms: float,
        final_ms: float,
    ) -> None:
        self.options = options
        self._hearing = hearing
        self._decoder = Decoder(options.audio)
        self._request_id = request_id
        self._certain_ms = certain_ms
        self._interim_ms = interim_ms
        self._final_ms = final_ms
        self._sequence = 0
        self._turn = 0
        self._turn_start_ms = 0.0
        self._ongoing = False
        self._eager: str | None = None
        """The transcript of an EagerEndOfTurn that still stands."""
        self._last_event_ms = 0.0

    @property
    def audio_format(self) -> AudioFormat:
        return self.options.audio

    def opened(self) -> Iterable[Out]:
        yield self._send({"type": "Connected", "request_id": self._request_id})

    def audio(self, data: bytes) -> Iterable[Out]:
        self._hearing.hear(self._decoder.feed(data))
        words = self._hearing.words()
        if words and not self._ongoing:
            self._ongoing = True
            yield self._info("StartOfTurn", words, self._interim_ms)
        if self._ongoing:
            yield from self._progress(words)
        if self._hearing.clock_ms - self._last_event_ms >= _UPDATE_MS:
            yield self._info("Update", words, self._interim_ms)

    def control(self, text: str) -> Iterable[Out]:
        try:
            message = json.loads(text)
            kind = message["type"]
        except (ValueError, TypeError, KeyError):
            kind, message = None, {}
        match kind:
            case "CloseStream":
                # The turn is not finalised: the last word is an Update, and the close carries no status.
                yield self._info("Update", self._hearing.words(), self._final_ms)
                yield Close(None)
            case "Configure":
                yield self._configure(message)
            case "ForceEndTurn":
                if self._ongoing:
                    yield from self._end_turn("manual", forced=True)
            case _:
                yield self._send(
                    {
                        "type": "Error",
                        "code": "UNPARSABLE_CLIENT_MESSAGE",
                        "description": f"Could not parse the client message: {text[:200]}",
                    }
                )
                yield Close(1008, "UNPARSABLE_CLIENT_MESSAGE")

    def _confidence(self) -> float:
        if not self._hearing.over:
            return _SPEAKING_CONFIDENCE
        rising = min(0.99, self._hearing.quiet_ms / self._certain_ms)
        return rising if self._hearing.finished_thought else min(rising, _UNFINISHED_CONFIDENCE)

    def _progress(self, words: tuple[TimedWord, ...]) -> Iterable[Out]:
        transcript = _transcript(words)
        if self._eager is not None and (not self._hearing.over or transcript != self._eager):
            self._eager = None
            yield self._info("TurnResumed", words, self._interim_ms)
        if not self._hearing.over:
            return
        confidence, eager = self._confidence(), self.options.eager_eot_threshold
        if eager is not None and self._eager is None and confidence >= eager:
            self._eager = transcript
            yield self._info("EagerEndOfTurn", words, self._final_ms)
        if confidence >= self.options.eot_threshold:
            yield from self._end_turn("model")
        elif self._hearing.quiet_ms >= self.options.eot_timeout_ms:
            yield from self._end_turn("timeout")

    def _end_turn(self, trigger: str, *, forced: bool = False) -> Iterable[Out]:
        yield self._info("EndOfTurn", self._hearing.take(forced=forced), self._final_ms, trigger=trigger)
        self._turn += 1
        self._turn_start_ms = self._hearing.clock_ms
        self._ongoing = False
        self._eager = None

    def _configure(self, message: Mapping[str, Any]) -> Out:
        try:
            self.options = self.options.configured(message)
        except Rejected as refused:
            return self._send(
                {
                    "type": "ConfigureFailure",
                    "request_id": self._request_id,
                    "code": refused.code,
                    "description": refused.message,
                }
            )
        answer: dict[str, Any] = {
            "type": "ConfigureSuccess",
            "request_id": self._request_id,
            "thresholds": {name: value for name in _RANGES if (value := getattr(self.options, name)) is not None},
            "keyterms": list(self.options.keyterms),
        }
        if self.options.model == _MULTILINGUAL:
            answer["language_hints"] = list(self.options.language_hints)
        return self._send(answer)

    def _info(
        self, event: str, words: tuple[TimedWord, ...], after_ms: float, *, trigger: str | None = None
    ) -> Send:
        self._last_event_ms = self._hearing.clock_ms
        info: dict[str, Any] = {
            "type": "TurnInfo",
            "request_id": self._request_id,
            "event": event,
            "turn_index": self._turn,
            "audio_window_start": round(self._turn_start_ms / 1000, 3),
            "audio_window_end": round(self._hearing.clock_ms / 1000, 3),
            "transcript": _transcript(words),
            "words": [
                {
                    "word": word.text,
                    "confidence": 0.99,
                    "start": round(word.start_ms / 1000, 3),
                    "end": round(word.end_ms / 1000, 3),
                }
                for word in words
            ],
            "end_of_turn_confidence": round(self._confidence(), 4) if words else 0.0,
        }
        if trigger is not None:
            info["trigger"] = trigger
        if self.options.model == _MULTILINGUAL:
            info["languages"] = ["en"] if words else []
            if self.options.language_hints:
                info["languages_hinted"] = list(self.options.language_hints)
        return self._send(info, after_ms)

    def _send(self, message: dict[str, Any], after_ms: float = 0.0) -> Send:
        numbered = message | {"sequence_id": self._sequence}
        self._sequence += 1
        return Send(numbered, after_ms)


def _transcript(words: Iterable[TimedWord]) -> str:
    return " ".join(word.text for word in words)
