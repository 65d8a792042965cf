"""The Anthropic simulator, driven by the real SDK and by bare HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam

from tests.simulators.anthropic import (
    AnthropicFault,
    AnthropicLatency,
    AnthropicSimulator,
    Drop,
    ErrorEvent,
    Garbage,
    Hang,
    Refuse,
    Slow,
    Stall,
)
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import Replies, Reply, RuleReplies, ScriptedReplies, ToolUse

MODEL = "claude-haiku-5-5"
QUICK = AnthropicLatency(headers_ms=0, first_token_ms=0, tokens_per_second=5000)
HELLO: list[MessageParam] = [{"role": "user", "content": "Hello?"}]
TOOLS: list[Any] = [
    {"name": name, "description": "", "input_schema": {"type": "object", "properties": {}}}
    for name in ("end_call", "note")
]
TWO_TOOLS = Reply("Done.", (ToolUse("note", {"text": "Friday, not Thursday"}), ToolUse("end_call")))


@asynccontextmanager
async def served(
    replies: Replies, latency: AnthropicLatency = QUICK, **more: Any
) -> AsyncIterator[tuple[AnthropicSimulator, AsyncAnthropic]]:
    async with (
        AnthropicSimulator(replies, api_key="secret", latency=latency, **more) as sim,
        AsyncAnthropic(api_key="secret", base_url=sim.url, max_retries=0, timeout=5) as client,
    ):
        yield sim, client


async def test_a_stream_of_text_has_all_its_events_and_its_pace() -> None:
    latency = AnthropicLatency(headers_ms=60, first_token_ms=150, tokens_per_second=40)
    said = "Hello, this is Alex calling from Downtown Dental."
    async with served(ScriptedReplies([said]), latency) as (sim, client):
        clock = asyncio.get_running_loop().time
        started = clock()
        stream = await client.beta.messages.create(
            model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "Hi"}], stream=True, betas=["b-1"]
        )
        headers = clock() - started
        seen = [(event, clock() - started) async for event in stream]
        kinds = [event.type for event, _ in seen]
        deltas = [(event.delta, at) for event, at in seen if event.type == "content_block_delta"]
        assert 0.05 < headers < deltas[0][1]
        assert kinds[:2] == ["message_start", "content_block_start"]
        assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
        assert "".join(getattr(delta, "text", "") for delta, _ in deltas) == said
        assert deltas[0][1] > 0.14
        assert deltas[-1][1] > 0.14 + 0.025 * (len(deltas) - 1)
        end = next(event for event, _ in seen if event.type == "message_delta")
        assert end.delta.stop_reason == "end_turn"
        assert end.usage.output_tokens > 8
        assert sim.exchanges[0].outcome == "completed"
        assert sim.exchanges[0].request.beta
        assert sim.exchanges[0].request.betas == ("b-1",)


async def test_several_tools_in_one_reply_streamed_and_whole() -> None:
    async with served(ScriptedReplies([TWO_TOOLS], then=TWO_TOOLS)) as (_, client):
        async with client.messages.stream(model=MODEL, max_tokens=200, messages=HELLO, tools=TOOLS) as stream:
            streamed = await stream.get_final_message()
        whole = await client.messages.create(model=MODEL, max_tokens=200, messages=HELLO, tools=TOOLS)
    for message in (streamed, whole):
        assert message.stop_reason == "tool_use"
        assert [block.type for block in message.content] == ["text", "tool_use", "tool_use"]
        calls = [block for block in message.content if block.type == "tool_use"]
        assert [(call.name, call.input) for call in calls] == [
            ("note", {"text": "Friday, not Thursday"}),
            ("end_call", {}),
        ]
        assert len({call.id for call in calls}) == 2


async def test_a_tool_round_trip_is_accepted_and_seen_by_the_replies() -> None:
    replies = RuleReplies([("saved", "Noted, goodbye.")], otherwise=Reply(tools=(ToolUse("note", id="t1"),)))
    async with served(replies) as (sim, client):
        first = await client.messages.create(model=MODEL, max_tokens=200, messages=HELLO, tools=TOOLS)
        messages: list[MessageParam] = [
            *HELLO,
            first.to_param(),
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "saved"}]},
        ]
        second = await client.messages.create(model=MODEL, max_tokens=200, messages=messages, tools=TOOLS)
        assert second.content[0].type == "text"
        assert second.content[0].text == "Noted, goodbye."
        assert sim.exchanges[1].request.tool_results == {"t1": "saved"}


async def test_parallel_tools_can_be_switched_off_and_tools_forbidden() -> None:
    async with served(ScriptedReplies([TWO_TOOLS, TWO_TOOLS])) as (_, client):
        one = await client.messages.create(
            model=MODEL,
            max_tokens=200,
            messages=HELLO,
            tools=TOOLS,
            tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        )
        none = await client.messages.create(
            model=MODEL, max_tokens=200, messages=HELLO, tools=TOOLS, tool_choice={"type": "none"}
        )
        assert [block.type for block in one.content] == ["text", "tool_use"]
        assert [block.type for block in none.content] == ["text"]


async def test_max_tokens_cuts_the_answer() -> None:
    async with served(ScriptedReplies(["one two three four five six seven"])) as (_, client):
        message = await client.messages.create(model=MODEL, max_tokens=3, messages=HELLO)
        assert message.stop_reason == "max_tokens"
        assert message.content[0].type == "text"
        assert message.content[0].text == "one two"


async def test_an_empty_reply_is_an_empty_message() -> None:
    async with (
        served(ScriptedReplies([Reply()])) as (_, client),
        client.messages.stream(model=MODEL, max_tokens=9, messages=HELLO) as stream,
    ):
        message = await stream.get_final_message()
        assert message.content == []
        assert message.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, anthropic.AuthenticationError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.APIStatusError),
    ],
)
async def test_error_statuses(status: int, error: type[anthropic.APIStatusError]) -> None:
    fault = Refuse(status, retry_after=7 if status == 429 else None)
    async with served(ScriptedReplies(["fine"]), faults=Plan((fault,))) as (_, client):
        with pytest.raises(error) as caught:
            await client.messages.create(model=MODEL, max_tokens=9, messages=HELLO, stream=True)
        assert caught.value.status_code == status
        body: Any = caught.value.body
        assert body["type"] == "error"
        assert caught.value.response.headers.get("retry-after") == ("7" if status == 429 else None)
        message = await client.messages.create(model=MODEL, max_tokens=9, messages=HELLO)
        assert message.content


async def test_the_sdk_retries_into_health() -> None:
    faults: Plan[AnthropicFault] = Plan((Refuse(529), Refuse(429, retry_after=0.01)))
    async with served(ScriptedReplies(["fine"]), faults=faults) as (sim, client):
        message = await client.with_options(max_retries=2).messages.create(
            model=MODEL, max_tokens=9, messages=HELLO
        )
        assert message.content
        assert [exchange.outcome for exchange in sim.exchanges] == ["refused", "refused", "completed"]


async def test_an_error_event_inside_the_stream() -> None:
    async with served(ScriptedReplies(["one two three four"]), faults=Plan((ErrorEvent(2),))) as (sim, client):
        heard = ""
        stream = await client.messages.create(model=MODEL, max_tokens=99, messages=HELLO, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
            async for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    heard += event.delta.text
        assert heard == "one two" == sim.exchanges[0].sent_text[:7]
        assert sim.exchanges[0].outcome == "broken"


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Stall(2), httpx2.ReadTimeout), (Hang(), anthropic.APITimeoutError)],
)
async def test_stalls_and_hangs_last_until_the_client_gives_up(
    fault: AnthropicFault, error: type[Exception]
) -> None:
    async with served(ScriptedReplies(["one two three four"]), faults=Plan((fault,))) as (_, client):
        impatient = client.with_options(timeout=0.2)
        with pytest.raises(error):
            async with asyncio.timeout(30):
                stream = await impatient.messages.create(model=MODEL, max_tokens=99, messages=HELLO, stream=True)
                async for _ in stream:
                    pass


async def test_a_drop_in_mid_stream_is_a_connection_error() -> None:
    async with served(ScriptedReplies(["one two three four"]), faults=Plan((Drop(2),))) as (_, client):
        stream = await client.messages.create(model=MODEL, max_tokens=99, messages=HELLO, stream=True)
        with pytest.raises(httpx2.TransportError):
            async for _ in stream:
                pass


async def test_a_slow_first_token_keeps_its_headers_in_time() -> None:
    async with served(ScriptedReplies(["one two"]), faults=Plan((Slow(0.3),))) as (_, client):
        loop = asyncio.get_running_loop()
        began = loop.time()
        stream = await client.messages.create(model=MODEL, max_tokens=99, messages=HELLO, stream=True)
        opened = loop.time() - began
        async for event in stream:
            if event.type == "content_block_delta":
                break
        assert opened < 0.25
        assert loop.time() - began >= 0.3
        await stream.close()


async def test_garbage_breaks_the_sdks_reader_and_the_reply_goes_on_behind_it() -> None:
    async with served(ScriptedReplies(["one two three four"]), faults=Plan((Garbage(2),))) as (sim, client):
        stream = await client.messages.create(model=MODEL, max_tokens=99, messages=HELLO, stream=True)
        with pytest.raises(ValueError, match="Expecting property name"):
            async for _ in stream:
                pass
        assert sim.exchanges[0].outcome in ("running", "completed", "client left")


async def test_an_interruption_is_seen() -> None:
    slow = AnthropicLatency(headers_ms=0, first_token_ms=0, tokens_per_second=20)
    async with served(ScriptedReplies(["one two three four five six " * 10]), slow) as (sim, client):
        stream = await client.messages.create(model=MODEL, max_tokens=999, messages=HELLO, stream=True)
        async for event in stream:
            if event.type == "content_block_delta":
                break
        await stream.close()
        async with asyncio.timeout(2):
            while sim.exchanges[0].outcome == "running":  # noqa: ASYNC110 - the other side of a socket
                await asyncio.sleep(0.01)
        assert sim.exchanges[0].outcome == "client left"
        assert len(sim.exchanges[0].sent_text) < 40


async def test_keys_models_and_bad_requests() -> None:
    async with served(ScriptedReplies([])) as (sim, client):
        models = [model.id async for model in client.models.list()]
        assert MODEL in models
        assert (await client.models.retrieve(MODEL)).id == MODEL
        with pytest.raises(anthropic.NotFoundError, match="model: claude-0"):
            await client.models.retrieve("claude-0")
        counted = await client.messages.count_tokens(model=MODEL, messages=HELLO)
        assert 3 < counted.input_tokens < 40
        with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
            await client.with_options(api_key="wrong").models.list()
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(model="claude-0", max_tokens=9, messages=HELLO)
        with pytest.raises(anthropic.BadRequestError, match='must use the "user" role'):
            await client.messages.create(
                model=MODEL, max_tokens=9, messages=[{"role": "assistant", "content": "hi"}, *HELLO]
            )
        with pytest.raises(anthropic.InternalServerError, match="the script has 0 replies"):
            await client.messages.create(model=MODEL, max_tokens=9, messages=HELLO)
        assert sim.rejected[-1] == 'messages: first message must use the "user" role'
        async with aiohttp.ClientSession() as http, http.post(sim.url + "/v1/messages", data=b"{") as answer:
            assert answer.status == 401
        headers = {"x-api-key": "secret", "anthropic-version": "2023-06-01"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(sim.url + "/v1/messages", data=b"{") as answer,
        ):
            assert answer.status == 400
            assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_a_tool_that_was_not_offered_is_loud() -> None:
    async with served(ScriptedReplies([Reply(tools=(ToolUse("fly"),))])) as (_, client):
        with pytest.raises(anthropic.InternalServerError, match="'fly' was not offered"):
            await client.messages.create(model=MODEL, max_tokens=9, messages=HELLO, tools=TOOLS)


async def test_the_wire_is_sse_as_documented() -> None:
    async with AnthropicSimulator(ScriptedReplies(["Hi."]), latency=QUICK) as sim:
        body = {"model": MODEL, "max_tokens": 9, "stream": True, "messages": HELLO}
        headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(sim.url + "/v1/messages?beta=true", json=body) as answer,
        ):
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert answer.headers["request-id"].startswith("req_")
            raw = (await answer.read()).decode()
    events = [block.split("\n")[0] for block in raw.strip().split("\n\n")]
    assert events == [
        "event: message_start",
        "event: ping",
        "event: content_block_start",
        "event: content_block_delta",
        "event: content_block_stop",
        "event: message_delta",
        "event: message_stop",
    ]


async def test_leaving_while_answers_hang_leaves_nothing_behind() -> None:
    faults: Plan[AnthropicFault] = Plan((Hang(), Stall(0)))
    async with AsyncAnthropic(api_key="k", base_url="http://127.0.0.1:1", max_retries=0) as client:
        async with AnthropicSimulator(ScriptedReplies(["hello"]), latency=QUICK, faults=faults) as sim:
            here = client.with_options(base_url=sim.url)
            waiting = [
                asyncio.create_task(_drain(here)),
                asyncio.create_task(_drain(here)),
            ]
            async with asyncio.timeout(30):
                while len(sim.exchanges) < 2:  # noqa: ASYNC110 - the other side of a socket
                    await asyncio.sleep(0.01)
        await asyncio.gather(*waiting, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def _drain(client: AsyncAnthropic) -> None:
    stream = await client.messages.create(model=MODEL, max_tokens=99, messages=HELLO, stream=True)
    async for _ in stream:
        pass
