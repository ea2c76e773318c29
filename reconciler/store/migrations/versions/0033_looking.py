"""An index of the active runs that only look: each pass asks for one, and would read all that are queued."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"

OLDEST = "0032"

LOOKING = sa.text("status IN ('queued', 'planning', 'unconfirmed', 'applying') AND kind IN ('drift', 'proposed')")


def upgrade() -> None:
    op.create_index("ix_runs_looking", "runs", ["kind"], sqlite_where=LOOKING, postgresql_where=LOOKING)
