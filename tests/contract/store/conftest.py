"""One store of each kind for every test of the contract."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store


@pytest.fixture(scope="module", autouse=True)
def _hasty_sqlite(hasty_sqlite: None) -> None:
    """Let every test here profit."""


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.load_or_create(tmp_path / "keys")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'station.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def blank_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables in it: a copy of it is there sooner than a new one."""
    path = tmp_path_factory.mktemp("blank") / "station.db"
    open_store(f"sqlite:///{path}", Keys.load_or_create(path.with_name("keys"))).close()
    return path


@pytest.fixture
def store(url: str, keys: Keys, blank_database: Path) -> Iterator[SqlStore]:
    if url.startswith("sqlite:///"):
        shutil.copy(blank_database, url.removeprefix("sqlite:///"))
    store = open_store(url, keys)
    yield store
    store.close()


@pytest.fixture
def hasty(url: str, keys: Keys, store: SqlStore) -> Iterator[SqlStore]:
    """A second service on the same database, which does not wait long."""
    hasty = open_store(url, keys, patience=timedelta(seconds=0.3))
    yield hasty
    hasty.close()
