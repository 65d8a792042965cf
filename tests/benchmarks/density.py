"""How many clean calls one core carries: ours and stock pipecat, in turns in one run.

    python -m tests.benchmarks.density [--quick] [--calls 1 10 20] [--stock 1 5] [--seconds 30] [--out FOLDER]

Each server is pinned to one core; the vendors, Twilio and the callees share the other. Callees talk a third of
the time over the line's noise, interrupt every fifth reply, some replies call a tool, and one call in ten hangs
up after some seconds and is followed by a new one. A step is *clean* where no callee heard a gap of more than
20 ms, no turn stayed unanswered, and p95 of voice to voice is at most 300 ms above the same server's median with
one call. A step whose load took more than 70 % of its own core is *void*: it says nothing of the server. A server
that was not clean twice is asked for no more calls.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.callee import INTERRUPTION, QUESTIONS, Callee, Utterance, utterances
from tests.benchmarks.figures import GAP_MS, Reply, Tally, number, percentile, table
from tests.benchmarks.line import RING_MS, STAGGER_SECONDS, Operator, operator
from tests.benchmarks.plot import Line, plot
from tests.benchmarks.servers import Server, Vendors, cores, cpu_seconds, pin, server, vendors
from tests.benchmarks.vendors import ANSWER_MS, injected_ms

CALLS, STOCK = (1, 10, 20, 30, 40, 50), (1, 5, 10, 20)
QUICK_CALLS, QUICK_STOCK = (1, 10, 20, 30, 40), (1, 5)
BARGE_IN_EVERY = 5
ANEW_EVERY, ANEW_MS = 10, 15_000
"""One call in ten lasts that long, and a new one takes its place."""
SLOWER_MS = 300.0
"""Than one call, at p95, is not clean."""
WARM_UP_SECONDS = 90.0
LATE_MS = 10.0
"""The far end's own p99 beyond which a step is void, too: it heard late what came in time."""
BUSY = 0.7
HEADER = (
    *("server", "calls", "replies", "gaps", "missing", "voice to voice", "overhead", "barge-in", "loop lag"),
    *("cpu %", "cpu/call", "MB", "LLM/turn", "far end late", "load core %", "clean"),
)
LEGEND = """
gaps: over 20 ms at the callee, and the longest · voice to voice, overhead (less the vendors' {:.0f}), barge-in to
silence: median/p95/p99, ms · loop lag: p99/max, ms · cpu: of the whole process tree, of one core"""


@dataclass(frozen=True)
class Step:
    """One run of `calls` calls of `server`."""

    server: str
    calls: int
    replies: int
    gaps: int
    worst_gap_ms: float
    missing: int
    delays_ms: tuple[float, ...]
    """Voice to voice; openings are not among them."""
    barge_ins_ms: tuple[float, ...]
    lag_p99_ms: float
    lag_max_ms: float
    cpu: float
    memory_mb: float
    requests_per_turn: float
    late_ms: float
    load: float
    talk_share: float

    @property
    def void(self) -> bool:
        """The far end itself was late or short of time."""
        return self.late_ms > LATE_MS or self.load > BUSY

    def clean(self, single_ms: float) -> bool:
        """`single_ms`: the same server's median voice to voice with one call."""
        slow = not percentile(self.delays_ms, 0.95) <= single_ms + SLOWER_MS
        return not (self.gaps or self.missing or slow)

    def row(self, single_ms: float) -> list[str]:
        verdict = "yes" if self.clean(single_ms) else "no"
        return [
            self.server,
            str(self.calls),
            str(self.replies),
            f"{self.gaps} ({number(self.worst_gap_ms)})",
            str(self.missing),
            three(self.delays_ms),
            three([delay - injected_ms() for delay in self.delays_ms]),
            three(self.barge_ins_ms),
            f"{self.lag_p99_ms:.0f}/{self.lag_max_ms:.0f}",
            f"{100 * self.cpu:.0f}",
            f"{100 * self.cpu / self.calls:.1f}",
            f"{self.memory_mb:.0f}",
            f"{self.requests_per_turn:.2f}",
            f"{self.late_ms:.1f}",
            f"{100 * self.load:.0f}",
            f"void ({verdict})" if self.void else verdict,
        ]


def three(values: Sequence[float]) -> str:
    """`median/p95/p99`; a dash of nothing."""
    return "/".join(number(percentile(values, share)) for share in (0.5, 0.95, 0.99)) if values else "-"


@dataclass
class Bench:
    """What every step needs."""

    exchange: Operator
    vendors: Vendors
    spoken: Sequence[Utterance]
    seconds: float

    def callees(self, count: int, seed: int = 0) -> list[Callee]:
        *questions, interruption = self.spoken
        return [
            Callee(
                questions,
                interruption,
                turns=1000,
                barge_in_every=BARGE_IN_EVERY,
                expected_ms=ANSWER_MS,
                seed=seed + number,
            )
            for number in range(count)
        ]

    async def warm_up(self, server: Server) -> None:
        """The first call of a process pays for what its libraries build at their first use."""
        callees = self.callees(1)
        callees[0].hang_up_after_ms = 12_000
        try:
            await asyncio.wait_for(self.exchange.hold(server, callees), WARM_UP_SECONDS)
        except TimeoutError:
            raise RuntimeError(f"{server.name} holds no call; its log ends:\n{server.log_end}") from None

    async def step(self, server: Server, calls: int) -> Step:
        callees = self.callees(calls)
        begun = list(callees)
        over = asyncio.Event()
        for callee in callees[ANEW_EVERY - 1 :: ANEW_EVERY]:
            callee.hang_up_after_ms = ANEW_MS
        asked = await self.vendors.requests()
        holding = asyncio.create_task(self.exchange.hold(server, callees))
        anew = [
            asyncio.create_task(self._anew(server, index, begun, over))
            for index in range(ANEW_EVERY - 1, calls, ANEW_EVERY)
        ]
        await asyncio.sleep(calls * STAGGER_SECONDS + RING_MS / 1000)
        await server.probe()
        spent, load, started = server.cpu_seconds, self._load_seconds(), time.monotonic()
        await asyncio.sleep(self.seconds)
        wall = time.monotonic() - started
        cpu = (server.cpu_seconds - spent) / wall
        load = (self._load_seconds() - load) / wall
        lag, memory = await server.probe(), server.memory_mb
        over.set()
        for callee in begun:
            callee.leave()
        await asyncio.wait([holding, *anew], timeout=30.0)
        for task in (holding, *anew):
            task.cancel()
        failures = await asyncio.gather(holding, *anew, return_exceptions=True)
        asked = await self.vendors.requests() - asked
        for failure in failures:
            if isinstance(failure, Exception):
                print(f"{server.name}: {failure!r}; its log ends:\n{server.log_end}", flush=True)
        lost = sum(not callee.hung_up for callee in begun)
        tally = Tally((*(reply for callee in begun for reply in heard_by(callee)), *[Reply(None)] * lost))
        delays = [reply.delay_ms for callee in begun for reply in callee.replies if reply.delay_ms is not None]
        gaps = [gap for reply in tally.replies for gap in reply.gaps_ms if gap > GAP_MS]
        return Step(
            server=server.name,
            calls=calls,
            replies=len(tally.replies),
            gaps=len(gaps),
            worst_gap_ms=max(gaps, default=0.0),
            missing=tally.missing,
            delays_ms=tuple(delays),
            barge_ins_ms=tuple(ms for callee in begun for ms in callee.barge_ins_ms),
            lag_p99_ms=lag["lag_p99_ms"],
            lag_max_ms=lag["lag_max_ms"],
            cpu=cpu,
            memory_mb=memory,
            requests_per_turn=asked / max(1, len(delays)),
            late_ms=percentile([late for callee in begun for late in callee.lateness_ms], 0.99),
            load=load,
            talk_share=sum(callee.talk_share for callee in begun) / len(begun),
        )

    async def _anew(self, server: Server, index: int, begun: list[Callee], over: asyncio.Event) -> None:
        """Behind the `index`-th call: another one, and another."""
        await _unless(over, index * STAGGER_SECONDS + (RING_MS + ANEW_MS) / 1000)
        while not over.is_set():
            (callee,) = self.callees(1, seed=1000 + len(begun))
            callee.hang_up_after_ms = ANEW_MS
            begun.append(callee)
            await self.exchange.hold(server, [callee])

    def _load_seconds(self) -> float:
        return time.process_time() + cpu_seconds(self.vendors.pid)


async def _unless(over: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)


def heard_by(callee: Callee) -> list[Reply]:
    return [reply for reply in (callee.opening, *callee.replies) if reply is not None]


def single_ms(steps: Sequence[Step], server: str) -> float:
    """The median voice to voice of a server's step with the fewest calls; infinite before it."""
    first = min((step for step in steps if step.server == server), key=lambda step: step.calls, default=None)
    return percentile(first.delays_ms, 0.5) if first is not None else math.inf


def most_clean(steps: Sequence[Step], server: str) -> int:
    """The largest number of calls below the first that was not clean; void steps do not count."""
    best = 0
    for step in sorted((s for s in steps if s.server == server and not s.void), key=lambda step: step.calls):
        if not step.clean(single_ms(steps, server)):
            break
        best = step.calls
    return best


def verdict(steps: Sequence[Step]) -> str:
    names = list(dict.fromkeys(step.server for step in steps))
    best = {name: most_clean(steps, name) for name in names}
    lines = [f"{name}: {count} clean calls a core" for name, count in best.items()]
    lines += [
        f"ours / {name}: {best['ours'] / best[name]:.1f}" for name in names if name != "ours" and best[name]
    ]
    void = [f"{step.server} {step.calls}" for step in steps if step.void]
    if void:
        lines.append(f"void, because the load was short of time itself: {', '.join(void)}")
    return "\n".join(lines)


def drawn(steps: Sequence[Step]) -> str:
    """Voice to voice and the core's share, by calls: an SVG."""
    lines = []
    for name in dict.fromkeys(step.server for step in steps):
        own = [step for step in steps if step.server == name and step.delays_ms]
        lines += [
            Line(f"{name}, p95 ms", [(s.calls, percentile(s.delays_ms, 0.95)) for s in own], 0),
            Line(f"{name}, median ms", [(s.calls, percentile(s.delays_ms, 0.5)) for s in own], 0, dashed=True),
            Line(f"{name}, % of the core", [(s.calls, 100 * s.cpu) for s in own], 1),
        ]
    return plot(("voice to voice", "CPU of the process tree"), "calls at once", lines)


async def climb(bench: Bench, tested: Sequence[Server], calls: dict[str, Sequence[int]]) -> list[Step]:
    """A step of each server after the other, until all are through or have failed twice."""
    steps: list[Step] = []
    left = {one.name: list(calls[one.name]) for one in tested}
    failed = dict.fromkeys(left, 0)
    for one in tested:
        await bench.warm_up(one)
    while any(left.values()):
        for one in tested:
            if not left[one.name]:
                continue
            step = await bench.step(one, left[one.name].pop(0))
            steps.append(step)
            single = single_ms(steps, one.name)
            print("  ".join(step.row(single)), flush=True)
            failed[one.name] += not (step.void or step.clean(single))
            if failed[one.name] == 2:
                left[one.name].clear()
    return steps


async def main() -> None:
    parser = argparse.ArgumentParser(description="Clean calls a core, beside stock pipecat.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter steps, some five minutes")
    parser.add_argument("--calls", type=int, nargs="+", help=f"at once; default {CALLS}")
    parser.add_argument("--stock", type=int, nargs="*", help=f"the same of stock, none: ours alone; {STOCK}")
    parser.add_argument("--seconds", type=float, help="of each step, all calls on the line; 30, quick 20")
    parser.add_argument("--out", type=Path, default=Path("site/density"), help="folder of the JSON and the plot")
    chosen = parser.parse_args()
    ours = chosen.calls or (QUICK_CALLS if chosen.quick else CALLS)
    stock = (QUICK_STOCK if chosen.quick else STOCK) if chosen.stock is None else chosen.stock
    server_core, load_core = cores()
    spoken = await asyncio.to_thread(utterances, (*QUESTIONS, INTERRUPTION))
    print(f"load before: {os.getloadavg()[0]:.2f}; server on core {server_core}, all else on {load_core}")
    async with contextlib.AsyncExitStack() as stack:
        simulated = await stack.enter_async_context(vendors(core=load_core))
        exchange = await stack.enter_async_context(operator())
        tested = [
            await stack.enter_async_context(server(name, simulated, exchange.environment, core=server_core))
            for name in ("ours", *(["stock"] if stock else []))
        ]
        pin(os.getpid(), load_core)
        bench = Bench(exchange, simulated, spoken, chosen.seconds or (20.0 if chosen.quick else 30.0))
        steps = await climb(bench, tested, {"ours": ours, "stock": stock})
    print(table(HEADER, [step.row(single_ms(steps, step.server)) for step in steps]))
    print(LEGEND.format(injected_ms()).strip())
    print(verdict(steps))
    talk = sum(step.talk_share for step in steps) / len(steps)
    print(f"callees talked {100 * talk:.0f} % of the time; load after: {os.getloadavg()[0]:.2f}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    found = [
        asdict(step) | {"void": step.void, "clean": step.clean(single_ms(steps, step.server))} for step in steps
    ]
    (chosen.out / "density.json").write_text(json.dumps(found, indent=1))
    (chosen.out / "density.svg").write_text(drawn(steps))
    print(f"written: {chosen.out}/density.json, {chosen.out}/density.svg")


if __name__ == "__main__":
    asyncio.run(main())
