from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from reconciler.core.results import Output
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import StoreBusy, StoreError
from reconciler.store.tables import SCHEMA_VERSION
from tests.factories import NOW, a_run, a_stack, a_stack_id, an_outcome, record_results

A, B = a_stack_id("a/one"), a_stack_id("b/two")

CRASH = """
import os, sys
from pathlib import Path
from reconciler.store.encryption import Keys
from reconciler.store.sql import open_store
from tests.factories import a_run, a_stack
store = open_store(sys.argv[1], Keys.load_or_create(Path(sys.argv[2])))
with store.writing() as transaction:
    transaction.put_stacks([a_stack("a/kept")])
with store.writing() as transaction:
    transaction.put_stacks([a_stack("a/lost"), a_stack("a/kept", reason="Lost")])
    transaction.add_runs([a_run("a/kept")])
    os.kill(os.getpid(), 9)
"""


def execute(store: SqlStore, statement: str, **values: object) -> None:
    with store._writers.begin() as connection:
        connection.execute(text(statement), values)


def test_a_kill_in_mid_transaction_loses_only_that_transaction(store: SqlStore, url: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, url, str(tmp_path / "keys")], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    with store.writing() as transaction:
        assert [(str(it.id), it.reason) for it in transaction.stacks().values()] == [("a/kept", "New")]
        assert transaction.active_runs() == []
        transaction.put_stacks([a_stack("a/next")])


def test_any_exception_takes_everything_back(store: SqlStore) -> None:
    def fail() -> None:
        with store.writing() as transaction:
            transaction.put_stacks([a_stack()])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with store.reading() as reading:
        assert reading.stacks() == {}


def test_a_reading_sees_one_moment(store: SqlStore) -> None:
    with store.reading() as reading:
        assert reading.stacks() == {}
        with store.writing() as transaction:
            transaction.put_stacks([a_stack()])
        assert reading.stacks() == {}
    with store.reading() as reading:
        assert len(reading.stacks()) == 1


def test_nobody_overwrites_what_another_wrote_meanwhile(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(A, last=an_outcome(failures=0)), a_stack(B, last=an_outcome(failures=0))])

    def count(number: int) -> None:
        for _ in range(20):
            with store.writing() as transaction:
                found = transaction.stacks([A, B]) if number % 2 else {A: transaction.stack(A), B: transaction.stack(B)}
                transaction.put_stacks(
                    [
                        state.evolve(last=an_outcome(failures=state.last.failures + 1))
                        for state in found.values()
                        if state is not None and state.last is not None
                    ]
                )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    with store.reading() as reading:
        assert [it.last.failures for it in reading.stacks().values() if it.last] == [80, 80]


def test_many_threads_read_and_write_at_once(store: SqlStore) -> None:
    def work(number: int) -> None:
        for step in range(5):
            with store.writing() as transaction:
                transaction.put_stacks([a_stack(f"a/s{number}-{step}")])
                transaction.add_tfstate(A, b"{}", None, NOW)
            with store.reading() as reading:
                assert reading.stack(a_stack_id(f"a/s{number}-{step}")) is not None

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))
    with store.reading() as reading:
        assert len(reading.stacks()) == 60
        assert [reading.tfstate(A, version) is None for version in range(62)] == [True, *[False] * 60, True]


def test_a_lock_held_too_long_is_reported_and_passes(store: SqlStore, hasty: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(A)])
    with store.writing() as transaction:
        transaction.stack(A)
        with pytest.raises(StoreBusy) as caught, hasty.writing() as other:
            other.stack(A)
        assert len(str(caught.value).splitlines()) == 1
    with hasty.writing() as other:
        assert other.stack(A) is not None


def test_a_writer_does_not_stop_readers(store: SqlStore, hasty: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(A)])
        with hasty.reading() as reading:
            assert reading.stack(A) is None


def test_opening_again_keeps_what_is_there(store: SqlStore, url: str, keys: Keys) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack()])
    again = open_store(url, keys)
    with again.reading() as reading:
        assert reading.stack(a_stack_id()) == a_stack()
    again.close()


def test_a_newer_schema_is_left_alone_by_a_program_that_knows_too_little(store: SqlStore, url: str, keys: Keys) -> None:
    execute(store, "UPDATE station_schema SET version_num = '0999'")
    open_store(url, keys).close()
    execute(store, "UPDATE usable SET oldest = '0998'")
    with pytest.raises(StoreError, match=rf"know 0998\. The newest .* knows is {SCHEMA_VERSION}"):
        open_store(url, keys)


def test_tables_of_somebody_else_are_left_alone(store: SqlStore, url: str, keys: Keys) -> None:
    execute(store, "DROP TABLE station_schema")
    with pytest.raises(StoreError, match="another program"):
        open_store(url, keys)


def test_services_that_start_at_once_migrate_once(
    request: pytest.FixtureRequest, url: str, keys: Keys, tmp_path: Path
) -> None:
    fresh = request.getfixturevalue("empty_postgres_url") if "postgres" in url else f"sqlite:///{tmp_path}/fresh.db"
    together = threading.Barrier(5)

    def start(number: int) -> None:
        together.wait()
        store = open_store(fresh, keys)
        with store.writing() as transaction:
            transaction.add_runs([a_run(f"a/s{number}")])
        store.close()

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(start, range(5)))
    store = open_store(fresh, keys)
    with store.reading() as reading:
        assert len(reading.active_runs()) == 5
        assert reading.configuration().generation == 0
    store.close()


def fill(store: SqlStore) -> None:
    with store.writing() as transaction:
        for stack in (A, B):
            record_results(transaction, stack, [], [Output("secret", str(stack), sensitive=True)])
            transaction.add_tfstate(stack, f'"{stack} 1"'.encode(), None, NOW)
            transaction.add_tfstate(stack, f'"{stack} 2"'.encode(), None, NOW)


def open_everything(store: SqlStore) -> None:
    with store.reading() as reading:
        reading.tfstate(A)
        reading.outputs(A)


OF_A = "(SELECT id FROM stacks WHERE name = 'one')"
OF_B = "(SELECT id FROM stacks WHERE name = 'two')"


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(
            f"UPDATE tfstates SET sealed = (SELECT sealed FROM tfstates WHERE stack_id = {OF_B} AND version = 2)"
            f" WHERE stack_id = {OF_A}",
            id="another stack's tfstate",
        ),
        pytest.param(
            f"UPDATE tfstates SET sealed = (SELECT sealed FROM tfstates WHERE stack_id = {OF_A} AND version = 1)"
            f" WHERE stack_id = {OF_A} AND version = 2",
            id="an earlier version",
        ),
        pytest.param(
            f"UPDATE outputs SET sealed = (SELECT sealed FROM outputs WHERE stack_id = {OF_B}) WHERE stack_id = {OF_A}",
            id="another stack's output",
        ),
        pytest.param("UPDATE outputs SET name = 'other'", id="another name"),
        pytest.param(
            f"UPDATE outputs SET sealed = (SELECT sealed FROM tfstates WHERE stack_id = {OF_A} AND version = 1)",
            id="another table",
        ),
    ],
)
def test_a_sealed_value_that_was_copied_does_not_open(store: SqlStore, statement: str) -> None:
    fill(store)
    open_everything(store)
    execute(store, statement)
    with pytest.raises(StoreError, match="changed, or copied"):
        open_everything(store)


@pytest.mark.parametrize("position", [0, 5, 12, -1])
def test_a_sealed_value_that_was_changed_does_not_open(store: SqlStore, position: int) -> None:
    fill(store)
    with store._engine.connect() as connection:
        sealed = bytearray(connection.execute(text(f"SELECT sealed FROM outputs WHERE stack_id = {OF_A}")).scalar_one())
    sealed[position] ^= 1
    execute(store, "UPDATE outputs SET sealed = :sealed", sealed=bytes(sealed))
    with pytest.raises(StoreError):
        open_everything(store)


def test_another_key_opens_nothing_and_says_which_is_missing(
    store: SqlStore, url: str, keys: Keys, tmp_path: Path
) -> None:
    other = open_store(url, Keys.load_or_create(tmp_path / "other"), patience=timedelta(seconds=1))
    fill(store)
    with pytest.raises(StoreError, match=rf"{repr(keys)[5:-1]}.*encryption_key_file"):
        open_everything(other)
    other.close()


def test_trying_to_write_leaves_nothing_and_yet_writes(store: SqlStore, url: str, tmp_path: Path) -> None:
    def keys() -> list[str]:
        with store.reading() as reading:
            return list(reading._connection.execute(text("SELECT id FROM sealing_keys")).scalars())

    wal = tmp_path / "station.db-wal"
    before, size = keys(), wal.stat().st_size if wal.exists() else 0
    for _ in range(2):
        with store.writing() as transaction:
            transaction.try_writing()
        assert keys() == before
        if url.startswith("sqlite"):
            assert wal.stat().st_size > size
            size = wal.stat().st_size
