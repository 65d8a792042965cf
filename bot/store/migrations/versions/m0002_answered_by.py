"""Who picked up, and how many replies were begun early."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("calls", sa.Column("answered_by", sa.Text))
    for name in ("speculations_kept", "speculations_dropped"):
        op.add_column("calls", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
