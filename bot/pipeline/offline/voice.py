"""The local voice: English text to 8 kHz speech with word times, one model a process, off the event loop.

The model is hibari-tts' "heart", which lies inside the wheel; no other voice is ever fetched. Word times come
from the model itself: its graph computes where each phoneme ends but does not hand that out, so one more
output is declared on the graph as it is loaded (a few bytes appended to the file's bytes in memory; protobuf
merges repeated messages). Where a later wheel names that value differently, times are shared out by letters
over the voiced span instead.

A second person costs no second model: the pitch curve is scaled before synthesis and the formants move by its
cube root (played a little slower or faster), which sounds like another speaker, not like the same one slowed.
"""

import asyncio
import re
import threading
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.audio import SAMPLE_RATE, SAMPLES_PER_MS, Speech, TimedWord
from bot.errors import PhoneAgentError
from bot.pipeline.offline.word_times import (
    SpokenWord,
    phoneme_spans,
    share_by_letters,
    shifted,
    spoken_times,
    text_times,
)

CALLEE_PITCH = 0.7
"""The `pitch` of the second person: about 145 Hz where the agent speaks at about 205 Hz."""
VOICE = "heart"

_PHONEME_ENDS = b"/CumSum_output_0"
_INT64 = 7  # TensorProto.DataType
_PIECE_CHARS = 240  # the model is trained on up to 400 phonemes; numbers read longer than they are written
_LEAD_MS = 20
_TAIL_MS = 160  # with _LEAD_MS, the pause between two sentences
_LOUDNESS = 0.09  # RMS of the voiced span, about -21 dBFS, as phone speech is
_PEAK = 0.95
_AUDIBLE = 0.006  # of full scale, after the loudness is set
_CACHED_SENTENCES = 128

_Wave = npt.NDArray[np.float32]


class LocalVoice:
    """One voice for all calls of the process. `load` before the first `speak`; `close` at the end.

    `speed` is the pace (0.5 to 2), `pitch` the height of the voice (1 the agent, CALLEE_PITCH the callee).
    The same text always gives the same bytes. Sentences said before come from a cache of at most 128.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="voice")
        self._hibari: Any = None
        self._known: frozenset[str] = frozenset()
        self._g2p_lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, float, float], Speech] = OrderedDict()
        self._cache_lock = threading.Lock()

    def load(self) -> None:
        """Loads the model and says one word, so that the first call pays nothing. Blocks about 1.5 s."""
        if self._hibari is not None:
            return
        from hibari import Hibari
        from hibari.voices import voice_path

        model = Path(voice_path(VOICE, download_missing=False)).read_bytes()
        hibari = Hibari(voice=VOICE, model=_with_phoneme_ends(model), threads=1)
        self._known = frozenset(hibari.vocab)
        self._hibari = hibari
        self.say("Ready, Zyxel.")  # an unknown name also loads the reader of unknown words

    @property
    def loaded(self) -> bool:
        return self._hibari is not None

    def close(self) -> None:
        """Ends the threads; a sentence under synthesis is finished first (at most some 100 ms)."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def speak(self, text: str, *, speed: float = 1.0, pitch: float = 1.0) -> Speech:
        """All of `text` as one Speech, its words timed from its first sample."""
        return joined(text, [part async for part in self.stream(text, speed=speed, pitch=pitch)])

    async def stream(self, text: str, *, speed: float = 1.0, pitch: float = 1.0) -> AsyncIterator[Speech]:
        """A Speech a sentence, each as soon as it is ready, its words timed from its own first sample."""
        loop = asyncio.get_running_loop()
        for piece in self._pieces(text):
            yield await loop.run_in_executor(self._pool, self._remembered, piece, speed, pitch)

    def say(self, text: str, *, speed: float = 1.0, pitch: float = 1.0) -> Speech:
        """`speak` for code off the event loop: blocks for about a hundredth of the speech's length."""
        return joined(text, [self._remembered(piece, speed, pitch) for piece in self._pieces(text)])

    def _pieces(self, text: str) -> list[str]:
        if self._hibari is None:
            raise PhoneAgentError("the local voice is not loaded", code="engine_not_loaded")
        sentences: list[str] = self._hibari.split_sentences(text)
        return [piece for sentence in sentences for piece in clauses(sentence, _PIECE_CHARS)]

    def _remembered(self, text: str, speed: float, pitch: float) -> Speech:
        key = (text, speed, pitch)
        with self._cache_lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        speech = self._synthesize(text, speed, pitch)
        with self._cache_lock:
            self._cache[key] = speech
            while len(self._cache) > _CACHED_SENTENCES:
                self._cache.popitem(last=False)
        return speech

    def _synthesize(self, text: str, speed: float, pitch: float) -> Speech:
        import soxr
        from hibari import dsp

        spoken = self._read(text)
        ids = self._hibari.ids(" ".join(word.phonemes for word in spoken))
        if not any(span.end > span.start for span in phoneme_spans(spoken, self._known)):
            return Speech(text, b"", tuple(share_by_letters(text.split(), 0.0, 0.0)))
        formants = pitch ** (1 / 3)
        inputs = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed / formants], np.float32)}
        lh, theta, ln, lr, phi, f0, *ends = self._hibari.sess.run(None, inputs)
        rng = np.random.default_rng(zlib.crc32(text.encode()))
        wave = dsp.synth(lh[0], theta[0], ln[0], lr[0], phi[0], f0[0] * (pitch / formants), rng)
        wave = soxr.resample(wave, dsp.SR * formants, SAMPLE_RATE)
        wave, first, last = levelled(wave)
        if ends:
            # The pads and pauses the model puts around the words count too, up to the whole wave.
            unit_ms = (len(wave) / SAMPLES_PER_MS) / float(ends[0][-1])
            heard = spoken_times(spoken, phoneme_spans(spoken, self._known), ends[0].tolist(), unit_ms)
            words = text_times(text, heard)
        else:
            words = tuple(
                share_by_letters(text.split(), first / SAMPLES_PER_MS + _LEAD_MS, last / SAMPLES_PER_MS)
            )
        kept = wave[first : last + _TAIL_MS * SAMPLES_PER_MS]
        pcm = (kept * 32767.0).astype("<i2").tobytes()
        return Speech(text, pcm, shifted(words, -first / SAMPLES_PER_MS, (last - first) / SAMPLES_PER_MS))

    def _read(self, text: str) -> list[SpokenWord]:
        """The words as they are read aloud, in phonemes. The reader keeps state, so one at a time."""
        from hibari.g2p.normalize import normalize

        with self._g2p_lock:
            g2p = self._hibari.g2p
            tokens = g2p.phonemize_tokens(g2p.tokenize(normalize(text)))
        words: list[SpokenWord] = []
        spelled = sounded = ""
        for token in tokens:
            spelled += token.text
            sounded += token.phonemes or ""
            if token.whitespace:
                words.append(SpokenWord(spelled, sounded))
                spelled = sounded = ""
        return [*words, SpokenWord(spelled, sounded)] if spelled else words


def joined(text: str, parts: list[Speech]) -> Speech:
    """Sentences one after the other, their words timed from the first one's first sample."""
    words: list[TimedWord] = []
    offset_ms = 0.0
    for part in parts:
        words += shifted(part.words, offset_ms)
        offset_ms += part.duration_ms
    return Speech(text, b"".join(part.pcm for part in parts), tuple(words))


def clauses(sentence: str, limit: int) -> list[str]:
    """The sentence in pieces of at most `limit` characters, cut after a comma or at a space if it can be."""
    pieces: list[str] = []
    rest = sentence.strip()
    while len(rest) > limit:
        cuts = [match.end() for match in re.finditer(r"[,;:—]\s|\s", rest[: limit + 1])]
        clause_cuts = [cut for cut in cuts if rest[cut - 2] in ",;:—"]
        cut = (clause_cuts or cuts or [limit])[-1]
        pieces.append(rest[:cut].strip())
        rest = rest[cut:].strip()
    return [piece for piece in [*pieces, rest] if piece]


def levelled(wave: _Wave) -> tuple[_Wave, int, int]:
    """The wave at phone loudness; the samples where the audible begins (with a short lead) and ends."""
    frame = 10 * SAMPLES_PER_MS
    frames = wave[: len(wave) // frame * frame].reshape(-1, frame)
    rms = np.sqrt((frames * frames).mean(axis=1, dtype=np.float64))
    voiced = rms[rms > 0.1 * rms.max(initial=0.0)]
    if not len(voiced):
        return wave, 0, len(wave)
    peak = float(np.abs(wave).max())
    gain = min(_LOUDNESS / float(np.sqrt((voiced * voiced).mean())), _PEAK / peak)
    audible = np.flatnonzero(rms * gain > _AUDIBLE)
    if not len(audible):
        return wave, 0, len(wave)
    first = max(0, int(audible[0]) * frame - _LEAD_MS * SAMPLES_PER_MS)
    return np.asarray(wave * np.float32(gain)), first, (int(audible[-1]) + 1) * frame


def _with_phoneme_ends(model: bytes) -> bytes:
    """The ONNX file with the phonemes' ends as a seventh output; as it was if the graph has no such value.

    ModelProto.graph is field 7, GraphProto.output 12, ValueInfoProto.name 1 and .type 2,
    TypeProto.tensor_type 1, Tensor.elem_type 1 (onnx.proto).
    """
    if _PHONEME_ENDS not in model:
        return model
    tensor = _field(2, _field(1, bytes((8, _INT64))))
    return model + _field(7, _field(12, _field(1, _PHONEME_ENDS) + tensor))


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited protobuf field of less than 128 bytes."""
    return bytes((number << 3 | 2, len(value))) + value
