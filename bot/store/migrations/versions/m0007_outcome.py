"""What a call cost, by part. The outcome's new keys need no column."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for part in ("opening", "call", "carrier", "analysis"):
        op.add_column("calls", sa.Column(f"cost_{part}", sa.JSON))
