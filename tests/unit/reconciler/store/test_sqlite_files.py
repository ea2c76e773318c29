from __future__ import annotations

import sqlite3
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.store.connections import in_words
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import StoreBusy, StoreError
from tests.factories import a_stack

SOON = timedelta(seconds=0.2)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.load_or_create(tmp_path / "keys")


def opened(path: Path, keys: Keys) -> SqlStore:
    return open_store(f"sqlite:///{path}", keys, patience=SOON)


def test_the_files_are_private_and_written_ahead(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "a.db"
    store = opened(path, keys)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack()])
    modes = {it.name: stat.S_IMODE(it.stat().st_mode) for it in tmp_path.glob("a.db*")}
    assert modes == dict.fromkeys(["a.db", "a.db-wal", "a.db-shm", "a.db.lock"], 0o600)
    with store.reading() as reading:
        pragmas = {
            name: reading._connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 200}
    store.close()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "a.db"
    opened(path, keys).close()
    path.chmod(0o644)
    opened(path, keys).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_process_that_holds_the_database(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "a.db"
    store = opened(path, keys)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="locked by another process") as caught, store.writing():
        pass
    assert str(path) in str(caught.value)
    with pytest.raises(StoreBusy):
        opened(path, keys)
    other.close()
    with store.writing() as transaction:
        transaction.put_stacks([a_stack()])
    store.close()


def test_a_transaction_inside_a_transaction_does_not_wait_for_ever(tmp_path: Path, keys: Keys) -> None:
    store = opened(tmp_path / "a.db", keys)
    with store.writing(), pytest.raises(StoreBusy, match="another transaction"), store.writing():
        pass
    store.close()


def test_a_file_that_is_no_database(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="restore it from a backup"):
        opened(path, keys)


def test_a_database_that_was_damaged(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "a.db"
    store = opened(path, keys)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(f"a/s{number}") for number in range(200)])
    store.close()
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\x55" * (len(content) - 4096 * 2)
    path.write_bytes(content)

    def read() -> None:
        store = opened(path, keys)
        try:
            with store.reading() as reading:
                reading.stacks()
        finally:
            store.close()

    with pytest.raises(StoreError, match="restore it from a backup"):
        read()


@pytest.mark.parametrize("name", ["none/a.db", "."])
def test_places_where_no_database_can_be(tmp_path: Path, keys: Keys, name: str) -> None:
    with pytest.raises(StoreError, match=r"cannot be (created|opened)"):
        opened(tmp_path / name, keys)


@pytest.mark.parametrize(
    ("pragma", "message"),
    [
        pytest.param("query_only = 1", "is read-only", id="read-only"),
        pytest.param("max_page_count = 1", "the disk is full", id="full"),
    ],
)
def test_what_a_write_can_run_into(tmp_path: Path, keys: Keys, pragma: str, message: str) -> None:
    store = opened(tmp_path / "a.db", keys)

    def write() -> None:
        with store.writing() as transaction:
            transaction._connection.exec_driver_sql(f"PRAGMA {pragma}")
            transaction.put_stacks([a_stack(f"a/s{number}") for number in range(500)])

    with pytest.raises(StoreError, match=message) as caught:
        write()
    assert len(str(caught.value).splitlines()) == 1
    store.close()


def test_other_errors_keep_to_one_line() -> None:
    with (
        pytest.raises(StoreError, match=r"^the database cannot be used: no such table: none$"),
        in_words("the database"),
    ):
        sqlite3.connect(":memory:").execute("SELECT * FROM none")
