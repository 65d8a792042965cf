"""One /v1/listen connection of the Deepgram simulator: audio and control messages in, Results out. No I/O.

Follows https://developers.deepgram.com/reference/speech-to-text/listen-streaming and the guides on interim
results, endpointing, utterance end, finalize and close stream. The clock is the audio received.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.audio import TimedWord
from tests.simulators.listen import AudioFormat, Close, Decoder, Out, Query, Send, invalid, known_model
from tests.simulators.stt_recogniser import Recognition, bare

_IDLE_FINAL_MS = 5000
"""Silence without words is finalised too, now and then."""
_UNENDPOINTED_FINAL_MS = 1000
"""With endpointing off, finals come when the model is sure, without speech_final."""


@dataclass(frozen=True)
class NovaOptions:
    """The query of /v1/listen, as far as it changes what is sent."""

    audio: AudioFormat
    model: str
    interim_results: bool
    endpointing_ms: float | None
    """None: off."""
    utterance_end_ms: float | None
    vad_events: bool
    punctuate: bool
    multichannel: bool

    @classmethod
    def of(cls, query: Query) -> NovaOptions:
        """Raises Rejected as Deepgram refuses the handshake."""
        interim = query.flag("interim_results")
        end = query.number("utterance_end_ms", 1000, 5000)
        if end is not None and not interim:
            raise invalid("utterance_end_ms needs interim_results=true")
        endpointing = query.get("endpointing", "10")
        off = endpointing == "false"
        return cls(
            audio=AudioFormat.of(query),
            model=known_model(query.get("model", "base"), ("nova", "enhanced", "base", "whisper")),
            interim_results=interim,
            endpointing_ms=None
            if off
            else 10.0
            if endpointing == "true"
            else query.number("endpointing", 0, 60000) or 10.0,
            utterance_end_ms=end,
            vad_events=query.flag("vad_events"),
            punctuate=query.flag("punctuate") or query.flag("smart_format"),
            multichannel=query.flag("multichannel"),
        )


class NovaSession:
    """The protocol's state; every method returns what is to be sent."""

    def __init__(
        self,
        options: NovaOptions,
        hearing: Recognition,
        *,
        request_id: str,
        interim_every_ms: float,
        interim_ms: float,
        final_ms: float,
    ) -> None:
        self._options = options
        self._hearing = hearing
        self._decoder = Decoder(options.audio)
        self._request_id = request_id
        self._interim_every_ms = interim_every_ms
        self._interim_ms = interim_ms
        self._final_ms = final_ms
        self._segment_ms = 0.0
        """End of the last final: Results tile the audio without gaps."""
        self._last_result_ms = 0.0
        self._announced_ms: float | None = None
        """Start of the last speech that vad_events told of."""
        self._last_word_end_ms: float | None = None
        """Of finals not yet followed by an UtteranceEnd."""
        self._model_uuid = str(uuid.uuid4())

    @property
    def audio_format(self) -> AudioFormat:
        return self._options.audio

    def opened(self) -> Iterable[Out]:
        return ()

    def audio(self, data: bytes) -> Iterable[Out]:
        if not data:
            # Documented trap: an empty binary message ends the stream.
            yield from self._close_stream()
            return
        self._hearing.hear(self._decoder.feed(data))
        yield from self._speech_started()
        yield from self._endpoint()
        yield from self._interim()
        yield from self._utterance_end()

    def control(self, text: str) -> Iterable[Out]:
        try:
            message = json.loads(text)
            kind = message["type"]
        except (ValueError, TypeError, KeyError):
            kind, message = None, {}
        match kind:
            case "KeepAlive":
                return
            case "Finalize":
                yield self._final(self._hearing.take(forced=True), speech_final=True, from_finalize=True)
            case "CloseStream":
                yield from self._close_stream()
            case "Configure":
                success = {"type": "ConfigureSuccess", "request_id": self._request_id}
                yield Send(
                    success | ({"keyterms": message["keyterms"]} if message.get("keyterms") is not None else {})
                )
            case _:
                yield Send(
                    {
                        "type": "Error",
                        "variant": "SchemaError",
                        "description": "Could not deserialize last text message",
                        "message": text,
                    }
                )

    def _speech_started(self) -> Iterable[Out]:
        start = self._hearing.speech_start_ms
        if self._options.vad_events and start is not None and start != self._announced_ms:
            self._announced_ms = start
            yield Send({"type": "SpeechStarted", "channel": [0], "timestamp": _seconds(start)}, self._interim_ms)

    def _endpoint(self) -> Iterable[Out]:
        """A final where an utterance ended, or where there has long been none."""
        endpointing = self._options.endpointing_ms
        silence = _UNENDPOINTED_FINAL_MS if endpointing is None else endpointing
        if self._hearing.over and self._hearing.quiet_ms >= silence and self._hearing.words():
            yield self._final(self._hearing.take(), speech_final=endpointing is not None)
        elif self._hearing.clock_ms - self._segment_ms >= _IDLE_FINAL_MS and not self._hearing.words():
            yield self._final((), speech_final=False)

    def _interim(self) -> Iterable[Out]:
        due = self._hearing.clock_ms - self._last_result_ms >= self._interim_every_ms
        if self._options.interim_results and due:
            self._last_result_ms = self._hearing.clock_ms
            yield Send(self._results(self._hearing.words(), is_final=False), self._interim_ms)

    def _utterance_end(self) -> Iterable[Out]:
        gap, end = self._options.utterance_end_ms, self._last_word_end_ms
        if gap is None or end is None or self._hearing.clock_ms - end < gap:
            return
        if self._hearing.words() or not self._hearing.over:
            return
        self._last_word_end_ms = None
        yield Send({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": _seconds(end)}, self._final_ms)

    def _close_stream(self) -> Iterable[Out]:
        yield self._final(self._hearing.take(forced=True), speech_final=True)
        yield Send(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": self._request_id,
                "sha256": "0" * 64,
                "created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "duration": _seconds(self._hearing.clock_ms),
                "channels": 1,
                "models": [self._model_uuid],
                "model_info": {self._model_uuid: self._model_info()},
            }
        )
        yield Close(1000)

    def _final(self, words: tuple[TimedWord, ...], *, speech_final: bool, from_finalize: bool = False) -> Send:
        message = self._results(words, is_final=True, speech_final=speech_final, from_finalize=from_finalize)
        self._segment_ms = self._last_result_ms = self._hearing.clock_ms
        if words:
            self._last_word_end_ms = words[-1].end_ms
        return Send(message, self._final_ms)

    def _results(
        self,
        words: tuple[TimedWord, ...],
        *,
        is_final: bool,
        speech_final: bool = False,
        from_finalize: bool = False,
    ) -> dict[str, Any]:
        texts = [word.text if self._options.punctuate else bare(word.text) for word in words]
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "duration": _seconds(self._hearing.clock_ms - self._segment_ms),
            "start": _seconds(self._segment_ms),
            "is_final": is_final,
            "speech_final": speech_final,
            "channel": {
                "alternatives": [
                    {
                        "transcript": " ".join(texts),
                        "confidence": 0.99 if words else 0.0,
                        "words": [self._word(word) for word in words],
                    }
                ]
            },
            "metadata": {
                "request_id": self._request_id,
                "model_info": self._model_info(),
                "model_uuid": self._model_uuid,
            },
            "from_finalize": from_finalize,
        }

    def _word(self, word: TimedWord) -> dict[str, Any]:
        plain = {
            "word": bare(word.text),
            "start": _seconds(word.start_ms),
            "end": _seconds(word.end_ms),
            "confidence": 0.99,
        }
        return plain | ({"punctuated_word": word.text} if self._options.punctuate else {})

    def _model_info(self) -> dict[str, str]:
        return {
            "name": self._options.model,
            "version": "2025-01-09.0",
            "arch": self._options.model.split("-")[0],
        }


def _seconds(ms: float) -> float:
    return round(ms / 1000, 3)
