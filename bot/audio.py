"""Audio on a phone line: 8 kHz mono, μ-law on the wire, 16-bit little-endian PCM inside.

G.711 μ-law by table (ITU-T G.711 §2.2.2): decoding indexes 256 entries, encoding 65,536, so neither
branches per sample.
"""

from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 8000
"""Samples a second on the line; everything inside a call runs at it."""
SAMPLES_PER_MS = SAMPLE_RATE // 1000
MULAW_SILENCE = 0xFF
_BIAS = 0x84
_CLIP = 32635


def _decode_table() -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    codes = ~np.arange(256, dtype=np.uint8)
    exponent = (codes >> 4).astype(np.int32) & 0x07
    mantissa = codes.astype(np.int32) & 0x0F
    magnitude = (((mantissa << 3) + _BIAS) << exponent) - _BIAS
    return np.where(codes & 0x80, -magnitude, magnitude).astype(np.int16)


def _encode_table() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    samples = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    sign = np.where(samples < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(samples), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    codes: np.ndarray[tuple[int], np.dtype[np.uint8]]
    codes = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return codes


_DECODE = _decode_table()
_ENCODE = _encode_table()


def mulaw_to_pcm(mulaw: bytes) -> bytes:
    """μ-law bytes to 16-bit PCM, twice as many bytes."""
    return _DECODE[np.frombuffer(mulaw, dtype=np.uint8)].tobytes()


def pcm_to_mulaw(pcm: bytes) -> bytes:
    """16-bit PCM to μ-law, half as many bytes. ValueError for an odd number of bytes."""
    return _ENCODE[np.frombuffer(pcm, dtype=np.uint16)].tobytes()


def pcm_ms(pcm: bytes) -> float:
    """Length of 8 kHz 16-bit PCM in ms."""
    return len(pcm) / (2 * SAMPLES_PER_MS)


@dataclass(frozen=True)
class TimedWord:
    """A word and where it stands in its audio, in ms from the audio's first sample."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True)
class Speech:
    """Spoken text: 8 kHz 16-bit PCM and its words."""

    text: str
    pcm: bytes
    words: tuple[TimedWord, ...] = ()

    @property
    def duration_ms(self) -> float:
        return pcm_ms(self.pcm)
