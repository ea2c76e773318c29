"""Which rollout a stack belongs to, where it stands in it, and what people accepted of rollouts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("stacks", sa.Column("rollout", NAME))
    op.add_column("stacks", sa.Column("rollout_part", NAME))
    op.create_index("ix_stacks_rollout_rollout_part", "stacks", ["rollout", "rollout_part"])
    op.create_index("ix_stacks_rollout_part", "stacks", ["rollout_part"])
    op.create_table(
        "rollouts",
        sa.Column("id", NAME, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("canaries", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
    )
