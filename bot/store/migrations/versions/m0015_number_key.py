"""What finds a call by its number once that is masked."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("calls", sa.Column("number_key", sa.Text))
    op.create_index("calls_by_number_key", "calls", ["number_key"])
