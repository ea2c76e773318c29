"""Tfstates and their locks of single units of a stack."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("tfstates", sa.Column("unit", sa.Text, nullable=False, server_default=""))
    # Not every database can change a primary key.
    connection = op.get_bind()
    locks = (
        connection.execute(sa.text("SELECT stack_id, lock_id, info, run, since FROM tfstate_locks")).mappings().all()
    )
    op.drop_table("tfstate_locks")
    made = op.create_table(
        "tfstate_locks",
        sa.Column("stack_id", KEY, autoincrement=False, nullable=False),
        sa.Column("unit", sa.Text, nullable=False, server_default=""),
        sa.Column("lock_id", sa.Text, nullable=False),
        sa.Column("info", sa.Text, nullable=False),
        sa.Column("run", sa.Text),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stack_id", "unit", name="pk_tfstate_locks"),
        sa.ForeignKeyConstraint(["stack_id"], ["stacks.id"], name="fk_tfstate_locks_stack_id"),
    )
    if locks:
        op.bulk_insert(made, [dict(lock) for lock in locks])
