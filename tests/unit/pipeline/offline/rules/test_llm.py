"""The brain as an LLM service: frames, tools, reruns, speculation and cut replies in a real pipeline."""

from __future__ import annotations

import json
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

from bot.conversation.prompt import from_business
from bot.pipeline.offline.rules.dialogue import Dialogue
from bot.pipeline.offline.rules.llm import Exchange, RuleLLMService, Talk, read, told
from bot.records import CallSpec
from tests.unit.pipeline.offline.line import Line

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
    llm = RuleLLMService(dialogue=Dialogue(SPEC, (), TOOLS))

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
    opening = llm.dialogue.opening()
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
    asks = message("user", "Sorry, what did you say?")
    down = await line.run(service(), [ask(message("assistant", "Hello John, —"), asks)])
    assert "I'm calling to confirm your appointment Thursday at 2pm." in text(down)


async def test_a_withdrawn_speculation_leaves_no_trace(line: Line) -> None:
    llm = service()
    opening = llm.dialogue.opening()
    down = await line.run(
        llm,
        [
            ask(message("assistant", opening), message("user", "Yes that"), speculation=True),
            SleepFrame(0.1),
            ask(message("assistant", opening), message("user", "Yes that was no good, I need another time.")),
        ],
    )
    assert "confirmed" not in text(down)
    assert not llm.dialogue.outcome().reached_goal


def tool_call(tool: str, **arguments: Any) -> list[dict[str, Any]]:
    """A call and its result as the assistant aggregator writes them."""
    function = {"name": tool, "arguments": json.dumps(arguments)}
    return [
        {"role": "assistant", "tool_calls": [{"id": "1", "function": function, "type": "function"}]},
        {"role": "tool", "tool_call_id": "1", "content": "{}"},
    ]


OPENING = (
    "Hi John, this is Alex. I'm calling to confirm your appointment Thursday at 2pm. "
    "Does that still work for you?"
)
UNHEARD = tool_call(
    "record_outcome",
    reached_goal=True,
    summary="John confirmed the appointment Thursday at 2pm. The goal of the call was reached.",
)


async def test_a_turn_split_in_two_counts_as_one(line: Line) -> None:
    """The first half's reply is cancelled before a word of it is heard; its yes still counts, said once."""
    uses: list[tuple[str, dict[str, Any]]] = []
    llm = service(uses)
    start = [message("assistant", OPENING), message("user", "Yes, that works for me,")]
    down = await line.run(
        llm,
        [
            ask(*start),
            SleepFrame(0.1),
            ask(*start, *UNHEARD, message("user", "but where exactly is the office?")),
            SleepFrame(0.1),
        ],
    )
    whole = "Great, your appointment Thursday at 2pm is confirmed."
    assert text(down).count(whole) == 2, "said again, because nobody heard it"
    assert text(down).endswith(
        f"{whole} You'll find us at Suite 200. Is there anything else I can help you with?"
    )
    assert [name for name, _ in uses] == ["record_outcome"]
    assert llm.dialogue.outcome().reached_goal


async def test_a_question_nobody_heard_answered_is_noted_once(line: Line) -> None:
    uses: list[tuple[str, dict[str, Any]]] = []
    llm = RuleLLMService(dialogue=Dialogue(SPEC, (), TOOLS | {"take_message"}))

    async def tool(params: FunctionCallParams) -> None:
        uses.append((params.function_name, dict(params.arguments)))
        await params.result_callback({"ok": True})

    llm.register_function("take_message", tool)
    start = [message("assistant", OPENING), message("user", "What does it cost?")]
    done = tool_call("take_message", message="What does it cost?", name="John")
    down = await line.run(llm, [ask(*start, *done, message("user", "Hello?"))])
    assert "pass" in text(down)
    assert uses == []


async def test_what_was_cut_is_said_again_beside_the_new_answer(line: Line) -> None:
    talk = [
        message("user", "(The line is open.)"),
        message("user", "Hello?"),
        message("assistant", OPENING),
        message("user", "Where is the office?"),
        message("assistant", "You'll find us at Suite —"),
    ]
    again = await line.run(service(), [ask(*talk, message("user", "Sorry, what was that?"))])
    assert "You'll find us at Suite 200." in text(again)
    other = await line.run(service(), [ask(*talk, message("user", "Sorry, one moment, who is this?"))])
    assert text(other) == "This is Alex. You'll find us at Suite 200. So, does that still work for you?"
    heard = [*talk[:-1], message("assistant", "You'll find us at Suite 200. Does that —")]
    whole = await line.run(service(), [ask(*heard, message("user", "Sorry, who is this?"))])
    assert "Suite" not in text(whole)


async def test_a_yes_to_are_you_still_there_is_no_yes_to_the_question(line: Line) -> None:
    llm = service()
    prompt = message("assistant", "Are you still there?")
    down = await line.run(llm, [ask(message("assistant", OPENING), prompt, message("user", "Yes, I'm here."))])
    assert text(down).endswith("does that still work for you?")
    assert not llm.dialogue.outcome().reached_goal


async def test_the_state_follows_from_the_context_alone(line: Line) -> None:
    """A fresh service that joins late knows as much as one that heard every turn."""
    talk = [
        message("assistant", OPENING),
        message("user", "Yes."),
        message("assistant", "Great, your appointment Thursday at 2pm is confirmed. Is there anything else?"),
        message("user", "Goodbye!"),
    ]
    late, along = service(), service()
    await line.run(along, [ask(*talk[:2]), SleepFrame(0.05), ask(*talk)])
    await line.run(late, [ask(*talk)])
    assert late.dialogue.outcome() == along.dialogue.outcome()
    assert late.dialogue.outcome().reached_goal
    await line.run(late, [ask(message("assistant", OPENING), message("user", "No."))])
    assert not late.dialogue.outcome().reached_goal, "another context is another talk"


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], Talk((), False)),
        ([message("user", "(The line is open.)")], Talk((), False)),
        ([message("user", "hi")], Talk((Exchange("", "hi"),), True)),
        (
            [
                message("user", "hi"),
                message("assistant", "A"),
                message("user", "b"),
                message("developer", "be kind"),
            ],
            Talk((Exchange("A", "b"),), True),
        ),
        (
            [message("assistant", "A"), message("user", "b"), message("assistant", "C")],
            Talk((Exchange("A", "b"),), False),
        ),
        (
            [
                message(*m)
                for m in (
                    ("assistant", "A"),
                    ("user", "b"),
                    ("assistant", "C"),
                    ("assistant", "D"),
                    ("user", "e"),
                )
            ],
            Talk((Exchange("A", "b"), Exchange("C\nD", "e")), True),
        ),
        (
            [message("assistant", "A"), message("user", "b"), *tool_call("t", x=1), message("user", "c")],
            Talk((Exchange("A", "b c"),), True, frozenset({("t", '{"x": 1}')})),
        ),
        (
            [message("assistant", "A"), message("user", "b"), *tool_call("t", x=1)],
            Talk((Exchange("A", "b"),), False, frozenset({("t", '{"x": 1}')})),
        ),
        (
            [*tool_call("t", x=1), message("assistant", "A"), message("user", "b")],
            Talk((Exchange("A", "b"),), True),
        ),
    ],
)
def test_a_context_is_read(messages: list[dict[str, Any]], expected: Talk) -> None:
    assert read(messages) == expected


def test_a_fact_of_the_business_is_spoken_of_once() -> None:
    paid, open_ = from_business("it is paid", speak=True), from_business("Are they open?", speak=True)
    before = [message("assistant", "Hello."), message("user", "Hi."), message("user", paid)]
    reply = told(before)
    assert reply is not None
    assert reply.text == "It is paid."
    both = told([*before, message("assistant", "One moment."), message("user", open_)])
    assert both is not None
    assert both.text == "It is paid. Are they open?"
    assert told([*before, message("assistant", "It is paid.")]) is None


def test_a_fact_for_later_is_no_speech_of_the_callee() -> None:
    note = from_business("it is paid\n(really)", speak=False)
    assert told([message("user", note)]) is None
    said = [message("assistant", "Hello."), message("user", "Hi."), message("user", note)]
    assert read(said) == Talk((Exchange("Hello.", "Hi."),), open=True)
