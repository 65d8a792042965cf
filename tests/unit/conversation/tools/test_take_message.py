"""take_message: a message needs words; name and number are welcome."""

from __future__ import annotations

from typing import Any

import pytest

from bot.conversation.tools.take_message import take_message
from tests.unit.conversation.tools.control import NotedControl


async def test_a_message_is_noted_with_who_left_it() -> None:
    control = NotedControl()
    await take_message({"message": " Call me. ", "name": "Ann", "phone_number": 2025550123}, control)
    assert control.asked == [("message", "Call me.", "Ann", "2025550123")]


async def test_who_left_it_may_be_unknown() -> None:
    control = NotedControl()
    await take_message({"message": "Call me.", "name": "", "phone_number": None}, control)
    assert control.asked == [("message", "Call me.", None, None)]


@pytest.mark.parametrize("arguments", [{}, {"message": ""}, {"message": "  "}, {"message": None}])
async def test_an_empty_message_is_asked_for_again(arguments: dict[str, Any]) -> None:
    control = NotedControl()
    result = await take_message(arguments, control)
    assert "error" in result
    assert control.asked == []
