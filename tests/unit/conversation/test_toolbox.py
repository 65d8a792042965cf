"""toolbox.py: what the model is told of a tool, whatever the tool does, and whether it speaks with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from pipecat.processors.aggregators.llm_context import LLMContext

from bot.conversation.fillers import Bridge
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.scenario import Scenario
from bot.conversation.toolbox import Toolbox, presentable
from bot.conversation.tools import CallControl, Tool
from tests.unit.conversation.tools.control import NotedControl

pytestmark = pytest.mark.virtual_time

SCENARIO = Scenario(
    compliance=Compliance(profile="none"),
    name="s",
    description="d",
    instructions="i",
    tools=("end_call", "record_outcome"),
)
Run = Callable[[Mapping[str, Any], CallControl], Awaitable[Any]]


def tool(run: Run, *, name: str = "look_up", **more: Any) -> Tool:
    return Tool(name, "d", {}, (), run, **{"outside": True, **more})


class Told:
    """A toolbox, and what came of the calls of its tools."""

    def __init__(self, *tools: Tool) -> None:
        self.context = LLMContext(messages=[])
        self.uses: list[tuple[str, Any]] = []
        self.results: dict[str, Any] = {}
        self.speaks: dict[str, bool] = {}
        bridge = Bridge((), after_seconds=1.0, say=lambda _: False, working=lambda _: None)
        self.box = Toolbox(
            SCENARIO,
            NotedControl(),
            used=lambda name, _, result: self.uses.append((name, result)),
            ending=lambda: False,
            bridge=bridge,
            declared=tools,
        )
        self._registered: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.box.register(SimpleNamespace(register_function=self._register))  # type: ignore[arg-type]

    def _register(self, name: str, handler: Any, **options: Any) -> None:
        self._registered[name] = (handler, options)

    def options(self, name: str) -> dict[str, Any]:
        return self._registered[name][1]

    async def call(
        self,
        name: str,
        *,
        reply: tuple[str, ...] = (),
        text: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        async def told(result: Any, properties: Any = None) -> None:
            self.results[name] = result
            self.speaks[name] = properties is None

        llm = SimpleNamespace(reply_tools=frozenset(reply or (name,)), reply_has_text=text)
        handler, _ = self._registered[name]
        await handler(
            SimpleNamespace(arguments=arguments or {}, llm=llm, result_callback=told, context=self.context)
        )


async def raises(_arguments: Mapping[str, Any], _control: CallControl) -> Any:
    raise RuntimeError("secret inner workings")


async def hangs(_arguments: Mapping[str, Any], _control: CallControl) -> Any:
    await asyncio.Event().wait()


async def garbage(_arguments: Mapping[str, Any], _control: CallControl) -> Any:
    return object()


async def answers(_arguments: Mapping[str, Any], _control: CallControl) -> Any:
    return {"answer": 1}


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (raises, "look_up failed: RuntimeError"),
        (hangs, "look_up did not answer within 30 seconds"),
        (garbage, "look_up returned nothing that can be read"),
    ],
)
async def test_a_tool_that_fails_is_told(run: Run, sentence: str) -> None:
    told = Told(tool(run, timeout_seconds=30))
    await told.call("look_up")
    assert told.results == {"look_up": {"error": sentence}}
    assert told.uses == [("look_up", {"error": sentence})]


@pytest.mark.parametrize(
    ("name", "reply", "text", "speaks"),
    [
        ("look_up", (), False, True),
        ("look_up", (), True, True),
        ("look_up", ("look_up", "end_call"), True, False),
        ("record_outcome", (), False, True),
        ("record_outcome", (), True, False),
        ("record_outcome", ("record_outcome", "look_up"), True, True),
        ("end_call", (), False, False),
    ],
)
async def test_whether_the_model_speaks_with_the_result(
    name: str, reply: tuple[str, ...], text: bool, speaks: bool
) -> None:
    told = Told(tool(answers))
    await told.call(name, reply=reply, text=text)
    assert told.speaks[name] is speaks


async def test_tools_of_one_reply_run_side_by_side() -> None:
    both = asyncio.Barrier(2)

    async def meet(_arguments: Mapping[str, Any], _control: CallControl) -> Any:
        await both.wait()
        return {"answer": "met"}

    told = Told(tool(meet, name="first"), tool(meet, name="second"))
    reply = ("first", "second")
    async with asyncio.timeout(1):
        await asyncio.gather(told.call("first", reply=reply), told.call("second", reply=reply))
    assert told.results == {"first": {"answer": "met"}, "second": {"answer": "met"}}


@pytest.mark.parametrize("waited_for", [False, True])
async def test_what_acts_outside_is_not_stopped_half_way(waited_for: bool) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def book(_arguments: Mapping[str, Any], _control: CallControl) -> Any:
        began.set()
        await may_end.wait()
        return {"answer": "booked"}

    told = Told(tool(book, waited_for=waited_for))
    assert told.options("look_up")["cancel_on_interruption"] is waited_for
    assert told.options("record_outcome")["cancel_on_interruption"] is True
    call = asyncio.create_task(told.call("look_up"))
    await began.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    finishing = asyncio.create_task(told.box.finish())
    may_end.set()
    await finishing
    assert told.uses == [("look_up", {"answer": "booked"})]


async def test_what_never_ends_does_not_hold_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.conversation.toolbox.FINISH_SECONDS", 1.0)
    told = Told(tool(hangs))
    call = asyncio.create_task(told.call("look_up"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await told.box.finish()
    ((_, result),) = told.uses
    assert "may have taken effect" in result["error"]


def test_no_two_tools_of_a_name() -> None:
    told = Told(tool(answers, name="end_call"), tool(answers, name="take_message"), tool(answers))
    names = [schema.name for schema in told.box.schemas().standard_tools]
    assert set(names) >= {"end_call", "record_outcome", "look_up"}
    assert len(set(names)) == len(names)
    assert "take_message" not in names, "a built-in tool the scenario does not have"
    assert told.options("end_call")["cancel_on_interruption"] is True, "the built-in one"


def test_results_that_no_reader_takes() -> None:
    assert presentable("x", {"a": "\ud800", "b": float("nan")}) == {"a": "?", "b": "NaN"}
    for broken in (None, {}, [1], {"a": object()}, {"a": {1, 2}}):
        assert "error" in presentable("x", broken)


def test_that_the_callee_is_never_called_again_is_an_outcome() -> None:
    told = Told()
    told.box.notes.note_do_not_call()
    outcome = told.box.notes.outcome()
    assert outcome is not None
    assert (outcome.reached_goal, outcome.fields, outcome.source) == (False, {"do_not_call": True}, "tools")


class Counting:
    """A tool that counts its runs; the first `fails` of them fail."""

    def __init__(self, *, fails: int = 0, late: bool = False) -> None:
        self.runs, self._fails, self._late = 0, fails, late

    async def __call__(self, _arguments: Mapping[str, Any], _control: CallControl) -> Any:
        self.runs += 1
        await asyncio.sleep(60 if self._late and self.runs <= self._fails else 1)
        return {"error": "refused"} if self.runs <= self._fails else {"run": self.runs}


@pytest.mark.parametrize(
    ("more", "counting", "runs"),
    [
        ({}, Counting(), 1),
        ({"repeatable": True}, Counting(), 4),
        ({}, Counting(fails=1), 2),  # the two at once fail together, the third is another try
        ({}, Counting(fails=1, late=True), 1),  # what did not answer in time may have acted
        ({"reads": True}, Counting(fails=1, late=True), 2),
        ({"outside": False}, Counting(), 1),
    ],
)
async def test_the_same_request_runs_once(more: dict[str, Any], counting: Counting, runs: int) -> None:
    told = Told(tool(counting, **more))
    day = {"day": "friday", "party": 2}
    await asyncio.gather(*(told.call("look_up", arguments=day) for _ in range(2)))
    await told.call("look_up", arguments=dict(reversed(day.items())))
    first = dict(told.results)
    await told.call("look_up", arguments=day)
    assert counting.runs == runs
    assert len(told.uses) == runs
    if runs == 1:
        assert told.results == first
    await told.call("look_up", arguments={"day": "monday"})
    assert counting.runs == runs + 1, "another request"


async def test_the_result_of_an_interrupted_tool_is_told_later_and_not_asked_for_twice() -> None:
    counting = Counting()
    told = Told(tool(counting, waited_for=True))
    call = asyncio.create_task(told.call("look_up"))
    await asyncio.sleep(0.5)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert told.context.get_messages() == []
    await asyncio.sleep(1)
    assert told.context.get_messages() == [
        {"role": "user", "content": '(look_up was not cancelled, it has answered: {"run": 1})'}
    ]
    await told.call("look_up")
    assert told.results == {"look_up": {"run": 1}}
    assert counting.runs == 1


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"order": "4711", "count": 2}, None),
        ({"order": "4711", "count": 2, "note": "x"}, None),
        ({"count": 2}, "order: missing."),
        ({}, "order, count: missing."),
        ({"order": "4711", "count": "two"}, "count: 'two' is not of type 'integer'."),
        ({"order": "47", "count": 2}, "order: '47' does not match"),
        ({"order": "4711", "count": 9}, "count: 9 is greater than the maximum of 5."),
        ({"order": "4711", "count": 2, "how": "fast"}, "how: 'fast' is not one of ['slow']."),
    ],
)
async def test_arguments_that_do_not_fit_run_nothing(arguments: dict[str, Any], wrong: str | None) -> None:
    ran: list[Mapping[str, Any]] = []

    async def order(given: Mapping[str, Any], _control: CallControl) -> Any:
        ran.append(given)
        return {"answer": 1}

    schema = {
        "order": {"type": "string", "pattern": r"^\d{4}$"},
        "count": {"type": "integer", "maximum": 5},
        "how": {"type": "string", "enum": ["slow"]},
    }
    told = Told(Tool("order", "d", schema, ("order", "count"), order, outside=True))
    await told.call("order", arguments=arguments)
    assert len(ran) == (wrong is None)
    said = str(told.results["order"].get("error", ""))
    assert said.startswith("" if wrong is None else f"order was not run: {wrong}")
    assert told.speaks["order"]


async def test_a_tool_of_the_call_is_checked_too() -> None:
    told = Told()
    await told.call("end_call", arguments={"reason": 5})
    assert "reason: 5 is not of type 'string'" in told.results["end_call"]["error"]
