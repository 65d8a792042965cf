"""do_not_call: the callee's words go along; none are needed."""

from __future__ import annotations

from typing import Any

import pytest

from bot.conversation.tools.do_not_call import TOOL, do_not_call
from tests.unit.conversation.tools.control import NotedControl


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"reason": " Stop calling me. "}, ("Stop calling me.", None)),
        ({}, (None, None)),
        ({"reason": None, "phone_number": " +12025550199 "}, (None, "+12025550199")),
    ],
)
async def test_the_number_is_put_on_the_list(arguments: dict[str, Any], said: tuple[str | None, ...]) -> None:
    control = NotedControl()
    assert await do_not_call(arguments, control) == {"status": "listed"}
    assert control.asked == [("never again", *said)]


def test_the_callees_voice_does_not_stop_it() -> None:
    assert TOOL.outside
    assert TOOL.waited_for, "or every call's prompt ends with pipecat's words on results that come late"
