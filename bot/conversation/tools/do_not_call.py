"""do_not_call: the callee does not want to be called again, and never will be."""

from collections.abc import Mapping
from typing import Any

from bot.conversation.tools.tool import CallControl, Tool


async def do_not_call(arguments: Mapping[str, Any], control: CallControl) -> dict[str, Any]:
    """The number is on the list when this returns; the goodbye is the model's to say."""
    reason, number = (str(arguments.get(name) or "").strip() for name in ("reason", "phone_number"))
    return await control.never_call_again(reason or None, number or None)


TOOL = Tool(
    name="do_not_call",
    description=(
        "Put the number of the person you are talking to on the do-not-call list: it is never called again. Call "
        "it as soon as they ask not to be called any more, or to be taken off the list; not for a bad time, or a "
        "matter they decline. In the same reply, without asking why or trying to change their mind, confirm it, "
        "say goodbye and call end_call."
    ),
    parameters={
        "reason": {"type": "string", "description": "What they said, in their own words, short."},
        "phone_number": {
            "type": "string",
            "description": "Only where this tool has asked for it: their number, with + and country code.",
        },
    },
    required=(),
    run=do_not_call,
    outside=True,
    waited_for=True,
)
