"""The services that use the database, and the oldest schema that whoever uses it may know."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0027"

OLDEST = "0030"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "services",
        sa.Column("holder", NAME, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("schema", sa.Text, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("holder", name="pk_services"),
    )
    usable = op.create_table(
        "usable",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("oldest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usable"),
    )
    op.bulk_insert(usable, [{"id": 1, "oldest": OLDEST}])
