"""What is held, what was approved, and the audit: an append-only chain of hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, delete, select

from rbac.admission.held import HeldChange
from rbac.admission.sources import Write
from reconciler.store import rows, statements, tables
from reconciler.store.stored import AuditEvent, AuditRow, StoredApproval
from reconciler.store.texts import dump, load, moment, moment_text
from spaces.names import Revision

_PAGE = 1000
_AT_ONCE = 500
"""Values in one statement: databases take no more than some hundred."""


class AdmissionReading:
    """The questions about admission, for a `Reading`."""

    _connection: Connection

    def held_changes(self) -> list[HeldChange]:
        """Return every change that waits for somebody with the right, by kind, space and name."""
        bodies = self._connection.execute(statements.HELD_CHANGES).scalars()
        return sorted((HeldChange.from_record(load(body)) for body in bodies), key=lambda each: (each.ref, each.id))

    def held_since(self) -> datetime | None:
        """Return since when the change that is held longest is held; None if nothing is held."""
        bodies = self._connection.execute(statements.HELD_CHANGES).scalars()
        return min((since for body in bodies if (since := moment(load(body).get("since"))) is not None), default=None)

    def held_files(self) -> dict[str, tuple[bytes | None, list[dict[str, Any]]]]:
        """Return what is held of the configuration's files, by path: the file as it is in force, and the entries."""
        found = self._connection.execute(select(tables.held_files))
        return {load(row.path): (row.force, load(row.body)) for row in found}

    def unearned_writes(self) -> dict[str, Write]:
        """Return the files that somebody without the right has written, by path."""
        found = self._connection.execute(select(tables.unearned_writes))
        return {load(row.path): Write(row.content, row.rightful, row.person, Revision(row.revision)) for row in found}

    def approvals(self) -> list[StoredApproval]:
        """Return the approvals that admission has not looked at yet, oldest first."""
        found = self._connection.execute(statements.APPROVALS)
        return [StoredApproval(row.held, row.subject, row.because, rows.instant(row.at)) for row in found]

    def audit(self, after: int, limit: int) -> list[AuditRow]:
        """Return one page of the audit, oldest first, behind the row of number `after`."""
        query = select(tables.audit).where(tables.audit.c.number > after).order_by(tables.audit.c.number).limit(limit)
        return [_audit_row(row.number, row.body, row.previous, row.hash) for row in self._connection.execute(query)]

    def audit_length(self) -> int:
        """Return the number of the newest row of the audit; 0 if there is none."""
        return int(self._connection.execute(select(tables.audit_head.c.number)).scalar_one())

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

    def put_held_changes(self, held: Iterable[HeldChange], now: datetime) -> None:
        """Let these, and no others, be what is held: since `now`, those that were not held before."""
        found = self._connection.execute(select(tables.held_changes.c.id, tables.held_changes.c.body))
        old = {row.id: row.body for row in found}
        since = {name: load(body).get("since") for name, body in old.items()}
        new = {each.id: each for each in held}
        bodies = {
            name: dump({**each.to_record(), "since": since.get(name) or moment_text(now)}) for name, each in new.items()
        }
        gone = [name for name, body in old.items() if bodies.get(name) != body]
        _delete(self._connection, tables.held_changes.c.id, gone)
        values = [
            {"id": name, "space": each.ref.space, "kind": each.kind, "body": bodies[name]}
            for name, each in new.items()
            if old.get(name) != bodies[name]
        ]
        if values:
            self._connection.execute(tables.held_changes.insert(), values)

    def put_held_files(self, changed: Mapping[str, tuple[bytes | None, list[dict[str, Any]]] | None]) -> None:
        """Write what is held of some files; None for a file of which nothing is held any more."""
        _delete(self._connection, tables.held_files.c.path, map(dump, changed))
        values = [
            {"path": dump(path), "force": each[0], "body": dump(each[1])}
            for path, each in changed.items()
            if each is not None
        ]
        if values:
            self._connection.execute(tables.held_files.insert(), values)

    def put_unearned_writes(self, changed: Mapping[str, Write | None]) -> None:
        """Write who has written some files without the right; None for a file that is in order."""
        _delete(self._connection, tables.unearned_writes.c.path, map(dump, changed))
        values = [{"path": dump(path), **each._asdict()} for path, each in changed.items() if each is not None]
        if values:
            self._connection.execute(tables.unearned_writes.insert(), values)

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


def _delete(connection: Connection, column: Column[str], keys: Iterable[str]) -> None:
    wanted = list(keys)
    for start in range(0, len(wanted), _AT_ONCE):
        batch = wanted[start : start + _AT_ONCE]
        connection.execute(delete(column.table).where(column.in_(batch)))


def chained(previous: str, body: str) -> str:
    """Return the hash of a row."""
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
