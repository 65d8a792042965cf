"""What the events of the Messages API say, and that those which make no sense say nothing."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from anthropic import APIConnectionError, APIStatusError, APITimeoutError, AsyncAnthropic

from bot.pipeline.llm.claude import ADAPTER, read, read_stream
from bot.pipeline.llm.events import (
    Stopped,
    Text,
    Thought,
    ThoughtBegun,
    ThoughtSigned,
    Tokens,
    ToolBegun,
    ToolJson,
    speaks,
)
from bot.pipeline.llm.request_meter import refusal

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/messages")


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (
            {"type": "message_start", "message": {"usage": {"input_tokens": 9, "cache_read_input_tokens": 4}}},
            Tokens(input=9, cache_read=4),
        ),
        ({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, Text("")),
        (
            {
                "type": "content_block_start",
                "index": 1,
                "content_block": {"type": "tool_use", "id": "t", "name": "n"},
            },
            ToolBegun(1, "t", "n"),
        ),
        (
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
            ThoughtBegun(ADAPTER.id_for_llm_specific_messages),
        ),
        ({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}, Text("Hi")),
        (
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": "{"},
            },
            ToolJson(1, "{"),
        ),
        ({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}}, Thought("hm")),
        (
            {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "s"}},
            ThoughtSigned("s"),
        ),
        (
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
            Stopped("end_turn", Tokens(output=7)),
        ),
        ({"type": "message_delta", "delta": {"stop_reason": None}}, Tokens()),
        ({"type": "message_stop"}, Stopped("", Tokens())),
    ],
)
def test_what_an_event_says(data: dict[str, Any], event: object) -> None:
    assert read(data) == event


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"type": None},
        {"type": "content_block_stop", "index": 0},
        {"type": "a_new_event", "delta": {"text": "x"}},
        {"type": "message_start"},
        {"type": "content_block_start", "index": "one", "content_block": None},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "server_tool_use", "name": "n"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "name": "n"}},
        {"type": "content_block_delta", "index": 0},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": None}},
        {
            "type": "content_block_delta",
            "index": None,
            "delta": {"type": "input_json_delta", "partial_json": "{"},
        },
        {"type": "message_delta", "delta": []},
        {
            "type": "content_block_start",
            "index": "one",
            "content_block": {"type": "tool_use", "id": "t", "name": "n"},
        },
        {
            "type": "content_block_delta",
            "index": float("inf"),
            "delta": {"type": "input_json_delta", "partial_json": "{"},
        },
    ],
)
def test_nonsense_says_nothing(data: dict[str, Any]) -> None:
    assert read(data) is None


async def test_a_stream_is_read_past_what_is_no_event() -> None:
    data = (
        "[" * 100_000,
        "{",
        "7",
        '{"type": "content_block_start", "index": "x",'
        ' "content_block": {"type": "tool_use", "id": "", "name": "n"}}',
        '{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Yes."}}',
        '{"type": "message_stop"}',
    )
    body = "".join(f"event: x\ndata: {line}\n\n" for line in data).encode()

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    async with AsyncAnthropic(api_key="k", http_client=http) as client:
        stream = await client.beta.messages.create(model="m", max_tokens=1, messages=[], stream=True)
        assert [event async for event in read_stream(stream)] == [Text("Yes."), Stopped("", Tokens())]


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (Text("Hi"), True),
        (Text(""), False),
        (ToolBegun(0, "t", "n"), True),
        (Stopped("end_turn", Tokens()), True),
        (Thought("hm"), False),
        (Tokens(), False),
    ],
)
def test_what_counts_as_a_first_word(event: Any, word: bool) -> None:
    assert speaks(event) is word


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (401, False), (403, False), (404, False), (408, True), (429, True), (500, True), (503, True),
     (504, True), (529, True)],
)  # fmt: skip
def test_which_statuses_may_work_the_next_time(status: int, retryable: bool) -> None:
    response = httpx2.Response(status, request=REQUEST, headers={"retry-after": "0.5"})
    error = refusal(APIStatusError("no", response=response, body=None))
    assert (error.retryable, error.retry_after) == (retryable, 0.5)
    assert str(status) in str(error)


def test_a_retry_after_that_names_a_date_is_none() -> None:
    headers = {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}
    response = httpx2.Response(429, request=REQUEST, headers=headers)
    assert refusal(APIStatusError("no", response=response, body=None)).retry_after is None


@pytest.mark.parametrize("error", [APITimeoutError(request=REQUEST), APIConnectionError(request=REQUEST)])
def test_a_connection_may_work_the_next_time(error: Any) -> None:
    assert refusal(error).retryable
