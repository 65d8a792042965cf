"""Does the agent behave on the line: a fixed set of situations in audio, each right or wrong, and its delay.

    python -m tests.benchmarks.conversation [--only NAME …] [--quick] [--repeat N] [--lanes N] [--no-stock]

Each situation is a whole call: the API places it, Twilio, Deepgram, Claude and ElevenLabs are simulators on
loopback sockets, and everything is judged at the callee's ear: what the telephone played, when, with the
messages of the stream, the record over the API and the simulators' logs beside it. Beside them the same turns
are held by our server and by pipecat's stock pipeline, at the same time and with the same vendors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger

from bot.records import AnsweredBy
from tests.benchmarks.acts import AgentQuiet, HangUp, Noise, Pause, Say
from tests.benchmarks.evidence import Evidence, timeline
from tests.benchmarks.figures import median, number, percentile, spread, table
from tests.benchmarks.lane import Lane, lane
from tests.benchmarks.rules import TakenFor
from tests.benchmarks.situations import ALL
from tests.benchmarks.situations.situation import Situation
from tests.benchmarks.sounds import SoundMaker, floor

LANES = 3
"""Calls at a time."""
BAR = 0.97
"""The issue: at least this share right."""
FASTER = 0.30
"""The issue: voice to voice at least so far below stock."""
TURNS = (
    Say("What time is my appointment on Thursday?"),
    Say("Yes, that works for me."),
    Say("How much does a visit cost?"),
    Say("Is it all right if I bring my daughter along?"),
    Say("Yes."),
    Say("Do I have to bring my insurance card?"),
)
"""Held by both: plain sentences, which no detector should find hard."""


@dataclass(frozen=True)
class Verdict:
    """One situation, once. `delay_ms` is the first rule's that has one."""

    situation: Situation
    right: bool
    why: str
    delay_ms: float | None
    answered_by: str | None
    """As the record says."""
    late_ms: float
    """Of the far end itself, the 99th percentile: above some ms the machine was too busy to tell."""


def judge(situation: Situation, evidence: Evidence) -> Verdict:
    """All rules hold, or the first that does not says why."""
    late = percentile(evidence.phone.lateness_ms, 0.99) if evidence.phone.lateness_ms else math.nan
    if evidence.trouble is not None:
        return Verdict(situation, False, evidence.trouble, None, None, late)
    delay: float | None = None
    reasons: list[str] = []
    for rule in situation.rules:
        try:
            judgement = rule.judge(evidence)
        except LookupError as error:
            reasons.append(str(error.args[0]))
            continue
        if not judgement.right:
            reasons.append(f"{type(rule).__name__}: {judgement.why}")
        delay = judgement.delay_ms if delay is None else delay
    who = evidence.record.get("answered_by")
    return Verdict(situation, not reasons, "; ".join(reasons), delay, who, late)


def record(sound_maker: SoundMaker, situations: Sequence[Situation]) -> None:
    """Make every sound beforehand: while calls are held, nothing else may take the machine's time."""
    sound_maker.open()
    for situation in situations:
        floor(situation.circuit.noise, situation.circuit.snr_db)
        for act in situation.acts:
            if isinstance(act, Say | Noise):
                sound_maker.sound(act)


async def run(lanes: Sequence[Lane], situations: Sequence[Situation], *, show: bool = False) -> list[Verdict]:
    """Every situation once, in the order given, as lanes become free."""
    todo = list(enumerate(situations))
    verdicts: dict[int, Verdict] = {}

    async def work(on: Lane) -> None:
        while todo:
            index, situation = todo.pop(0)
            evidence = await on.talk(situation, seed=index)
            verdict = await asyncio.to_thread(judge, situation, evidence)
            verdicts[index] = verdict
            mark = "right" if verdict.right else "WRONG"
            delay = "" if verdict.delay_ms is None else f"{verdict.delay_ms:.0f} ms"
            if show:
                print(timeline(evidence), file=sys.stderr)
            print(f"{mark}  {situation.theme}: {situation.name}  {delay}  {verdict.why}", file=sys.stderr)

    async with asyncio.TaskGroup() as group:
        for on in lanes:
            group.create_task(work(on))
    return [verdicts[index] for index in sorted(verdicts)]


def same_turns(order: Sequence[Say], seed: int) -> Situation:
    """A call of plain turns. Its pauses shift with `seed`, so that frames do not fall in step."""
    acts = [part for say in order for part in (Pause(200 + 20 * (seed % 7)), say, AgentQuiet(pause_ms=900))]
    return Situation("same turns", "voice to voice", (AgentQuiet(pause_ms=900), *acts, HangUp()), ())


def turn_delays(evidence: Evidence) -> list[float]:
    """Voice to voice of every turn; infinite for one never answered, or spoken into."""
    delays: list[float] = []
    for spoken in evidence.phone.happened:
        onset = evidence.onset_after(spoken.end_ms)
        spoken_into = evidence.sounding_ms(spoken.start_ms, spoken.end_ms) > 0
        delays.append(math.inf if onset is None or spoken_into else onset - spoken.end_ms)
    return delays


async def side_by_side(
    on: Lane, beside: Lane, calls: int, *, show: bool = False
) -> tuple[list[float], list[float]]:
    """Voice to voice of ours and of stock: the same turns at the same time."""
    ours: list[float] = []
    stock: list[float] = []
    for call in range(calls):
        order = [*TURNS[call % len(TURNS) :], *TURNS[: call % len(TURNS)]]
        situation = same_turns(order, call)
        held, held_by_stock = await asyncio.gather(
            on.talk(situation, seed=2 * call), beside.talk_with_stock(situation, seed=2 * call + 1)
        )
        if show:
            print(timeline(held), file=sys.stderr)
        ours += turn_delays(held)
        stock += turn_delays(held_by_stock)
    return ours, stock


def report(verdicts: Sequence[Verdict]) -> str:
    """The table, the themes, the share right."""
    rows = [
        [
            f"{verdict.situation.theme}: {verdict.situation.name}",
            "right" if verdict.right else "WRONG",
            "-" if verdict.delay_ms is None else number(verdict.delay_ms),
            number(verdict.late_ms),
            verdict.why[:110] or "-",
        ]
        for verdict in verdicts
    ]
    parts = [table(["situation", "", "delay, ms", "far end late, ms", "what went wrong"], rows)]
    themes = list(dict.fromkeys(verdict.situation.theme for verdict in verdicts))
    summary = []
    for theme in themes:
        of_theme = [verdict for verdict in verdicts if verdict.situation.theme == theme]
        delays = [verdict.delay_ms for verdict in of_theme if verdict.right and verdict.delay_ms is not None]
        right = sum(verdict.right for verdict in of_theme)
        summary.append([theme, f"{right} / {len(of_theme)}", spread(delays)])
    parts.append(table(["theme", "right", "delay, median / p90"], summary))
    right = sum(verdict.right for verdict in verdicts)
    share = right / max(1, len(verdicts))
    parts.append(f"right: {right} of {len(verdicts)}, {100 * share:.0f} % (the bar: {100 * BAR:.0f} %)")
    parts += [confusion(verdicts)] if confusion(verdicts) else []
    late = [verdict.late_ms for verdict in verdicts if not math.isnan(verdict.late_ms)]
    parts.append(f"the far end was late by {max(late, default=0):.1f} ms at p99 in the worst call")
    return "\n\n".join(parts)


def confusion(verdicts: Sequence[Verdict]) -> str:
    """Who was there, a row each, and who they were taken for; of the situations that say who is there."""
    rules = [(rule, verdict.answered_by) for verdict in verdicts for rule in verdict.situation.rules]
    told = [(rule.who, found) for rule, found in rules if isinstance(rule, TakenFor)]
    if not told:
        return ""
    rows = [
        [str(who), *(str(sum(pair == (who, other) for pair in told) or "") for other in AnsweredBy)]
        for who in AnsweredBy
    ]
    right = sum(who == found for who, found in told)
    matrix = table(["there, taken for", *map(str, AnsweredBy)], rows)
    return f"{matrix}\n\nwho answered: {right} of {len(told)} right"


def compared(ours: Sequence[float], stock: Sequence[float]) -> str:
    """Voice to voice side by side."""

    def row(name: str, delays: Sequence[float]) -> list[str]:
        lost = sum(math.isinf(delay) for delay in delays)
        return [name, number(median(delays)), number(percentile(delays, 0.9)), str(len(delays)), str(lost)]

    rows = [row("ours", ours), row("stock pipecat", stock)]
    saved = 1 - median(ours) / median(stock)
    told = table(["voice to voice, ms", "median", "p90", "turns", "unanswered"], rows)
    return f"{told}\n\nmedian: {100 * saved:.0f} % below stock (the bar: {100 * FASTER:.0f} %)"


def chosen(only: Sequence[str], quick: bool) -> list[Situation]:
    """By name or theme, or a part of it; `quick`: the first two of each theme."""
    found = [
        situation
        for situation in ALL
        if not only or any(part in f"{situation.theme}: {situation.name}" for part in only)
    ]
    if not quick:
        return found
    seen: dict[str, int] = {}
    kept: list[Situation] = []
    for situation in found:
        seen[situation.theme] = seen.get(situation.theme, 0) + 1
        if seen[situation.theme] <= 2:
            kept.append(situation)
    return kept


async def main() -> None:
    parser = argparse.ArgumentParser(description="Does the agent behave on the line.")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="a name or theme, or a part of one")
    parser.add_argument("--quick", action="store_true", help="two situations a theme, two calls beside stock")
    parser.add_argument("--repeat", type=int, default=1, help="so often each")
    parser.add_argument("--lanes", type=int, default=LANES, help="calls at a time")
    parser.add_argument("--calls", type=int, default=None, help="calls beside stock")
    parser.add_argument("--stock", action=argparse.BooleanOptionalAction, default=None, help="the comparison")
    parser.add_argument("--show", action="store_true", help="each call's timeline, to stderr")
    arguments = parser.parse_args()
    with_stock = not arguments.only if arguments.stock is None else arguments.stock
    situations = chosen(arguments.only, arguments.quick) * arguments.repeat
    calls = arguments.calls or (2 if arguments.quick else 4)
    logger.remove()
    print(f"load before: {os.getloadavg()[0]:.2f}")
    sound_maker = SoundMaker()
    await asyncio.to_thread(record, sound_maker, [*situations, same_turns(TURNS, 0)])
    try:
        async with contextlib.AsyncExitStack() as stack:
            if situations:
                lanes = await asyncio.gather(
                    *(
                        stack.enter_async_context(lane(sound_maker))
                        for _ in range(min(arguments.lanes, len(situations)))
                    )
                )
                print(report(await run(lanes, situations, show=arguments.show)))
            if with_stock:
                on = lanes[0] if situations else await stack.enter_async_context(lane(sound_maker))
                beside = await stack.enter_async_context(lane(sound_maker, names=("stock",)))
                print(compared(*await side_by_side(on, beside, calls, show=arguments.show)))
    finally:
        sound_maker.close()
    print(f"load after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
