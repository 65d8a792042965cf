"""What issue 4 adds for campaigns."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("campaign_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True)),
        sa.Column("end_at", sa.DateTime(timezone=True)),
        sa.Column("terms", sa.JSON, nullable=False),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("zones", sa.JSON, nullable=False),
        sa.Column("accepted", sa.Integer, nullable=False),
        sa.Column("rejected", sa.Integer, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("request_hash", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True)),
        sa.Column("resumed_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("why", sa.Text),
    )
    op.create_index("campaigns_by_age", "campaigns", ["created_at", "campaign_id"])
    op.create_index("campaigns_by_status", "campaigns", ["status", "touched_at"])
    op.create_table(
        "contacts",
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
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("status", sa.Text),
        sa.Column("ended_reason", sa.Text),
        sa.Column("reached_goal", sa.Boolean),
    )
    op.create_index("contacts_by_state", "contacts", ["campaign_id", "state", "position"])
    op.create_index("contacts_by_due", "contacts", ["campaign_id", "state", "due_at"])
    op.create_index("contacts_by_number", "contacts", ["phone_number"])
    op.create_table(
        "bad_rows",
        sa.Column("campaign_id", sa.Text, primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("field", sa.Text),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("calls_by_campaign_and_end", "calls", ["campaign_id", "ended_at"])
