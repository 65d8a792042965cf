"""How long the server takes for each page, with 10,000 calls in its store.

    python -m tests.benchmarks.pages [--postgresql] [--calls N] [--times N]

A server over a socket of this machine; each page is asked for in turn, one request at a time, and timed from the
request to its last byte. The processor's time, which other work on the machine lengthens less, is that of server,
driver and client together. Exit code 1 where the median of a page's time is over 100 ms.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from loguru import logger

from tests.benchmarks.figures import median, percentile, table
from tests.browser.seeded import CAMPAIGN, calls, keep_calls, keep_campaign
from tests.calls.server import running_server
from tests.postgres import PostgresServer

BAR_MS = 100.0
PAGES = (
    "/",
    "/calls",
    "/calls?q=anyone",
    "/calls?state=live",
    "/calls?goal=reached&scenario=survey",
    "/calls/call_00000",
    "/calls/call_00000/live",
    "/campaigns",
    "/campaigns/new",
    f"/campaigns/{CAMPAIGN}",
    f"/campaigns/{CAMPAIGN}/live",
    f"/campaigns/{CAMPAIGN}/results?sort=ended_at&down=1",
    "/scenarios",
    "/scenarios/appointment_confirmation",
    "/figures",
    "/figures?days=90",
    "/figures?days=90&part=llm&scenario=survey",
    "/phone",
)
"""Every page; the parts that change by themselves; lists as they are filtered."""
CALLED, WAITING = 4000, 6000
"""Contacts of the campaign."""


@dataclass(frozen=True)
class Taken:
    """By one request."""

    ms: float
    processor_ms: float


async def measure(count: int, times: int, **environment: Any) -> dict[str, list[Taken]]:
    """Each request, by page. A page that there is not is left out."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_server(Path(folder), profile=None, **environment) as server:
            kept = list(calls(count))
            for begin in range(0, count, 1000):
                await keep_calls(server.agent.store.database, kept[begin : begin + 1000])
            await keep_campaign(server.agent.store.database, kept[:CALLED], WAITING)
            found: dict[str, list[Taken]] = {}
            for path in PAGES:
                answer = await server.http.get(path)
                if answer.status_code == 404:
                    print(f"there is no {path}")
                    continue
                assert answer.status_code == 200, f"{path}: {answer.status_code}"
                found[path] = [await _once(server.http, path) for _ in range(times)]
            return found


async def _once(http: Any, path: str) -> Taken:
    before, worked = time.perf_counter(), time.process_time()
    answer = await http.get(path)
    taken = Taken((time.perf_counter() - before) * 1000, (time.process_time() - worked) * 1000)
    assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgresql", action="store_true", help="on a PostgreSQL of the test's own")
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=20)
    arguments = parser.parse_args()
    logger.remove()
    environment: dict[str, Any] = {}
    with ExitStack() as stack:
        if arguments.postgresql:
            server = PostgresServer()
            stack.callback(server.stop)
            environment["database_url"] = server.new_url()
        taken = uvloop.run(measure(arguments.calls, arguments.times, **environment))
    rows, slow = [], False
    for path, found in taken.items():
        ms = [each.ms for each in found]
        processor = median([each.processor_ms for each in found])
        rows.append([path, f"{median(ms):.0f}", f"{percentile(ms, 0.95):.0f}", f"{processor:.0f}"])
        slow |= median(ms) > BAR_MS
    print(table(["page", "median, ms", "p95, ms", "processor, ms"], rows))
    return int(slow)


if __name__ == "__main__":
    raise SystemExit(main())
