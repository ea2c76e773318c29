"""The versions of tfstates, encrypted, and their locks."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from reconciler.store import rows, statements
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import POSTGRES
from reconciler.store.stored import LARGEST_SERIAL, TfstateLock, TfstateVersion
from reconciler.store.tables import stacks, tfstates
from reconciler.store.texts import cleaned, dump, load, pack, unpack
from spaces.names import StackId

_LONGEST_LINEAGE = 200


class TfstateReading(ReadingBase):
    """The questions about tfstates, for a `Reading`."""

    def tfstate(self, stack: StackId, version: int | None = None, unit: str = "") -> TfstateVersion | None:
        """Return one version of the tfstate (None: the newest of the unit); None if there is none."""
        named: dict[str, Any] = {**statements.bind_stack(stack)}
        if version is None:
            query, named["of_unit"] = statements.NEWEST_TFSTATE, unit
        else:
            query, named["of_version"] = statements.TFSTATE_VERSION, version
        row = self._connection.execute(query, named).one_or_none()
        if row is None:
            return None
        body = unpack(self._keys.open(row.sealed, "tfstates", row.stack_id, str(row.version)))
        return _version(stack, row, body)

    def tfstate_versions(
        self, stack: StackId, before: int | None, limit: int, unit: str | None = None
    ) -> list[TfstateVersion]:
        """Return one page of the versions older than `before`, newest first, without their bodies.

        Without a `unit` those of all units are listed.
        """
        table = tfstates
        columns = [column for column in table.c if column.name != "sealed"]
        query = statements.of_stack(table, *columns).order_by(table.c.version.desc()).limit(limit)
        if before is not None:
            query = query.where(table.c.version < before)
        if unit is not None:
            query = query.where(table.c.unit == unit)
        return [_version(stack, row, b"") for row in self._connection.execute(query, statements.bind_stack(stack))]

    def tfstate_locks(self, stack: StackId) -> list[TfstateLock]:
        """Return the holders of the stack's tfstates, in the order of the units."""
        found = self._connection.execute(statements.TFSTATE_LOCKS, statements.bind_stack(stack))
        return [
            TfstateLock(stack, row.lock_id, load(row.info), row.run, rows.instant(row.since), row.unit) for row in found
        ]

    def tfstate_lock(self, stack: StackId, unit: str = "") -> TfstateLock | None:
        """Return the holder of the tfstate; None if it is not locked."""
        return next((lock for lock in self.tfstate_locks(stack) if lock.unit == unit), None)


class TfstateWriting(TfstateReading, WritingBase):
    """The changes of tfstates, for a `Transaction`."""

    def add_tfstate(  # noqa: PLR0917
        self,
        stack: StackId,
        body: bytes,
        run: str | None,
        now: datetime,
        person: str | None = None,
        note: str | None = None,
        unit: str = "",
    ) -> TfstateVersion:
        """Store the next version, encrypted. Serial and lineage are read from the body."""
        key = self._key_for(stack)
        if self._dialect == POSTGRES:
            # The stack's row is the lock under which its versions are counted. SQLite has one writer at a time.
            self._connection.execute(self._locked(select(stacks.c.id).where(stacks.c.id == key)))
        newest = self._connection.execute(statements.LAST_TFSTATE, {"of_key": key}).scalar()
        version = (newest or 0) + 1
        serial, lineage = _serial_and_lineage(body)
        sealed = self._seal(pack(body), "tfstates", key, str(version))
        values = {
            "stack_id": key,
            "version": version,
            "unit": unit,
            "serial": serial,
            "lineage": lineage,
            "run": run,
            "person": person,
            "note": None if note is None else cleaned(note),
            "created_at": rows.micros(now),
            "sealed": sealed,
        }
        self._connection.execute(statements.ADD_TFSTATE, values)
        return TfstateVersion(stack, version, serial, lineage, run, now, body, person, note, unit)

    def lock_tfstate(self, lock: TfstateLock) -> TfstateLock | None:
        """Take the lock and return None; return the present holder instead if its id is another one."""
        values = {
            "stack_id": self._key_for(lock.stack),
            "unit": lock.unit,
            "lock_id": lock.lock_id,
            "info": dump(dict(lock.info)),
            "run": lock.run,
            "since": rows.micros(lock.since),
        }
        while not self._connection.execute(statements.take_tfstate_lock(self._dialect), values).first():
            present = self.tfstate_lock(lock.stack, lock.unit)
            if present is not None:
                return None if present.lock_id == lock.lock_id else present
        return None

    def unlock_tfstate(self, stack: StackId, lock_id: str | None, unit: str = "") -> bool:
        """Release the lock with this id (None: any lock); return False if another id holds it."""
        key = self._key(stack)
        if key is None:
            return True
        of_unit = {"of_key": key, "of_unit": unit}
        if lock_id is None:
            self._connection.execute(statements.UNLOCK_UNIT, of_unit)
        else:
            self._connection.execute(statements.UNLOCK_BY_ID, {**of_unit, "of_lock": lock_id})
        return self._connection.execute(statements.LOCK_OF_UNIT, of_unit).first() is None


def _version(stack: StackId, row: Row[Any], body: bytes) -> TfstateVersion:
    made = rows.instant(row.created_at)
    return TfstateVersion(
        stack, row.version, row.serial, row.lineage, row.run, made, body, row.person, row.note, row.unit
    )


def _serial_and_lineage(body: bytes) -> tuple[int | None, str | None]:
    """Return serial and lineage as far as the body has them in their proper types.

    The rest of it belongs to the tool.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(content, dict):
        return None, None
    serial, lineage = content.get("serial"), content.get("lineage")
    if not isinstance(serial, int) or isinstance(serial, bool) or not 0 <= serial <= LARGEST_SERIAL:
        serial = None
    return serial, cleaned(lineage)[:_LONGEST_LINEAGE] if isinstance(lineage, str) else None
