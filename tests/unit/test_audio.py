"""μ-law by table, against the formulas of G.711 and against itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audio import MULAW_SILENCE, SAMPLE_RATE, Speech, mulaw_to_pcm, pcm_ms, pcm_to_mulaw


def by_formula(sample: int) -> int:
    """G.711 μ-law of one 16-bit sample, written out: sign, exponent, mantissa, inverted."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | (magnitude >> (exponent + 3) & 15)) & 0xFF


def test_every_sample_is_coded_by_the_formula() -> None:
    samples = np.arange(-32768, 32768, dtype=np.int32)
    coded = pcm_to_mulaw(samples.astype("<i2").tobytes())
    assert coded == bytes(by_formula(int(sample)) for sample in samples)


def test_known_codes() -> None:
    """ITU-T G.711 table 2: zero, the largest values, and silence."""
    assert mulaw_to_pcm(bytes([0xFF, 0x7F, 0x80, 0x00])) == np.array([0, 0, 32124, -32124], dtype="<i2").tobytes()
    assert pcm_to_mulaw(bytes(2)) == bytes([MULAW_SILENCE])


def test_decoding_and_coding_again_changes_nothing_but_minus_zero() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)
    assert pcm_to_mulaw(mulaw_to_pcm(codes)) == codes


@given(st.lists(st.integers(-32635, 32635), min_size=1, max_size=200))
def test_the_error_is_below_half_a_step(samples: list[int]) -> None:
    pcm = np.array(samples, dtype="<i2")
    back = np.frombuffer(mulaw_to_pcm(pcm_to_mulaw(pcm.tobytes())), dtype="<i2").astype(int)
    steps = 2 ** np.maximum(3, np.floor(np.log2(np.abs(pcm.astype(int)) + 132)) - 4)
    assert (np.abs(back - pcm) <= steps / 2).all()


def test_half_a_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="size"):
        pcm_to_mulaw(b"\x00\x01\x02")


def test_lengths() -> None:
    assert pcm_ms(bytes(2 * SAMPLE_RATE)) == 1000.0
    assert Speech("x", bytes(160)).duration_ms == 10.0
    assert mulaw_to_pcm(b"") == pcm_to_mulaw(b"") == b""
