"""What the agent can do while talking: one file a tool; file, function and tool share a name.

A tool is a coroutine `(arguments, control) -> result`; `control` is all it may do to its call.
"""

from collections.abc import Mapping

from bot.conversation.tools import (
    do_not_call,
    end_call,
    record_outcome,
    schedule_callback,
    send_digits,
    take_message,
    transfer_call,
)
from bot.conversation.tools.tool import CallControl, Tool

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        do_not_call.TOOL,
        end_call.TOOL,
        record_outcome.TOOL,
        schedule_callback.TOOL,
        send_digits.TOOL,
        take_message.TOOL,
        transfer_call.TOOL,
    )
}
"""The tools a scenario chooses from."""

__all__ = ["TOOLS", "CallControl", "Tool"]
