"""What a row of the audit is about in columns of its own, and the runs that made and changed each resource."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

PAGE = 1000
ABOUT = ("person", "stack", "run", "revision")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def upgrade() -> None:
    op.add_column("audit", sa.Column("event", sa.Text))
    op.add_column("audit", sa.Column("at", sa.BigInteger))
    for name in ABOUT:
        op.add_column("audit", sa.Column(name, sa.Text))
    connection, after = op.get_bind(), 0
    page = sa.text("SELECT number, body FROM audit WHERE number > :after ORDER BY number LIMIT :most")
    fill = sa.text(
        'UPDATE audit SET event = :event, "at" = :at, person = :person, stack = :stack, run = :run, '
        "revision = :revision WHERE number = :number"
    )
    while found := connection.execute(page, {"after": after, "most": PAGE}).all():
        connection.execute(fill, [{"number": number, **about(json.loads(body))} for number, body in found])
        after = found[-1].number
    for name in ABOUT:
        op.create_index(f"ix_audit_{name}_number", "audit", [name, "number"])
    for name in ("made", "changed"):
        op.add_column("resources", sa.Column(name, sa.Text))


def cleaned(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def about(value: dict[str, Any]) -> dict[str, Any]:
    details = value["details"]
    change, stack = details.get("change"), details.get("stack")
    if stack is None and isinstance(change, dict) and change.get("kind") == "Stack":
        stack = f"{change.get('space')}/{change.get('name')}"
    texts = {
        "event": value["event"],
        "person": value["person"],
        "stack": stack,
        "run": details.get("run"),
        "revision": details.get("revision"),
    }
    kept = {name: cleaned(text) if isinstance(text, str) else None for name, text in texts.items()}
    return {**kept, "at": (datetime.fromisoformat(value["at"]) - EPOCH) // timedelta(microseconds=1)}
