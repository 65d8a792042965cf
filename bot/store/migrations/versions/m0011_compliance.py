"""Whose law a call kept: profile, disclosure, consent to the recording, how soon it was spoken to."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    for column in (
        sa.Column("compliance", sa.JSON),
        sa.Column("disclosed_at", sa.DateTime(timezone=True)),
        sa.Column("consent", sa.JSON),
        sa.Column("hello_to_first_word_ms", sa.Double),
        sa.Column("abandoned", sa.Boolean),
        sa.Column("caller_identity", sa.JSON, nullable=False, server_default="{}"),
    ):
        op.add_column("calls", column)
