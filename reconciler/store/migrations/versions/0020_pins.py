"""The stacks that are to stay at an earlier revision of themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "pins",
        sa.Column("stack_id", KEY, sa.ForeignKey("stacks.id", name="fk_pins_stack_id"), autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("stack_id", name="pk_pins"),
    )
