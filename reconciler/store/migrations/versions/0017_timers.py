"""When timers were set, so that a jump of the clock is noticed, and several timers of one purpose for a stack."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Made anew: SQLite cannot change the primary key of a table.
    before = op.get_bind().execute(sa.text("SELECT stack_id, purpose, at, schedule FROM timers")).mappings().all()
    op.drop_table("timers")
    timers = op.create_table(
        "timers",
        sa.Column("stack_id", KEY, sa.ForeignKey("stacks.id", name="fk_timers_stack_id"), autoincrement=False),
        sa.Column("purpose", NAME),
        sa.Column("item", NAME),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("set_at", sa.BigInteger, nullable=False),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("stack_id", "purpose", "item", name="pk_timers"),
    )
    op.create_index("ix_timers_purpose_at", "timers", ["purpose", "at"])
    op.create_index("ix_timers_purpose_set_at", "timers", ["purpose", "set_at"])
    op.bulk_insert(timers, [{**row, "item": "", "set_at": 0} for row in before])
