"""record_outcome: keep what the call has found out, as soon as it is known."""

from collections.abc import Mapping
from typing import Any

from bot.conversation.tools.tool import CallControl, Tool

REFUSED = (
    "unknown, or no value of this field's type (a number, address, day … that exists): ask again, read it back"
)


async def record_outcome(arguments: Mapping[str, Any], control: CallControl) -> dict[str, Any]:
    """Later values replace earlier ones; what the scenario does not have or take is reported back."""
    refused = control.notes.note_outcome(arguments)
    if refused:
        return {"status": "recorded", "refused_fields": refused, "why": REFUSED}
    return {"status": "recorded"}


TOOL = Tool(
    name="record_outcome",
    description=(
        "Record what the call has found out. Call it as soon as something is certain, and again when it "
        "changes; do not announce it."
    ),
    parameters={
        "reached_goal": {"type": "boolean", "description": "Whether the purpose of the call is fulfilled."},
        "summary": {"type": "string", "description": "One or two sentences on what was agreed."},
    },
    required=(),
    run=record_outcome,
    checks_itself=True,
    repeatable=True,
)
