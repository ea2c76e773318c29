"""Engines for the supported databases, and their failures in plain words.

`open_store` makes one engine, and every reading and transaction takes a connection from it through `for_reading` or
`for_writing`. Writers on SQLite lock at their beginning (BEGIN IMMEDIATE): a transaction that first reads and then
writes would fail with "database is locked" at once. Whatever the driver raises becomes a StoreError or StoreBusy
through `in_words`, without statement, values or credentials.
"""

from __future__ import annotations

import contextlib
import copy
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from reconciler.store.stored import StoreBusy, StoreError

_USED = "station_used"
_SURE = 1.0
"""For how many seconds after its last use a connection is taken to be there."""
_POOL = {"pool_size": 16, "max_overflow": 16}

_SQLITE_MESSAGES = {
    sqlite3.SQLITE_READONLY: "is read-only: give the service write access to the file and its directory",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk is full, or reports an error",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database, or is damaged: restore it from a backup",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the path and its permissions",
}
_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_POSTGRES_BUSY = ("08", "40", "53", "55P03", "57P", "25P03")
"""SQLSTATEs of passing failures.

Connection, rollback (deadlock, serialization), resources, lock timeout, server shutting down.
"""


def parse_url(url: str) -> URL:
    """Parse a database URL; raise StoreError for other databases, without the URL, which may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError("database_url is not a URL: write sqlite:////path/file.db or postgresql://…") from None
    match parsed.drivername:
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:" or parsed.query:
                raise StoreError("database_url: a SQLite database is a plain path, as in sqlite:////path/file.db")
            return parsed
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise StoreError(f"database_url: {other} is not supported; use sqlite or postgresql")


def describe(url: URL) -> str:
    """Return the name of the database for messages, without user and password."""
    if url.drivername == "sqlite":
        return f"the database {url.database}"
    port = f":{url.port}" if url.port else ""
    return f"the database {url.database} on {url.host or 'localhost'}{port}"


def connect_sqlite(url: URL, patience: timedelta) -> Engine:
    """Return the engine for a SQLite file, which is created (mode 0600) if there is none."""
    path = Path(url.database or "")
    if not path.parent.is_dir():
        raise StoreError(f"the database {path} cannot be created: there is no directory {path.parent}")
    try:
        # Only a file that does not exist yet: closing a second descriptor would release SQLite's own locks.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreError(f"the database {path} cannot be created: {error.strerror}") from None
    with contextlib.suppress(PermissionError):
        path.chmod(0o600)
    engine = create_engine(url, hide_parameters=True, pool_timeout=patience.total_seconds(), **_POOL)
    milliseconds = int(patience.total_seconds() * 1000)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver would begin transactions by itself, too late and never IMMEDIATE.
        connection.isolation_level = None
        for pragma in (f"busy_timeout = {milliseconds}", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    _begin_with(engine.dialect, "BEGIN")
    return engine


def _begin_with(dialect: Dialect, statement: str) -> None:
    """Let transactions begin with a statement. An event would do that, too, and each statement would look for it."""
    dialect.do_begin = lambda connection: connection.cursor().execute(statement)  # type: ignore[assignment, method-assign]


def connect_postgres(url: URL, patience: timedelta) -> Engine:
    """Return the engine for a PostgreSQL database."""
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_timeout=patience.total_seconds(),
        connect_args={"connect_timeout": max(2, int(patience.total_seconds()))},
        **_POOL,
    )
    milliseconds = int(patience.total_seconds() * 1000)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.execute(f"SET lock_timeout = {milliseconds}")
        connection.commit()

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def check(connection: Any, record: Any, _proxy: Any) -> None:
        # Each check is a round trip, and under load a connection was used a moment ago.
        if time.monotonic() - record.info.get(_USED, time.monotonic()) > _SURE:
            try:
                engine.dialect.do_ping(connection)
            except Exception as error:
                raise DisconnectionError from error

    return engine


def for_writing(engine: Engine) -> Engine:
    """Return the engine with transactions that lock before they read."""
    if _is_postgres(engine):
        return engine.execution_options(isolation_level="READ COMMITTED")
    # A copy of one that has looked at the database: it shares its connections, and does not look again.
    dialect = copy.copy(engine.dialect)
    _begin_with(dialect, "BEGIN IMMEDIATE")
    return Engine(engine.pool, dialect, engine.url, hide_parameters=True)


def for_a_glance(engine: Engine) -> Engine:
    """Return the engine without transactions: each query sees what is committed, in one round trip instead of three."""
    return engine.execution_options(isolation_level="AUTOCOMMIT") if _is_postgres(engine) else engine


def for_reading(engine: Engine) -> Engine:
    """Return the engine with transactions that see one snapshot."""
    if _is_postgres(engine):
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine


@contextlib.contextmanager
def in_words(where: str) -> Iterator[None]:
    """Turn the driver's errors into StoreError with one line. The text of a statement or a value never gets out."""
    try:
        yield
    except PoolTimeout:
        problem = "has no free connection: too many requests at once"
        raise StoreBusy(f"{where} {problem}", f"the database {problem}") from None
    except DBAPIError as error:
        raise _translate(error.orig, where, lost=error.connection_invalidated) from None
    except sqlite3.Error as error:
        raise _translate(error, where) from None
    except SQLAlchemyError as error:
        raise StoreError(f"{where} cannot be used: {type(error).__name__}") from None


def _is_postgres(engine: Engine) -> bool:
    return engine.dialect.name == "postgresql"


def _translate(origin: BaseException | None, where: str, *, lost: bool = False) -> StoreError:
    line = (str(origin).strip().splitlines() or [type(origin).__name__])[0]
    if isinstance(origin, sqlite3.Error):
        code = getattr(origin, "sqlite_errorcode", 0) & 0xFF
        if code in _SQLITE_BUSY:
            return StoreBusy(
                f"{where} is locked by another process: {line}", "the database is locked by another process"
            )
        if code not in _SQLITE_MESSAGES:
            return StoreError(f"{where} cannot be used: {line}")
        return StoreError(f"{where} {_SQLITE_MESSAGES[code]}", f"the database {_SQLITE_MESSAGES[code]}")
    state: str | None = getattr(origin, "sqlstate", None)
    # Without a connection there is no SQLSTATE: the server is down, or refuses all connections for now.
    unreachable = state is None and type(origin).__name__ == "OperationalError"
    if lost or unreachable or (state or "").startswith(_POSTGRES_BUSY):
        return StoreBusy(f"{where} is not available now: {line}", "the database is not available now")
    return StoreError(f"{where} cannot be used: {line}")
