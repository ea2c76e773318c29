"""The commits that the service made for people who ordered something, and what providers know resources by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"

OLDEST = "0030"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("commit", NAME, nullable=False),
        sa.Column("branch", NAME, nullable=False),
        sa.Column("space", NAME, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("commit", name="pk_orders"),
    )
    op.create_index("ix_orders_branch", "orders", ["branch"])
    op.create_index("ix_orders_at", "orders", ["at"])
    op.add_column("resources", sa.Column("identity", NAME))
    known = sa.text("identity IS NOT NULL")
    op.create_index("ix_resources_identity", "resources", ["identity"], sqlite_where=known, postgresql_where=known)
