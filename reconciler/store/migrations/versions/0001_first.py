"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ACTIVE_WRITING = (
    "status IN ('queued', 'planning', 'unconfirmed', 'applying') AND kind IN ('tracked', 'destroy', 'task')"
)


def upgrade() -> None:
    op.create_table(
        "configuration",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_configuration"),
    )
    op.execute("INSERT INTO configuration (id, body) VALUES (1, '{}')")
    op.create_table(
        "stacks",
        sa.Column("id", KEY, nullable=False),
        sa.Column("space", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("in_git", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("tool", sa.Text),
        sa.Column("sync", sa.Text),
        sa.Column("desired_digest", sa.Text),
        sa.Column("applied_digest", sa.Text),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("body", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_stacks"),
        sa.UniqueConstraint("space", "name", name="uq_stacks_space_name"),
    )
    op.create_index("ix_stacks_due_at", "stacks", ["due_at"])
    op.create_table(
        "runs",
        sa.Column("id", NAME, nullable=False),
        sa.Column("stack_id", KEY, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["stack_id"], ["stacks.id"], name="fk_runs_stack_id"),
    )
    op.create_index("ix_runs_stack_id_id", "runs", ["stack_id", "id"])
    op.create_index("ix_runs_status_id", "runs", ["status", "id"])
    op.create_index(
        "uq_runs_active_writing",
        "runs",
        ["stack_id"],
        unique=True,
        sqlite_where=sa.text(ACTIVE_WRITING),
        postgresql_where=sa.text(ACTIVE_WRITING),
    )
    for table in ("plans", "logs"):
        op.create_table(
            table,
            sa.Column("run_id", NAME, nullable=False),
            sa.Column("body", sa.LargeBinary, nullable=False),
            sa.PrimaryKeyConstraint("run_id", name=f"pk_{table}"),
            sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=f"fk_{table}_run_id"),
        )
    op.create_table(
        "resources",
        sa.Column("stack_id", KEY, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("stack_id", "position", name="pk_resources"),
        sa.ForeignKeyConstraint(["stack_id"], ["stacks.id"], name="fk_resources_stack_id"),
    )
    op.create_table(
        "outputs",
        sa.Column("stack_id", KEY, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text),
        sa.Column("sealed", sa.LargeBinary),
        sa.PrimaryKeyConstraint("stack_id", "position", name="pk_outputs"),
        sa.ForeignKeyConstraint(["stack_id"], ["stacks.id"], name="fk_outputs_stack_id"),
    )
    op.create_table(
        "tfstates",
        sa.Column("stack_id", KEY, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("serial", sa.BigInteger),
        sa.Column("lineage", sa.Text),
        sa.Column("run", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("stack_id", "version", name="pk_tfstates"),
        sa.ForeignKeyConstraint(["stack_id"], ["stacks.id"], name="fk_tfstates_stack_id"),
    )
    op.create_table(
        "tfstate_locks",
        sa.Column("stack_id", KEY, autoincrement=False, nullable=False),
        sa.Column("lock_id", sa.Text, nullable=False),
        sa.Column("info", sa.Text, nullable=False),
        sa.Column("run", sa.Text),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stack_id", name="pk_tfstate_locks"),
        sa.ForeignKeyConstraint(["stack_id"], ["stacks.id"], name="fk_tfstate_locks_stack_id"),
    )
    op.create_table(
        "tokens",
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("stack_id", KEY, nullable=False),
        sa.Column("run_id", NAME, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_tokens"),
        sa.ForeignKeyConstraint(["stack_id"], ["stacks.id"], name="fk_tokens_stack_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_tokens_run_id"),
    )
