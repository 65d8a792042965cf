"""Recognise speech without any key: pocketsphinx with the model in its wheel."""

from typing import Any

import numpy as np

from bot.audio import SAMPLE_RATE
from bot.pipeline.offline.recognizer import RecognizerSTTService
from bot.pipeline.offline.sphinx import RATE, Decoder, Decoders


class PocketSphinxSTTService(RecognizerSTTService):
    """English, rough (about every third word of a stranger is wrong), in real time on a fifth of a core.

    `decoders` is shared by all calls; a call borrows one.
    """

    def __init__(self, *, decoders: Decoders, **kwargs: Any) -> None:
        super().__init__(
            open_recognizer=lambda: _Listener(decoders),
            model="pocketsphinx en-us",
            # From the end of speech: the VAD's 0.2 s, the tail of the backlog and the best-path pass.
            ttfs_p99_latency=1.0,
            **kwargs,
        )


class _Listener:
    """A borrowed decoder fed from an 8 kHz line."""

    def __init__(self, decoders: Decoders) -> None:
        self._decoders = decoders
        self._decoder: Decoder = decoders.take()
        self._upsampler = _upsampler()
        self._open = False

    def start(self) -> None:
        self._upsampler = _upsampler()
        self._decoder.start()
        self._open = True

    def feed(self, pcm: bytes) -> str:
        return self._decoder.feed(self._upsampled(pcm, last=False))

    def finish(self) -> str:
        self._open = False
        self._decoder.feed(self._upsampled(b"", last=True))
        return self._decoder.finish()

    def close(self) -> None:
        if self._open:
            self._decoder.finish()
        self._decoders.give_back(self._decoder)

    def _upsampled(self, pcm: bytes, *, last: bool) -> bytes:
        samples: bytes = self._upsampler.resample_chunk(np.frombuffer(pcm, "<i2"), last).tobytes()
        return samples


def _upsampler() -> Any:
    import soxr

    return soxr.ResampleStream(SAMPLE_RATE, RATE, 1, dtype="int16", quality="HQ")
