"""send_digits: keys are checked before the carrier is asked."""

from __future__ import annotations

from typing import Any

import pytest

from bot.conversation.tools.send_digits import MAX_DIGITS, send_digits
from tests.unit.conversation.tools.control import NotedControl


@pytest.mark.parametrize(
    ("given", "pressed"),
    [("1", "1"), (" 12 345# ", "12345#"), ("1w2W*", "1w2W*"), (7, "7"), ("202-555-0123", "2025550123")],
)
async def test_keys_as_a_model_writes_them(given: Any, pressed: str) -> None:
    control = NotedControl()
    assert await send_digits({"digits": given}, control) == {"status": "pressing"}
    assert control.asked == [("digits", pressed)]


@pytest.mark.parametrize("given", [None, "", "ww", "one", "1;2", "+1", "A", "1" * (MAX_DIGITS + 1)])
async def test_what_no_phone_has(given: Any) -> None:
    control = NotedControl()
    assert "error" in await send_digits({"digits": given}, control)
    assert control.asked == []
