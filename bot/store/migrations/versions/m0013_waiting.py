"""Why a call waits; and the place of a secret of the database, of which ids are made."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("calls", sa.Column("waiting_for", sa.Text))
    op.create_table("installation", sa.Column("secret", sa.Text, primary_key=True))
