"""Where a turn's time goes: whole calls over real sockets through the vendors' SDKs, measured at the far end.

    python -m tests.benchmarks.latency [--calls 1 8] [--turns 8] [--stock]

Twilio and its callees are this process, the vendors another, the server a third. `overhead` is what is left
of voice-to-voice when the vendors' injected latencies are taken off: silence that the VAD waits for, the
turn decision, our own work and the wire.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.callee import INTERRUPTION, QUESTIONS, Callee, Utterance, utterances
from tests.benchmarks.figures import number, percentile, spread, table
from tests.benchmarks.line import RING_MS, Operator, operator
from tests.benchmarks.servers import Server, server, vendors
from tests.benchmarks.vendors import (
    ANSWER_MS,
    LLM_FIRST_TOKEN_MS,
    STT_FINAL_MS,
    TTS_FIRST_AUDIO_MS,
    injected_ms,
    sentence_ms,
)

PARTS = ("vad_ms", "stt_ms", "turn_ms", "llm_ms", "sentence_ms", "tts_ms", "line_ms")
_PART_NAMES = {
    "vad_ms": "  VAD",
    "stt_ms": f"  STT (injected {STT_FINAL_MS:.0f})",
    "turn_ms": "  turn",
    "llm_ms": f"  LLM (injected {LLM_FIRST_TOKEN_MS:.0f})",
    "sentence_ms": f"  sentence (injected {sentence_ms():.0f})",
    "tts_ms": f"  TTS (injected {TTS_FIRST_AUDIO_MS:.0f})",
    "line_ms": "  line",
}


@dataclass
class Figures:
    """One run, ms."""

    title: str
    turns: list[float] = field(default_factory=list)
    """Voice to voice at the far end."""
    openings: list[float] = field(default_factory=list)
    hasty_openings: list[float] = field(default_factory=list)
    """Where the phone was picked up before the opening could be ready."""
    barge_ins: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    recorded: list[float] = field(default_factory=list)
    """Voice to voice as our record has it."""
    missing: int = 0
    gaps: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    """Of the far end itself."""


def collect(title: str, callees: Sequence[Callee], records: Sequence[dict[str, Any]]) -> Figures:
    """The first turn of a call is counted like any other, a lost call as an unanswered turn."""
    figures = Figures(title)
    for callee in callees:
        figures.missing += not callee.hung_up
        if callee.opening is not None and callee.opening.delay_ms is not None:
            figures.openings.append(callee.opening.delay_ms)
        for reply in callee.replies:
            if reply.delay_ms is None:
                figures.missing += 1
            else:
                figures.turns.append(reply.delay_ms)
                figures.gaps += reply.gaps_ms
        figures.barge_ins += callee.barge_ins_ms
        figures.lateness += callee.lateness_ms
    for record in records:
        for turn in record["transcript"]:
            latency = turn["latency"]
            if latency is None or latency["voice_to_voice_ms"] is None:
                continue
            figures.recorded.append(latency["voice_to_voice_ms"])
            for part in PARTS:
                if latency[part] is not None:
                    figures.parts.setdefault(part, []).append(latency[part])
    return figures


def report(runs: Sequence[Figures]) -> str:
    """All runs side by side, median / p90 in ms."""
    rows: list[list[str]] = []

    def row(name: str, values: Sequence[str]) -> None:
        rows.append([name, *values])

    injected = injected_ms()
    row("voice to voice", [spread(run.turns) for run in runs])
    row(f"  overhead (less {injected:.0f})", [spread([v - injected for v in run.turns]) for run in runs])
    row("  as recorded", [spread(run.recorded) for run in runs])
    for part in PARTS:
        row(_PART_NAMES[part], [spread(run.parts.get(part, [])) for run in runs])
    row("answer to first audio", [spread(run.openings) for run in runs])
    row("  answered at the first ring", [spread(run.hasty_openings) for run in runs])
    row("barge-in to silence", [spread(run.barge_ins) for run in runs])
    row("turns / unanswered", [f"{len(run.turns)} / {run.missing}" for run in runs])
    row("longest gap in a reply", [number(max(run.gaps, default=0.0)) for run in runs])
    row("far end late, p99", [f"{percentile(run.lateness, 0.99):.1f}" for run in runs])
    return table(["ms, median / p90", *(run.title for run in runs)], rows)


def callees(count: int, turns: int, questions: Sequence[Utterance], interruption: Utterance) -> list[Callee]:
    return [
        Callee(
            questions,
            interruption,
            turns=turns,
            barge_in_every=3,
            expected_ms=ANSWER_MS,
            seed=index,
        )
        for index in range(count)
    ]


async def measure(
    exchange: Operator, under_test: Server, count: int, turns: int, spoken: Sequence[Utterance]
) -> Figures:
    """One run of `count` calls, after four short ones, the first of which warms the server up."""
    *questions, interruption = spoken
    exchange.ring_ms = 0
    hasty = callees(4, 0, questions, interruption)
    for callee in hasty:
        callee.hang_up_after_ms = 2500
        await exchange.hold(under_test, [callee])
    exchange.ring_ms = RING_MS
    on_line = callees(count, turns, questions, interruption)
    records = await exchange.hold(under_test, on_line)
    calls = "1 call" if count == 1 else f"{count} calls"
    figures = collect(f"{under_test.name}, {calls}", on_line, records)
    figures.hasty_openings = [
        callee.opening.delay_ms
        for callee in hasty[1:]
        if callee.opening is not None and callee.opening.delay_ms is not None
    ]
    return figures


async def main() -> None:
    parser = argparse.ArgumentParser(description="Where a turn's time goes.")
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 8], help="calls at once, a run each")
    parser.add_argument(
        "--turns", type=int, default=9, help="questions a call; every third answer is interrupted"
    )
    parser.add_argument("--stock", action="store_true", help="the stock pipecat bot beside ours, with 1 call")
    arguments = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.2f}")
    spoken = await asyncio.to_thread(utterances, (*QUESTIONS, INTERRUPTION))
    runs: list[Figures] = []
    async with vendors(core=None) as simulated, operator() as exchange:
        async with server("ours", simulated, exchange.environment, core=None) as ours:
            runs += [await measure(exchange, ours, count, arguments.turns, spoken) for count in arguments.calls]
        if arguments.stock:
            async with server("stock", simulated, exchange.environment, core=None) as stock:
                runs.append(await measure(exchange, stock, 1, arguments.turns, spoken))
    print(report(runs))
    print(f"load after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
