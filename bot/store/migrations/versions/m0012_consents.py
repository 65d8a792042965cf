"""Consents to be called, kept longer than the calls."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "consents",
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("phone_number", sa.Text, nullable=False),
        sa.Column("scenario", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("given_at", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("dialled_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("consents_by_number", "consents", ["phone_number"])
    op.create_index("consents_by_age", "consents", ["dialled_at"])
