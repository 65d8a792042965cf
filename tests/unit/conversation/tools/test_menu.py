"""The menu: one file, function and tool of the same name; schemas a model can be given."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from bot.conversation import tools
from bot.conversation.tools import TOOLS, Tool


@pytest.mark.parametrize("tool", list(TOOLS.values()), ids=list(TOOLS))
def test_file_function_and_tool_share_a_name(tool: Tool) -> None:
    function = tool.run
    assert function.__name__ == tool.name
    assert function.__module__ == f"bot.conversation.tools.{tool.name}"
    assert inspect.iscoroutinefunction(function)


@pytest.mark.parametrize("tool", list(TOOLS.values()), ids=list(TOOLS))
def test_a_schema_describes_each_parameter(tool: Tool) -> None:
    assert tool.description
    assert set(tool.required) <= set(tool.parameters)
    for parameter in tool.parameters.values():
        assert set(parameter) == {"type", "description"}
        assert parameter["type"] in {"string", "boolean", "number"}


def test_every_tool_file_is_in_the_menu() -> None:
    files = {path.stem for path in Path(tools.__file__).parent.glob("*.py")} - {"__init__", "tool"}
    assert set(TOOLS) == files
