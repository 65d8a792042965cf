"""The brain as an LLM service: frames, tools, reruns, speculation and cut replies in a real pipeline."""

from __future__ import annotations

from typing import Any

import pytest
from pipecat.frames.frames import (
    Frame,
    FunctionCallResultFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams
from pipecat.tests.utils import SleepFrame

from bot.engines.brain import Brain
from bot.engines.rule_llm import Exchange, RuleLLMService, exchange
from bot.records import CallSpec
from tests.unit.engines.line import Line

SPEC = CallSpec(
    phone_number="+12025550123",
    scenario="x",
    action="Confirm your appointment Thursday at 2pm",
    context="Suite 200.",
    callee_name="John",
    agent_name="Alex",
)
TOOLS = frozenset({"record_outcome", "end_call"})


def message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def service(uses: list[tuple[str, dict[str, Any]]] | None = None) -> RuleLLMService:
    llm = RuleLLMService(brain=Brain(SPEC, (), TOOLS))

    async def tool(params: FunctionCallParams) -> None:
        if uses is not None:
            uses.append((params.function_name, dict(params.arguments)))
        await params.result_callback({"ok": True})

    for name in TOOLS:
        llm.register_function(name, tool)
    return llm


def ask(*messages: dict[str, Any], speculation: bool = False) -> Frame:
    context = LLMContext(messages=list(messages))  # type: ignore[arg-type]  # plain dicts are messages at run time
    return LLMContextFrame(context, speculation=speculation)


def text(frames: list[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame)).strip()


async def test_a_reply_streams_by_words_and_all_tools_run(line: Line) -> None:
    uses: list[tuple[str, dict[str, Any]]] = []
    llm = service(uses)
    opening = llm.brain.opening()
    down = await line.run(
        llm, [ask(message("assistant", opening), message("user", "Yes, that's fine. Bye!")), SleepFrame(0.1)]
    )
    assert [name for name, _ in uses] == ["record_outcome", "end_call"]
    assert uses[0][1]["reached_goal"] is True
    assert "goodbye" in text(down)
    words = [frame for frame in down if isinstance(frame, LLMTextFrame)]
    assert len(words) == len(text(down).split())
    kinds = [type(f) for f in down if isinstance(f, LLMFullResponseStartFrame | LLMFullResponseEndFrame)]
    assert kinds == [LLMFullResponseStartFrame, LLMFullResponseEndFrame]
    assert sum(isinstance(frame, FunctionCallResultFrame) for frame in down) == 2


async def test_nothing_is_said_after_a_tools_result(line: Line) -> None:
    messages = [
        message("user", "Hello?"),
        message("assistant", "Hello John."),
        message("user", "Yes."),
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "function": {"name": "end_call", "arguments": "{}"}, "type": "function"}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "{}"},
    ]
    down = await line.run(service(), [ask(*messages)])
    assert text(down) == ""
    assert isinstance(down[-1], LLMFullResponseEndFrame)


async def test_without_any_words_the_agent_opens(line: Line) -> None:
    down = await line.run(service(), [ask(message("developer", "The call was answered."))])
    assert "I'm calling to confirm your appointment" in text(down)


async def test_a_cut_opening_is_said_again(line: Line) -> None:
    llm = service()
    llm.brain.opening()
    down = await line.run(
        llm, [ask(message("assistant", "Hello John,"), message("user", "Sorry, what did you say?"))]
    )
    assert "I'm calling to confirm your appointment Thursday at 2pm." in text(down)


async def test_a_withdrawn_speculation_leaves_no_trace(line: Line) -> None:
    llm = service()
    opening = llm.brain.opening()
    down = await line.run(
        llm,
        [
            ask(message("assistant", opening), message("user", "Yes that"), speculation=True),
            SleepFrame(0.1),
            ask(message("assistant", opening), message("user", "Yes that was no good, I need another time.")),
        ],
    )
    assert "confirmed" not in text(down)
    assert not llm.brain.outcome().reached_goal


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], Exchange(0, None, "")),
        ([message("user", "hi")], Exchange(1, "hi", "")),
        (
            [message("assistant", "A"), message("user", "hi"), message("developer", "be kind")],
            Exchange(1, "hi", "A"),
        ),
        ([message("user", "a"), message("assistant", "B")], Exchange(1, None, "B")),
        (
            [message("user", "a"), message("assistant", "B"), message("assistant", "C"), message("user", "d")],
            Exchange(2, "d", "B C"),
        ),
    ],
)
def test_a_context_is_read(messages: list[dict[str, Any]], expected: Exchange) -> None:
    assert exchange(messages) == expected
