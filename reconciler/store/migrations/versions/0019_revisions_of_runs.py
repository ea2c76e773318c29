"""The revision and the end of each run in columns of their own, so that how far a revision got is counted in SQL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

# Not as JSON: PostgreSQL refuses some characters that messages contain. Quotation marks in texts are escaped.
POSTGRES = """
UPDATE runs SET revision = substring(body from '"revision":"([^"]*)"'),
  finished_at = (extract(epoch FROM substring(body from '"finishedAt":"([^"]*)"')::timestamptz) * 1000000)::bigint
"""
SQLITE = """
UPDATE runs SET revision = json_extract(body, '$.revision'),
  finished_at = CAST(round((julianday(json_extract(body, '$.finishedAt')) - 2440587.5) * 86400000) AS INTEGER) * 1000
"""


def upgrade() -> None:
    op.add_column("runs", sa.Column("finished_at", sa.BigInteger))
    op.add_column("runs", sa.Column("revision", sa.Text))
    op.execute(sa.text(POSTGRES if op.get_bind().dialect.name == "postgresql" else SQLITE))
    op.create_index("ix_runs_revision_id", "runs", ["revision", "id"])
