"""The server is killed in mid-call: what was said is kept, and the next start settles the call."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from bot.records import CallRecord, Speaker
from bot.settings import Settings
from bot.store import SqlCallStore, open_database
from tests.busy import ANY_CALLS, ANY_LAG_MS
from tests.calls.server import README_BODY, ROOT, shared_voice

OPENING = (
    "Hi John, this is Alex, an AI assistant, calling from Downtown Dental. This call is recorded. I'm calling to "
    "confirm your dentist appointment Thursday at 2pm. Does that still work for you?"
)
LOST_AT_MOST = timedelta(seconds=2)


@asynccontextmanager
async def server(
    data_dir: Path, port: int
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """`server.py` as a process of its own, ready; in a folder without .env."""
    data_dir.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "MAX_LOOP_LAG_MS": str(ANY_LAG_MS),
        "MAX_CALLS_PER_NUMBER": str(ANY_CALLS),
        "DATA_DIR": str(data_dir),
        "PIPELINES_DIR": str(ROOT / "pipelines"),
    }
    log = (data_dir / "log").open("ab")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "server.py"), cwd=data_dir, env=environment, stdout=log, stderr=log
    )
    log.close()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            while True:
                assert process.returncode is None, (data_dir / "log").read_text()
                try:
                    if (await http.get("/api/phone/health")).json().get("ready"):
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
            yield process, http
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def test_kill_and_start_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with server(tmp_path, port) as (process, http):
        placed = (await http.post("/api/phone/call", json=dict(README_BODY))).json()
        call_id = placed["call_id"]
        await _agent_speaks(http, call_id)
        await asyncio.sleep(5.0)
        process.kill()
        killed_at = datetime.now(UTC)
        await process.wait()
    settings = Settings(_env_file=None, data_dir=tmp_path)
    record = await _kept(settings, call_id)
    assert not record.status.final
    _check_transcript(record, killed_at - LOST_AT_MOST)
    _check_recording(record, tmp_path / "recordings" / f"{call_id}.wav", killed_at - LOST_AT_MOST)
    async with server(tmp_path, port) as (_, http):
        call = await _settled(http, call_id)
        assert (call["status"], call["ended_reason"]) == ("completed", "server_shutdown")
        assert [turn["text"] for turn in call["transcript"]] == [turn.text for turn in record.turns]
        health = (await http.get("/api/phone/health")).json()
        assert health["calls_on_line"] == 0
        calls = (await http.get("/api/phone/calls")).json()["calls"]
        assert [known["call_id"] for known in calls] == [call_id], "it was dialled again"
    assert (tmp_path / "log").read_text().count("the simulated carrier dials") == 1


async def _read(http: httpx.AsyncClient, call_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(f"/api/phone/calls/{call_id}")).json()
    return found


async def _settled(http: httpx.AsyncClient, call_id: str) -> dict[str, Any]:
    """The call once its workflow, which the next start takes up again, has ended it."""
    async with asyncio.timeout(30):
        while (call := await _read(http, call_id))["status"] == "in-progress":  # noqa: ASYNC110  # of another process
            await asyncio.sleep(0.1)
    return call


async def _agent_speaks(http: httpx.AsyncClient, call_id: str) -> None:
    async with asyncio.timeout(30):
        while True:
            call = await _read(http, call_id)
            if any(turn["speaker"] == "agent" for turn in call["transcript"]):
                return
            await asyncio.sleep(0.1)


async def _kept(settings: Settings, call_id: str) -> CallRecord:
    store = SqlCallStore(open_database(settings))
    await store.open()
    try:
        record = await store.get(call_id)
    finally:
        await store.close()
    assert record is not None
    return record


def _check_transcript(record: CallRecord, until: datetime) -> None:
    """Every word of the opening that was over by `until` is there."""
    (turn,) = [turn for turn in record.turns if turn.speaker is Speaker.AGENT]
    spoken_ms = (until - turn.started_at) / timedelta(milliseconds=1)
    said = [word.text for word in shared_voice().say(OPENING).words if word.end_ms <= spoken_ms]
    assert len(said) > 3, "killed before anything was said"
    assert turn.text.split()[: len(said)] == said
    assert record.turns[0].text == "Hello?"


def _check_recording(record: CallRecord, path: Path, until: datetime) -> None:
    """It plays, and reaches `until`."""
    first = record.turns[0]
    media_clock_zero = first.started_at - timedelta(milliseconds=first.start_ms)
    with wave.open(str(path)) as recording:
        assert (recording.getnchannels(), recording.getframerate()) == (2, 8000)
        frames = recording.getnframes()
        assert len(recording.readframes(frames)) == frames * 4
    assert 44 + frames * 4 <= path.stat().st_size
    assert media_clock_zero + timedelta(seconds=frames / 8000) >= until
