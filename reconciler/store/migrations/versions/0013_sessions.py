"""Who is signed in to the page, and what it counts of stacks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

CONDITIONS = {"ready": "Ready", "stalled": "Stalled"}
ANSWERS = ("True", "False", "Unknown")
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", NAME, nullable=False),
        sa.Column("token", NAME),
        sa.Column("proof", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    for column, condition in CONDITIONS.items():
        op.add_column("stacks", sa.Column(column, sa.Text))
        for answer in ANSWERS:
            op.execute(
                sa.text(f"UPDATE stacks SET {column} = :answer WHERE body LIKE :part").bindparams(  # noqa: S608
                    answer=answer, part=f'%"{condition}":["{answer}",%'
                )
            )
    counted = ["in_git", "space", "tool", "sync", "ready", "stalled"]
    op.create_index("ix_stacks_counted", "stacks", counted)
