"""What followers of calls cost the server: 50 readers of events, a page that is open, a listener.

    python -m tests.benchmarks.readers [--seconds N]

One server process with one call that talks all the time; the processor's seconds of that process alone, from the
kernel, with nobody and with each kind of follower, in turns so that the machine's moods hit all. The page is what
a browser does on a call's page: the events, and the page's changing part at most every two seconds. Exit code 1
above the bars: 5 % of a core for the 50 readers, 1 % for the page.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from websockets.asyncio.client import connect

from tests.benchmarks.figures import median, table
from tests.calls.process import ServerProcess, server_process

READERS = 50
ROUNDS = 3
BARS = {"50 readers": 5.0, "a page": 1.0}
_TICKS = os.sysconf("SC_CLK_TCK")
Follow = Callable[[ServerProcess, str], Awaitable[None]]


def spent(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def read(server: ServerProcess, call_id: str, seen: Callable[[], None] = lambda: None) -> None:
    async with (
        httpx.AsyncClient(base_url=server.http.base_url, trust_env=False, timeout=None) as http,
        http.stream("GET", f"/api/phone/calls/{call_id}/events") as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("event: turn_completed"):
                seen()


async def readers(server: ServerProcess, call_id: str) -> None:
    await asyncio.gather(*(read(server, call_id) for _ in range(READERS)))


async def page(server: ServerProcess, call_id: str) -> None:
    changed = asyncio.Event()
    reading = asyncio.create_task(read(server, call_id, changed.set))
    try:
        while True:
            await changed.wait()
            changed.clear()
            (await server.http.get(f"/calls/{call_id}/live")).raise_for_status()
            await asyncio.sleep(2)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def listener(server: ServerProcess, call_id: str) -> None:
    url = str(server.http.base_url).replace("http", "ws", 1)
    async with connect(f"{url}/api/phone/calls/{call_id}/listen") as socket:
        async for _ in socket:
            pass


KINDS: dict[str, Follow | None] = {"nobody": None, "50 readers": readers, "a page": page, "a listener": listener}


@asynccontextmanager
async def following(follow: Follow | None, server: ServerProcess, call_id: str) -> AsyncIterator[None]:
    task = None if follow is None else asyncio.ensure_future(follow(server, call_id))
    await asyncio.sleep(2)  # the history is given
    try:
        yield
        assert task is None or not task.done(), task
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def talk(server: ServerProcess, call_id: str) -> None:
    """Keeps the agent talking: a sentence of five seconds every six."""
    while True:
        text = "This is a sentence of some length, which is said so that there is always something to follow."
        answer = await server.http.post(f"/api/phone/calls/{call_id}/say", json={"text": text})
        answer.raise_for_status()
        await asyncio.sleep(6)


async def once(server: ServerProcess, follow: Follow | None, seconds: float) -> float:
    """Per cent of a core that a call costs while it is followed."""
    call_id = await server.call(scenario="quick", first_speaker="agent")
    await server.talking(call_id)
    talking = asyncio.create_task(talk(server, call_id))
    try:
        async with following(follow, server, call_id):
            before = spent(server.process.pid)
            await asyncio.sleep(seconds)
            assert not talking.done(), talking
            return 100 * (spent(server.process.pid) - before) / seconds
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        await server.http.post(f"/api/phone/calls/{call_id}/hangup")


async def measure(seconds: float) -> dict[str, float]:
    """Per cent of a core, by kind of follower; the median of the rounds."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        async with server_process(Path(folder), {"SIMULATED_CALLEE": "silent"}) as server:
            for _ in range(ROUNDS):
                for kind, follow in KINDS.items():
                    found[kind].append(await once(server, follow, seconds))
    return {kind: median(values) for kind, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    found = asyncio.run(measure(parser.parse_args().seconds))
    alone = found["nobody"]
    rows = [[kind, f"{percent:.1f} %", f"{percent - alone:+.1f} %"] for kind, percent in found.items()]
    print(table(["follower", "of a core", "beyond the call"], rows))
    sys.exit(any(found[kind] - alone > bar for kind, bar in BARS.items()))


if __name__ == "__main__":
    main()
