"""What is held, and what was approved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, delete, select

from rbac.admission.held import HeldChange
from rbac.admission.sources import Write
from reconciler.store import access_tables, rows, statements
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.stored import StoredApproval
from reconciler.store.texts import dump, load, moment, moment_text
from spaces.names import Revision

_PAGE = 1000
_AT_ONCE = 500
"""Values in one statement: databases take no more than some hundred."""


class AdmissionReading(ReadingBase):
    """The questions about admission, for a `Reading`."""

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
        found = self._connection.execute(select(access_tables.held_files))
        return {load(row.path): (row.force, load(row.body)) for row in found}

    def unearned_writes(self) -> dict[str, Write]:
        """Return the files that somebody without the right has written, by path."""
        found = self._connection.execute(select(access_tables.unearned_writes))
        return {load(row.path): Write(row.content, row.rightful, row.person, Revision(row.revision)) for row in found}

    def approvals(self) -> list[StoredApproval]:
        """Return the approvals that admission has not looked at yet, oldest first."""
        found = self._connection.execute(statements.APPROVALS)
        return [StoredApproval(row.held, row.subject, row.because, rows.instant(row.at)) for row in found]


class AdmissionWriting(AdmissionReading, WritingBase):
    """The changes that admission makes, for a `Transaction`."""

    def put_held_changes(self, held: Iterable[HeldChange], now: datetime) -> None:
        """Let these, and no others, be what is held: since `now`, those that were not held before."""
        found = self._connection.execute(select(access_tables.held_changes.c.id, access_tables.held_changes.c.body))
        old = {row.id: row.body for row in found}
        since = {name: load(body).get("since") for name, body in old.items()}
        new = {each.id: each for each in held}
        bodies = {
            name: dump({**each.to_record(), "since": since.get(name) or moment_text(now)}) for name, each in new.items()
        }
        gone = [name for name, body in old.items() if bodies.get(name) != body]
        _delete(self._connection, access_tables.held_changes.c.id, gone)
        values = [
            {"id": name, "space": each.ref.space, "kind": each.kind, "body": bodies[name]}
            for name, each in new.items()
            if old.get(name) != bodies[name]
        ]
        if values:
            self._connection.execute(access_tables.held_changes.insert(), values)

    def put_held_files(self, changed: Mapping[str, tuple[bytes | None, list[dict[str, Any]]] | None]) -> None:
        """Write what is held of some files; None for a file of which nothing is held any more."""
        _delete(self._connection, access_tables.held_files.c.path, map(dump, changed))
        values = [
            {"path": dump(path), "force": each[0], "body": dump(each[1])}
            for path, each in changed.items()
            if each is not None
        ]
        if values:
            self._connection.execute(access_tables.held_files.insert(), values)

    def put_unearned_writes(self, changed: Mapping[str, Write | None]) -> None:
        """Write who has written some files without the right; None for a file that is in order."""
        _delete(self._connection, access_tables.unearned_writes.c.path, map(dump, changed))
        values = [{"path": dump(path), **each._asdict()} for path, each in changed.items() if each is not None]
        if values:
            self._connection.execute(access_tables.unearned_writes.insert(), values)

    def add_approval(self, approval: StoredApproval) -> None:
        """Note an approval for admission to look at; a later one of the same change takes its place."""
        self.remove_approvals([approval.held])
        values = {
            "held": approval.held,
            "subject": approval.subject,
            "because": approval.because,
            "at": rows.micros(approval.at),
        }
        self._connection.execute(access_tables.approvals.insert(), values)

    def remove_approvals(self, held: Collection[str]) -> None:
        """Forget approvals, by the held changes' ids: admission has looked at them."""
        for each in sorted(held):
            self._connection.execute(delete(access_tables.approvals).where(access_tables.approvals.c.held == each))


def _delete(connection: Connection, column: Column[str], keys: Iterable[str]) -> None:
    wanted = list(keys)
    for start in range(0, len(wanted), _AT_ONCE):
        batch = wanted[start : start + _AT_ONCE]
        connection.execute(delete(column.table).where(column.in_(batch)))
