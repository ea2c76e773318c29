"""Which stacks depend on which, and by what an output that changed is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("outputs", sa.Column("mark", sa.Text()))
    op.create_table(
        "dependencies",
        sa.Column("child_id", KEY, nullable=False),
        sa.Column("parent_id", KEY, nullable=False),
        sa.ForeignKeyConstraint(["child_id"], ["stacks.id"], name="fk_dependencies_child_id_stacks"),
        sa.ForeignKeyConstraint(["parent_id"], ["stacks.id"], name="fk_dependencies_parent_id_stacks"),
        sa.PrimaryKeyConstraint("child_id", "parent_id", name="pk_dependencies"),
    )
    op.create_index("ix_dependencies_parent_id", "dependencies", ["parent_id"])
