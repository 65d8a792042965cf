"""Hundreds of short calls through one server process: what it holds must be flat after the first fifty.

    python -m tests.benchmarks.soak [--calls 500] [--lanes 6] [--objects]

The vendors and Twilio are simulated in other processes. Calls end in every way a callee has: in the middle of the
opening, after it, after an answer, by the agent's own silence. After each batch, when no line is taken, the
process is looked at: resident memory, tasks of the event loop, threads, file descriptors. Exit code 1 where
one of them has grown since the fiftieth call.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.benchmarks.callee import INTERRUPTION, QUESTIONS, Callee, Utterance, utterances
from tests.benchmarks.figures import table
from tests.benchmarks.line import Operator, operator
from tests.benchmarks.servers import Server, cores, pin, server, vendors

WARM_UP_CALLS = 50
BATCH = 25
RING_MS = 300
SETTLE_SECONDS = 3.0
"""After the last line of a batch: keep-alives and sockets that close by themselves."""
MEMORY_ROOM = 0.10
"""Of the memory after the warm-up. Threads of the shared pools are made when first needed, each with an arena of
the allocator's: 30 MB of 450 came at the 75th call, and none in the 75 after it."""
LEAK_KB = 20.0
"""A call, over the second half of what follows the warm-up: two equal moments differ by 2 MB."""
LEAK_CALLS = 100
"""So many are needed to tell it from that difference."""
TASKS, THREADS, FILES = 2, 6, 4
"""More than that above the warm-up's is growth: the pools' last threads, the probe's own connection."""


@dataclass(frozen=True)
class Holding:
    """What the process holds after so many calls."""

    calls: int
    memory_mb: float
    tasks: int
    threads: int
    files: int

    def row(self) -> list[str]:
        return [str(self.calls), f"{self.memory_mb:.1f}", str(self.tasks), str(self.threads), str(self.files)]


def growth(seen: Sequence[Holding]) -> list[str]:
    """What has grown from the warm-up's end to the last look, in words. Pure."""
    warm = [holding for holding in seen if holding.calls >= WARM_UP_CALLS]
    if len(warm) < 2:
        return ["too few calls to tell"]
    # The last two looks: a moment of rest in either is enough.
    first, rest = warm[0], warm[-2:] if len(warm) > 2 else warm[-1:]
    found = []
    memory = min(holding.memory_mb for holding in rest)
    if memory > first.memory_mb * (1 + MEMORY_ROOM):
        found.append(f"memory: {first.memory_mb:.0f} to {memory:.0f} MB")
    half = warm[len(warm) // 2 :]
    if half[-1].calls - half[0].calls >= LEAK_CALLS:
        calls, memories = [holding.calls for holding in half], [holding.memory_mb for holding in half]
        leak_kb = 1024 * statistics.linear_regression(calls, memories).slope
        if leak_kb > LEAK_KB:
            found.append(f"memory: {leak_kb:.0f} kB a call at the end")
    for name, room in (("tasks", TASKS), ("threads", THREADS), ("files", FILES)):
        before, after = getattr(first, name), min(getattr(holding, name) for holding in rest)
        if after > before + room:
            found.append(f"{name}: {before} to {after}")
    return found


def caller(spoken: Sequence[Utterance], number: int) -> Callee:
    """The number-th call's callee: four kinds in turn."""
    *questions, interruption = spoken
    callee = Callee(questions, interruption, turns=(0, 1, 1, 2)[number % 4], barge_in_every=2, seed=number)
    if number % 4 == 2:
        callee.hang_up_after_ms = 700 + 37 * (number % 20)
    return callee


async def batch(
    exchange: Operator, tested: Server, spoken: Sequence[Utterance], numbers: Sequence[int], lanes: int
) -> Counter[str]:
    """Holds these calls, `lanes` at a time; how they ended."""
    waiting = list(reversed(numbers))
    reasons: Counter[str] = Counter()

    async def lane(after: float) -> None:
        await asyncio.sleep(after)
        while waiting:
            (record,) = await exchange.hold(tested, [caller(spoken, waiting.pop())])
            reasons[str(record["ended_reason"])] += 1

    async with asyncio.TaskGroup() as group:
        for index in range(lanes):
            group.create_task(lane(index * 0.41))
    return reasons


async def look(tested: Server, calls: int) -> Holding:
    await asyncio.sleep(SETTLE_SECONDS)
    report = await tested.probe()
    process = Path(f"/proc/{tested.process.pid}")
    return Holding(
        calls,
        tested.memory_mb,
        int(report["tasks"]),
        len(list((process / "task").iterdir())),
        len(list((process / "fd").iterdir())),
    )


async def snapshot(tested: Server) -> str:
    """Of which types the process has more than at the last asking."""
    async with aiohttp.ClientSession() as session, session.get(f"{tested.origin}/probe/objects") as answer:
        return "\n".join((await answer.json())["lines"])


async def main() -> int:
    parser = argparse.ArgumentParser(description="Short calls through one process: flat after the first fifty.")
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--lanes", type=int, default=6, help="calls at once")
    parser.add_argument("--objects", action="store_true", help="say of which types there are more")
    arguments = parser.parse_args()
    server_core, load_core = cores()
    spoken = await asyncio.to_thread(utterances, (*QUESTIONS, INTERRUPTION))
    seen: list[Holding] = []
    reasons: Counter[str] = Counter()
    started = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        simulated = await stack.enter_async_context(vendors(core=load_core))
        exchange = await stack.enter_async_context(operator())
        exchange.ring_ms = RING_MS
        tested = await stack.enter_async_context(
            server("ours", simulated, exchange.environment, core=server_core)
        )
        pin(os.getpid(), load_core)
        for first in range(0, arguments.calls, BATCH):
            numbers = range(first, min(first + BATCH, arguments.calls))
            reasons += await batch(exchange, tested, spoken, numbers, arguments.lanes)
            seen.append(await look(tested, numbers[-1] + 1))
            print("  ".join(seen[-1].row()), f" {time.monotonic() - started:.0f} s", flush=True)
            if arguments.objects and seen[-1].calls >= WARM_UP_CALLS:
                print(await snapshot(tested), flush=True)
    print(table(["calls", "memory MB", "tasks", "threads", "files"], [holding.row() for holding in seen]))
    print("ended:", ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()))
    grown = growth(seen)
    print("\n".join(f"not flat: {line}" for line in grown) or "flat after the first fifty calls")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
