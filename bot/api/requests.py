"""What callers send: pydantic models that become the frozen records of the inside."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from bot.conversation.scenario.parts import Hours, Retry
from bot.conversation.scenario.scenario import DEFAULT_OUTBOUND
from bot.errors import RequestError
from bot.json_schema import checked
from bot.phone_numbers import check_dialled, read_e164, read_extension
from bot.policy import CallConsent, CallPurpose, Terms, zone
from bot.records import CallSpec, FirstSpeaker, Status
from bot.store.kept_json import check_json

MAX_CONTEXT_BYTES = 64 * 1024
MAX_METADATA_BYTES = 16 * 1024
MAX_SCHEDULE_DAYS = 366
ONE_NAME: Final = "give action or task, not both: they are two names of one field"


def _context(value: str | dict[str, Any]) -> str | dict[str, Any]:
    check_json(value, MAX_CONTEXT_BYTES)
    return value


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    check_json(value, MAX_METADATA_BYTES)
    return value


def plain_schema(value: dict[str, Any]) -> dict[str, Any]:
    """An outcome_schema as it is kept. ValueError: what has to be mended, and where."""
    check_json(value)
    try:
        return checked(value)
    except RequestError as e:
        raise ValueError(e.message) from e


def _time_zone(value: str) -> str:
    zone(value)
    return value


def _past(value: datetime) -> datetime:
    if value > datetime.now(UTC):
        raise ValueError("has not come yet")
    return value


def _schedule(value: datetime) -> datetime:
    """A time that has passed means now."""
    if value - datetime.now(UTC) > timedelta(days=MAX_SCHEDULE_DAYS):
        raise ValueError(f"is more than {MAX_SCHEDULE_DAYS} days ahead")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is no time of our calendar in UTC") from None


E164 = Annotated[str, AfterValidator(read_e164), Field(description="E.164.", examples=["+12025550123"])]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Context = Annotated[str | dict[str, Any], AfterValidator(_context)]
Action = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


SimulatedCallee = Annotated[
    str,
    StringConstraints(max_length=40),
    Field(
        description="Who picks up, on a server without a carrier's keys: voicemail, busy, hedges …; `all`: each "
        "call another one. 422 where a real phone would ring.",
        examples=["voicemail"],
    ),
]
Schedule = Annotated[AwareDatetime, AfterValidator(_schedule)]
TimeZone = Annotated[str, StringConstraints(max_length=100), AfterValidator(_time_zone)]
Extension = Annotated[str, StringConstraints(max_length=100), AfterValidator(read_extension)]


class RetryRequest(Retry):
    """Stands in the place of the scenario's [retry] as a whole: what is left out is not the scenario's."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"attempts": 3, "delay_seconds": 1800, "on": ["busy", "no_answer"]}]}
    )

    attempts: int = Field(ge=1, le=10, description="How often it is dialled at most, the first time too.")


class ConsentRequest(BaseModel):
    """The callee's consent to be called. It is kept for five years, whatever is erased of the call."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)] = Field(
        description="How it was given.", examples=["written", "web_form"]
    )
    at: Annotated[AwareDatetime, AfterValidator(_past)] = Field(description="When it was given.")
    source: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] = Field(
        description="Where it can be found.", examples=["https://example.com/form/17"]
    )

    @property
    def consent(self) -> CallConsent:
        return CallConsent(self.kind, self.at.astimezone(UTC).isoformat(), self.source)


class HoursRequest(Hours):
    """Stands in the place of the scenario's [hours] as a whole: what is left out is no limit."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"start": "09:00", "end": "20:00", "days": ["mon", "tue", "wed", "thu", "fri"]}]
        }
    )


class SpecRequest(BaseModel):
    """What both ways to start a call take."""

    model_config = ConfigDict(extra="forbid")

    phone_number: Annotated[E164, AfterValidator(check_dialled)]
    context: Context = Field(
        default="",
        description="What the agent may know and tell, as text or an object; at most 64 KiB.",
        examples=["Dr. Smith, Suite 200. Rescheduling available Mon-Fri."],
    )
    callee_name: Name | None = Field(default=None, examples=["John"])
    agent_name: Name | None = Field(default=None, examples=["Alex"])
    organization: Name | None = Field(default=None, examples=["Downtown Dental"])
    scenario: Name = Field(default=DEFAULT_OUTBOUND, description="A file in pipelines/, without its ending.")
    first_speaker: FirstSpeaker | None = Field(default=None, description="Overrides the scenario's.")
    metadata: Annotated[dict[str, Any], AfterValidator(_metadata)] = Field(
        default_factory=dict,
        description="Yours: returned untouched; at most 16 KiB.",
        examples=[{"crm_id": "A-17"}],
    )
    from_number: E164 | None = Field(
        default=None, description="The number to call from; TWILIO_PHONE_NUMBER when not given."
    )
    webhook_url: Annotated[str, StringConstraints(max_length=2000)] | None = Field(
        default=None,
        description="Where this call's events go, in the place of WEBHOOK_URL.",
        examples=["https://example.com/calls"],
    )
    outcome_schema: Annotated[dict[str, Any], AfterValidator(plain_schema)] | None = Field(
        default=None,
        description="JSON Schema of `outcome.fields`, in the place of the scenario's fields; at most 16 KiB.",
    )
    purpose: CallPurpose | None = Field(default=None, description="The scenario's if left out.")
    consent: ConsentRequest | None = Field(
        default=None, description="The callee's, to be called: a marketing call needs it where its profile asks."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and "action" in fields and "task" in fields:
            wrong = PydanticCustomError("value_error", ONE_NAME)
            raise ValidationError.from_exception_data(
                cls.__name__, [InitErrorDetails(type=wrong, loc=("task",), input=fields["task"])]
            )
        return fields

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

    schedule_at: Schedule | None = Field(
        default=None,
        description="Not dialled before; a time that has passed means now. The call is `queued` until then.",
        examples=["2026-03-02T15:00:00Z"],
    )
    retry: RetryRequest | None = Field(
        default=None, description="Whether to try again; the scenario's if left out."
    )
    hours: HoursRequest | None = Field(
        default=None,
        description="When the callee may be called, by his own clock; the scenario's if left out. "
        "Outside of them the call waits.",
    )
    time_zone: TimeZone | None = Field(
        default=None,
        description="Where the callee's clock stands, as an IANA name; by his number if left out.",
        examples=["America/New_York"],
    )
    extension: Extension | None = Field(
        default=None,
        description="Keys pressed once the call is answered: 0-9, *, #; w waits half a second, W one, a comma "
        "two; 32 at most. The agent speaks when somebody answers behind them.",
        examples=["ww204"],
    )
    wait: bool = Field(default=True, description="False: 429 rather than a call that has to wait for its turn.")
    simulated_callee: SimulatedCallee | None = None

    @model_validator(mode="after")
    def _now_or_later(self) -> CallRequest:
        if not self.wait and self.schedule_at is not None:
            raise ValueError("schedule_at and wait: false contradict each other")
        return self

    def spec(self) -> CallSpec:
        return self.spec_with(self.action)

    def terms(self) -> Terms:
        return Terms(
            schedule_at=self.schedule_at,
            retry=None if self.retry is None else self.retry.terms,
            hours=None if self.hours is None else self.hours.terms,
            time_zone=self.time_zone,
            wait=self.wait,
            extension=self.extension,
            webhook_url=self.webhook_url,
            outcome_schema=self.outcome_schema,
            purpose=self.purpose,
            consent=None if self.consent is None else self.consent.consent,
            simulated_callee=self.simulated_callee,
        )


def request_hash(body: BaseModel) -> str:
    """Of what was asked for: however the JSON was written, the same request has the same."""
    said = json.dumps(body.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


class RegisterRequest(SpecRequest):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_CALL_EXAMPLE]})

    action: Action | None = Field(
        default=None,
        validation_alias=_ACTION,
        description="What the call is to achieve. `task` is another name for it.",
    )

    def spec(self) -> CallSpec:
        return self.spec_with(self.action or "")

    def terms(self) -> Terms:
        """When it is dialled, and how often, is its owner's to say."""
        return Terms(
            webhook_url=self.webhook_url,
            outcome_schema=self.outcome_schema,
            purpose=self.purpose,
            consent=None if self.consent is None else self.consent.consent,
        )


class ListQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: Status | None = Field(default=None, description="Only calls that stand there.")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="`next_cursor` of the page before.")


MAX_NUMBERS = 10_000
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class DoNotCallRequest(BaseModel):
    """One number, or many with one reason."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"phone_number": "+12025550123", "reason": "asked by e-mail"}]},
    )

    phone_number: E164 | None = None
    phone_numbers: Annotated[list[Any], Field(min_length=1, max_length=MAX_NUMBERS)] | None = Field(
        default=None,
        description="At most 10,000, each E.164. The good ones are added, the bad ones reported.",
        examples=[["+12025550123", "+12025550199"]],
    )
    reason: Reason | None = None

    @model_validator(mode="after")
    def _one_or_many(self) -> DoNotCallRequest:
        if (self.phone_number is None) == (self.phone_numbers is None):
            raise ValueError("give phone_number, or phone_numbers")
        return self


class DoNotCallQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="`next_cursor` of the page before.")
