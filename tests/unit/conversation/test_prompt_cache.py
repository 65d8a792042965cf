"""What a cache keeps of a scenario's prompt by the simulator's accounting: a prefix over tools, system, turns."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pipecat.processors.aggregators.llm_context import LLMContext

from bot.conversation.call_plan import Plan, choose
from bot.conversation.fillers import Bridge
from bot.conversation.scenario.scenario import Scenario, Scenarios
from bot.conversation.toolbox import Toolbox
from bot.pipeline.llm.claude import ClaudeModel
from bot.pipeline.llm.strict_tools import strictly
from bot.records import CallSpec, Direction
from bot.settings import Settings
from tests.simulators.messages import PromptCache, Usage
from tests.unit.conversation.tools.control import NotedControl

SCENARIOS = Scenarios.load(Path("pipelines"))
WRITE, READ = 1.25, 0.1
"""Prices of cached tokens, of a fresh one's (platform.claude.com, "Prompt caching")."""


async def body(scenario: Scenario, number: str, *turns: str, max_tokens: int = 400) -> dict[str, Any]:
    """The request of a call to `number` behind these turns, the callee's first."""
    plan = Plan(
        "call-1",
        CallSpec(
            number, scenario.name, action="Confirm the visit.", context=f"For {number}.", callee_name=number
        ),
        Direction.OUTBOUND,
        scenario,
        choose(scenario, Settings(_env_file=None), simulated_line=True),
    )
    bridge = Bridge((), after_seconds=1.0, say=lambda _: False, working=lambda _: None)
    box = Toolbox(scenario, NotedControl(), used=lambda *_: None, ending=lambda: False, bridge=bridge)
    roles = ("user", "assistant")
    messages: Any = [{"role": roles[n % 2], "content": text} for n, text in enumerate(turns)]
    brief = plan.brief
    client: Any = SimpleNamespace()
    model = ClaudeModel("claude-haiku-4-5", max_tokens, brief.instructions, client, shared=brief.shared)
    params = await model.params(LLMContext(messages, box.schemas()))
    return {**params, "tools": strictly(params["tools"])}


def price(usage: Usage) -> float:
    return usage.input_tokens + WRITE * usage.cache_creation_input_tokens + READ * usage.cache_read_input_tokens


async def call(cache: PromptCache, scenario: Scenario, number: str, *, warm: bool) -> tuple[float, list[Usage]]:
    """The price of a call's prompts in fresh tokens, and what its requests read; `warm`: one while it rings."""
    said = ("(The line is open.)", "Hello, this is Alex.", "Yes?", "Does Thursday still work?", "Yes, it does.")
    asked = [said[:3], said[:5]]
    spent = price(cache.account(await body(scenario, number, "Hi", max_tokens=1))) if warm else 0.0
    usages = [cache.account(await body(scenario, number, *turns)) for turns in asked]
    return spent + sum(map(price, usages)), usages


async def test_the_next_call_of_a_scenario_reads_what_they_share_and_nothing_else() -> None:
    scenario = SCENARIOS.get("appointment_confirmation")
    cache = PromptCache(minimum_tokens=500)
    _, first = await call(cache, scenario, "+12025550123", warm=False)
    _, second = await call(cache, scenario, "+13105550123", warm=False)
    shared = second[0].cache_read_input_tokens
    assert first[0].cache_read_input_tokens == 0
    assert first[1].cache_read_input_tokens > shared, "the call's own turns"
    assert 0.5 < shared / second[0].total < 0.95


@pytest.mark.parametrize("name", SCENARIOS.names)
async def test_no_shipped_scenario_is_long_enough_for_the_newest_small_models(name: str) -> None:
    """4,096 tokens for Haiku 4.5: warming a cache that keeps nothing only costs."""
    scenario = SCENARIOS.get(name)
    cold, _ = await call(PromptCache(minimum_tokens=4096), scenario, "+12025550123", warm=False)
    warm, read = await call(PromptCache(minimum_tokens=4096), scenario, "+12025550123", warm=True)
    assert all(usage.cache_read_input_tokens == 0 for usage in read)
    assert warm > cold * 1.3


async def test_where_a_prefix_is_kept_warming_costs_more_and_spares_the_first_reply_alone() -> None:
    scenario = SCENARIOS.get("appointment_confirmation")
    cold, unread = await call(PromptCache(minimum_tokens=500), scenario, "+12025550123", warm=False)
    warm, read = await call(PromptCache(minimum_tokens=500), scenario, "+12025550123", warm=True)
    assert warm > cold
    assert unread[0].cache_read_input_tokens == 0 < read[0].cache_read_input_tokens
    busy = PromptCache(minimum_tokens=500)
    await call(busy, scenario, "+13105550123", warm=False)
    _, next_call = await call(busy, scenario, "+12025550123", warm=False)
    assert next_call[0].cache_read_input_tokens > 0, "a call within five minutes of another is warm by itself"
