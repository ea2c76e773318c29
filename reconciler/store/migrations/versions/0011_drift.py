"""What drift checks found, when the next ones come, and who wrote a tfstate without a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("stacks", sa.Column("drifted", sa.Integer))
    op.add_column("tfstates", sa.Column("person", sa.Text))
    op.add_column("tfstates", sa.Column("note", sa.Text))
    op.create_table(
        "timers",
        sa.Column("stack_id", KEY, sa.ForeignKey("stacks.id", name="fk_timers_stack_id"), autoincrement=False),
        sa.Column("purpose", NAME),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("stack_id", "purpose", name="pk_timers"),
    )
    op.create_index("ix_timers_purpose_at", "timers", ["purpose", "at"])
