"""What callers get of campaigns: how they stand, what an upload gave, bad rows, results."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from bot.api.answers import OutcomeAnswer, Time
from bot.calls.campaigns.csv_form import FileForm
from bot.calls.campaigns.dry_run import Tried
from bot.policy import HoursTerms, RetryTerms
from bot.records import AnsweredBy, EndedReason, FirstSpeaker, Status
from bot.store.campaign_records import BadRow, Campaign, CampaignStatus, ContactState, Progress, Result


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
    first_speaker: FirstSpeaker | None
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
    """How the contacts were read."""

    encoding: str = Field(examples=["utf-8", "windows-1252"])
    other_encodings: list[str] = Field(
        description="Encodings in which the file reads as well, and otherwise: look at it, or send `encoding`."
    )
    separator: str | None = Field(description="Null for JSON.")
    phone_number_column: str = Field(
        description="By its name, or because it alone has phone numbers. Of JSON: the keys that were taken."
    )


def file_answer(form: FileForm | None) -> FileAnswer | None:
    return None if form is None else FileAnswer.model_validate(form)


class OverlapAnswer(_Answer):
    """Contacts that another campaign, or a call asked for by itself, is still to call. A number is called once at
    a time; who comes later waits."""

    campaign_id: str | None = Field(description="Null: calls asked for one by one.")
    contacts: int


def overlaps_of(counted: Mapping[str | None, int]) -> list[OverlapAnswer]:
    return [OverlapAnswer(campaign_id=other, contacts=n) for other, n in counted.items()]


class CreatedAnswer(CampaignAnswer):
    file: FileAnswer | None = Field(description="Null for JSON contacts with a phone_number.")
    overlaps: list[OverlapAnswer]
    bad_rows: list[BadRowAnswer] = Field(description="The first 100.")


class RowPreviewAnswer(_Answer):
    """A row as it would be called."""

    line: int
    phone_number: str
    callee_name: str | None
    action: str
    opening: str | None = Field(description="Null where the model writes it while the phone rings.")
    local_times: dict[str, str] = Field(
        description="Now, by each time zone that the number may be in.",
        examples=[{"America/New_York": "2026-03-02T09:30"}],
    )
    opens_at: Time | None = Field(description="When it may be called by its hours.")


class DryRunAnswer(_Answer):
    dry_run: bool = True
    accepted: int
    rejected: int
    variables: list[str]
    file: FileAnswer | None = Field(description="Null for JSON contacts with a phone_number.")
    first: list[RowPreviewAnswer] = Field(description="The first ten that would be called.")
    overlaps: list[OverlapAnswer]
    bad_rows: list[BadRowAnswer] = Field(description="The first 100.")

    @classmethod
    def tried(cls, tried: Tried, file: FileAnswer | None) -> Self:
        first = [
            RowPreviewAnswer(
                line=row.line,
                phone_number=row.spec.phone_number,
                callee_name=row.spec.callee_name,
                action=row.spec.action,
                opening=row.opening,
                local_times={name: f"{at:%Y-%m-%dT%H:%M}" for name, at in row.local_times.items()},
                opens_at=row.opens_at,
            )
            for row in tried.first
        ]
        return cls(
            accepted=tried.accepted,
            rejected=tried.rejected,
            variables=list(tried.columns),
            file=file,
            first=first,
            overlaps=overlaps_of(tried.overlaps),
            bad_rows=[BadRowAnswer.model_validate(row) for row in tried.bad],
        )


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
