"""What was observed of a call, and when each of the agent's words was heard."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("calls", sa.Column("observations", sa.JSON))
    op.add_column("turns", sa.Column("word_ms", sa.JSON))
