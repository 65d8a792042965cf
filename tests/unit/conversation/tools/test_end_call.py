"""end_call asks for the end and lets the goodbye be heard."""

from __future__ import annotations

from bot.conversation.tools import end_call
from tests.unit.conversation.tools.control import NotedControl


async def test_the_call_ends_after_the_goodbye() -> None:
    control = NotedControl()
    result = await end_call.end_call({"reason": "done"}, control)
    assert control.asked == [("end",)]
    assert "goodbye" in result["status"]
    assert not end_call.TOOL.speaks_after, "nothing can be said after it"
