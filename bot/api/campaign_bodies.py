"""What callers send and get of campaigns: the policy of an upload, progress, bad rows, results."""

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

from bot.api.answers import OutcomeAnswer, Time
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
    TimeZone,
    plain_schema,
)
from bot.calls.idempotency import Asked
from bot.conversation.scenario.scenario import DEFAULT_OUTBOUND
from bot.errors import RequestError
from bot.phone_numbers import is_country
from bot.policy import CallPurpose, HoursTerms, RetryTerms, Terms
from bot.records import AnsweredBy, CallSpec, EndedReason, Speaker, Status
from bot.store.campaign_records import BadRow, Campaign, CampaignStatus, ContactState, Progress, Result
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


def _country(value: str) -> str:
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
    first_speaker: Speaker | None = None
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
    webhook_url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    outcome_schema: Annotated[dict[str, Any], AfterValidator(plain_schema)] | None = None
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


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class BadRowAnswer(_Answer):
    line: int = Field(description="Of the file, the header's is 1; of a JSON list, the place, from 1.")
    code: str
    field: str | None
    message: str
    text: str = Field(description="The row as it was sent, its first 500 characters.")


class BadRowsAnswer(_Answer):
    bad_rows: list[BadRowAnswer]
    next_cursor: str | None

    @classmethod
    def of(cls, rows: list[BadRow], limit: int) -> Self:
        """`rows`: one more than `limit` where there are more."""
        shown = [BadRowAnswer.model_validate(row) for row in rows[:limit]]
        return cls(bad_rows=shown, next_cursor=str(shown[-1].line) if len(rows) > limit else None)


class EndingAnswer(_Answer):
    status: Status | None
    ended_reason: EndedReason | None
    reached_goal: bool | None = Field(description="Null where nobody was spoken to.")
    contacts: int


class ProgressAnswer(_Answer):
    """In numbers of contacts, whose sum is `accepted`; but for `said_hello` and `abandoned`, which are calls."""

    queued: int = Field(description="Not called yet.")
    waiting: int = Field(description="To be called again, or put off by hours or caps.")
    dialling: int = Field(description="Waiting for a line, or ringing.")
    on_the_line: int
    done: int
    left: int = Field(description="Never called: the campaign was canceled or came to its end first.")
    reached_goal: int = Field(description="Of those that are done.")
    said_hello: int = Field(description="Calls that a person answered with words.")
    abandoned: int = Field(description="Of these: those who heard no word of the agent within two seconds.")
    done_by_ended_reason: dict[str, int]
    endings: list[EndingAnswer] = Field(description="Of those that are done, the most frequent first.")

    @classmethod
    def of(cls, progress: Progress) -> Self:
        by_reason: dict[str, int] = {}
        for ending in progress.endings:
            word = ending.ended_reason or ending.status or "unknown"
            by_reason[word] = by_reason.get(word, 0) + ending.contacts
        return cls(
            **{name: getattr(progress, name) for name in _COUNTS},
            reached_goal=sum(ending.contacts for ending in progress.endings if ending.reached_goal),
            done_by_ended_reason=by_reason,
            endings=[EndingAnswer.model_validate(ending) for ending in progress.endings],
        )


_COUNTS = ("queued", "waiting", "dialling", "on_the_line", "done", "left", "said_hello", "abandoned")


class CampaignSummary(_Answer):
    """A campaign without its progress."""

    campaign_id: str
    name: str | None
    status: CampaignStatus
    why: str | None = Field(description="Why it does not dial at the moment.")
    created_at: Time
    start_at: Time | None
    end_at: Time | None
    ended_at: Time | None
    scenario: str
    action: str
    context: str | dict[str, Any]
    callee_name: str | None
    agent_name: str | None
    organization: str | None
    first_speaker: Speaker | None
    from_number: str | None
    metadata: dict[str, Any]
    concurrency: int
    retry: RetryTerms | None = Field(description="Null: the scenario's.")
    hours: HoursTerms | None = Field(description="Null: the scenario's.")
    time_zone: str | None
    webhook_url: str | None
    outcome_schema: dict[str, Any] | None
    variables: list[str] = Field(description="The contacts' columns, in the order of the upload.")
    accepted: int = Field(description="Contacts.")
    rejected: int = Field(description="Bad rows; GET …/bad-rows lists them.")

    @classmethod
    def of(cls, campaign: Campaign, **more: Any) -> Self:
        return cls.model_validate(
            {
                **vars(campaign.spec),
                **vars(campaign.terms),
                **vars(campaign),
                "variables": list(campaign.columns),
                **more,
            }
        )


class CampaignAnswer(CampaignSummary):
    progress: ProgressAnswer


class FileAnswer(_Answer):
    """How a CSV file was read."""

    encoding: str = Field(examples=["utf-8", "windows-1252"])
    separator: str
    phone_number_column: str = Field(description="By its name, or because its cells alone are phone numbers.")


class CreatedAnswer(CampaignAnswer):
    file: FileAnswer | None = Field(description="Null for contacts in JSON.")
    bad_rows: list[BadRowAnswer] = Field(description="The first 100.")


class CampaignPageAnswer(_Answer):
    campaigns: list[CampaignSummary] = Field(description="Newest first.")
    next_cursor: str | None


class ResultAnswer(_Answer):
    """A contact and its last call."""

    contact_id: str
    line: int
    phone_number: str
    variables: dict[str, Any]
    state: ContactState
    attempts: int = Field(description="Calls begun.")
    due_at: Time | None = Field(description="When it is called again.")
    call_id: str | None = Field(description="The last call begun.")
    status: Status | None
    ended_reason: EndedReason | None
    answered_by: AnsweredBy | None
    started_at: Time | None
    answered_at: Time | None
    ended_at: Time | None
    duration_seconds: float | None
    outcome: OutcomeAnswer | None

    @classmethod
    def of(cls, result: Result) -> Self:
        contact, call = result.contact, result.call
        of_call = {} if call is None else {name: getattr(call, name) for name in _OF_CALL}
        status = call.status if call is not None else contact.status
        reason = call.ended_reason if call is not None else contact.ended_reason
        return cls.model_validate(
            dict.fromkeys(_OF_CALL)
            | vars(contact)
            | of_call
            | {"contact_id": contact.contact_id, "status": status, "ended_reason": reason}
        )


_OF_CALL = ("answered_by", "started_at", "answered_at", "ended_at", "duration_seconds", "outcome")


class ResultsAnswer(_Answer):
    results: list[ResultAnswer] = Field(description="In the order of the upload.")
    next_cursor: str | None

    @classmethod
    def of(cls, results: list[Result], limit: int) -> Self:
        """`results`: one more than `limit` where there are more."""
        last = results[limit - 1].contact.position if len(results) > limit else None
        shown = [ResultAnswer.of(result) for result in results[:limit]]
        return cls(results=shown, next_cursor=None if last is None else str(last))
