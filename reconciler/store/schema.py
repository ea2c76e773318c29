"""Migrates a database to the schema of this version, one service at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from reconciler.store.connections import for_writing
from reconciler.store.stored import StoreBusy, StoreError
from reconciler.store.tables import SCHEMA_VERSION, VERSION_TABLE, metadata

_ADVISORY_LOCK = 0x73746174696F6E01
_MIGRATIONS = Path(__file__).parent / "migrations"


def bring_up_to_date(engine: Engine, where: str, patience: timedelta) -> None:
    """Run the missing migrations; raise StoreError if the database has a newer schema than this version."""
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
            raise StoreError(
                f"{where} has schema {present}, which is newer than {SCHEMA_VERSION}, the newest that this version of "
                "Stationkeeper knows: install the version that wrote it"
            )
        _upgrade(connection)


def _version(connection: Connection) -> str | None:
    names = set(inspect(connection).get_table_names())
    if VERSION_TABLE in names:
        version: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
        return version
    if not names.isdisjoint(metadata.tables):
        raise StoreError("the database contains tables of another program: give Stationkeeper a database of its own")
    return None


def _upgrade(connection: Connection) -> None:
    # Alembic takes longer to import than the whole start of the service, and nearly every start needs no migration.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


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
