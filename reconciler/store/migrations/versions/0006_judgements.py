"""What policies said of runs, and what persons did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "judgements",
        sa.Column("run_id", NAME, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_judgements_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", name="pk_judgements"),
    )
    op.create_table(
        "reviews",
        sa.Column("run_id", NAME, nullable=False),
        sa.Column("person", NAME, nullable=False),
        sa.Column("approves", sa.Boolean, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_reviews_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", "person", name="pk_reviews"),
    )
