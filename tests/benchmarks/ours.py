"""Our server as it is served, with a probe in its event loop: `python -m tests.benchmarks.ours`.

The environment is the product's own, plus PROBE_TICK_MS, PROBE_WATCH_MS and PROBE_CPU.
"""

from __future__ import annotations

import os

# As server.py does: before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import asyncio
import gc
import socket
from collections import Counter
from typing import Any

from bot.api.app import create_app
from bot.cli.server import PhoneServer
from bot.settings import load_settings
from bot.telemetry.logs import set_up
from tests.benchmarks.probe import LoopProbe, probe_from_environment
from tests.benchmarks.profile import CpuByStage

_TYPES = 25


class ProbedServer(PhoneServer):
    """PhoneServer with a probe that lives as long as it serves."""

    probe: LoopProbe
    _probing: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._probing = asyncio.create_task(self.probe.run(), name="probe")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await super().shutdown(sockets)


def main() -> None:
    settings = load_settings()
    set_up(settings.log_level)
    app = create_app(settings)
    probe = probe_from_environment()

    @app.get("/probe")
    async def report() -> dict[str, Any]:
        return probe.report()

    @app.get("/probe/objects")
    async def objects() -> dict[str, list[str]]:
        """Of which types there are more than at the last asking, after a full collection; most first."""
        unreachable = gc.collect()
        now = Counter(f"{type(held).__module__}.{type(held).__qualname__}" for held in gc.get_objects())
        grown = now - looks.pop() if looks else Counter[str]()
        looks.append(now)
        lines = [f"  {count:+7d} {name}" for name, count in grown.most_common(_TYPES)]
        return {"lines": [f"  {unreachable} were unreachable", *lines]}

    @app.get("/probe/cpu")
    async def cpu() -> dict[str, dict[str, float]]:
        return {} if watch is None else watch.report()

    watch = CpuByStage() if os.environ.get("PROBE_CPU") else None
    looks: list[Counter[str]] = []
    server = ProbedServer(app, settings)
    server.probe = probe
    server.run()


if __name__ == "__main__":
    main()
