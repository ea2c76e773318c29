"""What the page counts of stacks, in columns and an index of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

CONDITIONS = {"ready": "Ready", "stalled": "Stalled"}
ANSWERS = ("True", "False", "Unknown")


def upgrade() -> None:
    for column, condition in CONDITIONS.items():
        op.add_column("stacks", sa.Column(column, sa.Text))
        for answer in ANSWERS:
            op.execute(
                sa.text(f"UPDATE stacks SET {column} = :answer WHERE body LIKE :part").bindparams(  # noqa: S608
                    answer=answer, part=f'%"{condition}":["{answer}",%'
                )
            )
    op.create_index("ix_stacks_counted", "stacks", ["in_git", "space", "tool", "sync", "ready", "stalled"])
