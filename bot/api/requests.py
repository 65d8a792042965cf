"""What callers send: pydantic models that become the frozen records of the inside."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, TypeVar

import phonenumbers
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from bot.records import CallSpec, Speaker, Status
from bot.scenario import DEFAULT_OUTBOUND

MAX_CONTEXT_BYTES = 64 * 1024
MAX_METADATA_BYTES = 16 * 1024
MAX_DEPTH = 32
_T = TypeVar("_T")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


def phone_number(value: str) -> str:
    """`value` when it is an E.164 number that libphonenumber's plan of its country knows."""
    if not _E164.fullmatch(value):
        raise ValueError("write it in E.164: +, country code, number, no spaces, as in +12025550123")
    try:
        valid = phonenumbers.is_valid_number(phonenumbers.parse(value))
    except phonenumbers.NumberParseException:
        raise ValueError("has no country code that exists; as in +12025550123") from None
    if not valid:
        raise ValueError("no such number can exist in its country; check the digits after the country code")
    return value


def check_json(value: object, depth: int = 0) -> None:
    """ValueError when `value` cannot be written as JSON again: Python reads NaN and half characters too."""
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds a number that is not finite")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("holds text that is not valid Unicode") from None
    if isinstance(value, dict):
        for key, item in value.items():
            check_json(key, depth + 1)
            check_json(item, depth + 1)
    if isinstance(value, list):
        for item in value:
            check_json(item, depth + 1)


def _context(value: str | dict[str, Any]) -> str | dict[str, Any]:
    return _capped(value, MAX_CONTEXT_BYTES)


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    return _capped(value, MAX_METADATA_BYTES)


def _capped(value: _T, limit: int) -> _T:
    check_json(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text.encode()) > limit:
        raise ValueError(f"is larger than {limit // 1024} KiB")
    return value


PhoneNumber = Annotated[str, AfterValidator(phone_number), Field(description="E.164.", examples=["+12025550123"])]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Action = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


class SpecRequest(BaseModel):
    """What both ways to start a call take."""

    model_config = ConfigDict(extra="forbid")

    phone_number: PhoneNumber
    context: Annotated[str | dict[str, Any], AfterValidator(_context)] = Field(
        default="",
        description="What the agent may know and tell, as text or an object; at most 64 KiB.",
        examples=["Dr. Smith, Suite 200. Rescheduling available Mon-Fri."],
    )
    callee_name: Name | None = Field(default=None, examples=["John"])
    agent_name: Name | None = Field(default=None, examples=["Alex"])
    organization: Name | None = Field(default=None, examples=["Downtown Dental"])
    scenario: Name = Field(default=DEFAULT_OUTBOUND, description="A file in pipelines/, without its ending.")
    first_speaker: Speaker | None = Field(default=None, description="Overrides the scenario's.")
    metadata: Annotated[dict[str, Any], AfterValidator(_metadata)] = Field(
        default_factory=dict,
        description="Yours: returned untouched; at most 16 KiB.",
        examples=[{"crm_id": "A-17"}],
    )
    from_number: PhoneNumber | None = Field(
        default=None, description="The number to call from; TWILIO_PHONE_NUMBER when not given."
    )

    def spec_with(self, action: str) -> CallSpec:
        return CallSpec(
            phone_number=self.phone_number,
            scenario=self.scenario,
            action=action,
            context=self.context,
            callee_name=self.callee_name,
            agent_name=self.agent_name,
            organization=self.organization,
            first_speaker=self.first_speaker,
            from_number=self.from_number,
            metadata=self.metadata,
        )


_CALL_EXAMPLE: dict[str, JsonValue] = {
    "phone_number": "+12025550123",
    "action": "Confirm your dentist appointment Thursday at 2pm",
    "context": "Dr. Smith, Suite 200. Rescheduling available Mon-Fri.",
    "callee_name": "John",
    "agent_name": "Alex",
    "organization": "Downtown Dental",
}
_ACTION = AliasChoices("action", "task")


class CallRequest(SpecRequest):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_CALL_EXAMPLE]})

    action: Action = Field(
        validation_alias=_ACTION, description="What the call is to achieve. `task` is another name for it."
    )

    def spec(self) -> CallSpec:
        return self.spec_with(self.action)


class RegisterRequest(SpecRequest):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_CALL_EXAMPLE]})

    action: Action | None = Field(
        default=None,
        validation_alias=_ACTION,
        description="What the call is to achieve. `task` is another name for it.",
    )

    def spec(self) -> CallSpec:
        return self.spec_with(self.action or "")


class ListQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: Status | None = Field(default=None, description="Only calls that stand there.")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="`next_cursor` of the page before.")
