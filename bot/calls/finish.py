"""After a call: complete its record and say in one line how it went."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from loguru import logger

from bot.calls.costs import carrier_usage, engine_usage, prices
from bot.calls.evidence import as_claimed, gated
from bot.conversation.call import CallEnd
from bot.conversation.call_plan import Plan
from bot.conversation.recorder import NOT_GREETED, Greeted
from bot.json_schema import Schema, fits, of_fields
from bot.pipeline.offline.rules.outcome import agreeing, heard_out, rule_outcome, unreached
from bot.records import (
    AnsweredBy,
    CostPart,
    Counts,
    EndedReason,
    Observation,
    Outcome,
    PricedItems,
    Speaker,
    Status,
    Turn,
)
from bot.store import CallChange, SqlCallStore
from bot.store.connections import retry_database

KEPT_WITHIN_SECONDS = 30.0
"""How long, and how often, the end of a call is tried to be kept."""


async def finish(
    store: SqlCallStore,
    plan: Plan,
    end: CallEnd,
    turns: tuple[Turn, ...],
    *,
    answered_at: datetime,
    counts: Counts,
    recording: str = "",
    observations: Sequence[Observation] = (),
    met: Greeted = NOT_GREETED,
) -> Outcome:
    """Keep how the call ended, its outcome by rules and tools, and what it cost so far.

    A model may fill the outcome better; that is `outcome`, later: what waits for the end does not wait for it.
    `recording`: its file's name; "": none is kept.
    """
    now = datetime.now(UTC)
    seconds = (now - answered_at).total_seconds()
    outcome = await asyncio.to_thread(
        outcome_by_rules, plan, turns, ended_reason=end.reason, answered_by=end.answered_by, recorded=end.outcome
    )
    planned = plan.slots.vendors
    stood_in = end.llm is not None and end.llm != planned["llm"]
    person = end.answered_by is AnsweredBy.PERSON
    vendors = {"carrier": plan.carrier, **planned}
    vendors |= {"llm": str(end.llm)} if stood_in else {}
    vendors |= {f"{slot}_fallback": vendor for slot, vendor in end.stood_in.items() if vendors[slot] != vendor}
    change = CallChange(
        vendors=vendors if vendors != {"carrier": plan.carrier, **planned} else None,
        ended_reason=end.reason,
        error=end.error,
        ended_at=now,
        duration_seconds=round(seconds, 3),
        answer_to_first_audio_ms=end.answer_to_first_audio_ms,
        counts=counts,
        answered_by=end.answered_by,
        disclosed_at=end.disclosed_at,
        consent=end.consent,
        observations=observations,
        recording=recording,
        hello_to_first_word_ms=met.hello_to_first_word_ms if person else None,
        abandoned=met.abandoned if person else None,
        outcome=outcome,
        costs=call_costs(plan, seconds, transferred=end.reason is EndedReason.TRANSFERRED, stood_in=end.stood_in),
    )
    await _keep(store, plan.call_id, change, now)
    _log(end, change, turns, outcome)
    return outcome


async def _keep(store: SqlCallStore, call_id: str, change: CallChange, ended_at: datetime) -> None:
    """Also when the database is away for a moment: nothing else knows how the call ended."""

    async def keep() -> None:
        if not await store.advance(call_id, Status.COMPLETED, at=ended_at, change=change):
            await store.update(call_id, change)

    await retry_database(keep, within_seconds=KEPT_WITHIN_SECONDS, longest_pause_seconds=1.0)


def call_costs(
    plan: Plan, seconds: float, *, transferred: bool, stood_in: Mapping[str, str] | None = None
) -> dict[CostPart, PricedItems]:
    """Of a call that was held here for so long, without its opening. `stood_in`: slot → who went on."""
    table = prices()
    local = engine_usage(plan.slots.vendors, round(seconds, 3), stood_in or {})
    costs = {CostPart.CALL: table.priced((*plan.usage.items, *local))}
    if plan.carrier:
        amd = plan.scenario.pickup.amd
        billed = carrier_usage(plan.carrier, plan.direction, plan.spec, seconds, amd=amd, transferred=transferred)
        costs[CostPart.CARRIER] = table.priced(billed)
    return costs


async def keep_opening(store: SqlCallStore, plan: Plan) -> None:
    """Keep what was spent on a call while it rang, answered or not."""
    priced = prices().priced(plan.opening_usage.items)
    await store.update(plan.call_id, CallChange(costs={CostPart.OPENING: priced}))


def outcome_by_rules(
    plan: Plan,
    turns: Sequence[Turn],
    *,
    ended_reason: EndedReason | None,
    answered_by: AnsweredBy | None,
    recorded: Outcome | None = None,
) -> Outcome:
    """The outcome without a model. `recorded`: by tools, during the call."""
    brief, turns = plan.brief, [turn for turn in turns if turn.speaker is not Speaker.BUSINESS]
    if was_reached(turns, answered_by):
        whole = heard_out(turns, ended_reason, brief.language)
        inferred = rule_outcome(
            brief.spec,
            plan.rule_fields(turns),
            whole,
            brief.goal,
            brief.language,
            schema=plan.outcome_schema,
            zone=plan.zone,
        )
    else:
        inferred = unreached(
            ended_reason=ended_reason,
            answered_by=answered_by,
            spoken=any(turn.speaker is Speaker.AGENT for turn in turns),
            language=brief.language,
            names=list(field_schema(plan)["properties"]),
        )
    if recorded is not None:
        inferred = replace(with_recorded(inferred, recorded, plan), source="tools")
    return gated(inferred, plan, turns, answered_by)


def was_reached(turns: Sequence[Turn], answered_by: AnsweredBy | None) -> bool:
    """Whether there was a person, or a menu, to talk to."""
    absent = answered_by in (AnsweredBy.VOICEMAIL, AnsweredBy.UNAVAILABLE, AnsweredBy.NOBODY)
    return not absent and any(turn.speaker is Speaker.CALLEE and turn.text.strip() for turn in turns)


def field_schema(plan: Plan) -> Schema:
    """What the outcome's fields are to be, in plain form."""
    return plan.outcome_schema or of_fields(plan.scenario.outcome)


def with_recorded(inferred: Outcome, kept: Outcome, plan: Plan) -> Outcome:
    """`inferred`, where `kept` has nothing that tools recorded: what was noted during the call counts more.

    A request's schema says which fields there are: what tools recorded beside them stays with their calls.
    """
    kept, properties = as_claimed(kept), field_schema(plan)["properties"]
    recorded = {
        name: kept.fields[name]
        for name in kept.recorded
        if name in kept.fields
        and (plan.outcome_schema is None or (name in properties and fits(properties[name], kept.fields[name])))
    }
    fields = inferred.fields | recorded
    reached, summary, goal = inferred.reached_goal, inferred.summary, plan.scenario.goal
    if "reached_goal" in kept.recorded:
        reached = kept.reached_goal
        if goal in fields and goal not in recorded and fields[goal] is not reached:
            fields[goal] = None  # what is inferred does not contradict it
    if "summary" in kept.recorded and kept.summary:
        summary = kept.summary
    elif inferred.source == "rules":
        language = plan.brief.language
        summary = agreeing(summary, was=inferred.reached_goal, reached=reached, language=language)
    # A quote speaks for what was inferred; beside another value it would speak against it.
    evidence = {
        name: quotes
        for name, quotes in inferred.evidence.items()
        if fields.get(name) is not None and fields[name] == inferred.fields.get(name)
    }
    return replace(
        inferred,
        reached_goal=reached,
        summary=summary,
        fields=fields,
        evidence=evidence,
        recorded=[name for name in kept.recorded if name in recorded or name in ("reached_goal", "summary")],
    )


def _log(end: CallEnd, change: CallChange, turns: tuple[Turn, ...], outcome: Outcome) -> None:
    voices = [t.latency.voice_to_voice_ms for t in turns if t.latency and t.latency.voice_to_voice_ms is not None]
    median = f"{sorted(voices)[len(voices) // 2]:.0f} ms" if voices else "none"
    logger.info(
        "hung up: {}, {:.1f} s, {} turns, {} interruptions, voice to voice {}, goal {}{}",
        end.reason,
        change.duration_seconds or 0.0,
        len(turns),
        change.counts.interruptions if change.counts else 0,
        median,
        "reached" if outcome.reached_goal else "not reached",
        "".join(f", {vendor} stood in as {slot}" for slot, vendor in end.stood_in.items()),
    )
