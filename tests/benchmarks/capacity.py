"""How many calls one core carries without an audio gap: ours and stock pipecat, side by side in one run.

    python -m tests.benchmarks.capacity [--quick] [--stock-plain] [--seconds 20]

Each server is pinned to one core; the vendors, Twilio and the callees share the other. The servers take
turns: a step of so many calls for one, the same machine a moment later for the other, until a step fails
twice. A step holds when at least 99 % of the replies arrive without a gap beyond 20 ms, none has one beyond
60 ms, and none is missing. The far end says how late it was itself: a step in which it was is marked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.callee import INTERRUPTION, QUESTIONS, Callee, Utterance, utterances
from tests.benchmarks.figures import Reply, Tally, highest_that_held, number, percentile, spread, table
from tests.benchmarks.line import RING_MS, STAGGER_SECONDS, Operator, operator
from tests.benchmarks.servers import Server, Vendors, cores, cpu_seconds, pin, server, vendors
from tests.benchmarks.vendors import ANSWER_MS

STEPS = {"ours": (12, 16, 20, 24, 28, 32, 36, 40), "stock": (4, 6, 8, 10, 12, 14, 16)}
QUICK_STEPS = {"ours": (12, 16, 20), "stock": (4, 8)}
BARGE_IN_EVERY = 5
LATE_MS = 10.0
"""The far end's own p99 beyond which its figures are doubtful."""
BUSY = 0.9
"""Of the load's core."""
HEADER = (
    "server",
    "calls",
    "replies",
    "good %",
    "worst gap",
    "missing",
    "voice to voice",
    "loop lag p50/p95/p99/max",
    "cpu %",
    "cpu/call",
    "MB",
    "far end late p99",
    "load core %",
    "holds",
)


@dataclass(frozen=True)
class Step:
    """One run of `calls` calls."""

    server: str
    calls: int
    tally: Tally
    delays_ms: tuple[float, ...]
    """Voice to voice; the openings are in the tally only."""
    lag_ms: tuple[float, float, float, float]
    cpu: float
    """Of one core."""
    memory_mb: float
    late_ms: float
    load: float
    talk_share: float

    @property
    def doubtful(self) -> bool:
        """The far end itself was late or short of time."""
        return self.late_ms > LATE_MS or self.load > BUSY

    def row(self) -> list[str]:
        tally = self.tally
        holds = "yes" if tally.holds else "no"
        return [
            self.server,
            str(self.calls),
            str(len(tally.replies)),
            f"{100 * tally.good_share:.1f}",
            number(tally.worst_ms),
            str(tally.missing),
            spread(self.delays_ms),
            "/".join(f"{lag:.0f}" for lag in self.lag_ms),
            f"{100 * self.cpu:.0f}",
            f"{100 * self.cpu / self.calls:.1f}",
            f"{self.memory_mb:.0f}",
            f"{self.late_ms:.1f}",
            f"{100 * self.load:.0f}",
            f"{holds} (?)" if self.doubtful else holds,
        ]


@dataclass
class Bench:
    """What every step needs."""

    exchange: Operator
    vendors_pid: int
    spoken: Sequence[Utterance]
    seconds: float

    def callees(self, count: int) -> list[Callee]:
        *questions, interruption = self.spoken
        return [
            Callee(
                questions,
                interruption,
                turns=1000,
                barge_in_every=BARGE_IN_EVERY,
                expected_ms=ANSWER_MS,
                seed=seed,
            )
            for seed in range(count)
        ]

    async def warm_up(self, server: Server) -> None:
        """The first call of a process pays for imports, its first answered question for the SDK's models."""
        callees = self.callees(1)
        callees[0].hang_up_after_ms = 12_000
        await self.exchange.hold(server, callees)

    async def step(self, server: Server, calls: int) -> Step:
        callees = self.callees(calls)
        await server.probe()
        holding = asyncio.create_task(self.exchange.hold(server, callees))
        await asyncio.sleep(calls * STAGGER_SECONDS + RING_MS / 1000)
        spent, load, started = server.cpu_seconds, self._load_seconds(), time.monotonic()
        await asyncio.sleep(self.seconds)
        wall = time.monotonic() - started
        cpu = (server.cpu_seconds - spent) / wall
        load = (self._load_seconds() - load) / wall
        memory = server.memory_mb
        for callee in callees:
            callee.leave()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(holding, 30.0)
        lag = await server.probe()
        heard = [reply for callee in callees for reply in (callee.opening, *callee.replies)]
        replies = [reply for reply in heard if reply is not None]
        lost = sum(not callee.hung_up for callee in callees)
        if lost:
            print(f"{server.name} lost {lost} of {calls} calls; its log ends:\n{server.log_end}", flush=True)
        replies += [Reply(None)] * lost
        return Step(
            server.name,
            calls,
            Tally(tuple(replies)),
            tuple(Tally(tuple(reply for callee in callees for reply in callee.replies)).delays_ms),
            (lag["lag_p50_ms"], lag["lag_p95_ms"], lag["lag_p99_ms"], lag["lag_max_ms"]),
            cpu,
            memory,
            percentile([late for callee in callees for late in callee.lateness_ms], 0.99),
            load,
            sum(callee.talk_share for callee in callees) / calls,
        )

    def _load_seconds(self) -> float:
        return time.process_time() + cpu_seconds(self.vendors_pid)


class Climb:
    """One server's way up: the next number of calls to try, until it fails twice at one."""

    def __init__(self, steps: Sequence[int]) -> None:
        self._steps: Iterator[int] = iter(steps)
        self._step: int | None = next(self._steps)
        self._failed_once = False
        self._refining = False
        self.done: list[Step] = []

    @property
    def next(self) -> int | None:
        return self._step

    def note(self, step: Step) -> None:
        self.done.append(step)
        if step.tally.holds:
            self._failed_once = False
            self._step = None if self._refining else next(self._steps, None)
        elif not self._failed_once:
            self._failed_once = True
        else:
            self._refine(step.calls)

    def _refine(self, failed: int) -> None:
        """Halfway between the last that held and the one that did not."""
        self._failed_once = False
        held = self.best
        between = (held + failed) // 2
        self._step = None if self._refining or held in (0, between) else between
        self._refining = True

    @property
    def best(self) -> int:
        return highest_that_held((step.calls, step.tally.holds) for step in self.done)


def verdict(climbs: dict[str, Climb]) -> str:
    """Each server's highest N, and how ours compares."""
    lines = [f"{name}: {climb.best} calls without a gap" for name, climb in climbs.items()]
    ours = climbs["ours"].best
    for name, climb in climbs.items():
        if name != "ours" and climb.best:
            lines.append(f"ours / {name}: {ours / climb.best:.1f}")
    if any(step.doubtful for climb in climbs.values() for step in climb.done):
        lines.append("(?) the far end or the vendors were short of time themselves: the step says little")
    return "\n".join(lines)


async def climb_all(
    bench: Bench, under_test: Sequence[Server], steps: dict[str, Sequence[int]]
) -> dict[str, Climb]:
    climbs = {tested.name: Climb(steps[tested.name.partition("-")[0]]) for tested in under_test}
    for tested in under_test:
        await bench.warm_up(tested)
    while any(climb.next is not None for climb in climbs.values()):
        for tested in under_test:
            climb = climbs[tested.name]
            if climb.next is None:
                continue
            climb.note(await bench.step(tested, climb.next))
            print("  ".join(climb.done[-1].row()), flush=True)
    return climbs


async def main() -> None:
    parser = argparse.ArgumentParser(description="Calls per core without an audio gap, beside stock pipecat.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter steps, some 90 s")
    parser.add_argument("--stock-plain", action="store_true", help="stock without observers, 40 ms chunks")
    parser.add_argument("--seconds", type=float, default=None, help="of each step, all calls on the line")
    parser.add_argument("--ours", type=int, nargs="+", help="steps of ours instead of the usual ones")
    parser.add_argument("--stock", type=int, nargs="*", help="steps of stock; none: ours alone")
    arguments = parser.parse_args()
    steps: dict[str, Sequence[int]] = dict(QUICK_STEPS if arguments.quick else STEPS)
    steps |= {name: given for name in steps if (given := getattr(arguments, name)) is not None}
    names = ["ours", *(["stock-plain" if arguments.stock_plain else "stock"] if steps["stock"] else [])]
    seconds = arguments.seconds or (10.0 if arguments.quick else 20.0)
    server_core, load_core = cores()
    spoken = await asyncio.to_thread(utterances, (*QUESTIONS, INTERRUPTION))
    print(
        f"load before: {os.getloadavg()[0]:.2f}; server on core {server_core}, all else on {load_core}",
        flush=True,
    )
    async with contextlib.AsyncExitStack() as stack:
        simulated: Vendors = await stack.enter_async_context(vendors(core=load_core))
        exchange = await stack.enter_async_context(operator())
        servers = [
            await stack.enter_async_context(server(name, simulated, exchange.environment, core=server_core))
            for name in names
        ]
        pin(os.getpid(), load_core)
        bench = Bench(exchange, simulated.pid, spoken, seconds)
        climbs = await climb_all(bench, servers, steps)
        talk = [step.talk_share for climb in climbs.values() for step in climb.done]
    print(table(HEADER, [step.row() for climb in climbs.values() for step in climb.done]))
    print(verdict(climbs))
    print(f"callees talked {100 * sum(talk) / len(talk):.0f} % of the time; load after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
