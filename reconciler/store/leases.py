"""Leases by name: what only one service at a time does, of those that share the database."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, update

from reconciler.store import rows, service_tables
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.stored import Lease

_LEASES = service_tables.leases


class LeaseReading(ReadingBase):
    """The question about leases, for a `Reading`."""

    def lease(self, name: str) -> Lease | None:
        """Return the lease of this name, even one that has ended; None if nobody ever took it."""
        row = self._connection.execute(select(_LEASES).where(_LEASES.c.name == name)).one_or_none()
        return Lease(row.holder, rows.instant(row.until)) if row is not None else None


class LeaseWriting(LeaseReading, WritingBase):
    """The changes of leases, for a `Transaction`."""

    def take_lease(self, name: str, holder: str, now: datetime, length: timedelta) -> bool:
        """Take or extend a lease; return False if somebody else holds it."""
        values = {"holder": holder, "until": rows.micros(now + length)}
        free = or_(_LEASES.c.holder == holder, _LEASES.c.until <= rows.micros(now))
        statement = (
            self._insert(_LEASES)
            .values(name=name, **values)
            .on_conflict_do_update(index_elements=[_LEASES.c.name], set_=values, where=free)
            .returning(_LEASES.c.name)
        )
        return self._connection.execute(statement).first() is not None

    def holds_lease(self, name: str, holder: str) -> bool:
        """Whether nobody else had a lease since this holder took it; nobody takes it before the transaction ends."""
        query = self._locked(select(_LEASES.c.holder).where(_LEASES.c.name == name))
        return bool(self._connection.execute(query).scalar() == holder)

    def end_lease(self, name: str, holder: str) -> None:
        """Give a lease up, if it is still held: anybody can take it. Until somebody does, this holder had it last."""
        mine = and_(_LEASES.c.name == name, _LEASES.c.holder == holder)
        self._connection.execute(update(_LEASES).where(mine).values(until=0))
