"""Calls, their turns and their media tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "calls",
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
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_reason", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("duration_seconds", sa.Double),
        sa.Column("answer_to_first_audio_ms", sa.Double),
        sa.Column("recording", sa.Text),
        sa.Column("vendors", sa.JSON, nullable=False),
        sa.Column("interruptions", sa.Integer, nullable=False),
        sa.Column("outcome", sa.JSON),
    )
    op.create_index("calls_by_age", "calls", ["created_at", "call_id"])
    op.create_index("calls_by_status_and_age", "calls", ["status", "created_at", "call_id"])
    op.create_index("calls_by_sid", "calls", ["call_sid"], unique=True)
    op.create_table(
        "turns",
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("index", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("speaker", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_ms", sa.Integer, nullable=False),
        sa.Column("end_ms", sa.Integer),
        sa.Column("interrupted", sa.Boolean, nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("latency", sa.JSON),
        sa.Column("tools", sa.JSON, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("token_hash", sa.Text, primary_key=True),
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("tokens_by_expiry", "tokens", ["expires_at"])


def downgrade() -> None:
    op.drop_table("tokens")
    op.drop_table("turns")
    op.drop_table("calls")
