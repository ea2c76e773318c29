"""The store on SQLite and PostgreSQL."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta

from sqlalchemy import Engine, func, select

from reconciler.core.runs import RunId
from reconciler.store import connections, tables
from reconciler.store.copying import copy_rows, has_rows
from reconciler.store.encryption import Keys
from reconciler.store.reading import SqlReading
from reconciler.store.schema import bring_up_to_date, check_schema
from reconciler.store.stored import StoreBusy, StoreError
from reconciler.store.writing import SqlTransaction

PATIENCE = timedelta(seconds=10)
"""The longest that a transaction waits for another one's lock."""


class SqlStore:
    """A `Store`. Any number of threads may use it; a reading or a transaction belongs to one thread."""

    def __init__(self, engine: Engine, keys: Keys, where: str, patience: timedelta) -> None:
        self._engine = engine
        self._keys = keys
        self._where = where
        self._readers = connections.for_reading(engine)
        self._glancers = connections.for_a_glance(engine)
        self._writers = connections.for_writing(engine)
        # SQLite has one writer at a time and makes the others poll; among our own threads a lock is fair and fast.
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._patience = patience.total_seconds()

    @contextlib.contextmanager
    def reading(self) -> Iterator[SqlReading]:
        with connections.in_words(self._where), self._readers.begin() as connection:
            yield SqlReading(connection, self._keys)

    @contextlib.contextmanager
    def glance(self) -> Iterator[SqlReading]:
        with connections.in_words(self._where), self._glancers.begin() as connection:
            yield SqlReading(connection, self._keys)

    @contextlib.contextmanager
    def writing(self) -> Iterator[SqlTransaction]:
        with self._my_turn(), connections.in_words(self._where), self._writers.begin() as connection:
            yield SqlTransaction(connection, self._keys)

    def carry_key(self, run: RunId) -> str:
        return self._keys.carry_key(run)

    def signing_seeds(self) -> tuple[bytes, ...]:
        return self._keys.signing_seeds

    def is_empty(self) -> bool:
        """Whether nothing was ever written into it."""
        with connections.in_words(self._where), self._readers.begin() as connection:
            return not has_rows(connection)

    def copy_to(self, target: SqlStore) -> Mapping[str, int]:
        """Copy everything into an empty store, all or nothing; return the numbers of rows by table."""
        with (
            target._my_turn(),
            connections.in_words(self._where),
            self._readers.begin() as source,
            connections.in_words(target._where),
            target._writers.begin() as connection,
        ):
            return copy_rows(source, connection)

    def close(self) -> None:
        self._engine.dispose()

    @contextlib.contextmanager
    def _my_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
        elif self._turn.acquire(timeout=self._patience):
            try:
                yield
            finally:
                self._turn.release()
        else:
            problem = "is locked by another transaction of this service"
            raise StoreBusy(f"{self._where} {problem}", f"the database {problem}")


def open_store(url: str, keys: Keys, patience: timedelta = PATIENCE, *, migrating: bool = True) -> SqlStore:
    """Open a database (`sqlite:////path`, `postgresql://…`) and migrate it to this version's schema.

    Not `migrating`: a database with another schema is refused, as one that is left to the version that uses it. Raise
    StoreError if it cannot be used, was written by a newer version, or needs a key that is missing.
    """
    parsed = connections.parse_url(url)
    where = connections.describe(parsed)
    connect = connections.connect_sqlite if parsed.drivername == "sqlite" else connections.connect_postgres
    engine = connect(parsed, patience)
    try:
        with connections.in_words(where):
            if migrating:
                bring_up_to_date(engine, where, patience)
            else:
                check_schema(engine, where)
            _check_keys(engine, keys)
        keys.make()
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(engine, keys, where, patience)


def _check_keys(engine: Engine, keys: Keys) -> None:
    with connections.for_reading(engine).begin() as connection:
        known = connection.execute(select(tables.sealing_keys.c.id)).scalars()
        for missing in sorted(set(known) - keys.ids):
            # An old key may be deleted once no value needs it. The search takes long, and is rarely necessary.
            for sealed in (tables.outputs.c.sealed, tables.tfstates.c.sealed, tables.issuer_keys.c.sealed):
                needs_it = func.substr(sealed, 2, 8) == bytes.fromhex(missing)
                if connection.execute(select(sealed.is_not(None)).where(needs_it).limit(1)).first() is not None:
                    raise StoreError(
                        f"the database holds data sealed with key {missing}, which is not in {keys.where}: "
                        "restore it (setting encryption_key_file)"
                    )
