"""transfer_call: put the callee through to a person the scenario names."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bot.conversation.tools.tool import CallControl, Tool
from bot.phone_numbers import is_e164, read_extension


class TransferTarget(BaseModel):
    """[[transfer]]: a person or desk a call may be put through to. The model knows its name, never the number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_ -]{0,40}$")
    number: str
    """E.164."""
    extension: str | None = Field(default=None, repr=False)
    """Keys pressed once it is answered, such as ww204."""
    description: str = ""
    """When to choose it, for the model."""
    mode: Literal["warm", "cold"] = "warm"
    """warm: the person is called first, hears who it is and accepts. cold: the callee is dialled on."""
    announcement: str | None = None
    """What the callee hears before, where the model says nothing of it. None: the language's own phrase."""
    ring_seconds: int = Field(default=25, ge=5, le=120)
    accept_key: str = Field(default="1", pattern=r"^[0-9*]$")
    """warm: what the person presses to take the call; any other key refuses it."""

    @field_validator("number")
    @classmethod
    def _e164(cls, value: str) -> str:
        if not is_e164(value):
            raise ValueError(f"{value!r} is not an E.164 number like +12025550123")
        return value

    @field_validator("extension")
    @classmethod
    def _keys(cls, value: str | None) -> str | None:
        return None if value is None else read_extension(value)


async def transfer_call(arguments: Mapping[str, Any], control: CallControl) -> dict[str, Any]:
    """Begins the transfer and returns; the call itself goes on until somebody takes it."""
    target = str(arguments.get("target") or "").strip()
    if not target:
        return {"error": "say to whom the call is to be put through"}
    return await control.transfer(target, str(arguments.get("summary") or "").strip())


def target_schema(targets: Iterable[TransferTarget]) -> dict[str, Any]:
    """The JSON schema of `target` for the targets of a scenario."""
    targets = tuple(targets)
    described = "; ".join(f"{t.name}: {t.description}" if t.description else t.name for t in targets)
    return {
        "type": "string",
        "enum": [target.name for target in targets],
        "description": f"To whom. {described}.",
    }


TOOL = Tool(
    name="transfer_call",
    description=(
        "Put the person you are talking to through to a colleague. Say in the same reply that you are putting "
        "them through. The colleague is called while you stay on the line; you are told if nobody takes the "
        "call, and until then you may go on talking."
    ),
    parameters={
        "target": {"type": "string", "description": "To whom the call is to be put through."},
        "summary": {
            "type": "string",
            "description": (
                "Read to the colleague before they take the call: who is on the line and what about, in one or "
                "two sentences."
            ),
        },
    },
    required=("target", "summary"),
    run=transfer_call,
    speaks_after=False,
    repeatable=True,
)
