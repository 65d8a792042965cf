"""The README's call on the offline path: dialled, held, recorded."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from tests.calls.server import README_BODY, RunningServer, running_server, texts_of

OPENING = (
    "Hi John, this is Alex, an AI assistant, calling from Downtown Dental. This call is recorded. I'm calling"
)


async def test_the_readmes_call(tmp_path: Path) -> None:
    async with running_server(tmp_path, profile=None) as server:
        answer = await server.http.post("/api/phone/call", json=dict(README_BODY))
        assert answer.status_code == 201
        placed = answer.json()
        assert set(placed) == {"call_id", "call_sid", "status", "opening_preview", "waiting_for"}
        assert placed["opening_preview"].startswith(OPENING)
        assert placed["waiting_for"] is None
        assert placed["call_sid"].startswith("CA")
        assert placed["status"] in ("queued", "initiated", "ringing")
        call = await server.ended(placed["call_id"], within=80)
        assert (call["status"], call["ended_reason"]) == ("completed", "agent_hangup")
        assert call["vendors"] == {"carrier": "simulated", "stt": "scripted", "llm": "rules", "tts": "hibari"}
        said, heard = texts_of(call, "agent"), texts_of(call, "callee")
        assert said[0].startswith(OPENING)
        assert said[0].endswith("Does that still work for you?")
        assert heard[0] == "Hello?"
        assert any("Suite 200" in text for text in said)
        cut = [turn for turn in call["transcript"] if turn["interrupted"]]
        assert [turn["speaker"] for turn in cut] == ["agent"]
        assert cut[0]["text"].endswith("—")
        assert call["interruptions"] == 1
        assert call["outcome"]["reached_goal"] is True
        assert all(turn["complete"] for turn in call["transcript"])
        await _check_recording(server, call)


async def _check_recording(server: RunningServer, call: dict[str, Any]) -> None:
    answer = await server.http.get(call["recording_url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    left, right = _channels(answer)
    seconds = len(left) / 8000
    # The carrier's end of the call comes behind the line's, by as much as a hang-up takes.
    assert -0.5 < call["duration_seconds"] - seconds < 2.5
    cut_at = 0
    for turn in call["transcript"]:
        # The edges of a turn are estimates of the VAD and of word times; its inside is not. Whoever
        # interrupts is heard together with the words they cut.
        start, end = max(turn["start_ms"], cut_at) + 150, turn["end_ms"] - 150
        cut_at = turn["end_ms"] if turn["interrupted"] else 0
        if turn["interrupted"] or end - start < 100:
            continue
        own, other = (left, right) if turn["speaker"] == "callee" else (right, left)
        assert _level(own, start, end) > 300, turn
        assert _level(other, start, end) < 100, turn


def _channels(answer: httpx.Response) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    with wave.open(io.BytesIO(answer.content)) as recording:
        assert (recording.getnchannels(), recording.getframerate(), recording.getsampwidth()) == (2, 8000, 2)
        pairs = np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2").reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _level(channel: npt.NDArray[np.int16], start_ms: int, end_ms: int) -> float:
    """RMS of a span."""
    span = channel[start_ms * 8 : end_ms * 8].astype(np.float64)
    return float(np.sqrt((span**2).mean())) if len(span) else 0.0
