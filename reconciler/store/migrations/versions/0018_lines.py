"""The lines in which queued runs stand, and whose turn it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
QUEUED = """
    UPDATE runs SET line =
        CASE kind WHEN 'task' THEN '1:' WHEN 'proposed' THEN '2:' WHEN 'drift' THEN '3:' ELSE '0:' END
        || (SELECT space FROM stacks WHERE stacks.id = runs.stack_id)
    WHERE status = 'queued'
"""
IN_LINE = sa.text("line IS NOT NULL")


def upgrade() -> None:
    op.add_column("runs", sa.Column("line", NAME))
    op.execute(QUEUED)
    op.create_index("ix_runs_line_id", "runs", ["line", "id"], sqlite_where=IN_LINE, postgresql_where=IN_LINE)
    op.create_table(
        "turns",
        sa.Column("space", NAME, nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("space", name="pk_turns"),
    )
