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
