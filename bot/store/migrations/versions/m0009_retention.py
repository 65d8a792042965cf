"""What of a call was erased, and when; and the campaigns whose contacts were."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    for kept in ("recording", "transcript", "number"):
        op.add_column("calls", sa.Column(f"{kept}_erased_at", sa.DateTime(timezone=True)))
        still = sa.text(f"ended_at IS NOT NULL AND {kept}_erased_at IS NULL")
        op.create_index(f"calls_with_{kept}", "calls", ["ended_at"], sqlite_where=still, postgresql_where=still)
    op.create_table(
        "erased_campaigns",
        sa.Column("campaign_id", sa.Text, primary_key=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
    )
