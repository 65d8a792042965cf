"""What callers send of campaigns: the policy of an upload, and what of a list they ask for."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from bot.api.problems import BodyError
from bot.api.requests import (
    E164,
    MAX_CONTEXT_BYTES,
    ONE_NAME,
    Action,
    ConsentRequest,
    HoursRequest,
    Name,
    RetryRequest,
    SimulatedCallee,
    TimeZone,
    plain_schema,
)
from bot.calls.idempotency import Asked
from bot.conversation.scenario.scenario import DEFAULT_OUTBOUND
from bot.errors import RequestError
from bot.phone_numbers import is_country
from bot.policy import CallPurpose, Terms
from bot.records import CallSpec, FirstSpeaker
from bot.store.campaign_records import Campaign, CampaignStatus
from bot.store.kept_json import check_json

MAX_CONCURRENCY = 10_000
_FAR_YEARS = 50
_E164 = "+12025550123"
_EXAMPLE: dict[str, Any] = {
    "name": "Reminders of March",
    "scenario": "appointment_confirmation",
    "action": "Confirm your appointment with {{doctor}} on {{date}}",
    "context": "Rescheduling available Mon-Fri. {{notes|}}",
    "organization": "Downtown Dental",
    "concurrency": 10,
    "start_at": "2026-03-02T14:00:00Z",
    "end_at": "2026-03-06T22:00:00Z",
    "hours": {"start": "09:00", "end": "19:00", "days": ["mon", "tue", "wed", "thu", "fri"]},
    "retry": {"attempts": 3, "delay_seconds": 3600, "on": ["busy", "no_answer", "voicemail"]},
    "contacts": [
        {"phone_number": _E164, "callee_name": "John", "doctor": "Dr. Smith", "date": "Thursday at 2pm"},
        {"phone_number": "+12025550199", "callee_name": "Ann", "doctor": "Dr. Lee", "date": "Friday at 9am"},
    ],
}


def _json(value: Any) -> Any:
    check_json(value, MAX_CONTEXT_BYTES)
    return value


_MEANT_COUNTRY = {"UK": "GB", "EN": "GB", "EL": "GR", "USA": "US"}


def _country(value: str) -> str:
    if (meant := _MEANT_COUNTRY.get(value.upper())) is not None:
        raise ValueError(f"is no country of two letters: write {meant}")
    if not is_country(value.upper()):
        raise ValueError("is no country of two letters, like US")
    return value.upper()


def _moment(value: datetime) -> datetime:
    if abs(value.year - datetime.now(UTC).year) > _FAR_YEARS:
        raise ValueError("is not of our time")
    return value.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_moment)]


class CampaignRequest(BaseModel):
    """All of a campaign but its contacts. In the texts, {{name}} stands for a contact's variable and
    {{name|words}} for the words where there is none."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(default=None, description="Yours, for the list.")
    scenario: Name = Field(default=DEFAULT_OUTBOUND, description="A file in pipelines/, without its ending.")
    action: Action | None = Field(
        default=None,
        validation_alias=AliasChoices("action", "task"),
        description="What each call is to achieve; a contact's own variable `action` goes before it.",
    )
    context: Annotated[str | dict[str, Any], AfterValidator(_json)] = Field(
        default="", description="What the agent may know and tell. Variables are told only where it names them."
    )
    callee_name: Annotated[str, StringConstraints(max_length=200)] | None = None
    agent_name: Annotated[str, StringConstraints(max_length=200)] | None = None
    organization: Annotated[str, StringConstraints(max_length=200)] | None = None
    first_speaker: FirstSpeaker | None = None
    from_number: E164 | None = None
    metadata: Annotated[dict[str, Any], AfterValidator(_json)] = Field(
        default_factory=dict, description="Of every call; the contact's variables are added as `variables`."
    )
    country: Annotated[str, AfterValidator(_country)] | None = Field(
        default=None,
        description="Two letters: numbers without + are read as this country's. Without it they are bad rows.",
        examples=["US"],
    )
    concurrency: int = Field(default=5, ge=1, le=MAX_CONCURRENCY, description="Calls under way at most.")
    start_at: Moment | None = Field(default=None, validation_alias=AliasChoices("start_at", "start"))
    end_at: Moment | None = Field(
        default=None,
        validation_alias=AliasChoices("end_at", "end"),
        description="Nobody is dialled from then on; calls on the line go on.",
    )
    retry: RetryRequest | None = Field(default=None, validation_alias=AliasChoices("retry", "retries"))
    hours: HoursRequest | None = Field(
        default=None, description="Of the callee's clock; the scenario's if left out."
    )
    time_zone: TimeZone | None = Field(
        default=None, description="Of all contacts; a contact's own variable `time_zone` goes before it."
    )
    purpose: CallPurpose | None = Field(default=None, description="The scenario's if left out.")
    consent: ConsentRequest | None = Field(
        default=None,
        description="Of all contacts; a contact's own variables `consent_kind`, `consent_at` and "
        "`consent_source` go before it.",
    )
    simulated_callee: SimulatedCallee | None = None
    webhook_url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    outcome_schema: Annotated[dict[str, Any], AfterValidator(plain_schema)] | None = None
    dry_run: bool = Field(default=False, description="Only try it: nothing is kept, nobody is called.")
    encoding: Annotated[str, StringConstraints(max_length=40)] | None = Field(
        default=None,
        description="Of a CSV file; found out, and said in `file`, if left out.",
        examples=["windows-1252"],
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end_at is not None:
            if self.end_at <= datetime.now(UTC):
                raise ValueError("end_at has passed")
            if self.start_at is not None and self.end_at <= self.start_at:
                raise ValueError("end_at has to come after start_at")
        return self

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """From an upload's fields; those of an object `policy` count as if they stood beside it."""
        flat = dict(fields)
        policy = flat.pop("policy", {})
        if not isinstance(policy, dict):
            raise RequestError("policy: is an object", code="invalid_field", field="policy")
        for name in policy:
            if name in flat:
                raise RequestError(f"{name} is there twice.", code="invalid_field", field=name)
        if "action" in {*flat, *policy} and "task" in {*flat, *policy}:
            raise RequestError(ONE_NAME, code="invalid_field", field="task")
        try:
            # As JSON, because the parts of a scenario's tables are strict and take a list for a tuple only there.
            return cls.model_validate_json(json.dumps(flat | policy))
        except ValidationError as e:
            raise BodyError(e, cls) from None

    def campaign(self, asked: Asked, *, now: datetime) -> Campaign:
        spec = CallSpec(
            phone_number="",
            scenario=self.scenario,
            action=self.action or "",
            context=self.context,
            callee_name=self.callee_name,
            agent_name=self.agent_name,
            organization=self.organization,
            first_speaker=self.first_speaker,
            from_number=self.from_number,
            metadata=self.metadata,
        )
        terms = Terms(
            retry=None if self.retry is None else self.retry.terms,
            hours=None if self.hours is None else self.hours.terms,
            time_zone=self.time_zone,
            webhook_url=self.webhook_url,
            outcome_schema=self.outcome_schema,
            purpose=self.purpose,
            consent=None if self.consent is None else self.consent.consent,
            simulated_callee=self.simulated_callee,
        )
        return Campaign(
            asked.id_of("campaign"),
            spec,
            CampaignStatus.LOADING,
            now,
            name=self.name,
            concurrency=self.concurrency,
            start_at=self.start_at,
            end_at=self.end_at,
            terms=terms,
            key_id=asked.key_id,
            request_hash=asked.request_hash,
        )


_SCHEMA = CampaignRequest.model_json_schema(ref_template="#/components/schemas/{model}")
_SCHEMA.pop("$defs", None)
_CONTACT = {
    "type": "object",
    "required": ["phone_number"],
    "properties": {"phone_number": {"type": "string"}, "variables": {"type": "object"}},
    "additionalProperties": True,
}


def _with(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    properties = {name: schema, **_SCHEMA["properties"]}
    return {**_SCHEMA, "properties": properties, "required": [name]}


UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _with("contacts", {"type": "array", "items": _CONTACT}),
                "example": _EXAMPLE,
            },
            "multipart/form-data": {"schema": _with("file", {"type": "string", "format": "binary"})},
            "text/csv": {"schema": {"type": "string"}, "example": f"phone_number,date\n{_E164},Thursday\n"},
        },
    }
}
"""The OpenAPI entry of the upload, which FastAPI cannot know: the body is read as a stream."""


class CampaignListQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: CampaignStatus | None = None
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="`next_cursor` of the page before.")


class RowsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=20, description="`next_cursor` of the page before.")

    @property
    def after(self) -> int:
        """RequestError on a cursor that is not ours."""
        if self.cursor is None:
            return -1
        if not (self.cursor.isascii() and self.cursor.isdecimal() and int(self.cursor) < 2**31):
            raise RequestError(
                "cursor is not one this server gave: pass next_cursor of the page before, unchanged.",
                code="bad_cursor",
                field="cursor",
            )
        return int(self.cursor)


class ResultsQuery(RowsQuery):
    format: Literal["json", "csv"] | None = Field(
        default=None, description="csv: all of it as one table. Left out: as the Accept header says."
    )
    separator: Literal[",", ";", "\t", "comma", "semicolon", "tab"] = Field(
        default=",", description="Of the table: a semicolon where Excel's country writes 1,5."
    )

    @property
    def delimiter(self) -> str:
        return {"comma": ",", "semicolon": ";", "tab": "\t"}.get(self.separator, self.separator)
