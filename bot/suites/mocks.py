"""Tools of a case: they answer as the suite says, and ask nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from bot.conversation.call_plan import Plan
from bot.conversation.tools import CallControl, Tool
from bot.pipeline.offline.rules.tool_rules import ToolRule
from bot.suites.checks import arguments_fit
from bot.suites.suite import ToolMock


def mocked_tools(mocks: Sequence[ToolMock], plan: Plan) -> list[Tool]:
    """The scenario's HTTP tools, and those that only the case names, each answering by its mocks.

    One that no mock stands for answers that it is not there: a suite asks no service.
    """
    declared = {tool.name: tool for tool in plan.scenario.http_tools}
    tools = []
    for name in dict.fromkeys([*declared, *(mock.name for mock in mocks)]):
        own = [mock for mock in mocks if mock.name == name]
        http = declared.get(name)
        described = next((mock.description for mock in own if mock.description), None)
        parameters = next((mock.parameters for mock in own if mock.parameters is not None), None)
        tools.append(
            Tool(
                name=name,
                description=described or (http.description if http else name.replace("_", " ")),
                parameters=parameters or (http.parameters if http else _guessed(own)),
                required=tuple(http.required if http else next((m.required for m in own), ())),
                run=_runner(name, own),
                timeout_seconds=http.timeout_seconds if http else 10.0,
                meanwhile=http.meanwhile if http else None,
                outside=True,
                repeatable=http.repeatable if http else False,
                reads=http.method == "GET" if http else False,
            )
        )
    return tools


def _guessed(mocks: Sequence[ToolMock]) -> dict[str, dict[str, Any]]:
    """Parameters of a tool that nobody describes: those that its mocks name, as strings."""
    return {name: {"type": "string"} for mock in mocks for name in (*mock.arguments, *mock.use)}


def _runner(name: str, mocks: Sequence[ToolMock]) -> Any:
    async def run(arguments: Mapping[str, Any], _control: CallControl) -> dict[str, Any]:
        mock = next((mock for mock in mocks if arguments_fit(mock.arguments, arguments)), None)
        if mock is None:
            why = "its arguments fit none of the case's mocks" if mocks else "the case has no mock of it"
            return {"error": f"{name} is not there: {why}"}
        await asyncio.sleep(mock.delay_seconds)
        if mock.error is not None:
            return {"error": mock.error}
        return dict(mock.result) if isinstance(mock.result, dict) else {"result": mock.result}

    return run


def rules_of(mocks: Sequence[ToolMock]) -> tuple[ToolRule, ...]:
    """When the local LLM calls the tools: it knows no schema, so the suite says when and with what."""
    return tuple(ToolRule(mock.name, mock.when, mock.use, mock.say) for mock in mocks if mock.when is not None)
