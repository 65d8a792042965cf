"""Recognise speech with moonshine-voice, better than pocketsphinx does; behind the `moonshine` extra.

Written to the package's public Python API (github.com/moonshine-ai/moonshine, python/src/moonshine_voice):
Transcriber.create_stream, Stream.add_audio/update_transcription/stop/close, Transcript.lines. Its models
are fetched by the package at first use, so `MoonshineModel.load` needs the network once.
"""

import importlib.util
from typing import Any

import numpy as np

from bot.audio import SAMPLE_RATE
from bot.errors import SettingsError
from bot.pipeline.offline.recognizer import RecognizerSTTService


def moonshine_installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("moonshine_voice") is not None


class MoonshineModel:
    """One English model for all calls of the process. `load` blocks, at first use for a download.

    SettingsError where the extra is not installed.
    """

    def __init__(self) -> None:
        if not moonshine_installed():
            raise SettingsError("moonshine-voice is not installed: run `uv sync --extra moonshine`")
        self._transcriber: Any = None

    def load(self) -> None:
        if self._transcriber is not None:
            return
        from moonshine_voice import Transcriber, get_model_for_language, string_to_model_arch

        path, arch = get_model_for_language("en", string_to_model_arch("small-streaming"))
        self._transcriber = Transcriber(path, arch)

    def open_stream(self) -> Any:
        """A stream of its own for one utterance; it transcribes when asked, not by its own clock."""
        self.load()
        stream = self._transcriber.create_stream(update_interval=float("inf"))
        stream.start()
        return stream

    def close(self) -> None:
        if self._transcriber is not None:
            self._transcriber.close()
            self._transcriber = None


class MoonshineSTTService(RecognizerSTTService):
    """`model` is shared by all calls; each utterance gets a stream of it."""

    def __init__(self, *, model: MoonshineModel, **kwargs: Any) -> None:
        super().__init__(
            open_recognizer=lambda: _Listener(model),
            model="moonshine en",
            ttfs_p99_latency=1.0,
            **kwargs,
        )


class _Listener:
    """One utterance after the other. The package takes any rate and resamples by itself."""

    _UPDATE_SAMPLES = SAMPLE_RATE // 2

    def __init__(self, model: MoonshineModel) -> None:
        self._model = model
        self._stream: Any = None
        self._text = ""
        self._waiting = 0

    def start(self) -> None:
        self.close()
        self._stream = self._model.open_stream()
        self._text = ""
        self._waiting = 0

    def feed(self, pcm: bytes) -> str:
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
        self._stream.add_audio(samples.tolist(), SAMPLE_RATE)
        self._waiting += len(samples)
        if self._waiting >= self._UPDATE_SAMPLES:
            self._waiting = 0
            self._text = _text(self._stream.update_transcription())
        return self._text

    def finish(self) -> str:
        # stop() gives the final transcript, or None after it reported a failure to its listeners.
        transcript = self._stream.stop()
        self.close()
        return self._text if transcript is None else _text(transcript)

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def _text(transcript: Any) -> str:
    return " ".join(line.text.strip() for line in transcript.lines).strip()
