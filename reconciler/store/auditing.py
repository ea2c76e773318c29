"""The audit: an append-only chain of hashes.

A row is `body`, which says everything, `previous`, the hash of the row before, and `hash`, over both. What a row is
about stands in columns of its own as well, so that the rows about a stack, a run, a revision or a person are found at
once. Checking the chain compares these with the body.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from reconciler.store import rows, statements, tables
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.stored import AuditEvent, AuditFilter, AuditRow, StoreError
from reconciler.store.texts import cleaned, load, moment_text

_PAGE = 1000
_NO_ROWS: Mapping[int, str] = {}
_AUDIT = tables.audit


class AuditReading(ReadingBase):
    """The questions about the audit, for a `Reading`."""

    def audit(self, after: int, limit: int, wanted: AuditFilter | None = None) -> list[AuditRow]:
        """Return one page of the audit, oldest first, behind the row of number `after`."""
        query = select(_AUDIT).where(_AUDIT.c.number > after).order_by(_AUDIT.c.number).limit(limit)
        return [_audit_row(row) for row in self._connection.execute(_filtered(query, wanted or AuditFilter()))]

    def newest_audit(self, wanted: AuditFilter, limit: int) -> list[AuditRow]:
        """Return the newest rows of the audit that are wanted, the newest first."""
        query = select(_AUDIT).order_by(_AUDIT.c.number.desc()).limit(limit)
        return [_audit_row(row) for row in self._connection.execute(_filtered(query, wanted))]

    def audit_head(self) -> tuple[int, str]:
        """Return the number and the hash of the newest row of the audit; 0 and nothing if there is none."""
        head = self._connection.execute(select(tables.audit_head)).one()
        return head.number, head.hash

    def audit_length(self) -> int:
        """Return the number of the newest row of the audit; 0 if there is none."""
        return self.audit_head()[0]

    def audit_fault(self, kept: Mapping[int, str] = _NO_ROWS) -> str | None:
        """Check the whole chain; say what is wrong with the first row that was changed, removed or put in.

        `kept` are hashes of rows by number: a chain that was written anew from some row on does not hold them.
        """
        number, previous = 0, ""
        for row in self._audit_rows():
            number += 1
            fault = _fault(row, number, previous)
            if fault is not None:
                return fault
            if kept.get(number, row.hash) != row.hash:
                return f"row {number} is another one than when its hash was kept: it, or a row before it, was changed"
            previous = row.hash
        last, head = self.audit_head()
        if (last, head) != (number, previous):
            return f"the audit ends at row {number}, and was at row {last} before: rows at its end are missing"
        if (newest := max(kept, default=0)) > number:
            return f"the audit ends at row {number}, and row {newest} was kept: rows at its end are missing"
        return None

    def _audit_rows(self) -> Iterator[Any]:
        after = 0
        while True:
            query = select(_AUDIT).where(_AUDIT.c.number > after).order_by(_AUDIT.c.number)
            page = self._connection.execute(query.limit(_PAGE)).all()
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].number


class AuditWriting(AuditReading, WritingBase):
    """The additions to the audit, for a `Transaction`."""

    def append_audit(self, events: Iterable[AuditEvent]) -> None:
        """Add rows to the audit. As the last step of a transaction: it makes others wait."""
        head = self._connection.execute(statements.AUDIT_HEAD).one()
        number, previous = head.number, head.hash
        values = []
        for event in events:
            number += 1
            body = _canonical(number, event)
            link = {"number": number, "body": body, "previous": previous, "hash": chained(previous, body)}
            values.append({**link, **_about(json.loads(body))})
            previous = link["hash"]
        if values:
            self._connection.execute(statements.ADD_AUDIT, values)
            self._connection.execute(statements.MOVE_AUDIT_HEAD, {"number": number, "hash": previous})


def chained(previous: str, body: str) -> str:
    """Return the hash of a row."""
    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()


def _fault(row: Any, number: int, previous: str) -> str | None:
    if row.number != number:
        return f"row {number} is missing"
    if row.previous != previous:
        return f"row {number} does not follow the row before it: one of them was changed or put in"
    return None if is_intact(row) else f"row {number} was changed"


def is_intact(row: Any) -> bool:
    """Whether a row is what its own hash says, and about what its columns say."""
    if row.hash != chained(row.previous, row.body):
        return False
    try:
        value = load(row.body)
        about = {"number": value["number"], **_about(value)}
    except (KeyError, TypeError, ValueError, StoreError):
        # Whoever wrote it could make the hash, and not a row.
        return False
    return all(getattr(row, name) == each for name, each in about.items())


def _about(value: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that say what a row is about."""
    details = value["details"]
    change = details.get("change")
    stack = details.get("stack")
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
    return {**kept, "at": rows.micros(datetime.fromisoformat(value["at"]))}


def _filtered(query: Any, wanted: AuditFilter) -> Any:
    for name in ("event", "person", "stack", "run", "revision"):
        if (text := getattr(wanted, name)) is not None:
            query = query.where(_AUDIT.c[name] == text)
    if wanted.events is not None:
        query = query.where(_AUDIT.c.event.in_(wanted.events))
    if wanted.above is not None:
        query = query.where(_AUDIT.c.number > wanted.above)
    if wanted.below is not None:
        query = query.where(_AUDIT.c.number < wanted.below)
    if wanted.since is not None:
        query = query.where(_AUDIT.c.at >= rows.micros(wanted.since))
    if wanted.until is not None:
        query = query.where(_AUDIT.c.at <= rows.micros(wanted.until))
    return query


def _canonical(number: int, event: AuditEvent) -> str:
    value = {
        "number": number,
        "event": event.event,
        "at": moment_text(event.at),
        "person": event.person,
        "details": dict(event.details),
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _audit_row(row: Any) -> AuditRow:
    value = load(row.body)
    event = AuditEvent(value["event"], datetime.fromisoformat(value["at"]), value["person"], value["details"])
    return AuditRow(row.number, event, row.previous, row.hash, is_intact(row))
