"""Claude against the simulator: every tool call of a reply runs, whatever the reply looks like."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    FunctionCallResultProperties,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams
from pydantic import SecretStr, TypeAdapter, ValidationError

from bot.pipeline.line.line_ends import HeardTextFrame
from bot.pipeline.llm.service import FallbackLLMService
from bot.pipeline.llm.vendors import Claude, Llm, LlmBrief, Rules, build, offline
from bot.pipeline.offline.rules.llm import RuleLLMService
from bot.pipeline.resources import Resources
from bot.pipeline.turns.context import AssistantContext
from bot.records import CallSpec
from bot.settings import Settings
from tests.simulators.anthropic import AnthropicLatency, AnthropicSimulator
from tests.simulators.llm_replies import Reply, ScriptedReplies, ToolUse
from tests.unit.pipeline.conversation import Collector, Diary, running, until

QUICK = AnthropicLatency(headers_ms=5, first_token_ms=10, tokens_per_second=2000)
BRIEF = LlmBrief(CallSpec("+12025550123", "survey"), "Be brief.", (), frozenset(), None)
NAMES = ("record_outcome", "take_message", "end_call")


class Tools:
    """Three tools; each call is noted. None of them makes the model go on unless `go_on`."""

    def __init__(self, llm: Any, *, go_on: bool) -> None:
        self.used: list[tuple[str, dict[str, Any], str]] = []
        self._go_on = go_on
        for name in NAMES:
            llm.register_function(name, self._use)

    async def _use(self, params: FunctionCallParams) -> None:
        self.used.append((params.function_name, dict(params.arguments), params.tool_call_id))
        go_on = FunctionCallResultProperties(run_llm=self._go_on)
        await params.result_callback({"ok": params.function_name}, properties=go_on)


@asynccontextmanager
async def claude(
    *replies: Reply | str, go_on: bool = False, brief: LlmBrief = BRIEF
) -> AsyncIterator[tuple[AnthropicSimulator, Any, Any, Any]]:
    """Simulator, tools, collector and a function that asks."""
    async with (
        AnthropicSimulator(ScriptedReplies(list(replies)), latency=QUICK) as sim,
        AsyncAnthropic(api_key="k", base_url=sim.url, max_retries=0, timeout=5) as client,
    ):
        settings = Settings(_env_file=None, anthropic_api_key=SecretStr("k"))
        (llm,) = build([Claude()], Resources(settings, anthropic=client), brief)
        assert isinstance(llm, FallbackLLMService)
        tools = Tools(llm, go_on=go_on)
        collector = Collector()
        schemas = [
            FunctionSchema(name, name, {"note": {"type": "string", "description": "any"}}, []) for name in NAMES
        ]
        context = LLMContext(
            messages=[{"role": "user", "content": "hello"}], tools=ToolsSchema(standard_tools=list(schemas))
        )
        stages = [llm, collector, AssistantContext(context, Diary())]
        async with running(stages) as pipeline:

            async def ask() -> None:
                await pipeline.queue(LLMContextFrame(context))

            yield sim, tools, collector, ask


async def test_both_tools_of_a_parallel_reply_run_with_their_own_arguments() -> None:
    reply = Reply(
        "Goodbye.",
        (
            ToolUse("record_outcome", {"note": "a", "nested": {"n": [1, "é"]}}, id="toolu_1"),
            ToolUse("take_message", {"note": "b"}, id="toolu_2"),
            ToolUse("end_call", {}, id="toolu_3"),
        ),
    )
    async with claude(reply) as (sim, tools, collector, ask):
        await ask()
        await until(lambda: len(tools.used) == 3)
        assert sorted(tools.used, key=lambda use: use[2]) == [
            ("record_outcome", {"note": "a", "nested": {"n": [1, "é"]}}, "toolu_1"),
            ("take_message", {"note": "b"}, "toolu_2"),
            ("end_call", {}, "toolu_3"),
        ]
        assert "".join(frame.text for frame in collector.of(LLMTextFrame)) == "Goodbye."
        assert sim.rejected == []


async def test_a_tool_whose_arguments_are_not_json_is_not_run_and_the_model_is_told() -> None:
    uses = (ToolUse("take_message", raw='{"note": "a'), ToolUse("record_outcome", {"note": "b"}))
    async with claude(Reply("", uses), "Once more.", go_on=True) as (sim, tools, collector, ask):
        await ask()
        await until(lambda: len(collector.of(LLMFullResponseEndFrame)) == 2)
        assert [use[0] for use in tools.used] == ["record_outcome"]
        assert "not a JSON object" in str(sim.exchanges[1].request.messages)
        assert sim.rejected == []


async def test_the_same_tool_twice_runs_twice() -> None:
    uses = (ToolUse("take_message", {"note": "a"}), ToolUse("take_message", {"note": "b"}))
    async with claude(Reply("", uses)) as (_, tools, _collector, ask):
        await ask()
        await until(lambda: len(tools.used) == 2)
        assert {use[1]["note"] for use in tools.used} == {"a", "b"}
        assert len({use[2] for use in tools.used}) == 2


async def test_the_results_of_all_tools_go_back_with_one_request() -> None:
    uses = (ToolUse("record_outcome", {"note": "a"}, id="t1"), ToolUse("take_message", {"note": "b"}, id="t2"))
    async with claude(Reply("", uses), "Noted.", go_on=True) as (sim, tools, collector, ask):
        await ask()
        await until(lambda: len(collector.of(LLMFullResponseEndFrame)) == 2)
        assert len(tools.used) == 2
        assert sim.rejected == []
        assert len(sim.exchanges) == 2
        answered = [
            block["tool_use_id"]
            for message in sim.exchanges[1].request.messages
            for block in message["content"]
            if isinstance(block, dict) and block["type"] == "tool_result"
        ]
        assert sorted(answered) == ["t1", "t2"]


async def test_blocks_of_an_earlier_reply_do_not_run_again() -> None:
    first = Reply("", (ToolUse("record_outcome", {"note": "a"}),))
    second = Reply("", (ToolUse("end_call", {}),))
    async with claude(first, second) as (_, tools, _collector, ask):
        await ask()
        await until(lambda: len(tools.used) == 1)
        await ask()
        await until(lambda: len(tools.used) == 2)
        assert [use[0] for use in tools.used] == ["record_outcome", "end_call"]


@pytest.mark.parametrize(("text", "said"), [("Goodbye.", True), ("", False)])
async def test_a_tool_can_tell_whether_its_reply_says_something(text: str, said: bool) -> None:
    async with claude(Reply(text, (ToolUse("end_call", {}),))) as (_, tools, collector, ask):
        await ask()
        await until(lambda: len(tools.used) == 1)
        llm = collector._prev
        assert isinstance(llm, FallbackLLMService)
        assert llm.reply_has_text is said


async def test_the_prompt_is_the_minds_and_is_cached() -> None:
    async with claude("Hi.") as (sim, _tools, collector, ask):
        await ask()
        await until(lambda: bool(collector.of(LLMFullResponseEndFrame)))
        (exchange,) = sim.exchanges
        assert exchange.request.system == "Be brief."
        assert exchange.request.model == "claude-haiku-5-5"
        assert exchange.request.body["max_tokens"] == 400
        assert "cache_control" in str(exchange.request.body)
        assert HeardTextFrame not in {type(frame) for frame in collector.down}


def test_the_menu_of_minds() -> None:
    menu: TypeAdapter[Any] = TypeAdapter(Llm)
    assert menu.validate_python({"vendor": "anthropic", "model": "claude-sonnet-4-6"}) == Claude(
        model="claude-sonnet-4-6"
    )
    assert menu.validate_python({"vendor": "rules"}) == Rules() == offline()
    local = {"vendor": "openai_compatible", "base_url": "http://127.0.0.1:11434/v1/", "model": "qwen3:4b"}
    assert menu.validate_python(local).base_url == "http://127.0.0.1:11434/v1"
    for wrong in (
        {"vendor": "openai"},
        {"vendor": "rules", "model": "x"},
        {"vendor": "anthropic", "max_tokens": 1},
        local | {"base_url": "127.0.0.1:11434"},
        local | {"api_key": "sk-in-the-file"},
        {"vendor": "openai_compatible", "model": "qwen3:4b"},
    ):
        with pytest.raises(ValidationError):
            menu.validate_python(wrong)
    empty = Settings(_env_file=None, anthropic_api_key=None)
    assert Claude().missing(empty) == ["ANTHROPIC_API_KEY"]
    assert Rules().missing(empty) == []


def test_the_rules_need_no_client() -> None:
    (service,) = build([Rules()], Resources(Settings(_env_file=None)), BRIEF)
    assert isinstance(service, RuleLLMService)


async def test_the_shared_part_of_the_prompt_is_a_block_of_its_own_that_is_cached() -> None:
    async with claude("Hi.", brief=replace(BRIEF, shared="The rules of all calls.")) as (sim, _, collector, ask):
        await ask()
        await until(lambda: bool(collector.of(LLMFullResponseEndFrame)))
    shared, own = sim.exchanges[0].request.body["system"]
    assert shared == {"type": "text", "text": "The rules of all calls.", "cache_control": {"type": "ephemeral"}}
    assert own == {"type": "text", "text": "Be brief."}
