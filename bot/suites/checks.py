"""What was expected of a call, against its record. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot.calls.costs import total_usd
from bot.records import CallRecord, Speaker, ToolUse
from bot.suites.suite import Expect, Matches, UsedTool, Wanted, fits


@dataclass(frozen=True)
class Check:
    """One expectation. `passed` None: it could not be judged, which is no pass."""

    what: str
    passed: bool | None
    found: str = ""
    """What was there instead, or the words that carry it."""


def checked(expect: Expect, record: CallRecord, *, audio: bool) -> list[Check]:
    """Every expectation of a case, in the order of the model."""
    outcome, tools, end = _outcome(expect, record), _tools(expect, record), _end(expect, record)
    return [*outcome, *tools, *end, *_words(expect, record), *_figures(expect, record, audio=audio)]


def _outcome(expect: Expect, record: CallRecord) -> Iterator[Check]:
    outcome = record.outcome
    fields = {} if outcome is None else outcome.fields
    if expect.reached_goal is not None:
        reached = outcome is not None and outcome.reached_goal
        summary = "" if outcome is None else f": {outcome.summary}"
        found = f"{'reached' if reached else 'not reached'}{summary}"
        yield Check(f"reached_goal = {_toml(expect.reached_goal)}", reached is expect.reached_goal, found)
    for name, wanted in expect.fields.items():
        value = fields.get(name)
        claimed = outcome is not None and name in outcome.claimed
        more = " (claimed, without the callee's words)" if claimed else ""
        yield Check(f"{name} {_wanted(wanted)}", fits(wanted, value), f"{_value(value)}{more}")
    for name in expect.unset:
        yield Check(f"{name} is not known", fields.get(name) is None, _value(fields.get(name)))


def _tools(expect: Expect, record: CallRecord) -> Iterator[Check]:
    uses = [use for turn in record.turns for use in turn.tools]
    named = ", ".join(_use(use) for use in uses) or "no tool was called"
    for wanted in expect.called:
        tool = UsedTool(name=wanted) if isinstance(wanted, str) else wanted
        times = sum(_is(tool, use) for use in uses)
        count = "" if tool.times is None else f" {tool.times} times"
        passed = times == tool.times if tool.times is not None else times > 0
        yield Check(f"calls {_tool(tool)}{count}", passed, named)
    for wanted in expect.never_called:
        tool = UsedTool(name=wanted) if isinstance(wanted, str) else wanted
        yield Check(f"never calls {_tool(tool)}", not any(_is(tool, use) for use in uses), named)


def _end(expect: Expect, record: CallRecord) -> Iterator[Check]:
    if expect.status is not None:
        yield Check(f"status = {expect.status}", record.status is expect.status, str(record.status))
    if expect.ended_reason is not None:
        reasons = expect.ended_reason if isinstance(expect.ended_reason, tuple) else (expect.ended_reason,)
        passed, error = record.ended_reason in reasons, f": {record.error}" if record.error else ""
        yield Check(f"ended_reason = {' or '.join(reasons)}", passed, f"{record.ended_reason}{error}")
    if expect.answered_by is not None:
        passed = record.answered_by is expect.answered_by
        yield Check(f"answered_by = {expect.answered_by}", passed, str(record.answered_by))


def _words(expect: Expect, record: CallRecord) -> Iterator[Check]:
    agent, callee = spoken(record, Speaker.AGENT), spoken(record, Speaker.CALLEE)
    for pattern in expect.said:
        yield Check(f"says {pattern!r}", _in(pattern, agent), "the agent did not say it")
    for pattern in expect.never_said:
        found = _in(pattern, agent)
        yield Check(f"never says {pattern!r}", not found, _around(pattern, agent) if found else "")
    for pattern in expect.callee_said:
        yield Check(f"the callee says {pattern!r}", _in(pattern, callee), "the callee did not say it")


def _figures(expect: Expect, record: CallRecord, *, audio: bool) -> Iterator[Check]:
    if expect.seconds_at_most is not None:
        seconds = record.duration_seconds or 0.0
        yield Check(
            f"lasts {expect.seconds_at_most:g} s at most", seconds <= expect.seconds_at_most, f"{seconds:.1f} s"
        )
    if expect.interruptions_at_most is not None:
        cut = record.counts.interruptions
        yield Check(
            f"{expect.interruptions_at_most} interruptions at most", cut <= expect.interruptions_at_most, str(cut)
        )
    if expect.cost_usd_at_most is not None:
        cost = total_usd(record.costs)
        # Without a vendor nothing is billed; with a price that nobody knows nothing can be said.
        known = cost if cost is not None or any(part.items for part in record.costs.values()) else 0.0
        passed = None if known is None else known <= expect.cost_usd_at_most
        yield Check(
            f"costs {expect.cost_usd_at_most:g} USD at most", passed, "unknown" if known is None else f"{known:g}"
        )
    if expect.latency_p90_ms is not None:
        what = f"latency p90 {expect.latency_p90_ms:g} ms at most"
        if not audio:
            yield Check(what, None, "not measured in text")
            return
        slowest = p90(record)
        yield Check(what, slowest is not None and slowest <= expect.latency_p90_ms, _ms(slowest))


def p90(record: CallRecord) -> float | None:
    """Voice to voice, of nine replies in ten."""
    known = sorted(
        turn.latency.voice_to_voice_ms
        for turn in record.turns
        if turn.latency is not None and turn.latency.voice_to_voice_ms is not None
    )
    return known[math.ceil(0.9 * len(known)) - 1] if known else None


def spoken(record: CallRecord, who: Speaker) -> str:
    return "\n".join(turn.text for turn in record.turns if turn.speaker is who)


def _in(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def _around(pattern: str, text: str) -> str:
    line = next(line for line in text.split("\n") if _in(pattern, line))
    return f"it said: {line!r}"


def _is(tool: UsedTool, use: ToolUse) -> bool:
    return use.name == tool.name and arguments_fit(tool.arguments, use.arguments)


def arguments_fit(wanted: Mapping[str, Wanted], given: Mapping[str, Any]) -> bool:
    """Whether the arguments hold what is wanted; others may stand beside it."""
    return all(name in given and fits(value, given[name]) for name, value in wanted.items())


def _tool(tool: UsedTool) -> str:
    return f"{tool.name}({', '.join(f'{name} {_wanted(value)}' for name, value in tool.arguments.items())})"


def _use(use: ToolUse) -> str:
    return f"{use.name}({', '.join(f'{name}={_value(value)}' for name, value in use.arguments.items())})"


def _wanted(wanted: Wanted) -> str:
    return f"matches {wanted.matches!r}" if isinstance(wanted, Matches) else f"= {_toml(wanted)}"


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _value(value: object) -> str:
    return "not known" if value is None else _toml(value)


def _ms(value: float | None) -> str:
    return "no reply was timed" if value is None else f"{value:.0f} ms"
