"""The processes of a benchmark, started, pinned, measured and ended: vendors, our server, the stock one."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.benchmarks.vendors import VOICE

START_SECONDS = 180.0
_TICKS = os.sysconf("SC_CLK_TCK")


def pin(pid: int, core: int | None) -> None:
    """Every thread a process will start stays on `core`; None leaves it free."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def cores() -> tuple[int | None, int | None]:
    """(the server's, everybody else's); None where this machine has only one."""
    mine = sorted(os.sched_getaffinity(0))
    return (mine[0], mine[1]) if len(mine) > 1 else (None, None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """Of all threads of a process, those that ended too, and of its children, since they started."""
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    children = (place.read_text().split() for place in Path(f"/proc/{pid}/task").glob("*/children"))
    return (int(stat[11]) + int(stat[12])) / _TICKS + sum(
        cpu_seconds(int(one)) for own in children for one in own
    )


@dataclass(frozen=True)
class Addresses:
    """Of the vendors."""

    deepgram: str
    anthropic: str
    elevenlabs: str


@dataclass(frozen=True)
class Vendors(Addresses):
    """The vendors' process."""

    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def requests(self) -> int:
        """How often Claude was asked for a reply until now; what follows a tool does not count."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        return int(await asyncio.wait_for(self.process.stdout.readline(), START_SECONDS))


@asynccontextmanager
async def vendors(*, core: int | None) -> AsyncIterator[Vendors]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.benchmarks.vendors",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    pin(process.pid, core)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        # pipecat's own greeting goes to stderr, ours is the first line that is JSON.
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        yield Vendors(**json.loads(line), process=process)
    finally:
        process.stdin.close()
        await _ended(process)


@dataclass
class Server:
    """A server under test. `origin` is http://127.0.0.1:port."""

    name: str
    process: asyncio.subprocess.Process
    origin: str
    log: Path

    async def probe(self, path: str = "/probe") -> dict[str, Any]:
        """What its event loop went through since the last asking."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.origin}{path}") as answer:
            report: dict[str, Any] = await answer.json()
            return report

    @property
    def log_end(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    @property
    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    @property
    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024


@asynccontextmanager
async def server(
    name: str,
    vendors: Addresses,
    twilio: Mapping[str, str],
    *,
    core: int | None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Server]:
    """`name` is ours or stock (stock-plain: without observers); ready when entered."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        env = {
            **{key: value for key, value in os.environ.items() if not key.endswith(("_KEY", "_KEYS", "_TOKEN"))},
            **twilio,
            "DEEPGRAM_BASE_URL": vendors.deepgram,
            "DEEPGRAM_API_KEY": "simulated",
            "ANTHROPIC_BASE_URL": vendors.anthropic,
            "ANTHROPIC_API_KEY": "simulated",
            "ELEVENLABS_BASE_URL": vendors.elevenlabs,
            "ELEVENLABS_API_KEY": "simulated",
            "ELEVENLABS_VOICE_ID": VOICE,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "PUBLIC_HOST": f"http://127.0.0.1:{port}",
            "DATA_DIR": folder,
            "DATABASE_URL": "",
            "API_KEYS": "",
            "MAX_CALLS": "200",
            "MAX_CALLS_PER_NUMBER": "200",
            "MAX_LOOP_LAG_MS": "10000",  # what is late is to be measured, not refused
            "STOCK": "plain" if name == "stock-plain" else "",
            **(environment or {}),
        }
        log = Path(folder) / f"{name}-{secrets.token_hex(4)}.log"
        module = "tests.benchmarks.ours" if name == "ours" else "tests.benchmarks.stock"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, env=env, stdout=output, stderr=output
            )
        pin(process.pid, core)
        started = Server(name, process, f"http://127.0.0.1:{port}", log)
        try:
            await _ready(started)
            yield started
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await _ended(process)


async def _ready(server: Server) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(int(START_SECONDS * 10)):
            if server.process.returncode is not None:
                break
            try:
                async with session.get(f"{server.origin}/probe"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    raise RuntimeError(f"{server.name} did not start:\n{server.log_end}")


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(process.wait(), 20.0)
    except TimeoutError:
        process.kill()
        await process.wait()
