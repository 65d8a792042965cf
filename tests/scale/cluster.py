"""Several server processes on one PostgreSQL behind one proxy; the vendors are simulators in the test process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from tests.busy import ANY_CALLS, ANY_LAG_MS
from tests.calls.server import README_BODY, SCENARIO_FOLDERS, Vendors
from tests.scale.proxy import proxy
from tests.warm import Process, start_server

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
API_KEY = "scale-key"
"""What comes through the proxy comes from outside."""


@dataclass
class Server:
    """One process of `server.py`, in a folder of its own; it can be killed and started again."""

    port: int
    folder: Path
    environment: Mapping[str, str]
    http: httpx.AsyncClient
    arguments: tuple[str, ...] = ()
    process: Process | None = None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def start(self) -> None:
        """Ready when this returns."""
        self.process = await self._begun()
        async with asyncio.timeout(START_SECONDS):
            while not await self.ready():
                assert self.process.returncode is None, self.log
                await asyncio.sleep(0.1)

    async def _begun(self) -> Process:
        log = self.folder / "log"
        if not self.arguments:
            return await start_server(self.folder, self.environment, log)
        program = (sys.executable, str(ROOT / "server.py"), *self.arguments)
        with log.open("ab") as out:
            return await asyncio.create_subprocess_exec(
                *program, cwd=self.folder, env=self.environment, stdout=out, stderr=out
            )

    async def ready(self) -> bool:
        try:
            return bool((await self.http.get("/api/phone/health")).json()["ready"])
        except httpx.TransportError:
            return False

    async def calls_on_line(self) -> int:
        return int((await self.http.get("/api/phone/health")).json()["calls_on_line"])

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        """As an orchestrator does, with a second signal for those whose calls do not end."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), 20.0)
        except TimeoutError:
            await self.kill()


@dataclass
class Cluster:
    """`http` goes through the proxy."""

    url: str
    http: httpx.AsyncClient
    servers: list[Server]
    body: Mapping[str, Any] = field(default_factory=lambda: dict(README_BODY))

    async def call(self, **changes: Any) -> str:
        """POST a call until it is taken, as a careful client does; the same call, however often it is asked."""
        body = {key: value for key, value in {**self.body, **changes}.items() if value is not None}
        headers = {"Idempotency-Key": str(body["phone_number"])}
        while True:
            try:
                answer = await self.http.post("/api/phone/call", json=body, headers=headers)
            except httpx.TransportError:
                continue
            if answer.status_code < 500:
                assert answer.status_code in (201, 202), answer.text
                return str(answer.json()["call_id"])
            await asyncio.sleep(0.2)

    async def read(self, call_id: str) -> dict[str, Any]:
        """As any server shows it."""
        while True:
            try:
                answer = await self.http.get(f"/api/phone/calls/{call_id}")
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                found: dict[str, Any] = answer.json()
                return found
            assert answer.status_code >= 500, answer.text

    async def ended(self, call_id: str, within: float) -> dict[str, Any]:
        deadline = asyncio.get_running_loop().time() + within
        while (call := await self.read(call_id))["ended_at"] is None:
            assert asyncio.get_running_loop().time() < deadline, f"not within {within} s: {call}"
            await asyncio.sleep(0.2)
        return call

    async def talking(self, call_id: str, within: float = 20.0) -> dict[str, Any]:
        deadline = asyncio.get_running_loop().time() + within
        while not (call := await self.read(call_id))["transcript"]:
            assert asyncio.get_running_loop().time() < deadline, f"not within {within} s: {call}"
            await asyncio.sleep(0.1)
        return call

    async def holder(self) -> Server:
        """Who has the one call that is on the line."""
        while True:
            for server in self.servers:
                if await server.calls_on_line():
                    return server
            await asyncio.sleep(0.05)


@asynccontextmanager
async def cluster(
    folder: Path,
    database_url: str,
    sims: Vendors,
    *,
    servers: int = 3,
    arguments: tuple[str, ...] = (),
    **settings: object,
) -> AsyncIterator[Cluster]:
    """All of them ready. `settings` by their names in the environment, lower case."""
    ports = free_ports(servers + 1)
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    for source in SCENARIO_FOLDERS:
        for file in source.glob("*.toml"):
            # Without a profile's calling hours: a test of calls passes at night, too.
            text = file.read_text(encoding="utf-8").replace('profile = "us_service"', 'profile = "none"')
            (pipelines / file.name).write_text(text, encoding="utf-8")
    common = {
        **sims.keys(),
        "api_keys": API_KEY,
        "public_host": f"http://127.0.0.1:{ports[0]}",
        "database_url": database_url,
        "pipelines_dir": pipelines,
        "log_level": "DEBUG",
        **settings,
    }
    async with AsyncExitStack() as stack:
        started: list[Server] = []
        for number, port in enumerate(ports[1:]):
            place = folder / f"server-{number}"
            place.mkdir()
            own = {**common, "port": port, "data_dir": place / "data"}
            http = await stack.enter_async_context(client(f"http://127.0.0.1:{port}"))
            server = Server(port, place, environment(own), http, arguments)
            stack.push_async_callback(server.stop)
            started.append(server)
        await asyncio.gather(*(server.start() for server in started))
        url = await stack.enter_async_context(proxy(folder / "proxy", ports[0], ports[1:]))
        yield Cluster(url, await stack.enter_async_context(client(url)), started)


def client(url: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30.0)


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Of a process that knows nothing but these settings."""
    texts = {
        name.upper(): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings.items()
    }
    return {
        "PATH": os.environ["PATH"],
        "MAX_LOOP_LAG_MS": str(ANY_LAG_MS),
        "MAX_CALLS_PER_NUMBER": str(ANY_CALLS),
        "COMPLIANCE_PROFILE": "none",
        **texts,
    }


def free_ports(count: int) -> list[int]:
    """Held all at once, so that they differ."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
