"""Why a call waits; and a secret of the database, of which ids are made."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("calls", sa.Column("waiting_for", sa.Text))
    installation = op.create_table("installation", sa.Column("secret", sa.Text, primary_key=True))
    op.bulk_insert(installation, [{"secret": secrets.token_hex(32)}])
