"""Whether a turn was typed on the telephone."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("turns", sa.Column("keys", sa.Boolean, nullable=False, server_default=sa.false()))
