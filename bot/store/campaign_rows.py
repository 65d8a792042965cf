"""The tables of campaigns, and their rows to records and back."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.policy import DEFAULT_TERMS, Terms
from bot.records import CallSpec, EndedReason, Status
from bot.store.campaign_records import BadRow, Campaign, CampaignStatus, Contact, ContactState, Result
from bot.store.kept_json import as_object, read, to_json
from bot.store.rows import Row, call_record, storable, word
from bot.store.schema import UtcDateTime, calls, metadata

campaigns = sa.Table(
    "campaigns",
    metadata,
    sa.Column("campaign_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("concurrency", sa.Integer, nullable=False),
    sa.Column("start_at", UtcDateTime),
    sa.Column("end_at", UtcDateTime),
    sa.Column("terms", sa.JSON, nullable=False),
    sa.Column("columns", sa.JSON, nullable=False),
    sa.Column("zones", sa.JSON, nullable=False),
    sa.Column("accepted", sa.Integer, nullable=False),
    sa.Column("rejected", sa.Integer, nullable=False),
    sa.Column("key_id", sa.Text),
    sa.Column("request_hash", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("touched_at", UtcDateTime),
    sa.Column("resumed_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("why", sa.Text),
    sa.Index("campaigns_by_age", "created_at", "campaign_id"),
    sa.Index("campaigns_by_status", "status", "touched_at"),
)

contacts = sa.Table(
    "contacts",
    metadata,
    sa.Column("campaign_id", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("line", sa.Integer, nullable=False),
    sa.Column("phone_number", sa.Text, nullable=False),
    sa.Column("variables", sa.JSON, nullable=False),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("call_id", sa.Text),
    sa.Column("next_call_id", sa.Text),
    sa.Column("due_at", UtcDateTime),
    sa.Column("status", sa.Text),
    sa.Column("ended_reason", sa.Text),
    sa.Column("reached_goal", sa.Boolean),
    sa.Index("contacts_by_state", "campaign_id", "state", "position"),
    sa.Index("contacts_by_due", "campaign_id", "state", "due_at"),
    sa.Index("contacts_by_number", "phone_number"),
)

bad_rows = sa.Table(
    "bad_rows",
    metadata,
    sa.Column("campaign_id", sa.Text, primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("field", sa.Text),
    sa.Column("text", sa.Text, nullable=False),
)

sa.Index("calls_by_campaign_and_end", calls.c.campaign_id, calls.c.ended_at)


def campaign_row(campaign: Campaign) -> Row:
    row = {column.name: getattr(campaign, column.name) for column in campaigns.columns}
    return row | {
        "name": storable(campaign.name),
        "status": campaign.status.value,
        "spec": asdict(campaign.spec),
        "terms": campaign.terms.to_json(),
        "columns": list(campaign.columns),
        "zones": list(campaign.zones),
    }


def campaign_record(row: RowMapping) -> Campaign:
    """Of whatever the row holds, as much as a record can say."""
    return Campaign(
        **dict(row)
        | {
            "status": word(CampaignStatus, row["status"]) or CampaignStatus.CANCELED,
            "spec": read(CallSpec, row["spec"]) or CallSpec("", ""),
            "terms": read(Terms, row["terms"]) or DEFAULT_TERMS,
            "columns": _texts(row["columns"]),
            "zones": _texts(row["zones"]),
        }
    )


def _texts(kept: object) -> tuple[str, ...]:
    return tuple(map(str, kept)) if isinstance(kept, list) else ()


NEW_CONTACT = ("campaign_id", "position", "line", "phone_number", "variables", "zone", "state", "attempts")
NEW_BAD_ROW = ("campaign_id", "line", "code", "message", "field", "text")


def new_contact(contact: Contact) -> tuple[Any, ...]:
    """The values of NEW_CONTACT as the driver takes them; the contact was not called yet."""
    return (
        contact.campaign_id,
        contact.position,
        contact.line,
        contact.phone_number,
        to_json(contact.variables),
        contact.zone,
        contact.state.value,
        0,
    )


def new_bad_row(campaign_id: str, bad: BadRow) -> tuple[Any, ...]:
    """The values of NEW_BAD_ROW as the driver takes them."""
    texts = (storable(bad.message), storable(bad.field), storable(bad.text))
    return (campaign_id, bad.line, bad.code, *texts)


def contact_record(row: RowMapping) -> Contact:
    return Contact(
        **dict(row)
        | {
            "variables": as_object(row["variables"]),
            "state": word(ContactState, row["state"]) or ContactState.DONE,
            "status": word(Status, row["status"]),
            "ended_reason": word(EndedReason, row["ended_reason"]),
        }
    )


async def read_results(connection: AsyncConnection, query: sa.Select[Any]) -> Sequence[Result]:
    """The contacts that `query` selects, in its order, each with its last call."""
    found = [contact_record(row) for row in (await connection.execute(query)).mappings()]
    ids = [contact.call_id for contact in found if contact.call_id is not None]
    theirs = sa.select(calls).where(calls.c.call_id.in_(ids))
    rows = (await connection.execute(theirs)).mappings().all() if ids else []
    records = {row["call_id"]: call_record(row) for row in rows}
    return [Result(contact, records.get(contact.call_id or "")) for contact in found]


def bad_row_record(row: RowMapping) -> BadRow:
    return BadRow(row["line"], row["code"], row["message"], row["field"], row["text"])
