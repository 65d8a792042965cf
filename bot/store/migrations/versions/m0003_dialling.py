"""How a call is to be placed, its attempts, and who follows it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TEXTS = (
    "first_call_id",
    "retried_as",
    "key_id",
    "campaign_id",
    "contact_id",
    "request_hash",
    "followed_by",
    "held_by",
)
OPEN = "status NOT IN ('completed', 'busy', 'no-answer', 'failed', 'canceled')"
ON_A_LINE = f"{OPEN} AND (status != 'queued' OR dialling_at IS NOT NULL OR direction = 'inbound')"
TIMES = ("scheduled_at", "dialling_at", "carrier_ended_at")


def upgrade() -> None:
    op.add_column("calls", sa.Column("terms", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("calls", sa.Column("attempt", sa.Integer, nullable=False, server_default="1"))
    for name in TEXTS:
        op.add_column("calls", sa.Column(name, sa.Text))
    for name in TIMES:
        op.add_column("calls", sa.Column(name, sa.DateTime(timezone=True)))
    # Calls that an older version kept for somebody else's dialling are not ours to dial.
    op.execute("UPDATE calls SET followed_by = 'registered' WHERE status = 'queued'")
    op.create_index("calls_by_number_and_age", "calls", ["phone_number", "created_at"])
    op.create_index("calls_by_campaign", "calls", ["campaign_id", "status", "scheduled_at"])
    for name, columns, which in (
        ("calls_on_a_line", ["status"], ON_A_LINE),
        ("calls_unfollowed", ["followed_by", "created_at"], f"{OPEN} AND followed_by IS NULL"),
        ("calls_held", ["held_by"], f"{OPEN} AND held_by IS NOT NULL"),
    ):
        op.create_index(name, "calls", columns, sqlite_where=sa.text(which), postgresql_where=sa.text(which))
