"""Our server as it is served, with a probe in its event loop: `python -m tests.benchmarks.ours`.

The environment is the product's own, plus PROBE_TICK_MS and PROBE_WATCH_MS.
"""

from __future__ import annotations

import os

# As server.py does: before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import asyncio
import gc
import socket
import tracemalloc
from typing import Any

from bot.api.app import PhoneServer, create_app
from bot.logs import set_up
from bot.settings import load_settings
from tests.benchmarks.probe import LoopProbe, probe_from_environment

_TRACE_DEPTH = 8


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

    @app.get("/probe/memory")
    async def memory() -> dict[str, list[str]]:
        """Where memory was allocated since the last asking; the first one begins to trace."""
        if not tracemalloc.is_tracing():
            tracemalloc.start(_TRACE_DEPTH)
        gc.collect()
        now = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, tracemalloc.__file__)])
        grown = now.compare_to(looks.pop(), "traceback") if looks else []
        looks.append(now)
        return {"lines": [line for entry in grown[:6] for line in (str(entry), *entry.traceback.format())]}

    looks: list[tracemalloc.Snapshot] = []
    server = ProbedServer(app, settings)
    server.probe = probe
    server.run()


if __name__ == "__main__":
    main()
