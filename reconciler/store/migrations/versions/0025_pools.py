"""The worker pools of stacks and runs, and which of them start nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("stacks", sa.Column("pool", NAME))
    op.add_column("runs", sa.Column("pool", NAME))
    op.create_table(
        "drained",
        sa.Column("pool", NAME, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("pool", name="pk_drained"),
    )
