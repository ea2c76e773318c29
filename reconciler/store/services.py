"""The services that use the database: who is there, of which version, and whether they were asked for a look."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select

from reconciler.store import rows, service_tables
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.queries import Reading
from reconciler.store.selecting import POSTGRES
from reconciler.store.stored import LEADER, ServiceSeen
from reconciler.store.tables import SCHEMA_VERSION
from reconciler.store.texts import cleaned

_SERVICES = service_tables.services
_FORGOTTEN = timedelta(days=1)
"""After so long without a word a service is not listed any more."""


def leader_of(reading: Reading, now: datetime) -> str | None:
    """Return the name of the service that follows the configuration; None: no service does at the moment."""
    lease = reading.lease(LEADER)
    return lease.holder if lease is not None and lease.until > reading.clock(now) else None


class ServiceReading(ReadingBase):
    """The questions about services, for a `Reading`."""

    def services(self) -> list[ServiceSeen]:
        """Return the services that were seen within a day, by their names."""
        found = self._connection.execute(select(_SERVICES).order_by(_SERVICES.c.holder))
        return [
            ServiceSeen(
                row.holder, row.host, row.version, row.schema, rows.instant(row.seen_at), rows.instant(row.asked_at)
            )
            for row in found
        ]

    def oldest_schema(self) -> str:
        """Return the oldest schema that a program may know to use the database as it is now."""
        return str(self._connection.execute(select(service_tables.usable.c.oldest)).scalar_one())

    def clock(self, now: datetime) -> datetime:
        """Return the time of the database's own clock, which all services share; `now` where it has none."""
        if self._dialect != POSTGRES:
            return now
        found: datetime = self._connection.execute(select(func.clock_timestamp())).scalar_one()
        return found


class ServiceWriting(ServiceReading, WritingBase):
    """The changes that services make about themselves, for a `Transaction`."""

    def put_service(self, holder: str, host: str, version: str, now: datetime) -> None:
        """Note that a service is there, and forget those that were not heard of for a day."""
        values = {"host": cleaned(host), "version": version, "schema": SCHEMA_VERSION, "seen_at": rows.micros(now)}
        statement = self._insert(_SERVICES).values(holder=holder, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=[_SERVICES.c.holder], set_=values))
        self._connection.execute(delete(_SERVICES).where(_SERVICES.c.seen_at < rows.micros(now - _FORGOTTEN)))

    def ask_to_look(self, holder: str, now: datetime) -> None:
        """Note that a service was asked to look at the repositories, for the one that does."""
        asked = _SERVICES.update().where(_SERVICES.c.holder == holder).values(asked_at=rows.micros(now))
        self._connection.execute(asked)

    def remove_service(self, holder: str) -> None:
        """Note that a service is gone."""
        self._connection.execute(delete(_SERVICES).where(_SERVICES.c.holder == holder))
