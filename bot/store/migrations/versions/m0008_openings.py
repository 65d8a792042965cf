"""Openings that wait for whichever process answers the call."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "openings",
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("pcm", sa.LargeBinary, nullable=False),
        sa.Column("words", sa.JSON, nullable=False),
    )
