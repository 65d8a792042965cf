"""record_outcome passes everything on and says what the call refused."""

from __future__ import annotations

from bot.conversation.tools.record_outcome import record_outcome
from tests.unit.conversation.tools.control import NotedControl


async def test_fields_are_kept() -> None:
    control = NotedControl()
    result = await record_outcome({"confirmed": True, "summary": "Fine."}, control)
    assert control.asked == [("outcome", {"confirmed": True, "summary": "Fine."})]
    assert result == {"status": "recorded"}


async def test_refused_names_are_told_to_the_model() -> None:
    result = await record_outcome({"confirmd": True}, NotedControl(refused=["confirmd"]))
    assert result["refused_fields"] == ["confirmd"]
