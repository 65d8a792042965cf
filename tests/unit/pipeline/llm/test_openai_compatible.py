"""OpenAI-compatible servers as models of the LLM stage: text, tools, faults, ladders with other vendors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from anthropic import AsyncAnthropic
from openai._models import construct_type
from openai.types.chat import ChatCompletionChunk
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import ErrorFrame, LLMContextFrame, LLMFullResponseEndFrame, LLMTextFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pydantic import SecretStr

from bot.pipeline.llm.events import Event, ReplyEnd, Stopped, Text, Tokens, ToolBegun, ToolJson
from bot.pipeline.llm.openai_compatible import Reading
from bot.pipeline.llm.vendors import Claude, LlmVendor, OpenAICompatible, Rules, build, fallback_of
from bot.pipeline.resources import Resources
from bot.pipeline.turns.context import AssistantContext
from bot.pipeline.usage import Usage, count_for
from bot.settings import Settings
from tests.simulators.anthropic import (
    AnthropicLatency,
    AnthropicSimulator,
    Drop,
    ErrorEvent,
    Garbage,
    Refuse,
    Stall,
)
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import Replies, Reply, ScriptedReplies, ToolUse
from tests.simulators.openai import OpenAIFault, OpenAISimulator
from tests.unit.pipeline.conversation import Collector, Diary, running, until
from tests.unit.pipeline.llm.test_vendors import BRIEF, NAMES, Tools

QUICK = AnthropicLatency(headers_ms=5, first_token_ms=10, tokens_per_second=2000)
FIRST, SECOND = "qwen3:4b", "llama3.2"
SAID = "Yes, Thursday works. Anything else?"


@dataclass
class Stage:
    sim: OpenAISimulator
    claude: AnthropicSimulator
    tools: Tools
    heard: Collector
    errors: Collector
    usage: Usage
    ask: Any

    @property
    def text(self) -> str:
        return "".join(str(getattr(frame, "text", "")) for frame in self.heard.of(LLMTextFrame))

    @property
    def models(self) -> list[str]:
        return [exchange.request.model for exchange in self.sim.exchanges]

    async def over(self, replies: int = 1) -> None:
        def done() -> bool:
            failed = any(isinstance(frame, ErrorFrame) for frame in self.errors.up)
            return failed or len(self.heard.of(LLMFullResponseEndFrame)) == replies

        await until(done)


@asynccontextmanager
async def stage(
    *faults: OpenAIFault | None,
    then: OpenAIFault | None = None,
    brain: Replies = lambda _: Reply(SAID),
    behind: tuple[LlmVendor, ...] = (),
    style: Literal["openai", "ollama"] = "openai",
    go_on: bool = False,
    **member: Any,
) -> AsyncIterator[Stage]:
    async with (
        OpenAISimulator(brain, latency=QUICK, faults=Plan(faults, then), style=style) as sim,
        AnthropicSimulator(lambda _: Reply("Claude here."), latency=QUICK) as claude,
        AsyncAnthropic(api_key="k", base_url=claude.url, max_retries=0, timeout=5) as client,
    ):
        resources = Resources(Settings(_env_file=None, anthropic_api_key=SecretStr("k")), anthropic=client)
        first = OpenAICompatible(base_url=sim.base_url, model=FIRST, **member)
        named = [m.model_copy(update={"base_url": sim.base_url}) if m == LOCAL else m for m in behind]
        services = build([first, *named], resources, BRIEF)
        usage = Usage()
        count_for(usage, services)
        tools = Tools(services[0], go_on=go_on)
        schemas = [
            FunctionSchema(name, name, {"note": {"type": "string", "description": "x"}}, []) for name in NAMES
        ]
        context = LLMContext([{"role": "user", "content": "Does Thursday work?"}], ToolsSchema(list(schemas)))
        heard, errors = Collector(), Collector("Errors")
        async with running([errors, *services, heard, AssistantContext(context, Diary())]) as pipeline:
            yield Stage(
                sim, claude, tools, heard, errors, usage, lambda: pipeline.queue(LLMContextFrame(context))
            )
        for known in resources._openai.values():
            await known.close()


LOCAL = OpenAICompatible(base_url="http://127.0.0.1:1/v1", model=SECOND)
"""A second model of the same server."""


async def test_a_reply_and_what_it_cost() -> None:
    async with stage(temperature=0.2, max_tokens=200, extra={"keep_alive": "10m"}) as it:
        await it.ask()
        await it.over()
        assert it.text == SAID
        body = it.sim.exchanges[0].request.body
        assert (body["temperature"], body["max_tokens"], body["keep_alive"]) == (0.2, 200, "10m")
        assert it.sim.exchanges[0].request.system == "Be brief."
        used = {(u.vendor, u.what, u.unit): u.quantity for u in it.usage.items}
        assert used == {
            ("openai_compatible", FIRST, "input_tokens"): it.sim.exchanges[0].prompt_tokens,
            ("openai_compatible", FIRST, "output_tokens"): len(SAID.split()),
        }


@pytest.mark.parametrize("style", ["openai", "ollama"])
async def test_all_tools_of_a_reply_run_and_their_results_go_back(style: Literal["openai", "ollama"]) -> None:
    uses = (
        ToolUse("record_outcome", {"note": "a", "nested": {"n": [1, "é"]}}),
        ToolUse("take_message", {"note": "b"}),
        ToolUse("take_message", {"note": "c"}),
        ToolUse("end_call"),
    )
    async with stage(brain=ScriptedReplies([Reply("Noted.", uses), "Bye."]), style=style, go_on=True) as it:
        await it.ask()
        await it.over(2)
        assert [(name, arguments) for name, arguments, _ in it.tools.used] == [
            (use.name, dict(use.input)) for use in uses
        ]
        assert len(it.sim.exchanges[1].request.tool_results) == 4
        assert it.sim.rejected == []


async def test_broken_arguments_do_not_run_and_the_model_is_told() -> None:
    uses = (ToolUse("take_message", raw='{"note": "a'), ToolUse("record_outcome", raw="[1]"), ToolUse("end_call"))
    async with stage(brain=ScriptedReplies([Reply("", uses), "Once more."]), go_on=True) as it:
        await it.ask()
        await it.over(2)
        assert [use[0] for use in it.tools.used] == ["end_call"]
        results = it.sim.exchanges[1].request.tool_results.values()
        assert sum("not a JSON object" in result for result in results) == 2


async def test_tools_of_a_reply_that_was_cut_do_not_run() -> None:
    uses = (ToolUse("take_message", {"note": "a"}),)
    async with stage(brain=lambda _: Reply("word " * 80, uses), max_tokens=50) as it:
        await it.ask()
        await it.over()
        assert it.tools.used == []


async def test_a_content_filter_in_mid_reply_ends_with_the_phrase() -> None:
    uses = (ToolUse("end_call", {}),)
    async with stage(brain=lambda _: Reply("Sure, take", uses, stop_reason="content_filter")) as it:
        await it.ask()
        await it.over()
        assert it.text == f"Sure, take… {BRIEF.cannot_answer}"
        assert it.tools.used == []


@pytest.mark.parametrize("fault", [Refuse(429, retry_after=60), Refuse(503), ErrorEvent(0)])
async def test_a_refusal_goes_down_the_ladder(fault: OpenAIFault) -> None:
    async with stage(fault, fault, behind=(LOCAL,)) as it:
        await it.ask()
        await it.over()
        assert (it.text, it.models) == (SAID, [FIRST, FIRST, SECOND])


async def test_what_cannot_work_is_not_asked_twice() -> None:
    async with stage(Refuse(404), behind=(LOCAL,)) as it:
        await it.ask()
        await it.over()
        assert it.models == [FIRST, SECOND]


@pytest.mark.parametrize("fault", [Drop(4), ErrorEvent(4), Stall(4), Garbage(2)])
async def test_a_reply_that_breaks_off_is_whole_in_the_end(fault: OpenAIFault) -> None:
    async with stage(fault, stall_seconds=1) as it:
        await it.ask()
        await it.over()
        assert it.text == SAID
        assert len(it.sim.exchanges) == (1 if isinstance(fault, Garbage) else 2)


async def test_a_ladder_of_two_vendors() -> None:
    async with stage(then=Refuse(500), behind=(Claude(),)) as it:
        await it.ask()
        await it.over()
        assert (it.text, it.models) == ("Claude here.", [FIRST, FIRST])
        assert it.claude.rejected == []


async def test_the_rules_answer_what_the_server_does_not() -> None:
    async with stage(then=Refuse(500), behind=(Rules(),)) as it:
        await it.ask()
        await it.over()
        assert it.text
        assert not any(isinstance(frame, ErrorFrame) for frame in it.errors.up)


def test_who_stands_in_and_which_key_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None)
    assert fallback_of(LOCAL, settings) == Rules()
    keyed = LOCAL.model_copy(update={"api_key": "{env:GATEWAY_KEY}"})
    monkeypatch.delenv("GATEWAY_KEY", raising=False)
    assert keyed.missing(settings) == ["GATEWAY_KEY"]
    monkeypatch.setenv("GATEWAY_KEY", "secret")
    assert (keyed.missing(settings), keyed.key()) == ([], "secret")
    assert (LOCAL.missing(settings), LOCAL.key()) == ([], "none")


# -- what chunks say ----------------------------------------------------------------------------------


def parsed(chunk: dict[str, Any]) -> Any:
    """As the SDK makes one of what a server sent, without checking it."""
    return construct_type(value=chunk, type_=ChatCompletionChunk)


def said(*chunks: dict[str, Any]) -> list[Event]:
    reading = Reading()
    return [event for chunk in chunks for event in reading.read(parsed(chunk))]


def choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("chunk", "events"),
    [
        (choice({"content": "Hi"}), [Text("Hi")]),
        (choice({"content": ""}), []),
        (choice({"content": None, "reasoning": "hm"}), []),
        (choice({}, "stop"), [Stopped("stop", Tokens())]),
        (choice({"refusal": "No."}, "stop"), [Stopped("stop", Tokens(), ReplyEnd.REFUSED)]),
        (choice({}, "content_filter"), [Stopped("content_filter", Tokens(), ReplyEnd.REFUSED)]),
        (choice({}, "length"), [Stopped("length", Tokens(), ReplyEnd.CUT)]),
        ({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}, [Tokens(9, 3)]),
        (
            {"choices": [], "usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}},
            [Tokens(5, None, None, 4)],
        ),
        ({}, []),
        ({"choices": None}, []),
    ],
)
def test_what_a_chunk_says(chunk: dict[str, Any], events: list[Event]) -> None:
    assert said(chunk) == events


def test_calls_are_numbered_whatever_the_server_counts() -> None:
    def call(index: int | None, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
        return choice(
            {"tool_calls": [{"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}]}
        )

    assert said(call(0, "a", "note", "{}"), call(0, "b", "note", '{"x": 1}')) == [
        ToolBegun(0, "a", "note"),
        ToolJson(0, "{}"),
        ToolBegun(1, "b", "note"),
        ToolJson(1, '{"x": 1}'),
    ]
    assert said(call(1, "a", "note", ""), call(1, None, None, "{"), call(1, None, None, "}")) == [
        ToolBegun(0, "a", "note"),
        ToolJson(0, "{"),
        ToolJson(0, "}"),
    ]
    assert said(call(0, None, "note", "{}"))[0] == ToolBegun(0, "call_0", "note")
