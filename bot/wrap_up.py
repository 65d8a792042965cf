"""After a call: complete its record and say in one line how it went."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from loguru import logger

from bot.call import CallEnd
from bot.engines.brains import rule_outcome
from bot.plan import Plan
from bot.records import Counts, EndedReason, Outcome, Status, Turn
from bot.store import CallChange, CallStore


async def wrap_up(
    store: CallStore,
    plan: Plan,
    end: CallEnd,
    turns: tuple[Turn, ...],
    *,
    answered_at: datetime,
    counts: Counts,
) -> Outcome:
    """Keep how the call ended. What tools recorded wins over what the rules infer."""
    now = datetime.now(UTC)
    outcome = await asyncio.to_thread(_outcome, plan, end, turns)
    change = CallChange(
        ended_reason=end.reason,
        error=end.error,
        ended_at=now,
        duration_seconds=round((now - answered_at).total_seconds(), 3),
        answer_to_first_audio_ms=end.answer_to_first_audio_ms,
        counts=counts,
        answered_by=end.answered_by,
        outcome=outcome,
    )
    if not await store.advance(plan.call_id, Status.COMPLETED, at=now, change=change):
        await store.update(plan.call_id, change)
    _log(end.reason, change, turns, outcome)
    return outcome


def _outcome(plan: Plan, end: CallEnd, turns: tuple[Turn, ...]) -> Outcome:
    mind = plan.mind
    inferred = rule_outcome(mind.spec, mind.fields, turns, mind.goal, mind.language)
    if end.outcome is None:
        return inferred
    told = end.outcome
    fields = dict(inferred.fields)
    if mind.goal is not None and fields.get(mind.goal) is not told.reached_goal:
        # Whoever was on the call knows better: what is inferred does not contradict it.
        fields.pop(mind.goal, None)
    return Outcome(told.reached_goal, told.summary or inferred.summary, fields | told.fields, source=told.source)


def _log(reason: EndedReason, change: CallChange, turns: tuple[Turn, ...], outcome: Outcome) -> None:
    voices = [t.latency.voice_to_voice_ms for t in turns if t.latency and t.latency.voice_to_voice_ms is not None]
    median = f"{sorted(voices)[len(voices) // 2]:.0f} ms" if voices else "none"
    logger.info(
        "hung up: {}, {:.1f} s, {} turns, {} interruptions, voice to voice {}, goal {}",
        reason,
        change.duration_seconds or 0.0,
        len(turns),
        change.counts.interruptions if change.counts else 0,
        median,
        "reached" if outcome.reached_goal else "not reached",
    )
