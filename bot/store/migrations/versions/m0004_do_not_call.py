"""The numbers that are never dialled."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "do_not_call",
        sa.Column("phone_number", sa.Text, primary_key=True),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("call_id", sa.Text),
    )
    op.create_index("do_not_call_by_age", "do_not_call", ["added_at", "phone_number"])
    op.create_index("do_not_call_by_call", "do_not_call", ["call_id"])
