"""The tables, as the code reads and writes them; migrations/ holds how a database got there.

JSON is kept as text JSON also on PostgreSQL, not JSONB: metadata goes back to its owner untouched, and
JSONB reorders keys, drops doubled ones and refuses the character U+0000.
"""

from dataclasses import fields
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from bot.records import FINAL_STATUSES, CostPart, Direction, Status, TurnLatency


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite has no zones: there it is kept naive, and UTC by agreement."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value.isoformat()}")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = sa.MetaData()

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("call_id", sa.Text, primary_key=True),
    sa.Column("call_sid", sa.Text),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("phone_number", sa.Text, nullable=False),
    sa.Column("from_number", sa.Text),
    sa.Column("scenario", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("context", sa.JSON, nullable=False),
    sa.Column("callee_name", sa.Text),
    sa.Column("agent_name", sa.Text),
    sa.Column("organization", sa.Text),
    sa.Column("first_speaker", sa.Text),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("answered_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("ended_reason", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("duration_seconds", sa.Double),
    sa.Column("answer_to_first_audio_ms", sa.Double),
    sa.Column("recording", sa.Text),
    sa.Column("vendors", sa.JSON, nullable=False),
    sa.Column("interruptions", sa.Integer, nullable=False),
    sa.Column("answered_by", sa.Text),
    sa.Column("speculations_kept", sa.Integer, nullable=False, server_default="0"),
    sa.Column("speculations_dropped", sa.Integer, nullable=False, server_default="0"),
    sa.Column("outcome", sa.JSON(none_as_null=True)),
    # A part of the costs a column: different processes write them at different times, and none waits.
    *(sa.Column(f"cost_{part.value}", sa.JSON(none_as_null=True)) for part in CostPart),
    # Its sum, which figures add up; NULL where a price is unknown.
    *(sa.Column(f"usd_{part.value}", sa.Double) for part in CostPart),
    sa.Column("terms", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
    sa.Column("first_call_id", sa.Text),
    sa.Column("retried_as", sa.Text),
    sa.Column("scheduled_at", UtcDateTime),
    sa.Column("waiting_for", sa.Text),
    sa.Column("key_id", sa.Text),
    sa.Column("campaign_id", sa.Text),
    sa.Column("contact_id", sa.Text),
    sa.Column("request_hash", sa.Text),
    sa.Column("followed_by", sa.Text),
    sa.Column("held_by", sa.Text),
    sa.Column("dialling_at", UtcDateTime),
    sa.Column("carrier_ended_at", UtcDateTime),
    sa.Column("recording_erased_at", UtcDateTime),
    sa.Column("transcript_erased_at", UtcDateTime),
    sa.Column("number_erased_at", UtcDateTime),
    sa.Column("compliance", sa.JSON(none_as_null=True)),
    sa.Column("disclosed_at", UtcDateTime),
    sa.Column("consent", sa.JSON(none_as_null=True)),
    sa.Column("observations", sa.JSON(none_as_null=True)),
    sa.Column("hello_to_first_word_ms", sa.Double),
    sa.Column("abandoned", sa.Boolean),
    sa.Column("caller_identity", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("number_key", sa.Text),
    sa.Index("calls_by_age", "created_at", "call_id"),
    sa.Index("calls_by_status_and_age", "status", "created_at", "call_id"),
    sa.Index("calls_by_sid", "call_sid", unique=True),
    sa.Index("calls_by_number_and_age", "phone_number", "created_at"),
    sa.Index("calls_by_number_key", "number_key"),
    sa.Index("calls_by_campaign", "campaign_id", "status", "scheduled_at"),
)

for _kept in ("recording", "transcript", "number"):
    # Only calls that are over and still have it: what was erased leaves the index that retention reads.
    _still = sa.and_(calls.c.ended_at.is_not(None), calls.c[f"{_kept}_erased_at"].is_(None))
    sa.Index(f"calls_with_{_kept}", calls.c.ended_at, sqlite_where=_still, postgresql_where=_still)


def _said(word: Status | Direction) -> sa.ColumnElement[str]:
    """Part of the statement, not a parameter: a partial index serves a query that says what the index says."""
    return sa.literal_column(f"'{word.value}'")


# Not a list of the open ones: that would be looked up in the index by status, among all that wait.
is_open = calls.c.status.not_in([_said(status) for status in FINAL_STATUSES])
on_a_line = sa.and_(
    is_open,
    sa.or_(
        calls.c.status != _said(Status.QUEUED),
        calls.c.dialling_at.is_not(None),
        calls.c.direction == _said(Direction.INBOUND),
    ),
)
"""Between its dialling, or coming in, and its end."""
unfollowed = sa.and_(is_open, calls.c.followed_by.is_(None))
held = sa.and_(is_open, calls.c.held_by.is_not(None))

# Read at every dialling and every few seconds, while a hundred thousand calls may wait: each has only its own.
for _name, _columns, _which in (
    ("calls_on_a_line", [calls.c.status], on_a_line),
    ("calls_unfollowed", [calls.c.followed_by, calls.c.created_at], unfollowed),
    ("calls_held", [calls.c.held_by], held),
):
    sa.Index(_name, *_columns, sqlite_where=_which, postgresql_where=_which)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("speaker", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("start_ms", sa.Integer, nullable=False),
    sa.Column("end_ms", sa.Integer),
    sa.Column("interrupted", sa.Boolean, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("latency", sa.JSON(none_as_null=True)),
    sa.Column("tools", sa.JSON, nullable=False),
    sa.Column("word_ms", sa.JSON(none_as_null=True)),
    sa.Column("keys", sa.Boolean, nullable=False, server_default=sa.false()),
)

REPLY_PARTS = tuple(field.name for field in fields(TurnLatency))

replies = sa.Table(
    "replies",
    metadata,
    sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at_seconds", sa.BigInteger, nullable=False),
    sa.Column("scenario", sa.Text, nullable=False),
    *(sa.Column(part, sa.Double) for part in REPLY_PARTS),
    sa.Index("replies_by_time", "at_seconds"),
)
"""The latency of each complete turn once more, narrow and typed, for figures of tens of thousands.
`at_seconds` is Unix time."""

installation = sa.Table("installation", metadata, sa.Column("secret", sa.Text, primary_key=True))
"""One row: a random text that only this database knows, for ids that nobody may guess."""

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),
    sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Index("tokens_by_expiry", "expires_at"),
)
