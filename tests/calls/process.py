"""`server.py` as a process of its own, told to stop as an orchestrator or a person does it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from tests.busy import ANY_CALLS, ANY_LAG_MS
from tests.calls.server import README_BODY, SCENARIO_FOLDERS
from tests.warm import Process, start_server


@dataclass
class ServerProcess:
    """A process that is ready, and a client of its API."""

    process: Process
    http: httpx.AsyncClient
    log: Path

    async def call(self, **changes: Any) -> str:
        answer = await self.http.post("/api/phone/call", json={**README_BODY, **changes})
        assert answer.status_code in (201, 202), answer.text
        return str(answer.json()["call_id"])

    async def read(self, call_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get(f"/api/phone/calls/{call_id}")).json()
        return found

    async def until(self, call_id: str, holds: Callable[[dict[str, Any]], bool], within: float = 20.0) -> None:
        async with asyncio.timeout(within):
            while not holds(await self.read(call_id)):  # noqa: ASYNC110  # of another process
                await asyncio.sleep(0.05)

    async def talking(self, call_id: str) -> None:
        """Until the first words of the agent stand in the transcript."""
        await self.until(call_id, lambda call: any(t["speaker"] == "agent" for t in call["transcript"]))

    def tell(self, sig: signal.Signals) -> None:
        self.process.send_signal(sig)

    async def gone(self, within: float) -> int:
        """The exit code; AssertionError with the log where it does not end in time."""
        try:
            return await asyncio.wait_for(self.process.wait(), within)
        except TimeoutError:
            raise AssertionError(f"not gone within {within} s:\n{self.log.read_text()[-3000:]}") from None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@asynccontextmanager
async def server_process(folder: Path, environment: Mapping[str, Any]) -> AsyncIterator[ServerProcess]:
    """In `folder`, where no .env is, with its data there; the scenarios are the product's and the tests'."""
    scenarios = folder / "scenarios"
    scenarios.mkdir(parents=True, exist_ok=True)
    for source in SCENARIO_FOLDERS:
        for path in source.glob("*.toml"):
            shutil.copy(path, scenarios)
    port = free_port()
    given = {
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PUBLIC_HOST": f"http://127.0.0.1:{port}",
        "DATA_DIR": str(folder),
        "PIPELINES_DIR": str(scenarios),
        "MAX_LOOP_LAG_MS": str(ANY_LAG_MS),
        "MAX_CALLS_PER_NUMBER": str(ANY_CALLS),
        "COMPLIANCE_PROFILE": "none",  # no calling hours: a test of calls passes at night, too
        **{name.upper(): _plain(value) for name, value in environment.items()},
    }
    log = folder / "log"
    process = await start_server(folder, given, log)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            while True:
                assert process.returncode is None, log.read_text()
                try:
                    if (await http.get("/api/phone/health")).json()["ready"]:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
            yield ServerProcess(process, http, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
