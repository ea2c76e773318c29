"""What the metrics show of every stack, in columns: how many resources it has, and when it was applied last."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"

OLDEST = "0032"
"""Whoever knows less would leave the columns as they were."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def upgrade() -> None:
    op.add_column("stacks", sa.Column("resources", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("stacks", sa.Column("applied_at", sa.BigInteger))
    connection = op.get_bind()
    counted = "SELECT count(*) FROM resources WHERE resources.stack_id = stacks.id"
    connection.execute(sa.text(f"UPDATE stacks SET resources = ({counted})"))  # noqa: S608
    at = sa.text("UPDATE stacks SET applied_at = :at WHERE id = :id")
    bodies = connection.execute(sa.text("SELECT id, body FROM stacks WHERE applied_digest IS NOT NULL")).all()
    applied = [(key, json.loads(body)["applied"]) for key, body in bodies if body is not None]
    times = [{"id": key, "at": _micros(found["at"])} for key, found in applied if found]
    if times:
        connection.execute(at, times)


def _micros(time: str) -> int:
    return (datetime.fromisoformat(time) - EPOCH) // timedelta(microseconds=1)
