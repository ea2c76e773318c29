"""A line before all others, for runs that somebody prioritized."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"

MOVED = "UPDATE runs SET line = (CAST(substr(line, 1, 1) AS INTEGER) + 1) || substr(line, 2) WHERE line IS NOT NULL"


def upgrade() -> None:
    op.execute(MOVED)
