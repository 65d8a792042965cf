"""schedule_callback: kept as it was said."""

from __future__ import annotations

from typing import Any

import pytest

from bot.conversation.tools.schedule_callback import schedule_callback
from tests.unit.conversation.tools.control import NotedControl


async def test_a_time_is_noted_as_it_was_said() -> None:
    control = NotedControl()
    result = await schedule_callback({"when": " next Tuesday, after three "}, control)
    assert control.asked == [("callback", "next Tuesday, after three")]
    assert result["when"] == "next Tuesday, after three"


@pytest.mark.parametrize("arguments", [{}, {"when": ""}, {"when": None}])
async def test_no_time_is_asked_for_again(arguments: dict[str, Any]) -> None:
    control = NotedControl()
    assert "error" in await schedule_callback(arguments, control)
    assert control.asked == []
