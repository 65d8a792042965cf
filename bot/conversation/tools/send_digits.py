"""send_digits: press keys on the phone, as a menu or a person asks for."""

import re
from collections.abc import Mapping
from typing import Any

from bot.conversation.tools.tool import CallControl, Tool

MAX_DIGITS = 32
"""Twilio's own bound for the digits of a call; a card number with its pauses fits."""
_DIGITS = re.compile(rf"[0-9*#wW]{{1,{MAX_DIGITS}}}")


async def send_digits(arguments: Mapping[str, Any], control: CallControl) -> dict[str, Any]:
    """The keys are pressed once what the agent is saying was heard; the agent is deaf while they sound."""
    digits = re.sub(r"[\s,.-]", "", str(arguments.get("digits") or ""))
    if not _DIGITS.fullmatch(digits) or not digits.strip("wW"):
        return {"error": f"digits are 0-9, *, # and w or W for a wait, {MAX_DIGITS} at most"}
    return await control.send_digits(digits)


TOOL = Tool(
    name="send_digits",
    description=(
        "Press keys on the phone. Use it in an automated menu, or when you are asked to press a key or to enter "
        "a number; never read digits aloud to a machine that wants keys. Then wait for what you hear."
    ),
    parameters={
        "digits": {
            "type": "string",
            "description": "The keys in order: 0-9, *, #; w waits half a second, W a whole one. Like 12345#.",
        }
    },
    required=("digits",),
    run=send_digits,
    speaks_after=False,
    repeatable=True,
)
