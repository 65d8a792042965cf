"""Masks of frames: four bytes each, no two alike, whatever thread asks."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets import frames
from websockets.frames import Frame, Opcode

from bot.pipeline import websocket_masks


def test_no_two_masks_are_alike_and_other_lengths_are_given_too() -> None:
    masks = websocket_masks.Masks()
    with ThreadPoolExecutor(4) as threads:
        given = list(threads.map(masks.token_bytes, [4] * 5000))
    assert {len(mask) for mask in given} == {4}
    assert len(set(given)) > 4990  # of 2**32, two may be alike by chance
    assert len(masks.token_bytes(16)) == 16


def test_frames_are_masked_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "secrets", frames.secrets)  # type: ignore[attr-defined]
    websocket_masks.install()
    assert isinstance(frames.secrets, websocket_masks.Masks)  # type: ignore[attr-defined]
    monkeypatch.setattr(frames.secrets, "token_bytes", lambda _count: bytes((1, 2, 3, 4)))  # type: ignore[attr-defined]
    sent = Frame(Opcode.BINARY, bytes(4)).serialize(mask=True)
    assert sent[-8:] == bytes((1, 2, 3, 4)) * 2
