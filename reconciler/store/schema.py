"""Migrates a database to the schema of this version, one service at a time.

Services of the version before may be at work meanwhile. Each migration says the `OLDEST` schema that whoever uses the
database after it may know. The database remembers the newest of these: a program that knows less is refused, and one
that knows less than the database has, but enough, goes on. A migration waits for nobody: it is refused while a service
is at work that it would break.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text, update

from reconciler.store.connections import for_writing
from reconciler.store.service_tables import services, usable
from reconciler.store.stored import StoreBusy, StoreError
from reconciler.store.tables import SCHEMA_VERSION, VERSION_TABLE, metadata

AT_WORK = timedelta(minutes=1)
"""For how long after its last word a service counts as one that is at work."""
_ADVISORY_LOCK = 0x73746174696F6E01
_log = logging.getLogger(__name__)
_MIGRATIONS = Path(__file__).parent / "migrations"


def bring_up_to_date(engine: Engine, where: str, patience: timedelta) -> None:
    """Run the missing migrations; raise StoreError if this version cannot use what the database has."""
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database or "")
        # The switch to WAL does not wait for other connections, so it needs a lock outside the database.
        with _file_lock(path.with_name(path.name + ".lock"), where, patience):
            _use_wal(engine)
            _migrate(engine, where)
    else:
        _migrate(engine, where)


def check_schema(engine: Engine, where: str) -> None:
    """Raise StoreError for a database with another schema than this version's; migrate nothing."""
    with engine.connect() as connection:
        present = _version(connection)
    if present != SCHEMA_VERSION:
        has = f"has schema {present}" if present is not None else "has no tables yet"
        raise StoreError(
            f"{where} {has}, and this version of Stationkeeper uses {SCHEMA_VERSION}: use the one that wrote it"
        )


def _use_wal(engine: Engine) -> None:
    raw = engine.raw_connection()
    try:
        raw.cursor().execute("PRAGMA journal_mode = WAL")
    finally:
        raw.close()


def _migrate(engine: Engine, where: str) -> None:
    with for_writing(engine).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        present = _version(connection)
        if present == SCHEMA_VERSION:
            return
        if present is not None and present > SCHEMA_VERSION:
            if (oldest := _oldest(connection)) > SCHEMA_VERSION:
                raise StoreError(
                    f"{where} has schema {present}, and whoever uses it has to know {oldest}. The newest that this "
                    f"version of Stationkeeper knows is {SCHEMA_VERSION}: install the version that wrote it"
                )
            _log.info("%s has schema %s of a newer version, which this version can use", where, present)
            return
        _upgrade(connection, present, where)


def _version(connection: Connection) -> str | None:
    names = set(inspect(connection).get_table_names())
    if VERSION_TABLE in names:
        version: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
        return version
    if not names.isdisjoint(metadata.tables):
        raise StoreError("the database contains tables of another program: give Stationkeeper a database of its own")
    return None


def _oldest(connection: Connection) -> str:
    """Return the oldest schema that a program may know; before it was noted, none but the newest could use it."""
    if usable.name not in inspect(connection).get_table_names():
        return _version(connection) or ""
    return str(connection.execute(select(usable.c.oldest)).scalar_one())


def _refuse_while_others_need_it(connection: Connection, oldest: str, where: str) -> None:
    """Raise StoreError while a service is at work that could not use the database any more."""
    if services.name not in inspect(connection).get_table_names():
        return
    now = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
    if connection.dialect.name == "postgresql":
        # No service says that it is there before this transaction ends, and it learns then that it is too old.
        connection.execute(text(f"LOCK TABLE {services.name} IN SHARE ROW EXCLUSIVE MODE"))
    else:
        now = text("SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS integer)")
    since = connection.execute(now).scalar_one() - AT_WORK // timedelta(microseconds=1)
    older = select(services).where(services.c.schema < oldest, services.c.seen_at > since).order_by(services.c.holder)
    found = connection.execute(older).first()
    if found is not None:
        raise StoreError(
            f"{where} cannot be migrated yet: service {found.holder} on {found.host} has version {found.version} and "
            "could not use it any more. Stop it, or upgrade it to a version between. One that was killed counts for a "
            "minute"
        )


def _upgrade(connection: Connection, present: str | None, where: str) -> None:
    # Alembic takes longer to import than the whole start of the service, and nearly every start needs no migration.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    missing = ScriptDirectory.from_config(config).iterate_revisions("head", present)
    oldest = max(getattr(each.module, "OLDEST", each.revision) for each in missing)
    if present is not None:
        oldest = max(oldest, _oldest(connection))
        _refuse_while_others_need_it(connection, oldest, where)
    command.upgrade(config, "head")
    connection.execute(update(usable).values(oldest=oldest))


@contextlib.contextmanager
def _file_lock(path: Path, where: str, patience: timedelta) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{where} cannot be locked: {error.strerror}") from None
    try:
        deadline = time.monotonic() + patience.total_seconds()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreBusy(f"another process has been opening {where} for too long") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
