"""Fills the outcomes of ended calls, and completes what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loguru import logger

from bot.calls.costs import prices
from bot.calls.evidence import as_claimed, gated
from bot.calls.finish import call_costs, field_schema, outcome_by_rules, was_reached, with_recorded
from bot.calls.outcome import form, reading
from bot.calls.planner import Planner
from bot.conversation.call_plan import Plan
from bot.conversation.notes import recorded_in
from bot.errors import UnknownScenarioError
from bot.pipeline.llm.vendors import Claude
from bot.pipeline.offline.rules.values import READERS, Frame
from bot.pipeline.resources import Resources
from bot.pipeline.usage import Usage
from bot.records import CallRecord, CostPart, EndedReason, Outcome, PricedItems
from bot.store import CallChange, SqlCallStore

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

    from bot.calls.outcome.asking import Asker


def build_asker(
    client: AsyncAnthropic, models: Sequence[str], usage: Usage, waits: Sequence[float] | None
) -> Asker:
    from bot.calls.outcome.asking import WAITS, Asker  # imports the SDK

    return Asker(client, models, usage, waits=WAITS if waits is None else waits)


class CallReader:
    """Reads a call with the model that held it. `waits`: seconds before each request; None: asking's own."""

    def __init__(self, resources: Resources, waits: Sequence[float] | None = None) -> None:
        self._resources = resources
        self._waits = waits

    async def outcome_of(self, record: CallRecord, plan: Plan, usage: Usage) -> Outcome:
        """By the model, where the call was held by one and there is something to read."""
        by_rules = record.outcome or await _by_rules(record, plan)
        done = by_rules.source == "claude" or by_rules.analysis_error is not None
        client, models = self._resources.anthropic, self._models(plan)
        if done or client is None or not models or not was_reached(record.turns, record.answered_by):
            return by_rules
        fields = field_schema(plan)
        noted = as_claimed(by_rules)
        recorded = {name: noted.fields[name] for name in noted.recorded if name in noted.fields}
        if "reached_goal" in noted.recorded:
            recorded["reached_goal"] = noted.reached_goal
        try:
            answer = await build_asker(client, models, usage, self._waits).ask(
                form.system_prompt(plan), form.call_text(plan, record, recorded), form.answer_schema(fields)
            )
        except reading.AnalysisError as e:
            logger.error("call {} keeps its outcome by {}: {}", record.call_id, by_rules.source, e)
            return replace(by_rules, analysis_error=str(e))
        outcome = reading.outcome_of(
            _in_normal_form(answer, plan, plan.frame_of(record.turns)),
            fields,
            record.turns,
            goal=plan.scenario.goal,
            otherwise=by_rules,
        )
        if outcome is None:
            logger.error("call {} keeps its outcome by {}: an empty form", record.call_id, by_rules.source)
            return replace(by_rules, analysis_error="the model's answer does not fill the form")
        whole = with_recorded(outcome, by_rules, plan)
        return await asyncio.to_thread(gated, whole, plan, record.turns, record.answered_by)

    def _models(self, plan: Plan) -> list[str]:
        """The scenario's Claude models, in the order they are asked; none where rules hold its calls."""
        if not isinstance(plan.slots.llm, Claude):
            return []
        settings = self._resources.settings
        return [member.model_name(settings) for member in plan.slots.llms if isinstance(member, Claude)]


class Analyst:
    """One process's. `waits`: seconds before each request to the model; None: asking's own."""

    def __init__(
        self, *, resources: Resources, planner: Planner, store: SqlCallStore, waits: Sequence[float] | None = None
    ) -> None:
        self._planner = planner
        self._store = store
        self._reader = CallReader(resources, waits)

    async def keep(self, call: CallRecord) -> None:
        """Analyse an ended call and keep its outcome. May be done again: no model is asked twice.

        Raises only what the store raises.
        """
        record = await self._store.get(call.call_id)
        if record is None:
            return
        try:
            plan = self._planner.plan(record)
        except UnknownScenarioError as e:
            logger.warning("call {} is not analysed: {}", record.call_id, e.message)
            return
        usage = Usage()
        outcome = await self._reader.outcome_of(record, plan, usage)
        costs = dict(_missing_costs(record, plan))
        if usage.items:
            costs[CostPart.ANALYSIS] = prices().priced(usage.items)
        changed = None if outcome == record.outcome else outcome
        if changed is not None or costs:
            await self._store.update(record.call_id, CallChange(outcome=changed, costs=costs))

    async def settle(self, call: CallRecord) -> None:
        """Keep what is known of an ended call at once: the rules' outcome where it has none, the carrier's bill.

        A call that was held has both from its end; this is for one that was never answered, or that a killed
        process left. No vendor is asked.
        """
        try:
            plan = self._planner.plan(call)
        except UnknownScenarioError:
            return
        outcome = await _by_rules(call, plan) if call.outcome is None else None
        costs = _missing_costs(call, plan)
        if outcome is not None or costs:
            await self._store.update(call.call_id, CallChange(outcome=outcome, costs=costs))


async def _by_rules(record: CallRecord, plan: Plan) -> Outcome:
    """As the end of the call would have filled it, from what is kept."""
    why, who = record.ended_reason, record.answered_by
    recorded = await recorded_in(record.turns, plan.scenario, plan.frame_of(record.turns))
    return await asyncio.to_thread(
        outcome_by_rules, plan, record.turns, ended_reason=why, answered_by=who, recorded=recorded
    )


def _in_normal_form(answer: dict[str, Any], plan: Plan, frame: Frame) -> dict[str, Any]:
    """The model's answer with the scenario's phone numbers, dates … normalised; what is none is null."""
    fields = answer.get("fields")
    if not isinstance(fields, dict) or plan.outcome_schema is not None:
        return answer
    read = dict(fields)
    for field in plan.scenario.outcome:
        if field.type in READERS and read.get(field.name) is not None:
            try:
                read[field.name] = field.value_of(read[field.name], frame)
            except ValueError:
                read[field.name] = None
    return {**answer, "fields": read}


def _missing_costs(record: CallRecord, plan: Plan) -> dict[CostPart, PricedItems]:
    """The carrier's part of the costs, for an answered call that no process held to its end."""
    if CostPart.CARRIER in record.costs or record.answered_at is None or record.duration_seconds is None:
        return {}
    transferred = record.ended_reason is EndedReason.TRANSFERRED
    costs = call_costs(plan, record.duration_seconds, transferred=transferred)
    return {part: priced for part, priced in costs.items() if part is CostPart.CARRIER}
