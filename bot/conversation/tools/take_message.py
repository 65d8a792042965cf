"""take_message: write down what the callee wants passed on."""

from collections.abc import Mapping
from typing import Any

from bot.conversation.tools.tool import CallControl, Tool


async def take_message(arguments: Mapping[str, Any], control: CallControl) -> dict[str, Any]:
    """A message without text is refused, so the model asks for it."""
    message = str(arguments.get("message") or "").strip()
    if not message:
        return {"error": "the message is empty: ask what should be passed on"}
    name, number = arguments.get("name"), arguments.get("phone_number")
    control.notes.note_message(message, str(name) if name else None, str(number) if number else None)
    return {"status": "the message will be passed on"}


TOOL = Tool(
    name="take_message",
    description="Write down a message that has to be passed on, with the name and number to call back.",
    parameters={
        "message": {"type": "string", "description": "The message in the callee's words."},
        "name": {"type": "string", "description": "Who left it."},
        "phone_number": {"type": "string", "description": "Where they can be reached."},
    },
    required=("message",),
    run=take_message,
)
