"""end_call: say goodbye and hang up."""

from collections.abc import Mapping
from typing import Any

from bot.conversation.tools.tool import CallControl, Tool


async def end_call(arguments: Mapping[str, Any], control: CallControl) -> dict[str, Any]:
    """The line is closed when the goodbye has been heard."""
    await control.end_after_goodbye()
    return {"status": "hanging up after the goodbye"}


TOOL = Tool(
    name="end_call",
    description=(
        "Hang up. Call it when the conversation is over, in the same reply as your spoken goodbye. "
        "Nothing can be said after it."
    ),
    parameters={"reason": {"type": "string", "description": "Why the call is over, in a few words."}},
    required=(),
    run=end_call,
    speaks_after=False,
    repeatable=True,
)
