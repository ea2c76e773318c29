"""What is held, what was approved, and the audit: an append-only chain of hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from rbac.admission.held import HeldChange
from reconciler.store import rows, statements, tables
from reconciler.store.protocol import AuditEvent, AuditRow, StoredApproval
from reconciler.store.texts import dump, load, moment_text

_PAGE = 1000


class AdmissionReading:
    """The questions about admission, for a `Reading`."""

    _connection: Connection

    def held_changes(self) -> list[HeldChange]:
        """Give every change that waits for somebody with the right, by kind, space and name."""
        bodies = self._connection.execute(statements.HELD_CHANGES).scalars()
        return sorted((HeldChange.from_record(load(body)) for body in bodies), key=lambda each: (each.ref, each.id))

    def approvals(self) -> list[StoredApproval]:
        """Give the approvals that admission has not looked at yet, oldest first."""
        found = self._connection.execute(statements.APPROVALS)
        return [StoredApproval(row.held, row.subject, row.because, rows.instant(row.at)) for row in found]

    def audit(self, after: int, limit: int) -> list[AuditRow]:
        """Give one page of the audit, oldest first, behind the row of number `after`."""
        query = select(tables.audit).where(tables.audit.c.number > after).order_by(tables.audit.c.number).limit(limit)
        return [_audit_row(row.number, row.body, row.previous, row.hash) for row in self._connection.execute(query)]

    def audit_fault(self) -> str | None:
        """Check the whole chain; say what is wrong with the first row that was changed, removed or put in."""
        number, previous = 0, ""
        for row in self._audit_rows():
            number += 1
            if row.number != number:
                return f"row {number} is missing"
            if row.previous != previous:
                return f"row {number} does not follow the row before it: one of them was changed or put in"
            if row.hash != chained(previous, row.body) or load(row.body)["number"] != number:
                return f"row {number} was changed"
            previous = row.hash
        head = self._connection.execute(select(tables.audit_head)).one()
        if (head.number, head.hash) != (number, previous):
            return f"the audit ends at row {number}, and was at row {head.number} before: rows at its end are missing"
        return None

    def _audit_rows(self) -> Iterator[Any]:
        after = 0
        while True:
            query = select(tables.audit).where(tables.audit.c.number > after).order_by(tables.audit.c.number)
            page = self._connection.execute(query.limit(_PAGE)).all()
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].number


class AdmissionWriting(AdmissionReading):
    """The changes that admission makes, for a `Transaction`."""

    def put_held_changes(self, held: Iterable[HeldChange]) -> None:
        """Let these, and no others, be what is held."""
        self._connection.execute(statements.FORGET_HELD_CHANGES)
        values = [
            {"id": each.id, "space": each.ref.space, "kind": each.ref.kind.value, "body": dump(each.to_record())}
            for each in held
        ]
        if values:
            self._connection.execute(tables.held_changes.insert(), values)

    def add_approval(self, approval: StoredApproval) -> None:
        """Note an approval for admission to look at; a later one of the same change takes its place."""
        self.remove_approvals([approval.held])
        values = {
            "held": approval.held,
            "subject": approval.subject,
            "because": approval.because,
            "at": rows.micros(approval.at),
        }
        self._connection.execute(tables.approvals.insert(), values)

    def remove_approvals(self, held: Collection[str]) -> None:
        """Forget approvals, by the held changes' ids: admission has looked at them."""
        for each in sorted(held):
            self._connection.execute(delete(tables.approvals).where(tables.approvals.c.held == each))

    def append_audit(self, events: Iterable[AuditEvent]) -> None:
        """Add rows to the audit. As the last step of a transaction: it makes others wait."""
        head = self._connection.execute(statements.AUDIT_HEAD).one()
        number, previous = head.number, head.hash
        values = []
        for event in events:
            number += 1
            body = _canonical(number, event)
            values.append({"number": number, "body": body, "previous": previous, "hash": chained(previous, body)})
            previous = values[-1]["hash"]
        if values:
            self._connection.execute(statements.ADD_AUDIT, values)
            self._connection.execute(statements.MOVE_AUDIT_HEAD, {"number": number, "hash": previous})


def chained(previous: str, body: str) -> str:
    """Give the hash of a row."""
    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()


def _canonical(number: int, event: AuditEvent) -> str:
    value = {
        "number": number,
        "event": event.event,
        "at": moment_text(event.at),
        "person": event.person,
        "details": dict(event.details),
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _audit_row(number: int, body: str, previous: str, hashed: str) -> AuditRow:
    value = load(body)
    event = AuditEvent(value["event"], datetime.fromisoformat(value["at"]), value["person"], value["details"])
    return AuditRow(number, event, previous, hashed)
