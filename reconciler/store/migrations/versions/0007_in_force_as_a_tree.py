"""What is in force as a tree: the files that differ from the branch, and files written without the right."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "held_files",
        sa.Column("path", NAME, nullable=False),
        sa.Column("force", sa.LargeBinary),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_held_files"),
    )
    op.create_table(
        "unearned_writes",
        sa.Column("path", NAME, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("rightful", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_unearned_writes"),
    )
