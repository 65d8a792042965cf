"""The simulator of OpenAI-compatible servers, driven by the real SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI

from tests.simulators.anthropic import Drop, ErrorEvent, Garbage, Refuse
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import Replies, Reply, RuleReplies, ScriptedReplies, ToolUse
from tests.simulators.openai import OpenAILatency, OpenAISimulator

MODEL = "qwen3:4b"
QUICK = OpenAILatency(headers_ms=0, first_token_ms=0, tokens_per_second=5000)
HELLO: list[Any] = [{"role": "user", "content": "Hello?"}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("end_call", "note")
]
TWO_TOOLS = Reply("Done.", (ToolUse("note", {"text": "Friday, not Thursday"}), ToolUse("end_call")))


@asynccontextmanager
async def served(
    brain: Replies, latency: OpenAILatency = QUICK, **more: Any
) -> AsyncIterator[tuple[OpenAISimulator, AsyncOpenAI]]:
    async with (
        OpenAISimulator(brain, latency=latency, **more) as sim,
        AsyncOpenAI(api_key="none", base_url=sim.base_url, max_retries=0, timeout=5) as client,
    ):
        yield sim, client


async def ask(client: AsyncOpenAI, messages: list[Any] = HELLO, **more: Any) -> list[Any]:
    stream = await client.chat.completions.create(model=MODEL, messages=messages, stream=True, **more)
    return [chunk async for chunk in stream]


def text_in(chunks: list[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


async def test_text_its_end_and_its_usage() -> None:
    async with served(ScriptedReplies(["Hello, this is Alex."])) as (sim, client):
        chunks = await ask(client, stream_options={"include_usage": True})
        assert text_in(chunks) == "Hello, this is Alex."
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        assert chunks[-1].usage.completion_tokens == 4
        assert sim.exchanges[0].outcome == "completed"
        assert [model.id async for model in client.models.list()] == [MODEL, "llama3.2"]


async def test_the_pace_is_a_models() -> None:
    latency = OpenAILatency(first_token_ms=100, tokens_per_second=40)
    async with served(ScriptedReplies(["one two three four five"]), latency) as (_, client):
        clock = asyncio.get_running_loop().time
        started = clock()
        await ask(client)
        assert clock() - started >= 0.2


async def test_a_bound_in_tokens_cuts_the_reply() -> None:
    async with served(ScriptedReplies([Reply("one two three four five", TWO_TOOLS.tools)])) as (_, client):
        chunks = await ask(client, max_tokens=3, tools=TOOLS)
        assert chunks[-1].choices[0].finish_reason == "length"
        assert not any(c.choices[0].delta.tool_calls for c in chunks)


@pytest.mark.parametrize(("style", "numbers"), [("openai", {0, 1}), ("ollama", {0})])
async def test_calls_of_tools(style: Literal["openai", "ollama"], numbers: set[int]) -> None:
    async with served(ScriptedReplies([TWO_TOOLS]), style=style) as (_, client):
        chunks = await ask(client, tools=TOOLS)
        calls = [call for c in chunks for call in c.choices[0].delta.tool_calls or ()]
        assert {call.index for call in calls} == numbers
        assert [call.function.name for call in calls if call.function.name] == ["note", "end_call"]
        assert "".join(call.function.arguments for call in calls) == '{"text": "Friday, not Thursday"}{}'
        assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_a_brain_sees_the_tools_results() -> None:
    brain = RuleReplies([("sunny", "Sunny it is.")], otherwise="What?")
    call = {"id": "c1", "type": "function", "function": {"name": "note", "arguments": "{}"}}
    messages = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    async with served(brain) as (sim, client):
        assert text_in(await ask(client, messages)) == "Sunny it is."
        assert sim.exchanges[0].request.tool_results == {"c1": "sunny"}


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "messages"),
        ([{"role": "developer", "content": "x"}], "role"),
        ([{"role": "tool", "tool_call_id": "c", "content": "x"}], "must follow"),
        (
            [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"arguments": "{}"}}]}, *HELLO],
            "no answer",
        ),
    ],
)
async def test_a_wrong_request_is_refused(messages: list[Any], complaint: str) -> None:
    async with served(ScriptedReplies(["Hi."])) as (sim, client):
        with pytest.raises(openai.BadRequestError, match=complaint):
            await ask(client, messages)
        assert (len(sim.rejected), sim.exchanges) == (1, [])


async def test_keys_and_models_are_checked() -> None:
    async with served(ScriptedReplies(["Hi."]), api_key="secret") as (_, client):
        with pytest.raises(openai.AuthenticationError):
            await ask(client)
    async with served(ScriptedReplies(["Hi."]), models=("another",)) as (_, client):
        with pytest.raises(openai.NotFoundError, match="qwen3:4b"):
            await ask(client)


async def test_faults() -> None:
    faults = Plan((Refuse(429, retry_after=2), ErrorEvent(1), Drop(1), Garbage(1)))
    async with served(lambda _: Reply("one two three"), faults=faults) as (sim, client):
        with pytest.raises(openai.RateLimitError) as refused:
            await ask(client)
        assert refused.value.response.headers["retry-after"] == "2"
        with pytest.raises(openai.APIError, match="Overloaded"):
            await ask(client)
        with pytest.raises(openai.APIConnectionError):
            await ask(client)
        assert text_in(await ask(client)) == "one two three"
        assert [e.outcome for e in sim.exchanges] == ["refused", "broken", "broken", "completed"]
