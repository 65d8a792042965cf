"""schedule_callback: note when the callee wants to be called again."""

from collections.abc import Mapping
from typing import Any

from bot.conversation.tools.tool import CallControl, Tool


async def schedule_callback(arguments: Mapping[str, Any], control: CallControl) -> dict[str, Any]:
    """Kept as the callee said it; nothing is dialled by it."""
    when = str(arguments.get("when") or "").strip()
    if not when:
        return {"error": "no time was given: ask when a call suits"}
    control.notes.note_callback(when)
    return {"status": "noted", "when": when}


TOOL = Tool(
    name="schedule_callback",
    description="Note that the callee wants to be called again, and when.",
    parameters={"when": {"type": "string", "description": "Day and time as the callee said them."}},
    required=("when",),
    run=schedule_callback,
    repeatable=True,
)
