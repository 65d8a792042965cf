"""What holds our event loop while calls start and others talk, and what a call keeps in memory.

    python -m tests.benchmarks.blocking [--talking 4] [--starting 8]

A 1 ms ticker runs in the server's loop; a thread writes down where the loop stands while the ticker is
overdue. First some calls talk alone, then others start among them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections import Counter
from typing import Any

from tests.benchmarks.callee import INTERRUPTION, QUESTIONS, utterances
from tests.benchmarks.density import Bench
from tests.benchmarks.figures import table
from tests.benchmarks.line import RING_MS, STAGGER_SECONDS, operator
from tests.benchmarks.servers import cores, pin, server, vendors

WATCH_MS = 5.0
"""The promise: nothing holds the loop for longer."""
_TALK_SECONDS = 15.0


def offenders(report: dict[str, Any]) -> str:
    """Where the loop stood while it was held, by samples of about a millisecond."""
    seen: Counter[str] = Counter()
    worst: dict[str, float] = {}
    for stall in report["stalls"]:
        for where, samples in stall["where"]:
            seen[where] += samples
            worst[where] = max(worst.get(where, 0.0), stall["ms"])
    return "\n".join(
        f"  {count:4d} samples, worst stall {worst[where]:.0f} ms: {where}"
        for where, count in seen.most_common(15)
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description="What holds the event loop while calls start.")
    parser.add_argument("--talking", type=int, default=4)
    parser.add_argument("--starting", type=int, default=8)
    arguments = parser.parse_args()
    server_core, load_core = cores()
    spoken = await asyncio.to_thread(utterances, (*QUESTIONS, INTERRUPTION))
    print(f"load before: {os.getloadavg()[0]:.2f}")
    async with contextlib.AsyncExitStack() as stack:
        simulated = await stack.enter_async_context(vendors(core=load_core))
        exchange = await stack.enter_async_context(operator())
        watched = {"PROBE_TICK_MS": "1", "PROBE_WATCH_MS": str(WATCH_MS)}
        ours = await stack.enter_async_context(
            server("ours", simulated, exchange.environment, core=server_core, environment=watched)
        )
        pin(os.getpid(), load_core)
        bench = Bench(exchange, simulated, spoken, _TALK_SECONDS)
        phases: list[tuple[str, dict[str, Any]]] = [("server idle after start", await ours.probe())]
        idle_mb = ours.memory_mb
        await bench.warm_up(ours)
        phases.append(("the first call", await ours.probe()))
        first_mb = ours.memory_mb
        talking = bench.callees(arguments.talking)
        holding = asyncio.create_task(exchange.hold(ours, talking))
        await asyncio.sleep(arguments.talking * STAGGER_SECONDS + RING_MS / 1000 + 2)
        phases.append((f"{arguments.talking} calls start", await ours.probe()))
        await asyncio.sleep(_TALK_SECONDS)
        phases.append((f"{arguments.talking} calls talk", await ours.probe()))
        late = bench.callees(arguments.starting)
        also = asyncio.create_task(exchange.hold(ours, late))
        await asyncio.sleep(arguments.starting * STAGGER_SECONDS + RING_MS / 1000 + 2)
        phases.append((f"{arguments.starting} more start", await ours.probe()))
        await asyncio.sleep(_TALK_SECONDS)
        count = arguments.talking + arguments.starting
        phases.append((f"{count} calls talk", await ours.probe()))
        busy_mb = ours.memory_mb
        for callee in (*talking, *late):
            callee.leave()
        await asyncio.gather(holding, also)
        phases.append((f"{count} calls end", await ours.probe()))
        after_mb = ours.memory_mb
    rows = [
        [
            name,
            f"{report['lag_p50_ms']:.1f}",
            f"{report['lag_p99_ms']:.1f}",
            f"{report['lag_max_ms']:.1f}",
            str(report["stall_count"]),
        ]
        for name, report in phases
    ]
    print(table(["loop lag, ms", "p50", "p99", "max", f"> {WATCH_MS:.0f} ms"], rows))
    print(
        f"memory: {idle_mb:.0f} MB idle, {first_mb:.0f} after the first call, {busy_mb:.0f} with {count} calls "
        f"({(busy_mb - first_mb) / count:.1f} MB a call), {after_mb:.0f} after they ended"
    )
    for name, report in phases:
        if report["stall_count"]:
            print(f"{name}: the loop stood at\n{offenders(report)}")
    print(f"load after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
